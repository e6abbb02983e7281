/* Input: a definition, and behind a zero byte a patch of it. What is refused has a sentence that JSON can carry; what
 * is accepted prints with its defaults and says the same when it is read again. */
#include <string.h>

#include "daemon/definition.h"
#include "daemon/patch.h"
#include "fuzz.h"

static json_t *load(const uint8_t *data, size_t size)
{
    return json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
}

static void check_refusal(int status, const struct tw_error *error)
{
    FUZZ_CHECK(status == TW_INVALID || status == TW_CONFLICT);
    FUZZ_CHECK(error->text[0] != '\0');
}

/* Through text and back: numbers keep their value. */
static void check_accepted(const struct definition *definition)
{
    struct definition *again = NULL;
    struct tw_error error = {""};
    json_t *json = definition_json(definition);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    FUZZ_CHECK(text);
    json_t *read = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    FUZZ_CHECK(read && json_equal(read, json));
    FUZZ_CHECK(definition_parse(read, &again, &error) == 0);
    json_t *second = definition_json(again);
    FUZZ_CHECK(json_equal(second, json) && tw_schema_equal(again->schema, definition->schema));
    json_decref(second);
    definition_free(again);
    json_decref(read);
    free(text);
    json_decref(json);
}

static void check_patch(const struct definition *before, const json_t *patch)
{
    struct definition *after = NULL;
    struct tw_error error = {""};
    json_t *nothing = json_object();
    int status = patch_definition(before, patch, &after, &error);
    if (status == 0) {
        FUZZ_CHECK(strcmp(before->name, after->name) == 0 && tw_schema_equal(before->schema, after->schema) &&
                   json_equal(before->model, after->model));
        check_accepted(after);
        definition_free(after);
    } else {
        check_refusal(status, &error);
    }
    FUZZ_CHECK(patch_definition(before, nothing, &after, &error) == 0);
    definition_free(after);
    json_decref(nothing);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    size_t length = zero ? (size_t)(zero - data) : size;
    json_t *json = load(data, length);
    json_t *patch = zero ? load(zero + 1, size - length - 1) : NULL;
    struct definition *definition = NULL;
    struct tw_error error = {""};
    int status = json ? definition_parse(json, &definition, &error) : 0;
    if (status)
        check_refusal(status, &error);
    if (definition) {
        check_accepted(definition);
        if (patch)
            check_patch(definition, patch);
    }
    definition_free(definition);
    json_decref(patch);
    json_decref(json);
    return 0;
}
