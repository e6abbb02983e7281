#include "stat/replay.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/size.h"
#include "stat/c2st.h"
#include "stat/reweight.h"

enum { ROWS_MIN = 200, ROUNDS = 8 };

/* Even rows are one half, odd ones the other. */
static int append_half(const struct tw_data *from, size_t half, struct tw_data *to)
{
    int status = TW_OK;
    for (size_t i = half; status == TW_OK && i < from->rows; i += 2)
        status = tw_data_append_rows(to, from, i, 1, -1);
    return status;
}

/* Logits of one half of a sample, put where they belong. */
static int score_half(const struct tw_model *classifier, const struct tw_data *rows, size_t half,
                      const struct tw_kernels *kernels, struct tw_pool *pool, double *logits)
{
    struct tw_data part;
    tw_data_init(&part, rows->schema);
    double *scores = tw_size_alloc(rows->rows + 1, sizeof *scores);
    int status = scores ? append_half(rows, half, &part) : TW_NO_MEMORY;
    if (status == TW_OK)
        status = tw_model_score(classifier, kernels, pool, part.rows, part.features, part.conditions, scores);
    for (size_t i = 0; status == TW_OK && i < part.rows; i++)
        logits[2 * i + half] = isfinite(scores[i]) ? scores[i] : 0;
    free(scores);
    tw_data_fini(&part);
    return status;
}

/* The classifier of one half judges the other. logits: old rows, then fresh ones. */
static int judge(const struct tw_data *old, const struct tw_data *fresh, size_t half, uint64_t seed,
                 const struct tw_kernels *kernels, struct tw_pool *pool, double *logits, struct tw_error *error)
{
    struct tw_data a, b;
    struct tw_c2st found = {0};
    tw_data_init(&a, old->schema);
    tw_data_init(&b, fresh->schema);
    int status = append_half(old, half, &a);
    if (status == TW_OK)
        status = append_half(fresh, half, &b);
    if (status == TW_OK)
        status = tw_c2st(&a, &b, tw_rng_mix(seed, half), kernels, pool, &found, error);
    if (status == TW_OK)
        status = score_half(found.classifier, old, 1 - half, kernels, pool, logits);
    if (status == TW_OK)
        status = score_half(found.classifier, fresh, 1 - half, kernels, pool, logits + old->rows);
    tw_c2st_fini(&found);
    tw_data_fini(&a);
    tw_data_fini(&b);
    return status;
}

/* exp(scale logit) with mean 1 in each half, as the two classifiers' offsets differ; what is above the cap is cut, and
 * the rest made up for it. */
static void weigh(const double *logits, size_t n, size_t half, double scale, double *weights)
{
    double top = -INFINITY;
    for (size_t i = half; i < n; i += 2)
        top = fmax(top, scale * logits[i]);
    for (size_t i = half; i < n; i += 2)
        weights[i] = exp(scale * logits[i] - top);
    for (int round = 0; round < ROUNDS; round++) {
        double sum = 0, count = 0;
        for (size_t i = half; i < n; i += 2, count++)
            sum += weights[i];
        for (size_t i = half; i < n; i += 2)
            weights[i] = fmin(weights[i] * count / sum, TW_REPLAY_MAX);
    }
}

static void summarise(const double *weights, size_t n, struct tw_replay *report)
{
    double sum = 0, squares = 0;
    report->largest = 0;
    for (size_t i = 0; i < n; i++) {
        sum += weights[i];
        squares += weights[i] * weights[i];
        report->largest = fmax(report->largest, weights[i]);
    }
    report->rows = sum * sum / squares;
}

int tw_replay_weights(const struct tw_data *old, const struct tw_data *fresh, uint64_t seed,
                      const struct tw_kernels *kernels, struct tw_pool *pool, double *weights, struct tw_replay *report,
                      struct tw_error *error)
{
    size_t n = old->rows + fresh->rows;
    memset(report, 0, sizeof *report);
    if (old->rows < ROWS_MIN || fresh->rows < ROWS_MIN)
        return tw_error_set(error, TW_INVALID, "%zu old and %zu new rows are too few to weigh: at least %d are needed",
                            old->rows, fresh->rows, ROWS_MIN);
    double *logits = tw_size_alloc(n, sizeof *logits);
    float *labels = tw_size_alloc(n, sizeof *labels), *even = tw_size_alloc(n, sizeof *even);
    int status = logits && labels && even ? TW_OK : TW_NO_MEMORY;
    for (size_t half = 0; status == TW_OK && half < 2; half++)
        status = judge(old, fresh, half, seed, kernels, pool, logits, error);
    if (status == TW_OK) {
        double offset, error_of_scale;
        for (size_t i = 0; i < n; i++) {
            labels[i] = i >= old->rows;
            even[i] = (float)n / (2 * (float)(labels[i] > 0 ? fresh->rows : old->rows));
        }
        tw_reweight_calibrate(logits, labels, even, n, &report->scale, &offset, &error_of_scale);
        for (size_t half = 0; half < 2; half++)
            weigh(logits, old->rows, half, report->scale, weights);
        summarise(weights, old->rows, report);
    }
    free(logits);
    free(labels);
    free(even);
    return status;
}
