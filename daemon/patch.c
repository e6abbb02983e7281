/* Merge patches of definitions. */
#include <string.h>

#include "daemon/definition.h"
#include "daemon/definition_policy.h"
#include "daemon/patch.h"

json_t *patch_merge(const json_t *target, const json_t *patch)
{
    const char *key;
    json_t *value;
    if (!json_is_object(patch))
        return json_deep_copy(patch);
    json_t *merged = json_is_object(target) ? json_copy((json_t *)target) : json_object();
    json_object_foreach((json_t *)patch, key, value)
    {
        int failed = 0;
        if (json_is_null(value))
            json_object_del(merged, key);
        else
            failed = json_object_set_new(merged, key, patch_merge(json_object_get(merged, key), value));
        if (failed) {
            json_decref(merged);
            return NULL;
        }
    }
    return merged;
}

/* Does the merged definition say the same about this member, defaults aside? Asked of the member alone, as a default of
 * one may follow from another (the model's from the features). What is refused is not the same. */
static bool keeps(const json_t *current, const json_t *merged, const char *member)
{
    json_t *probe =
        json_pack("{s:O,s:O,s:O}", "name", json_object_get(current, "name"), "features",
                  json_object_get(current, "features"), "conditions", json_object_get(current, "conditions"));
    struct definition *definition = NULL;
    json_t *said = json_object_get(merged, member), *result = NULL;
    if (said)
        json_object_set(probe, member, said);
    else
        json_object_del(probe, member);
    if (definition_parse(probe, &definition, NULL) == 0)
        result = definition_json(definition);
    bool same = result && json_equal(json_object_get(result, member), json_object_get(current, member));
    json_decref(result);
    definition_free(definition);
    json_decref(probe);
    return same;
}

/* What an iteration says of an observable, it says of its name: so a name keeps its expression. */
static int check_observables(const struct tw_observables *before, const struct tw_observables *after,
                             struct tw_error *error)
{
    for (int i = 0; i < after->count; i++)
        for (int k = 0; k < before->count; k++)
            if (!strcmp(after->items[i].name, before->items[k].name) &&
                strcmp(after->items[i].text, before->items[k].text) != 0)
                return tw_error_set(error, TW_CONFLICT,
                                    "observable %s has another expression already: what was compared is stored under "
                                    "its name, so give the new one another",
                                    after->items[i].name);
    return 0;
}

static int parse_merged(const struct definition *before, const json_t *current, const json_t *merged,
                        const json_t *patch, struct definition **out, struct tw_error *error)
{
    static const char *const immutable[] = {"name", "features", "conditions", "model"};
    for (size_t i = 0; i < sizeof immutable / sizeof *immutable; i++)
        if (json_object_get(patch, immutable[i]) && !keeps(current, merged, immutable[i]))
            return tw_error_set(error, TW_CONFLICT, "%s is immutable: make another twin", immutable[i]);
    int status = definition_parse(merged, out, error);
    if (!status)
        status = check_observables(before->observables, (*out)->observables, error);
    if (status) {
        definition_free(*out);
        *out = NULL;
    }
    return status;
}

int patch_definition(const struct definition *before, const json_t *patch, struct definition **out,
                     struct tw_error *error)
{
    struct tw_error why = {"no memory for the definition"};
    *out = NULL;
    if (!json_is_object(patch))
        return tw_error_set(error, TW_INVALID, "a patch must be a JSON object");
    json_t *current = definition_json(before);
    if (current)
        definition_policy_patch(json_object_get(current, "loop"), json_object_get(patch, "loop"));
    json_t *merged = current ? patch_merge(current, patch) : NULL;
    int status = merged ? parse_merged(before, current, merged, patch, out, &why) : TW_NO_MEMORY;
    json_decref(merged);
    json_decref(current);
    return status ? tw_error_set(error, status, "%s", why.text) : 0;
}
