/* The same judge twice: samples against half of the data, and the other half of the data against the same half. What
 * the second finds is the floor that a perfect twin would show.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/size.h"
#include "stat/fidelity.h"
#include "stat/split.h"

#define ROWS_MIN 80 /* halves of 40, the least that the judge takes */

/* --- samples at the conditions of rows --- */

struct sampler {
    const struct tw_model *model;
    const struct tw_kernels *kernels;
    struct tw_pool *pool;
    const struct tw_data *like; /* rows whose conditions are used */
    uint32_t *order;            /* (rows of like): equal conditions side by side */
    uint64_t seed;
};

static const float *conditions_of(const struct tw_data *data, size_t row)
{
    return data->conditions ? data->conditions + row * (size_t)data->schema->conditions : NULL;
}

/* Any total order will do. */
static int by_conditions(const void *a, const void *b, void *context)
{
    const struct tw_data *data = context;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    int order = data->conditions ? memcmp(conditions_of(data, x), conditions_of(data, y),
                                          (size_t)data->schema->conditions * sizeof(float))
                                 : 0;
    return order ? order : (x > y) - (x < y);
}

static size_t run_end(const struct sampler *s, size_t first)
{
    size_t end = first + 1, bytes = (size_t)s->like->schema->conditions * sizeof(float);
    while (end < s->like->rows && (bytes == 0 || !memcmp(conditions_of(s->like, s->order[first]),
                                                         conditions_of(s->like, s->order[end]), bytes)))
        end++;
    return end;
}

/* One call of the model for each run of equal conditions: it takes one condition at a time. */
static int sample_runs(const struct sampler *s, float *values, struct tw_data *out)
{
    for (size_t first = 0, end; first < s->like->rows; first = end) {
        end = run_end(s, first);
        const float *conditions = conditions_of(s->like, s->order[first]);
        int status = tw_model_sample(s->model, s->kernels, s->pool, s->seed, first, end - first, conditions, values);
        if (status == TW_OK)
            status = tw_data_append(out, 0, first, end - first, values, conditions, NULL);
        if (status)
            return status;
    }
    return TW_OK;
}

/* As many samples as `like` has rows. */
static int sample_like(struct sampler *s, struct tw_data *out)
{
    size_t n = s->like->rows;
    float *values = tw_size_alloc(n, (size_t)s->like->schema->features * sizeof *values);
    s->order = tw_size_alloc(n, sizeof *s->order);
    int status = values && s->order ? TW_OK : TW_NO_MEMORY;
    if (status == TW_OK) {
        for (size_t i = 0; i < n; i++)
            s->order[i] = (uint32_t)i;
        qsort_r(s->order, n, sizeof *s->order, by_conditions, (void *)s->like);
        status = sample_runs(s, values, out);
    }
    free(s->order);
    free(values);
    return status;
}

/* --- the scores --- */

static int mean_log_prob(const struct tw_model *model, const struct tw_data *window, const struct tw_kernels *kernels,
                         struct tw_pool *pool, struct tw_fidelity *out)
{
    size_t n = window->rows;
    if (!(tw_model_kind(model)->outputs & 1u << TW_OUTPUT_LOG_PROB))
        return TW_OK;
    double *log_prob = tw_size_alloc(n, sizeof *log_prob);
    if (!log_prob)
        return TW_NO_MEMORY;
    int status = tw_model_log_prob(model, kernels, pool, n, window->features, window->conditions, log_prob);
    if (status == TW_OK) {
        double sum = 0, squares = 0;
        for (size_t i = 0; i < n; i++)
            sum += log_prob[i];
        out->log_prob = sum / (double)n;
        for (size_t i = 0; i < n; i++)
            squares += (log_prob[i] - out->log_prob) * (log_prob[i] - out->log_prob);
        out->log_prob_error = sqrt(squares / (double)(n - 1) / (double)n);
    }
    free(log_prob);
    return status;
}

static int judge(const struct tw_data *data, const struct tw_data *other, uint64_t seed,
                 const struct tw_kernels *kernels, struct tw_pool *pool, double *auc, double *auc_error,
                 struct tw_error *error)
{
    struct tw_c2st result;
    int status = tw_c2st(data, other, seed, kernels, pool, &result, error);
    *auc = result.auc;
    *auc_error = result.error;
    tw_c2st_fini(&result);
    return status;
}

/* Puts what the judge sees in the place of the rows. */
static int widen(const struct tw_observables *observables, struct tw_data *data)
{
    if (!observables || observables->count == 0)
        return TW_OK;
    struct tw_data wider;
    tw_data_init(&wider, observables->extended);
    int status = tw_observables_extend(observables, data, &wider);
    if (status) {
        tw_data_fini(&wider);
        return status;
    }
    tw_data_fini(data);
    *data = wider;
    return TW_OK;
}

int tw_fidelity(const struct tw_model *model, const struct tw_data *window, const struct tw_observables *observables,
                uint64_t seed, const struct tw_kernels *kernels, struct tw_pool *pool, struct tw_fidelity *out,
                struct tw_error *error)
{
    *out = (struct tw_fidelity){NAN, NAN, NAN, NAN, NAN, NAN};
    if (window->rows < ROWS_MIN)
        return tw_error_set(error, TW_INVALID, "fidelity needs %d valid rows, the window has %zu", ROWS_MIN,
                            window->rows);
    struct tw_split split;
    struct tw_data half, other, samples;
    tw_data_init(&half, window->schema);
    tw_data_init(&other, window->schema);
    tw_data_init(&samples, window->schema);
    struct sampler sampler = {model, kernels, pool, &other, NULL, tw_rng_mix(seed, 1)};
    int status = tw_split_init(&split, window, tw_rng_mix(seed, 0));
    if (status == TW_OK)
        status = tw_split_append(&split, 0, -1, &half);
    if (status == TW_OK)
        status = tw_split_append(&split, 1, -1, &other);
    if (status == TW_OK)
        status = sample_like(&sampler, &samples);
    for (struct tw_data *rows[] = {&half, &other, &samples}, **at = rows; status == TW_OK && at < rows + 3; at++)
        status = widen(observables, *at);
    if (status == TW_OK)
        status = judge(&half, &samples, tw_rng_mix(seed, 2), kernels, pool, &out->auc, &out->error, error);
    if (status == TW_OK)
        status = judge(&half, &other, tw_rng_mix(seed, 2), kernels, pool, &out->floor, &out->floor_error, error);
    if (status == TW_OK)
        status = mean_log_prob(model, window, kernels, pool, out);
    tw_split_fini(&split);
    tw_data_fini(&half);
    tw_data_fini(&other);
    tw_data_fini(&samples);
    return status;
}
