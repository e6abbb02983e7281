/* Queries of a model: one task a block of events, scratch by worker. */
#include "model/model.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "model/columns.h"

struct query {
    const struct tw_model *model;
    const struct tw_kernels *kernels;
    struct tw_arena *arenas; /* (workers) */
    size_t first, n;         /* events first .. first+n-1 */
    const float *values, *conditions;
    bool score;
    double *out;
    uint64_t key;
    float *events;
    atomic_int status;
};

static int run_query(struct query *query, struct tw_pool *pool, size_t blocks, tw_pool_task task)
{
    unsigned workers = tw_pool_workers(pool);

    query->arenas = calloc(workers, sizeof *query->arenas);
    if (!query->arenas)
        return TW_NO_MEMORY;
    for (unsigned w = 0; w < workers; w++)
        tw_arena_init(&query->arenas[w]);
    tw_pool_run(pool, blocks, task, query);
    for (unsigned w = 0; w < workers; w++)
        tw_arena_fini(&query->arenas[w]);
    free(query->arenas);
    return atomic_load(&query->status);
}

/* Copies the rows of a block that lie in the domain, and any such row in place of the others. Returns false if none
 * does. */
static bool usable_rows(const struct tw_schema *schema, const float *values, int events, float *rows, bool *ok)
{
    size_t d = (size_t)schema->features;
    int some = -1;

    for (int i = 0; i < events; i++) {
        ok[i] = tw_schema_row_ok(schema, values + (size_t)i * d);
        if (ok[i])
            some = i;
    }
    for (int i = 0; some >= 0 && i < events; i++)
        memcpy(rows + (size_t)i * d, values + (size_t)(ok[i] ? i : some) * d, d * sizeof *rows);
    return some >= 0;
}

/* Where float32 overflows the event is infinitely unlikely, as far as anybody can tell. */
static double log_prob_of(bool ok, double log_prob)
{
    return ok && !isnan(log_prob) ? log_prob : -INFINITY;
}

/* Columns of a short block. */
static int columns(const struct query *q, size_t events)
{
    size_t multiple = (size_t)q->kernels->columns;

    return (int)((events + multiple - 1) / multiple * multiple);
}

static int evaluate_block(struct query *q, struct tw_arena *arena, size_t at, int events)
{
    const struct tw_kind *kind = tw_model_kind(q->model);
    const struct tw_schema *schema = tw_model_schema(q->model);
    struct tw_kind_state state = tw_model_state(q->model);
    size_t d = (size_t)schema->features, c = (size_t)schema->conditions;
    size_t prepared = (size_t)kind->prepared_rows(state.config, schema);
    float *rows = tw_arena_alloc(arena, (size_t)events * d * sizeof *rows);
    bool *ok = tw_arena_alloc(arena, (size_t)events * sizeof *ok);
    int cols = columns(q, (size_t)events), status;
    double *jacobian = tw_arena_alloc(arena, 2 * (size_t)cols * sizeof *jacobian), *out = jacobian + cols;
    tw_real *x = tw_arena_alloc(arena, (prepared + c) * (size_t)cols * sizeof *x);

    if (!rows || !ok || !jacobian || !x)
        return TW_NO_MEMORY;
    if (!usable_rows(schema, q->values + at * d, events, rows, ok)) {
        for (int i = 0; i < events; i++)
            q->out[at + (size_t)i] = q->score ? NAN : -INFINITY;
        return TW_OK;
    }

    tw_real *conditions = c ? x + prepared * (size_t)cols : NULL;

    kind->prepare_block(&state, rows, events, cols, x, jacobian);
    if (c)
        tw_columns_conditions(schema, state.statistics, q->conditions + at * c, events, cols, conditions);
    status = (q->score ? kind->score : kind->log_prob)(&state, q->kernels, arena, cols, x, conditions, out);
    for (int i = 0; i < events && !status; i++)
        q->out[at + (size_t)i] = q->score ? (ok[i] ? out[i] : NAN) : log_prob_of(ok[i], out[i] + jacobian[i]);
    return status;
}

static void evaluate_task(void *context, size_t task, unsigned worker)
{
    struct query *q = context;
    size_t at = task * TW_BLOCK, left = q->n - at;

    tw_arena_reset(&q->arenas[worker]);

    int status = evaluate_block(q, &q->arenas[worker], at, left < TW_BLOCK ? (int)left : TW_BLOCK);

    if (status)
        atomic_store(&q->status, status);
}

/* The conditions' default values, for each of n events. */
static float *default_conditions(const struct tw_schema *schema, size_t n)
{
    size_t c = (size_t)schema->conditions;
    float *values = calloc(n ? n : 1, c * sizeof *values);

    for (size_t i = 0; values && i < n * c; i++)
        values[i] = (float)schema->columns[(size_t)schema->features + i % c].value;
    return values;
}

static int evaluate(const struct tw_model *model, bool score, const struct tw_kernels *kernels, struct tw_pool *pool,
                    size_t n, const float *values, const float *conditions, double *out)
{
    float *defaults = NULL;

    if (score ? !tw_model_kind(model)->score : !tw_model_kind(model)->log_prob)
        return TW_INVALID;
    if (tw_model_schema(model)->conditions && !conditions &&
        !(defaults = default_conditions(tw_model_schema(model), n)))
        return TW_NO_MEMORY;

    struct query query = {.model = model,
                          .kernels = kernels,
                          .n = n,
                          .values = values,
                          .conditions = defaults ? defaults : conditions,
                          .score = score,
                          .out = out};
    int status = run_query(&query, pool, (n + TW_BLOCK - 1) / TW_BLOCK, evaluate_task);

    free(defaults);
    return status;
}

int tw_model_log_prob(const struct tw_model *model, const struct tw_kernels *kernels, struct tw_pool *pool, size_t n,
                      const float *values, const float *conditions, double *out)
{
    return evaluate(model, false, kernels, pool, n, values, conditions, out);
}

int tw_model_score(const struct tw_model *model, const struct tw_kernels *kernels, struct tw_pool *pool, size_t n,
                   const float *values, const float *conditions, double *out)
{
    return evaluate(model, true, kernels, pool, n, values, conditions, out);
}

/* Blocks are cut at multiples of TW_BLOCK of the sequence, so that an event is computed in the same column of the
 * same block whatever was asked for. */
static void sample_task(void *context, size_t task, unsigned worker)
{
    struct query *q = context;
    const struct tw_schema *schema = tw_model_schema(q->model);
    struct tw_kind_state state = tw_model_state(q->model);
    struct tw_arena *arena = &q->arenas[worker];
    size_t d = (size_t)schema->features, c = (size_t)schema->conditions;
    uint64_t begin = (q->first / TW_BLOCK + task) * TW_BLOCK, from = begin > q->first ? begin : q->first;
    uint64_t end = begin + TW_BLOCK < q->first + q->n ? begin + TW_BLOCK : q->first + q->n;

    int cols = columns(q, (size_t)(end - begin)), status = TW_NO_MEMORY;

    tw_arena_reset(arena);

    float *events = tw_arena_alloc(arena, (size_t)cols * d * sizeof *events);
    tw_real *conditions = c ? tw_arena_alloc(arena, c * (size_t)cols * sizeof *conditions) : NULL;

    if (events && (!c || conditions)) {
        if (c) /* one row, which serves all columns */
            tw_columns_conditions(schema, state.statistics, q->conditions, 1, cols, conditions);
        status = tw_model_kind(q->model)->sample(&state, q->kernels, arena, cols, q->key, begin, conditions, events);
    }
    if (status)
        atomic_store(&q->status, status);
    else
        memcpy(q->events + (from - q->first) * d, events + (from - begin) * d, (end - from) * d * sizeof *events);
}

int tw_model_sample(const struct tw_model *model, const struct tw_kernels *kernels, struct tw_pool *pool, uint64_t seed,
                    uint64_t first, size_t n, const float *conditions, float *out)
{
    float *defaults = NULL;

    if (!tw_model_kind(model)->sample || n > SIZE_MAX / 2 || first > UINT64_MAX / 2)
        return TW_INVALID;
    if (n == 0)
        return TW_OK;
    if (tw_model_schema(model)->conditions && !conditions &&
        !(defaults = default_conditions(tw_model_schema(model), 1)))
        return TW_NO_MEMORY;

    struct query query = {.model = model,
                          .kernels = kernels,
                          .first = first,
                          .n = n,
                          .conditions = defaults ? defaults : conditions,
                          .key = seed,
                          .events = out};
    size_t blocks = (size_t)((first + n - 1) / TW_BLOCK - first / TW_BLOCK) + 1;
    int status = run_query(&query, pool, blocks, sample_task);

    free(defaults);
    return status;
}

int tw_model_proper_score(const struct tw_model *model, const struct tw_kernels *kernels, struct tw_pool *pool,
                          const struct tw_data *data, double *out)
{
    if (tw_model_kind(model)->log_prob)
        return tw_model_log_prob(model, kernels, pool, data->rows, data->features, data->conditions, out);
    if (!data->labels)
        return TW_INVALID;

    int status = tw_model_score(model, kernels, pool, data->rows, data->features, data->conditions, out);

    for (size_t i = 0; i < data->rows && !status; i++) /* log-likelihood of the label */
        out[i] = (double)data->labels[i] * out[i] - (out[i] > 0 ? out[i] : 0) - log1p(exp(-fabs(out[i])));
    return status;
}
