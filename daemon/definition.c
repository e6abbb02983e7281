/* Definitions: one reader for each member of "loop"; features and conditions are read by the schema, observables and
 * "model" by what they are about. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "daemon/definition.h"
#include "daemon/definition_policy.h"
#include "proto/wire.h"
#include "stat/drift.h"

enum { DESCRIPTION_MAX = 4096 };

/* --- members of "loop" and "loop.gate" --- */

static int read_real(const json_t *value, const char *path, double low, double high, double *out,
                     struct tw_error *error)
{
    double number = json_number_value(value);
    if (!json_is_number(value) || !(number >= low && number <= high))
        return tw_error_set(error, TW_INVALID, "%s must be a number from %g to %g", path, low, high);
    *out = number;
    return 0;
}

static int read_window(const json_t *value, long *out, struct tw_error *error)
{
    json_int_t rows = json_integer_value(value);
    if (!json_is_integer(value) || rows < 100 || rows > 1000000)
        return tw_error_set(error, TW_INVALID, "loop.window must be a whole number of rows from 100 to 1000000");
    *out = (long)rows;
    return 0;
}

static int read_max_lag(const json_t *value, long *out, struct tw_error *error)
{
    json_int_t windows = json_integer_value(value);
    if (!json_is_null(value) && (!json_is_integer(value) || windows < 1 || windows > 1000000000))
        return tw_error_set(error, TW_INVALID,
                            "loop.max_lag_windows must be null (never skip) or a whole number from 1 to 1000000000");
    *out = (long)windows;
    return 0;
}

static int read_detectors(const json_t *value, unsigned *out, struct tw_error *error)
{
    size_t i;
    json_t *item;
    *out = 0;
    if (!json_is_array(value) || !json_array_size(value))
        return tw_error_set(error, TW_INVALID, "loop.detectors must be an array of names: " TW_DRIFT_CHOICE);
    json_array_foreach(value, i, item)
    {
        enum tw_detector detector = json_is_string(item) ? tw_drift_find(json_string_value(item)) : TW_DETECTORS;
        if (detector == TW_DETECTORS && json_is_string(item))
            return tw_error_set(error, TW_INVALID, "loop.detectors: \"%.40s\" is not built yet; there are %s",
                                json_string_value(item), TW_DRIFT_CHOICE);
        if (detector == TW_DETECTORS || *out & 1u << detector)
            return tw_error_set(error, TW_INVALID, "loop.detectors must hold names, each once");
        *out |= 1u << detector;
    }
    return 0;
}

static int read_update(const json_t *value, struct tw_error *error)
{
    if (!json_is_string(value))
        return tw_error_set(error, TW_INVALID, "loop.update must be \"weights\"");
    if (strcmp(json_string_value(value), "weights"))
        return tw_error_set(error, TW_INVALID, "loop.update \"%.40s\" is not built yet; there is \"weights\"",
                            json_string_value(value));
    return 0;
}

static int read_gate(const json_t *gate, struct loop_policy *loop, struct tw_error *error)
{
    const char *member;
    json_t *value;
    int status = json_is_object(gate) ? 0 : tw_error_set(error, TW_INVALID, "loop.gate must be an object");
    json_object_foreach((json_t *)gate, member, value)
    {
        if (status)
            break;
        if (!strcmp(member, "min_gain"))
            status = read_real(value, "loop.gate.min_gain", 0, 1000, &loop->gate_min_gain, error);
        else if (!strcmp(member, "level"))
            status = read_real(value, "loop.gate.level", 1e-12, 0.5, &loop->gate_level, error);
        else
            status = tw_error_set(error, TW_INVALID, "unknown member loop.gate.%.60s", member);
    }
    return status;
}

static int read_loop_member(const char *member, const json_t *value, struct loop_policy *loop, struct tw_error *error)
{
    int status = definition_policy_read(member, value, loop, error);
    if (status != TW_NOT_FOUND)
        return status;
    if (!strcmp(member, "window"))
        return read_window(value, &loop->window, error);
    if (!strcmp(member, "detectors"))
        return read_detectors(value, &loop->detectors, error);
    if (!strcmp(member, "expected_run_time"))
        return read_real(value, "loop.expected_run_time", 1, 1e12, &loop->expected_run_time, error);
    if (!strcmp(member, "update"))
        return read_update(value, error);
    if (!strcmp(member, "silence_s"))
        return read_real(value, "loop.silence_s", 0.001, 1e9, &loop->silence_s, error);
    if (!strcmp(member, "max_lag_s"))
        return read_real(value, "loop.max_lag_s", 0.001, 1e9, &loop->max_lag_s, error);
    if (!strcmp(member, "max_lag_windows"))
        return read_max_lag(value, &loop->max_lag_windows, error);
    if (!strcmp(member, "gate"))
        return read_gate(value, loop, error);
    return tw_error_set(error, TW_INVALID, "unknown member loop.%.60s", member);
}

static int read_loop(const json_t *json, struct loop_policy *loop, struct tw_error *error)
{
    const char *member;
    json_t *value;
    *loop = (struct loop_policy){
        .growth = 0.1,
        .recall = 4,
        .window = 20000,
        .detectors = 1u << TW_DETECT_C2ST | 1u << TW_DETECT_KS | 1u << TW_DETECT_CUSUM,
        .expected_run_time = 1000,
        .silence_s = 60,
        .max_lag_s = 300,
        .gate_min_gain = 0,
        .gate_level = 0.01,
    };
    if (json && !json_is_object(json))
        return tw_error_set(error, TW_INVALID, "loop must be an object");
    int status = 0;
    json_object_foreach((json_t *)json, member, value)
    {
        if (!status)
            status = read_loop_member(member, value, loop, error);
    }
    return status ? status : definition_policy_mode(json, loop, error);
}

/* --- the other members --- */

static int read_name(const json_t *value, char out[65], struct tw_error *error)
{
    const char *name = json_string_value(value);
    if (!name)
        return tw_error_set(error, TW_INVALID, value ? "name must be a string" : "name is missing");
    if (strlen(name) != json_string_length(value) || !twp_wire_name_ok(name))
        return tw_error_set(error, TW_INVALID, "name must be 1 to 64 of a-z, 0-9, _ and -, beginning with a-z or 0-9");
    strcpy(out, name);
    return 0;
}

static int read_description(const json_t *value, char **out, struct tw_error *error)
{
    if (value && (!json_is_string(value) || json_string_length(value) > DESCRIPTION_MAX ||
                  strlen(json_string_value(value)) != json_string_length(value)))
        return tw_error_set(error, TW_INVALID, "description must be a string of at most %d bytes", DESCRIPTION_MAX);
    *out = strdup(value ? json_string_value(value) : "");
    return *out ? 0 : tw_error_set(error, TW_NO_MEMORY, "no memory for the definition");
}

static int read_kind(const json_t *model, const struct tw_kind **out, struct tw_error *error)
{
    const json_t *value = json_object_get(model, "kind");
    const char *name = value ? json_string_value(value) : "flow";
    if (model && !json_is_object(model))
        return tw_error_set(error, TW_INVALID, "model must be an object");
    const struct tw_kind *kind = name ? tw_kind_find(name) : NULL;
    if (!kind)
        return tw_error_set(error, TW_INVALID, "model.kind must name a kind that is built: \"flow\"");
    /* What is served must give events, and learn from data alone. */
    if (kind->labelled || !(kind->outputs & 1u << TW_OUTPUT_SAMPLE))
        return tw_error_set(error, TW_INVALID, "model.kind \"%s\" makes no events and cannot be a twin's", kind->name);
    *out = kind;
    return 0;
}

/* The kind checks its JSON and writes it back with every default. */
static int read_model(const json_t *model, struct definition *definition, struct tw_error *error)
{
    void *config = NULL;
    int status = read_kind(model, &definition->kind, error);
    if (status)
        return status;
    status = definition->kind->parse(model, definition->schema, &config, error);
    if (status)
        return status;
    definition->model = definition->kind->describe(config);
    definition->kind->config_free(config);
    return definition->model ? 0 : tw_error_set(error, TW_NO_MEMORY, "no memory for the definition");
}

static int check_members(const json_t *json, struct tw_error *error)
{
    static const char *const known[] = {"name",       "description", "model", "features",
                                        "conditions", "observables", "loop"};
    const char *member;
    json_t *value;
    if (!json_is_object(json))
        return tw_error_set(error, TW_INVALID, "a definition must be a JSON object");
    json_object_foreach((json_t *)json, member, value)
    {
        size_t i = 0;
        while (i < sizeof known / sizeof *known && strcmp(member, known[i]))
            i++;
        if (i < sizeof known / sizeof *known)
            continue;
        return tw_error_set(error, TW_INVALID, "unknown member %.60s", member);
    }
    return 0;
}

int definition_parse(const json_t *json, struct definition **out, struct tw_error *error)
{
    *out = NULL;
    int status = check_members(json, error);
    if (status)
        return status;
    struct definition *definition = calloc(1, sizeof *definition);
    if (!definition)
        return tw_error_set(error, TW_NO_MEMORY, "no memory for the definition");
    status = read_name(json_object_get(json, "name"), definition->name, error);
    if (!status)
        status = read_description(json_object_get(json, "description"), &definition->description, error);
    if (!status && !json_object_get(json, "features"))
        status = tw_error_set(error, TW_INVALID, "features is missing");
    if (!status)
        status = tw_schema_parse(json_object_get(json, "features"), json_object_get(json, "conditions"),
                                 &definition->schema, error);
    if (!status)
        status = tw_observables_parse(json_object_get(json, "observables"), definition->schema,
                                      &definition->observables, error);
    if (!status)
        status = read_model(json_object_get(json, "model"), definition, error);
    if (!status)
        status = read_loop(json_object_get(json, "loop"), &definition->loop, error);
    if (status) {
        definition_free(definition);
        return status;
    }
    *out = definition;
    return 0;
}

void definition_free(struct definition *definition)
{
    if (!definition)
        return;
    free(definition->description);
    json_decref(definition->model);
    tw_observables_unref(definition->observables);
    tw_schema_free(definition->schema);
    free(definition);
}

static json_t *loop_json(const struct loop_policy *loop)
{
    json_t *names = json_array();
    for (int d = 0; d < TW_DETECTORS; d++)
        if (loop->detectors & 1u << d)
            json_array_append_new(names, json_string(tw_drift_detector_name((enum tw_detector)d)));
    json_t *most = loop->max_lag_windows ? json_integer(loop->max_lag_windows) : json_null();
    json_t *json = json_pack("{s:I,s:o,s:f,s:s,s:f,s:f,s:o,s:{s:f,s:f}}", "window", (json_int_t)loop->window,
                             "detectors", names, "expected_run_time", loop->expected_run_time, "update", "weights",
                             "silence_s", loop->silence_s, "max_lag_s", loop->max_lag_s, "max_lag_windows", most,
                             "gate", "min_gain", loop->gate_min_gain, "level", loop->gate_level);
    if (json)
        definition_policy_json(loop, json);
    return json;
}

json_t *definition_json(const struct definition *definition)
{
    return json_pack("{s:s,s:s,s:O,s:o,s:o,s:o,s:o}", "name", definition->name, "description", definition->description,
                     "model", definition->model, "features", tw_schema_features_json(definition->schema), "conditions",
                     tw_schema_conditions_json(definition->schema), "observables",
                     tw_observables_json(definition->observables), "loop", loop_json(&definition->loop));
}

void definition_tag(const struct definition *definition, char out[DEFINITION_TAG_SIZE])
{
    unsigned char hash[DEFINITION_TAG_SIZE / 2];
    json_t *json = definition_json(definition);
    char *text = json ? json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    out[0] = '\0';
    if (text && !crypto_generichash(hash, sizeof hash, (const unsigned char *)text, strlen(text), NULL, 0))
        sodium_bin2hex(out, DEFINITION_TAG_SIZE, hash, sizeof hash);
    free(text);
    json_decref(json);
}
