#include "model/reweighting.h"

#include <jansson.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/size.h"
#include "model/artifact.h"
#include "model/classifier_kind.h"
#include "model/columns.h"

/* Streams of random numbers that nothing else uses. */
#define STREAM_PROPOSE 0x7265776569676874u
#define STREAM_ACCEPT  0x6163636570743f21u

/* Sets of TW_BLOCK proposals for TW_BLOCK events, in units of what is needed on average. A mean weight that lies by
 * less than this factor costs time only; each event of a true one is found with a chance beyond doubt. */
#define PATIENCE 16

/* --- weights --- */

struct tw_schema *tw_reweighting_schema(const struct tw_observables *observables, const struct tw_schema *schema)
{
    struct tw_schema *seen = tw_schema_copy(observables ? observables->extended : schema);

    for (int f = schema->features; seen && f < seen->features; f++)
        seen->columns[f].optional = true;
    return seen;
}

/* The rows with the observables behind them; *out is to be freed. */
static int extend(const struct tw_reweighting *reweighting, size_t n, const float *values, const float *conditions,
                  float **out)
{
    const struct tw_observables *observables = reweighting->observables;

    *out = NULL;
    if (!observables)
        return TW_OK;
    *out = tw_size_alloc(n + 1, (size_t)observables->extended->features * sizeof **out);
    return *out ? tw_observables_rows(observables, n, values, conditions, *out) : TW_NO_MEMORY;
}

int tw_reweighting_log_weights(const struct tw_reweighting *reweighting, const struct tw_kernels *kernels,
                               struct tw_pool *pool, size_t n, const float *values, const float *conditions,
                               double *out)
{
    double *logit = tw_size_alloc(n + 1, sizeof *logit);
    float *extended;
    int status = extend(reweighting, n, values, conditions, &extended);

    if (!logit)
        status = TW_NO_MEMORY;
    for (size_t i = 0; i < n; i++)
        out[i] = 0;
    for (int m = 0; m < reweighting->members && !status; m++) {
        status =
            tw_model_score(reweighting->member[m], kernels, pool, n, extended ? extended : values, conditions, logit);
        for (size_t i = 0; i < n && !status; i++)
            out[i] += logit[i];
    }
    free(logit);
    free(extended);
    for (size_t i = 0; i < n && !status; i++) {
        double log_weight = reweighting->scale * out[i] / reweighting->members;

        out[i] = isnan(log_weight) ? 0 : fmin(log_weight, reweighting->log_cap) - reweighting->log_mean;
    }
    return status;
}

double tw_reweighting_largest(const struct tw_reweighting *reweighting)
{
    return exp(reweighting->log_cap - reweighting->log_mean);
}

/* --- unweighted events --- */

struct draw {
    const struct tw_reweighting *reweighting;
    const struct tw_model *base;
    int member; /* of the base; -1: all of them */
    const struct tw_kernels *kernels;
    const float *conditions;
    uint64_t seed, first, n;
    float *out;
    atomic_int status;
};

/* The conditions of one event, for each of a block. */
static float *repeat(const struct tw_schema *schema, const float *conditions)
{
    size_t c = (size_t)schema->conditions;
    float *rows = tw_size_alloc(TW_BLOCK * (c + 1), sizeof *rows);

    for (size_t i = 0; rows && i < TW_BLOCK * c; i++)
        rows[i] = conditions[i % c];
    return rows;
}

static int propose_events(const struct draw *d, uint64_t key, uint64_t first, float *events)
{
    return d->member < 0 ? tw_model_sample(d->base, d->kernels, NULL, key, first, TW_BLOCK, d->conditions, events)
                         : tw_model_sample_member(d->base, d->member, d->kernels, NULL, key, first, TW_BLOCK,
                                                  d->conditions, events);
}

/* Accepted events number from .. to-1 of block `block`. */
static int draw_block(const struct draw *d, uint64_t block, size_t from, size_t to, float *out)
{
    const struct tw_schema *schema = tw_model_schema(d->base);
    size_t width = (size_t)schema->features, accepted = 0;
    uint64_t propose = tw_rng_mix(tw_rng_mix(d->seed, STREAM_PROPOSE), block);
    uint64_t accept = tw_rng_mix(tw_rng_mix(d->seed, STREAM_ACCEPT), block);
    float *events = tw_size_alloc(TW_BLOCK * width, sizeof *events);
    float *conditions = d->conditions ? repeat(schema, d->conditions) : NULL;
    double log_weight[TW_BLOCK], largest = tw_reweighting_largest(d->reweighting);
    uint64_t proposals = (uint64_t)(PATIENCE * (largest + 1)) * TW_BLOCK;
    int status = events && (conditions || !d->conditions) ? TW_OK : TW_NO_MEMORY;

    for (uint64_t j = 0; j < proposals && accepted < to && !status; j += TW_BLOCK) {
        status = propose_events(d, propose, j, events);
        if (!status)
            status =
                tw_reweighting_log_weights(d->reweighting, d->kernels, NULL, TW_BLOCK, events, conditions, log_weight);
        for (size_t i = 0; i < TW_BLOCK && accepted < to && !status; i++) {
            if (log(largest * tw_rng_uniform(accept, j + i, 0)) >= log_weight[i])
                continue;
            if (accepted >= from)
                memcpy(out + (accepted - from) * width, events + i * width, width * sizeof *out);
            accepted++;
        }
    }
    free(events);
    free(conditions);
    return !status && accepted < to ? TW_NOT_FOUND : status;
}

static void draw_task(void *context, size_t task, unsigned worker)
{
    struct draw *d = context;
    uint64_t block = d->first / TW_BLOCK + task, begin = block * TW_BLOCK;
    uint64_t from = begin > d->first ? begin : d->first;
    uint64_t end = begin + TW_BLOCK < d->first + d->n ? begin + TW_BLOCK : d->first + d->n;
    size_t width = (size_t)tw_model_schema(d->base)->features;
    int status = draw_block(d, block, from - begin, end - begin, d->out + (from - d->first) * width);

    if (status)
        atomic_store(&d->status, status);
}

int tw_reweighting_sample(const struct tw_reweighting *reweighting, const struct tw_model *base, int member,
                          const struct tw_kernels *kernels, struct tw_pool *pool, uint64_t seed, uint64_t first,
                          size_t n, const float *conditions, float *out)
{
    const struct tw_schema *schema = tw_model_schema(base);
    float *defaults = NULL;

    if (n > SIZE_MAX / 2 || first > UINT64_MAX / 2)
        return TW_INVALID;
    if (n == 0)
        return TW_OK;
    if (schema->conditions && !conditions && !(defaults = tw_schema_defaults(schema, 1)))
        return TW_NO_MEMORY;

    struct draw draw = {.reweighting = reweighting,
                        .base = base,
                        .member = member,
                        .kernels = kernels,
                        .conditions = defaults             ? defaults
                                      : schema->conditions ? conditions
                                                           : NULL,
                        .seed = seed,
                        .first = first,
                        .n = n,
                        .out = out};

    tw_pool_run(pool, (size_t)((first + n - 1) / TW_BLOCK - first / TW_BLOCK) + 1, draw_task, &draw);
    free(defaults);
    return atomic_load(&draw.status);
}

/* --- as a value --- */

static bool members_fit(const struct tw_reweighting *r, const struct tw_schema *seen)
{
    for (int m = 0; m < r->members; m++)
        if (r->member[m] && (tw_model_kind(r->member[m]) != &tw_classifier_kind ||
                             !tw_schema_equal(tw_model_schema(r->member[m]), seen)))
            return false;
    return true;
}

int tw_reweighting_check(const struct tw_reweighting *reweighting, const struct tw_schema *schema,
                         struct tw_error *error)
{
    const struct tw_reweighting *r = reweighting;
    double largest = tw_reweighting_largest(r);

    if (r->members < 1 || r->members > TW_REWEIGHTING_MEMBERS_MAX)
        return tw_error_set(error, TW_INVALID, "reweighting: members must be from 1 to %d", TW_REWEIGHTING_MEMBERS_MAX);

    struct tw_schema *seen = tw_reweighting_schema(r->observables, schema);
    bool fit = seen && members_fit(r, seen);

    tw_schema_free(seen);
    if (!seen)
        return TW_NO_MEMORY;
    if (!fit)
        return tw_error_set(error, TW_INVALID, "reweighting: a member is no classifier of the model's columns");
    if (!(r->scale >= 0 && r->scale <= 100))
        return tw_error_set(error, TW_INVALID, "reweighting: scale must be from 0 to 100");
    if (!(fabs(r->log_mean) <= TW_REWEIGHTING_LOG_MEAN_MAX) ||
        !(largest >= 1 - 1e-6 && largest <= TW_REWEIGHTING_MAX * (1 + 1e-6)))
        return tw_error_set(error, TW_INVALID,
                            "reweighting: log_cap must be from log_mean to log_mean + ln %g, the latter within %g",
                            TW_REWEIGHTING_MAX, TW_REWEIGHTING_LOG_MEAN_MAX);
    if (!(r->log_mean_error >= 0 && r->log_mean_error <= 100) || !(r->ess > 0 && r->ess <= 1) ||
        !(r->overflow >= 0 && r->overflow <= 1))
        return tw_error_set(error, TW_INVALID, "reweighting: log_mean_error, ess or overflow is out of range");
    return TW_OK;
}

struct tw_reweighting tw_reweighting_copy(const struct tw_reweighting *reweighting)
{
    for (int m = 0; m < reweighting->members; m++)
        tw_model_ref(reweighting->member[m]);
    if (reweighting->observables)
        tw_observables_ref(reweighting->observables);
    return *reweighting;
}

void tw_reweighting_fini(struct tw_reweighting *reweighting)
{
    for (int m = 0; m < reweighting->members; m++)
        tw_model_unref(reweighting->member[m]);
    tw_observables_unref(reweighting->observables);
    *reweighting = (struct tw_reweighting){0};
}

/* --- for the artifact --- */

struct json_t *tw_reweighting_json(const struct tw_reweighting *reweighting)
{
    const struct tw_reweighting *r = reweighting;

    json_t *json = json_pack("{s:i, s:o, s:f, s:f, s:f, s:f, s:f, s:f}", "members", r->members, "model",
                             tw_model_json(r->member[0]), "scale", r->scale, "log_cap", r->log_cap, "log_mean",
                             r->log_mean, "log_mean_error", r->log_mean_error, "ess", r->ess, "overflow", r->overflow);

    if (json && r->observables && json_object_set_new(json, "observables", tw_observables_json(r->observables))) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static int read_numbers(const json_t *json, struct tw_reweighting *r, struct tw_error *error)
{
    static const char *const known[] = {"members",        "model", "scale",    "log_cap",     "log_mean",
                                        "log_mean_error", "ess",   "overflow", "observables", NULL};
    int status = tw_columns_known(json, known, error);
    json_int_t members;

    if (status)
        return status;
    if (json_unpack((json_t *)json, "{s:I, s:F, s:F, s:F, s:F, s:F, s:F}", "members", &members, "scale", &r->scale,
                    "log_cap", &r->log_cap, "log_mean", &r->log_mean, "log_mean_error", &r->log_mean_error, "ess",
                    &r->ess, "overflow", &r->overflow))
        return tw_error_set(error, TW_INVALID, "reweighting: a member is missing or not a number");
    r->members = members < 1 || members > TW_REWEIGHTING_MEMBERS_MAX ? 0 : (int)members;
    return TW_OK;
}

int tw_reweighting_parse(const struct json_t *json, const struct tw_schema *schema, struct tw_reweighting_parts *parts,
                         struct tw_error *error)
{
    const struct tw_kind *kind = &tw_classifier_kind;
    struct tw_reweighting read = {0};
    int status = read_numbers(json, &read, error);

    *parts = (struct tw_reweighting_parts){0};
    if (status || (status = tw_reweighting_check(&read, schema, error)))
        return status;
    if (json_object_get(json, "observables") &&
        (status = tw_observables_parse(json_object_get(json, "observables"), schema, &read.observables, error)))
        return status;
    parts->reweighting = read;
    parts->schema = tw_reweighting_schema(read.observables, schema);
    status = parts->schema ? TW_OK : TW_NO_MEMORY;
    for (int m = 0; m < read.members && !status; m++) {
        status = kind->parse(json_object_get(json, "model"), parts->schema, &parts->config[m], error);
        if (!status)
            status = kind->layout(parts->config[m], parts->schema, &parts->statistics[m], &parts->parameters[m]);
    }
    if (status)
        tw_reweighting_parts_fini(parts);
    return status;
}

int tw_reweighting_sets(struct tw_reweighting_parts *parts, struct tw_artifact_set *sets)
{
    static const char *const prefixes[] = {
        "discriminator0/statistics", "discriminator0/parameters", "discriminator1/statistics",
        "discriminator1/parameters", "discriminator2/statistics", "discriminator2/parameters",
        "discriminator3/statistics", "discriminator3/parameters", "discriminator4/statistics",
        "discriminator4/parameters", "discriminator5/statistics", "discriminator5/parameters",
        "discriminator6/statistics", "discriminator6/parameters", "discriminator7/statistics",
        "discriminator7/parameters",
    };
    int count = 0;

    for (int m = 0; m < parts->reweighting.members; m++) {
        sets[count] = (struct tw_artifact_set){prefixes[count], &parts->statistics[m]};
        count++;
        sets[count] = (struct tw_artifact_set){prefixes[count], &parts->parameters[m]};
        count++;
    }
    return count;
}

int tw_reweighting_view(const struct tw_reweighting *reweighting, struct tw_reweighting_parts *parts,
                        struct tw_artifact_set *sets)
{
    *parts = (struct tw_reweighting_parts){.reweighting = *reweighting};
    for (int m = 0; m < reweighting->members; m++) {
        struct tw_kind_state state = tw_model_state(reweighting->member[m], 0);

        parts->statistics[m] = *state.statistics;
        parts->parameters[m] = *state.parameters;
    }
    return tw_reweighting_sets(parts, sets);
}

int tw_reweighting_build(struct tw_reweighting_parts *parts, struct tw_reweighting *out, struct tw_error *error)
{
    const struct tw_kind *kind = &tw_classifier_kind;
    int status = TW_OK;

    *out = parts->reweighting;
    parts->reweighting.observables = NULL;
    for (int m = 0; m < out->members && !status; m++) {
        struct tw_schema *copy = tw_schema_copy(parts->schema);

        if (!copy)
            status = TW_NO_MEMORY;
        else if (!kind->statistics_ok(parts->config[m], parts->schema, &parts->statistics[m])) {
            tw_schema_free(copy);
            status = tw_error_set(error, TW_INVALID, "reweighting: a width is not positive");
        } else {
            void *config = parts->config[m];

            parts->config[m] = NULL;
            status = tw_model_new(kind, config, copy, &parts->statistics[m], &parts->parameters[m], &out->member[m]);
        }
    }
    if (status)
        tw_reweighting_fini(out);
    return status;
}

void tw_reweighting_parts_fini(struct tw_reweighting_parts *parts)
{
    for (int m = 0; m < TW_REWEIGHTING_MEMBERS_MAX; m++) {
        if (parts->config[m])
            tw_classifier_kind.config_free(parts->config[m]);
        tw_params_fini(&parts->statistics[m]);
        tw_params_fini(&parts->parameters[m]);
    }
    tw_observables_unref(parts->reweighting.observables);
    tw_schema_free(parts->schema);
    *parts = (struct tw_reweighting_parts){0};
}
