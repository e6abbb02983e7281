/* Queries of a model: one task a block of events, scratch by worker. */
#include "model/model.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/rng.h"
#include "base/size.h"
#include "model/columns.h"
#include "model/members.h"
#include "model/reweighting.h"

/* Events that are computed faster one by one than as a block of the fewest columns. */
#define ALONE 4

struct query {
    const struct tw_model *model;
    const struct tw_kernels *kernels;
    struct tw_arena *arenas; /* (workers) */
    size_t first, n;         /* events first .. first+n-1 */
    const float *values, *conditions;
    bool score;
    bool apart; /* out is (n, members), else (n) */
    double *out;
    uint64_t key;
    int member; /* whose events; -1: the mixture's */
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
static bool usable_rows(const struct tw_schema *schema, const float *values, int events, float *limits, float *rows,
                        bool *ok)
{
    size_t d = (size_t)schema->features;
    int some = -1;

    tw_schema_limits(schema, limits, limits + d);
    for (int i = 0; i < events; i++) {
        const float *row = values + (size_t)i * d;

        ok[i] = tw_schema_within(schema->features, row, limits, limits + d) || tw_schema_row_ok(schema, row);
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

    if (events == 1 && q->kernels->single)
        return 1; /* models keep their matrices turned */
    return (int)((events + multiple - 1) / multiple * multiple);
}

double tw_model_mixture(const double *log_prob, int members)
{
    double top = log_prob[0], sum = 0;

    if (members == 1)
        return top;
    for (int m = 1; m < members; m++)
        top = log_prob[m] > top ? log_prob[m] : top;
    if (!(top > -INFINITY))
        return -INFINITY;
    for (int m = 0; m < members; m++)
        sum += exp(log_prob[m] - top);
    return top + log(sum / members);
}

/* What lies outside a member's own domain is computed at 0 instead, so that kernels see numbers only. */
static void replace_outside(const double *jacobian, int rows, int cols, tw_real *x)
{
    for (int i = 0; i < cols; i++)
        for (int r = 0; r < rows && jacobian[i] == -INFINITY; r++)
            x[r * cols + i] = 0;
}

/* What one member says of usable rows: (cols). */
static int ask_member(const struct query *q, struct tw_arena *arena, int member, const float *rows,
                      const float *conditions, int events, int cols, double *out)
{
    const struct tw_kind *kind = tw_model_kind(q->model);
    struct tw_kind_state state = tw_model_state(q->model, member);
    size_t c = (size_t)state.schema->conditions, prepared = (size_t)kind->prepared_rows(state.config, state.schema);
    double *jacobian = tw_arena_alloc(arena, (size_t)cols * sizeof *jacobian);
    tw_real *x = tw_arena_alloc(arena, (prepared + c) * (size_t)cols * sizeof *x);
    tw_real *extra = c && x ? x + prepared * (size_t)cols : NULL;

    if (!jacobian || !x)
        return TW_NO_MEMORY;
    kind->prepare_block(&state, rows, events, cols, x, jacobian);
    replace_outside(jacobian, (int)prepared, cols, x);
    if (c)
        tw_columns_conditions(state.schema, state.statistics, conditions, events, cols, extra);
    if (q->score)
        return kind->score(&state, q->kernels, arena, cols, x, extra, out);

    int status = kind->log_prob(&state, q->kernels, arena, cols, x, extra, out);

    for (int i = 0; i < events && !status; i++)
        out[i] += jacobian[i];
    return status;
}

/* The answer for an event from what its members say. */
static void answer(const struct query *q, size_t event, bool ok, double *members)
{
    int count = tw_model_members(q->model);

    if (q->score) {
        q->out[event] = ok ? members[0] : NAN;
        return;
    }
    for (int m = 0; m < count; m++)
        members[m] = log_prob_of(ok, members[m]);
    if (q->apart)
        memcpy(q->out + event * (size_t)count, members, (size_t)count * sizeof *members);
    else
        q->out[event] = tw_model_mixture(members, count);
}

static int evaluate_block(struct query *q, struct tw_arena *arena, size_t at, int events)
{
    const struct tw_schema *schema = tw_model_schema(q->model);
    int members = q->score ? 1 : tw_model_members(q->model), cols = columns(q, (size_t)events), status = TW_OK;
    size_t d = (size_t)schema->features, c = (size_t)schema->conditions;
    float *rows = tw_arena_alloc(arena, (size_t)events * d * sizeof *rows);
    float *limits = tw_arena_alloc(arena, 2 * d * sizeof *limits);
    bool *ok = tw_arena_alloc(arena, (size_t)events * sizeof *ok);
    double *one = tw_arena_alloc(arena, (size_t)cols * sizeof *one);
    double *all = tw_arena_alloc(arena, (size_t)members * (size_t)events * sizeof *all);
    struct tw_arena mark = *arena;

    if (!rows || !limits || !ok || !one || !all)
        return TW_NO_MEMORY;

    bool some = usable_rows(schema, q->values + at * d, events, limits, rows, ok);

    for (int m = 0; m < members && some && !status; m++) {
        tw_arena_rewind(arena, &mark);
        status = ask_member(q, arena, m, rows, c ? q->conditions + at * c : NULL, events, cols, one);
        for (int i = 0; i < events && !status; i++)
            all[i * members + m] = one[i];
    }
    for (int i = 0; i < events && !status; i++)
        answer(q, at + (size_t)i, ok[i], all + i * members);
    return status;
}

static void evaluate_task(void *context, size_t task, unsigned worker)
{
    struct query *q = context;
    size_t at = task * TW_BLOCK, left = q->n - at, end = left < TW_BLOCK ? q->n : at + TW_BLOCK;
    size_t step = q->kernels->single && end - at <= ALONE ? 1 : end - at;

    for (; at < end; at += step) {
        tw_arena_reset(&q->arenas[worker]);

        int status = evaluate_block(q, &q->arenas[worker], at, (int)step);

        if (status)
            atomic_store(&q->status, status);
    }
}

static int evaluate(const struct tw_model *model, bool score, bool apart, const struct tw_kernels *kernels,
                    struct tw_pool *pool, size_t n, const float *values, const float *conditions, double *out)
{
    float *defaults = NULL;

    if (score ? !tw_model_kind(model)->score : !tw_model_kind(model)->log_prob)
        return TW_INVALID;
    if (tw_model_schema(model)->conditions && !conditions &&
        !(defaults = tw_schema_defaults(tw_model_schema(model), n)))
        return TW_NO_MEMORY;

    struct query query = {.model = model,
                          .kernels = kernels,
                          .n = n,
                          .values = values,
                          .conditions = defaults ? defaults : conditions,
                          .score = score,
                          .apart = apart,
                          .out = out};
    int status = run_query(&query, pool, (n + TW_BLOCK - 1) / TW_BLOCK, evaluate_task);

    free(defaults);
    return status;
}

/* log w of each event, added to the `each` numbers that it has in out. */
static int add_log_weights(const struct tw_model *model, const struct tw_kernels *kernels, struct tw_pool *pool,
                           size_t n, const float *values, const float *conditions, size_t each, double *out)
{
    const struct tw_reweighting *reweighting = tw_model_reweighting(model);

    if (!reweighting)
        return TW_OK;

    double *log_weights = tw_size_alloc(n + 1, sizeof *log_weights);
    int status = log_weights
                     ? tw_reweighting_log_weights(reweighting, kernels, pool, n, values, conditions, log_weights)
                     : TW_NO_MEMORY;

    for (size_t i = 0; i < n * each && !status; i++)
        out[i] += log_weights[i / each];
    free(log_weights);
    return status;
}

int tw_model_log_prob(const struct tw_model *model, const struct tw_kernels *kernels, struct tw_pool *pool, size_t n,
                      const float *values, const float *conditions, double *out)
{
    int status = evaluate(model, false, false, kernels, pool, n, values, conditions, out);

    return status ? status : add_log_weights(model, kernels, pool, n, values, conditions, 1, out);
}

int tw_model_score(const struct tw_model *model, const struct tw_kernels *kernels, struct tw_pool *pool, size_t n,
                   const float *values, const float *conditions, double *out)
{
    return evaluate(model, true, false, kernels, pool, n, values, conditions, out);
}

int tw_model_log_prob_members(const struct tw_model *model, const struct tw_kernels *kernels, struct tw_pool *pool,
                              size_t n, const float *values, const float *conditions, double *out)
{
    int status = evaluate(model, false, true, kernels, pool, n, values, conditions, out);

    return status ? status
                  : add_log_weights(model, kernels, pool, n, values, conditions, (size_t)tw_model_members(model), out);
}

/* Events `numbers` (n) of the sequence under one member: rows[i] of out, which holds rows of the schema's features. */
static int sample_of(const struct query *q, struct tw_arena *arena, int member, int n, uint64_t *numbers,
                     const int *rows, float *out)
{
    const struct tw_kind *kind = tw_model_kind(q->model);
    const struct tw_schema *schema = tw_model_schema(q->model);
    struct tw_kind_state state = tw_model_state(q->model, member);
    size_t d = (size_t)schema->features, c = (size_t)schema->conditions;
    int cols = columns(q, (size_t)n);
    float *events = tw_arena_alloc(arena, (size_t)cols * d * sizeof *events);
    tw_real *conditions = c ? tw_arena_alloc(arena, c * (size_t)cols * sizeof *conditions) : NULL;

    if (!events || (c && !conditions))
        return TW_NO_MEMORY;
    for (int i = n; i < cols; i++)
        numbers[i] = numbers[n - 1] + (uint64_t)(i - n + 1);
    if (c) /* one row, which serves all columns */
        tw_columns_conditions(schema, state.statistics, q->conditions, 1, cols, conditions);

    int status = kind->sample(&state, q->kernels, arena, cols, q->key, numbers, conditions, events);

    for (int i = 0; i < n && !status; i++)
        memcpy(out + (size_t)rows[i] * d, events + (size_t)i * d, d * sizeof *out);
    return status;
}

/* Events begin .. begin+n-1, n <= TW_BLOCK, those of each member side by side. */
static int sample_block(const struct query *q, struct tw_arena *arena, uint64_t begin, int n, float *out)
{
    int members = q->member < 0 ? tw_model_members(q->model) : 1, status = TW_OK;
    struct tw_arena mark = *arena;

    for (int m = 0; m < members && !status; m++) {
        uint64_t numbers[TW_BLOCK];
        int rows[TW_BLOCK], count = 0;

        for (int i = 0; i < n; i++)
            if (members == 1 || tw_members_of_event(q->key, begin + (uint64_t)i, members) == m) {
                numbers[count] = begin + (uint64_t)i;
                rows[count++] = i;
            }
        tw_arena_rewind(arena, &mark);
        if (count)
            status = sample_of(q, arena, q->member < 0 ? m : q->member, count, numbers, rows, out);
    }
    return status;
}

/* Blocks are cut at multiples of TW_BLOCK of the sequence, so that an event is computed in the same column of the
 * same block whatever was asked for. */
static void sample_task(void *context, size_t task, unsigned worker)
{
    struct query *q = context;
    struct tw_arena *arena = &q->arenas[worker];
    size_t d = (size_t)tw_model_schema(q->model)->features;
    uint64_t begin = (q->first / TW_BLOCK + task) * TW_BLOCK, from = begin > q->first ? begin : q->first;
    uint64_t end = begin + TW_BLOCK < q->first + q->n ? begin + TW_BLOCK : q->first + q->n;
    int status = TW_NO_MEMORY;

    tw_arena_reset(arena);

    float *events = tw_arena_alloc(arena, TW_BLOCK * d * sizeof *events);

    if (events)
        status = sample_block(q, arena, begin, (int)(end - begin), events);
    if (status)
        atomic_store(&q->status, status);
    else
        memcpy(q->events + (from - q->first) * d, events + (from - begin) * d, (end - from) * d * sizeof *events);
}

static int sample(const struct tw_model *model, int member, const struct tw_kernels *kernels, struct tw_pool *pool,
                  uint64_t seed, uint64_t first, size_t n, const float *conditions, float *out)
{
    float *defaults = NULL;

    if (!tw_model_kind(model)->sample || n > SIZE_MAX / 2 || first > UINT64_MAX / 2)
        return TW_INVALID;
    if (n == 0)
        return TW_OK;
    if (tw_model_reweighting(model))
        return tw_reweighting_sample(tw_model_reweighting(model), tw_model_base(model), member, kernels, pool, seed,
                                     first, n, conditions, out);
    if (tw_model_schema(model)->conditions && !conditions &&
        !(defaults = tw_schema_defaults(tw_model_schema(model), 1)))
        return TW_NO_MEMORY;

    struct query query = {.model = model,
                          .kernels = kernels,
                          .first = first,
                          .n = n,
                          .conditions = defaults ? defaults : conditions,
                          .key = seed,
                          .member = member,
                          .events = out};
    size_t blocks = (size_t)((first + n - 1) / TW_BLOCK - first / TW_BLOCK) + 1;
    int status = run_query(&query, pool, blocks, sample_task);

    free(defaults);
    return status;
}

int tw_model_sample(const struct tw_model *model, const struct tw_kernels *kernels, struct tw_pool *pool, uint64_t seed,
                    uint64_t first, size_t n, const float *conditions, float *out)
{
    return sample(model, -1, kernels, pool, seed, first, n, conditions, out);
}

int tw_model_sample_member(const struct tw_model *model, int member, const struct tw_kernels *kernels,
                           struct tw_pool *pool, uint64_t seed, uint64_t first, size_t n, const float *conditions,
                           float *out)
{
    return member < 0 || member >= tw_model_members(model)
               ? TW_INVALID
               : sample(model, member, kernels, pool, seed, first, n, conditions, out);
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
