/* A task for each column, which sorts it once for all its tests. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "stat/chi2.h"
#include "stat/cvm.h"
#include "stat/ks.h"
#include "stat/marginals.h"

struct features_job {
    const struct tw_data *reference, *window;
    struct tw_statistic *first[TW_DETECTORS]; /* (D) of each detector by feature; NULL: does not run */
    struct features_result {
        int status[TW_DETECTORS];
        struct tw_error error[TW_DETECTORS];
    } * results; /* (D) */
};

/* The values of a column and the weights of their rows; returns how many. */
static size_t copy_column(const struct tw_data *data, int feature, float *out, float *weights)
{
    size_t features = (size_t)data->schema->features, count = 0;
    bool optional = data->schema->columns[feature].optional;
    for (size_t i = 0; i < data->rows; i++) {
        float value = data->features[i * features + (size_t)feature];
        if (isnan(value) && optional)
            continue;
        weights[count] = data->weights[i];
        out[count++] = isnan(value) ? -INFINITY : value;
    }
    return count;
}

static int test_feature(enum tw_detector detector, const struct tw_pair *pair, struct tw_statistic *s,
                        struct tw_error *error)
{
    int status, bins;
    switch (detector) {
    case TW_DETECT_KS:
        return tw_ks_of(pair, &s->value, &s->p_value, error);
    case TW_DETECT_CVM:
        s->floor = 1.0 / 6;
        return tw_cvm_of(pair, &s->value, &s->p_value, error);
    case TW_DETECT_CHI2:
        status = tw_chi2_of(pair, &s->value, &bins, &s->p_value, error);
        s->value = bins > 1 ? s->value / (bins - 1) : NAN;
        s->floor = 1;
        return status;
    case TW_DETECT_C2ST:
    case TW_DETECT_MMD:
    case TW_DETECT_CUSUM:
    case TW_DETECT_PRESENCE:
    case TW_DETECT_INVALID:
    case TW_DETECTORS:
        break;
    }
    return TW_OK; /* the others do not test by feature */
}

static void features_task(void *context, size_t task, unsigned worker)
{
    struct features_job *job = context;
    struct features_result *result = &job->results[task];
    size_t n = job->reference->rows, m = job->window->rows;
    float *columns = tw_size_alloc(n + m, 2 * sizeof *columns), *weights = columns + n + m;
    struct tw_pair pair = {0};
    int status = columns ? TW_OK : TW_NO_MEMORY;
    if (status == TW_OK) {
        n = copy_column(job->reference, (int)task, columns, weights);
        m = copy_column(job->window, (int)task, columns + n, weights + n);
        status = tw_pair_init(&pair, columns, weights, n, columns + n, weights + n, m);
    }
    for (int d = 0; d < TW_DETECTORS; d++) {
        result->status[d] = status;
        if (job->first[d] && status == TW_OK)
            result->status[d] = test_feature((enum tw_detector)d, &pair, &job->first[d][task], &result->error[d]);
    }
    tw_pair_fini(&pair);
    free(columns);
}

int tw_marginals(const struct tw_data *reference, const struct tw_data *window, struct tw_pool *pool,
                 struct tw_statistic *const *first, struct tw_error *left_out)
{
    size_t features = (size_t)reference->schema->features;
    int status = TW_OK;
    struct features_job job = {.reference = reference, .window = window};
    memcpy(job.first, first, sizeof job.first);
    job.results = tw_size_alloc(features, sizeof *job.results);
    if (!job.results)
        return TW_NO_MEMORY;
    tw_pool_run(pool, features, features_task, &job);
    for (size_t f = 0; f < features && status == TW_OK; f++) {
        for (int d = 0; d < TW_DETECTORS && status == TW_OK; d++) {
            status = first[d] ? job.results[f].status[d] : TW_OK;
            if (status == TW_INVALID && job.results[f].error[d].text[0]) {
                left_out[d] = job.results[f].error[d];
                status = TW_OK;
            }
        }
    }
    free(job.results);
    return status;
}
