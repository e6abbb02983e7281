/* The same judge twice: samples against half of the data, and the other half of the data against the same half. What
 * the second finds is the floor that a perfect twin would show.
 */
#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "base/size.h"
#include "stat/fidelity.h"
#include "stat/sampler.h"
#include "stat/split.h"

#define ROWS_MIN 80 /* halves of 40, the least that the judge takes */

static int mean_log_prob(const struct tw_model *model, const struct tw_data *window, const double *known,
                         const struct tw_kernels *kernels, struct tw_pool *pool, struct tw_fidelity *out)
{
    size_t n = window->rows;
    if (!(tw_model_kind(model)->outputs & 1u << TW_OUTPUT_LOG_PROB))
        return TW_OK;
    double *own = known ? NULL : tw_size_alloc(n, sizeof *own);
    if (!known && !own)
        return TW_NO_MEMORY;
    int status = known ? TW_OK : tw_model_log_prob(model, kernels, pool, n, window->features, window->conditions, own);
    if (status == TW_OK) {
        const double *log_prob = known ? known : own;
        double sum = 0, squares = 0;
        for (size_t i = 0; i < n; i++)
            sum += log_prob[i];
        out->log_prob = sum / (double)n;
        for (size_t i = 0; i < n; i++)
            squares += (log_prob[i] - out->log_prob) * (log_prob[i] - out->log_prob);
        out->log_prob_error = sqrt(squares / (double)(n - 1) / (double)n);
    }
    free(own);
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
                const double *log_prob, uint64_t seed, const struct tw_kernels *kernels, struct tw_pool *pool,
                struct tw_fidelity *out, struct tw_error *error)
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
    int status = tw_split_init(&split, window, tw_rng_mix(seed, 0));
    if (status == TW_OK)
        status = tw_split_append(&split, 0, -1, &half);
    if (status == TW_OK)
        status = tw_split_append(&split, 1, -1, &other);
    if (status == TW_OK)
        status = tw_sampler_like(model, &other, tw_rng_mix(seed, 1), kernels, pool, &samples);
    for (struct tw_data *rows[] = {&half, &other, &samples}, **at = rows; status == TW_OK && at < rows + 3; at++)
        status = widen(observables, *at);
    if (status == TW_OK)
        status = judge(&half, &samples, tw_rng_mix(seed, 2), kernels, pool, &out->auc, &out->error, error);
    if (status == TW_OK)
        status = judge(&half, &other, tw_rng_mix(seed, 2), kernels, pool, &out->floor, &out->floor_error, error);
    if (status == TW_OK)
        status = mean_log_prob(model, window, log_prob, kernels, pool, out);
    tw_split_fini(&split);
    tw_data_fini(&half);
    tw_data_fini(&other);
    tw_data_fini(&samples);
    return status;
}
