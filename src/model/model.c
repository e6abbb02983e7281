#include "model/model.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/artifact.h"
#include "model/members.h"
#include "model/reweighting.h"

struct tw_model {
    atomic_int references;
    const struct tw_kind *kind;
    void *config;
    struct tw_schema *schema;
    struct tw_params statistics, parameters;
    int members;
    struct tw_params own_statistics[TW_MEMBERS_MAX], own_parameters[TW_MEMBERS_MAX]; /* (members): views */
    /* With weights: the model under them, whose everything above is shared, and they. */
    struct tw_model *base;
    struct tw_reweighting reweighting;
};

int tw_model_new(const struct tw_kind *kind, void *config, struct tw_schema *schema, struct tw_params *statistics,
                 struct tw_params *parameters, struct tw_model **out)
{
    struct tw_model *model = calloc(1, sizeof *model);

    *out = model;
    if (!model) {
        kind->config_free(config);
        tw_schema_free(schema);
        tw_params_fini(statistics);
        tw_params_fini(parameters);
        return TW_NO_MEMORY;
    }
    atomic_init(&model->references, 1);
    model->kind = kind;
    model->config = config;
    model->schema = schema;
    model->statistics = *statistics;
    model->parameters = *parameters;
    tw_params_init(statistics);
    tw_params_init(parameters);
    if (tw_params_turn(&model->parameters)) {
        tw_model_unref(model);
        *out = NULL;
        return TW_NO_MEMORY;
    }
    model->members = tw_kind_members(kind, config);
    for (int m = 0; m < model->members; m++) {
        model->own_statistics[m] = tw_members_view(&model->statistics, model->members, m);
        model->own_parameters[m] = tw_members_view(&model->parameters, model->members, m);
    }
    return TW_OK;
}

int tw_model_new_copy(const struct tw_kind *kind, const void *config, const struct tw_schema *schema,
                      const struct tw_params *statistics, const struct tw_params *parameters, struct tw_model **out)
{
    struct tw_params own_statistics, own_parameters;
    struct tw_schema *own_schema;
    struct tw_error error;
    void *own = NULL;

    *out = NULL;

    json_t *json = kind->describe(config);
    int status = json ? kind->parse(json, schema, &own, &error) : TW_NO_MEMORY;

    json_decref(json);
    if (status)
        return status;
    own_schema = tw_schema_copy(schema);
    tw_params_init(&own_statistics);
    tw_params_init(&own_parameters);
    /* the layout is declared again for the indices that the config keeps */
    status = own_schema ? kind->layout(own, own_schema, &own_statistics, &own_parameters) : TW_NO_MEMORY;
    tw_params_fini(&own_statistics);
    tw_params_fini(&own_parameters);
    if (status || (status = tw_params_copy(&own_statistics, statistics)) ||
        (status = tw_params_copy(&own_parameters, parameters))) {
        kind->config_free(own);
        tw_schema_free(own_schema);
        tw_params_fini(&own_statistics);
        return status;
    }
    return tw_model_new(kind, own, own_schema, &own_statistics, &own_parameters, out);
}

struct tw_model *tw_model_ref(struct tw_model *model)
{
    if (model)
        atomic_fetch_add_explicit(&model->references, 1, memory_order_relaxed);
    return model;
}

void tw_model_unref(struct tw_model *model)
{
    if (!model || atomic_fetch_sub_explicit(&model->references, 1, memory_order_acq_rel) != 1)
        return;
    if (model->base) {
        tw_reweighting_fini(&model->reweighting);
        tw_model_unref(model->base);
    } else {
        model->kind->config_free(model->config);
        tw_schema_free(model->schema);
        tw_params_fini(&model->statistics);
        tw_params_fini(&model->parameters);
    }
    free(model);
}

int tw_model_reweight(struct tw_model *base, const struct tw_reweighting *reweighting, struct tw_model **out,
                      struct tw_error *error)
{
    const unsigned needed = 1u << TW_OUTPUT_LOG_PROB | 1u << TW_OUTPUT_SAMPLE;
    struct tw_model *under = base->base ? base->base : base;

    *out = NULL;
    if ((under->kind->outputs & needed) != needed)
        return tw_error_set(error, TW_INVALID, "a model of kind %s has no density to put weights on",
                            under->kind->name);

    int status = tw_reweighting_check(reweighting, under->schema, error);
    struct tw_model *model = status ? NULL : malloc(sizeof *model);

    if (!model)
        return status ? status : TW_NO_MEMORY;
    *model = *under;
    atomic_init(&model->references, 1);
    model->base = tw_model_ref(under);
    model->reweighting = tw_reweighting_copy(reweighting);
    *out = model;
    return TW_OK;
}

const struct tw_reweighting *tw_model_reweighting(const struct tw_model *model)
{
    return model->base ? &model->reweighting : NULL;
}

const struct tw_model *tw_model_base(const struct tw_model *model)
{
    return model->base ? model->base : model;
}

const struct tw_kind *tw_model_kind(const struct tw_model *model)
{
    return model->kind;
}

const struct tw_schema *tw_model_schema(const struct tw_model *model)
{
    return model->schema;
}

size_t tw_model_parameters(const struct tw_model *model)
{
    return tw_params_values(&model->parameters);
}

struct json_t *tw_model_json(const struct tw_model *model)
{
    return model->kind->describe(model->config);
}

int tw_model_members(const struct tw_model *model)
{
    return model->members;
}

struct tw_kind_state tw_model_state(const struct tw_model *model, int member)
{
    return (struct tw_kind_state){.config = model->config,
                                  .schema = model->schema,
                                  .statistics = &model->own_statistics[member],
                                  .parameters = &model->own_parameters[member]};
}

/* --- artifact --- */

/* Without what is the same in every model that is no ensemble, as it was before there were any. */
static json_t *stored_json(const struct tw_model *model)
{
    json_t *json = tw_model_json(model);

    if (model->members == 1)
        json_object_del(json, "members");
    return json;
}

/* Everything that is stored: the model's own sets, then those of the networks of its weights, if it has any. */
enum { OWN_SETS = 2, SETS_MAX = OWN_SETS + TW_REWEIGHTING_SETS };

/* Of format 1 are artifacts in which every event has every feature, as they ever were. */
static int format_of(const struct tw_kind *kind, const struct tw_schema *schema)
{
    return kind->format + tw_schema_has_classes(schema);
}

int tw_model_save(const struct tw_model *model, const struct tw_model_record *record, unsigned char **bytes,
                  size_t *size)
{
    struct tw_params statistics = model->statistics, parameters = model->parameters;
    struct tw_artifact_set sets[SETS_MAX] = {{"statistics", &statistics}, {"parameters", &parameters}};
    struct tw_reweighting_parts parts;
    int count = OWN_SETS;
    char seed[24];

    snprintf(seed, sizeof seed, "%llu", (unsigned long long)record->seed);

    json_t *json = json_pack("{s:i, s:s, s:s, s:o, s:o, s:o, s:s, s:s, s:s, s:s, s:s}", "format",
                             format_of(model->kind, model->schema), "library", TW_VERSION, "kind", model->kind->name,
                             "model", stored_json(model), "features", tw_schema_features_json(model->schema),
                             "conditions", tw_schema_conditions_json(model->schema), "twin", record->twin, "seed", seed,
                             "parent", record->parent, "cause", record->cause, "kernels", record->kernels);

    if (json && model->base) {
        count += tw_reweighting_view(&model->reweighting, &parts, sets + OWN_SETS);
        if (json_object_set_new(json, "reweighting", tw_reweighting_json(&model->reweighting))) {
            json_decref(json);
            json = NULL;
        }
    }

    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    int status = text ? tw_artifact_write(text, sets, count, bytes, size) : TW_NO_MEMORY;

    free(text);
    json_decref(json);
    return status;
}

static int copy_text(const json_t *json, const char *member, char *out, size_t size, struct tw_error *error)
{
    const char *text = json_string_value(json_object_get(json, member));

    if (!text || strlen(text) >= size)
        return tw_error_set(error, TW_CORRUPT, "artifact: member \"%s\" is not a string that fits", member);
    strcpy(out, text);
    return TW_OK;
}

static int read_record(const json_t *json, struct tw_model_record *record, struct tw_error *error)
{
    char seed[24], *end;
    int status;

    memset(record, 0, sizeof *record);
    if ((status = copy_text(json, "twin", record->twin, sizeof record->twin, error)) ||
        (status = copy_text(json, "parent", record->parent, sizeof record->parent, error)) ||
        (status = copy_text(json, "cause", record->cause, sizeof record->cause, error)) ||
        (status = copy_text(json, "kernels", record->kernels, sizeof record->kernels, error)) ||
        (status = copy_text(json, "seed", seed, sizeof seed, error)))
        return status;
    record->seed = strtoull(seed, &end, 10);
    if (*end || !*seed)
        return tw_error_set(error, TW_CORRUPT, "artifact: member \"seed\" is not a number");
    return TW_OK;
}

/* Kind, schema and config from the JSON; the caller releases what was made. */
static int read_json(const json_t *json, const struct tw_kind **kind, struct tw_schema **schema, void **config,
                     struct tw_error *error)
{
    const char *name = json_string_value(json_object_get(json, "kind"));
    int status;

    *kind = name ? tw_kind_find(name) : NULL;
    if (!*kind)
        return tw_error_set(error, TW_CORRUPT, "artifact: unknown kind");
    status = tw_schema_parse(json_object_get(json, "features"), json_object_get(json, "conditions"), schema, error);
    if (!status && json_integer_value(json_object_get(json, "format")) != format_of(*kind, *schema))
        return tw_error_set(error, TW_CORRUPT, "artifact: format of kind \"%s\" is not %d", name,
                            format_of(*kind, *schema));
    if (!status)
        status = (*kind)->parse(json_object_get(json, "model"), *schema, config, error);
    return status > 0 ? TW_CORRUPT : status;
}

/* The model in *out with the weights that came with it, in its place; it is released if that fails. */
static int put_weights(struct tw_model **out, struct tw_reweighting_parts *parts, struct tw_error *error)
{
    struct tw_reweighting weights;
    struct tw_model *base = *out;
    int status = tw_reweighting_build(parts, &weights, error);

    *out = NULL;
    if (!status) {
        status = tw_model_reweight(base, &weights, out, error);
        tw_reweighting_fini(&weights);
    }
    tw_model_unref(base);
    return status;
}

static bool statistics_ok(const struct tw_kind *kind, const void *config, const struct tw_schema *schema,
                          const struct tw_params *statistics)
{
    int members = tw_kind_members(kind, config);

    for (int m = 0; m < members; m++) {
        struct tw_params own = tw_members_view(statistics, members, m);

        if (!kind->statistics_ok(config, schema, &own))
            return false;
    }
    return true;
}

int tw_model_load(const unsigned char *bytes, size_t size, struct tw_model **out, struct tw_model_record *record,
                  struct tw_error *error)
{
    struct tw_artifact artifact;
    struct tw_params statistics, parameters;
    struct tw_artifact_set sets[SETS_MAX] = {{"statistics", &statistics}, {"parameters", &parameters}};
    struct tw_reweighting_parts parts = {0};
    int count = OWN_SETS;
    const struct tw_kind *kind = NULL;
    struct tw_schema *schema = NULL;
    struct tw_model_record unused;
    void *config = NULL;
    json_t *json = NULL;
    int status;

    *out = NULL;
    tw_params_init(&statistics);
    tw_params_init(&parameters);
    if ((status = tw_artifact_open(bytes, size, &artifact, error)))
        return status;
    json = json_loads(artifact.twin, JSON_REJECT_DUPLICATES, NULL);
    if (!json) {
        status = tw_error_set(error, TW_CORRUPT, "artifact: metadata \"twin\" is not JSON");
        goto out;
    }
    if ((status = read_json(json, &kind, &schema, &config, error)) ||
        (status = read_record(json, record ? record : &unused, error)) ||
        (status = tw_members_layout(kind, config, schema, &statistics, &parameters)))
        goto out;

    const json_t *reweighting = json_object_get(json, "reweighting");

    if (reweighting) {
        if ((status = tw_reweighting_parse(reweighting, schema, &parts, error)))
            goto out;
        count += tw_reweighting_sets(&parts, sets + OWN_SETS);
    }
    if ((status = tw_artifact_read(&artifact, sets, count, error)))
        goto out;
    if (!statistics_ok(kind, config, schema, &statistics)) {
        status =
            tw_error_set(error, TW_CORRUPT, "artifact: a width is not positive, or the table of classes is broken");
        goto out;
    }
    status = tw_model_new(kind, config, schema, &statistics, &parameters, out);
    config = NULL;
    schema = NULL;
    if (!status && reweighting)
        status = put_weights(out, &parts, error);

out:
    if (status > 0)
        status = TW_CORRUPT;
    tw_reweighting_parts_fini(&parts);
    if (config)
        kind->config_free(config);
    tw_schema_free(schema);
    tw_params_fini(&statistics);
    tw_params_fini(&parameters);
    json_decref(json);
    tw_artifact_close(&artifact);
    return status;
}
