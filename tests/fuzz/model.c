/* Input: {"kind", "features", "conditions", "model", "reweighting"?} as an artifact has them, a zero byte, and the
 * bytes of the tensors, said again until all are full. The artifact around them is right, so that loading gets past
 * offsets and sizes and the numbers themselves are what is tried. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check_model.h"
#include "fuzz.h"
#include "model/artifact.h"
#include "model/members.h"
#include "model/reweighting.h"

enum { VALUES_MAX = 20000, COLUMNS_MAX = 64 };

struct bytes {
    const uint8_t *data;
    size_t size, at;
};

static void fill(struct tw_params *params, struct bytes *from)
{
    FUZZ_CHECK(tw_params_alloc(params) == 0);
    for (int t = 0; t < params->count; t++) {
        size_t values = (size_t)params->tensors[t].rows * (size_t)params->tensors[t].cols;
        for (size_t i = 0; i < values; i++) {
            unsigned char raw[4] = {0};
            float value;
            for (size_t k = 0; from->size && k < 4; k++)
                raw[k] = from->data[from->at++ % from->size];
            memcpy(&value, raw, sizeof value);
            tw_params_at(params, t)[i] = isfinite(value) ? (tw_real)value : 1;
        }
    }
}

/* The metadata of an artifact: what the input says, and a record. */
static char *metadata(const struct tw_kind *kind, const struct tw_schema *schema, const json_t *json)
{
    json_t *all = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s}", "format", kind->format + tw_schema_has_classes(schema),
                            "twin", "fuzz", "seed", "7", "parent", "", "cause", "train", "kernels", "");
    FUZZ_CHECK(all && json_object_update(all, (json_t *)(uintptr_t)json) == 0);
    json_object_set_new(all, "kind", json_string(kind->name));
    char *text = json_dumps(all, JSON_COMPACT);
    FUZZ_CHECK(text);
    json_decref(all);
    return text;
}

static void assemble(const struct tw_kind *kind, const struct tw_schema *schema, const json_t *json,
                     struct tw_params *statistics, struct tw_params *parameters, struct tw_reweighting_parts *weights,
                     struct bytes *from)
{
    struct tw_artifact_set sets[2 + TW_REWEIGHTING_SETS] = {{"statistics", statistics}, {"parameters", parameters}};
    int count = 2 + tw_reweighting_sets(weights, sets + 2);
    unsigned char *bytes;
    size_t size;
    for (int s = 0; s < count; s++)
        fill(sets[s].params, from);
    char *text = metadata(kind, schema, json);
    FUZZ_CHECK(tw_artifact_write(text, sets, count, &bytes, &size) == 0);
    check_model(bytes, size);
    free(bytes);
    free(text);
}

static void run(const json_t *json, struct bytes *from)
{
    const char *name = json_string_value(json_object_get(json, "kind"));
    const struct tw_kind *kind = name ? tw_kind_find(name) : NULL;
    struct tw_schema *schema = NULL;
    struct tw_params statistics, parameters;
    struct tw_reweighting_parts weights = {0};
    const json_t *reweighting = json_object_get(json, "reweighting");
    struct tw_error error = {""};
    void *config = NULL;
    tw_params_init(&statistics);
    tw_params_init(&parameters);
    if (kind &&
        !tw_schema_parse(json_object_get(json, "features"), json_object_get(json, "conditions"), &schema, &error) &&
        schema->features + schema->conditions <= COLUMNS_MAX &&
        !kind->parse(json_object_get(json, "model"), schema, &config, &error) &&
        !tw_members_layout(kind, config, schema, &statistics, &parameters) &&
        tw_params_values(&statistics) + tw_params_values(&parameters) <= VALUES_MAX &&
        (!reweighting || !tw_reweighting_parse(reweighting, schema, &weights, &error)) &&
        tw_params_values(&weights.parameters[0]) * TW_REWEIGHTING_MEMBERS_MAX <= VALUES_MAX)
        assemble(kind, schema, json, &statistics, &parameters, &weights, from);
    tw_reweighting_parts_fini(&weights);
    if (config)
        kind->config_free(config);
    tw_schema_free(schema);
    tw_params_fini(&statistics);
    tw_params_fini(&parameters);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    size_t length = zero ? (size_t)(zero - data) : size;
    struct bytes from = {zero ? zero + 1 : data, zero ? size - length - 1 : 0, 0};
    json_t *json = json_loadb((const char *)data, length, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(json))
        run(json, &from);
    json_decref(json);
    return 0;
}
