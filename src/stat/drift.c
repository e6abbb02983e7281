/* One window against the reference: all p-values first, then one joint decision; and where the change began. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/size.h"
#include "stat/adjust.h"
#include "stat/drift.h"
#include "stat/marginals.h"
#include "stat/mmd.h"
#include "stat/presence.h"
#include "stat/rate.h"

static const struct {
    const char *name;
    double share;
} detectors[TW_DETECTORS] = {
    [TW_DETECT_C2ST] = {"c2st", 0.5},         [TW_DETECT_KS] = {"ks", 0.4},
    [TW_DETECT_CVM] = {"cvm", 0.4},           [TW_DETECT_CHI2] = {"chi2", 0.4},
    [TW_DETECT_MMD] = {"mmd", 0.4},           [TW_DETECT_CUSUM] = {"cusum", 0.4},
    [TW_DETECT_PRESENCE] = {"presence", 0.1}, [TW_DETECT_INVALID] = {"invalid_rows", 0.1},
};

const char *tw_drift_detector_name(enum tw_detector detector)
{
    return detectors[detector].name;
}

enum tw_detector tw_drift_find(const char *name)
{
    for (int d = 0; d < TW_DETECT_PRESENCE; d++)
        if (!strcmp(name, detectors[d].name))
            return (enum tw_detector)d;
    return TW_DETECTORS;
}

/* --- what is no test of single columns --- */

/* Too few rows, or a training that failed for good, leave p at 1 and the value NaN: a window is never an error. */
static int run_c2st(const struct tw_data *reference, const struct tw_data *window, uint64_t seed,
                    const struct tw_kernels *kernels, struct tw_pool *pool, struct tw_c2st *result,
                    struct tw_statistic *s, struct tw_error *left_out)
{
    int status = tw_c2st(reference, window, seed, kernels, pool, result, left_out);
    s->value = result->auc;
    s->error = result->error;
    s->floor = 0.5;
    s->p_value = result->p_value;
    return status == TW_INVALID || status == TW_NOT_FINITE ? TW_OK : status;
}

static int run_mmd(const struct tw_data *reference, const struct tw_data *window, uint64_t seed,
                   const struct tw_kernels *kernels, struct tw_pool *pool, struct tw_statistic *s,
                   struct tw_error *left_out)
{
    struct tw_mmd result;
    int status = tw_mmd(reference, window, seed, kernels, pool, &result, left_out);
    s->value = result.value;
    s->floor = result.floor;
    s->p_value = result.p_value;
    return status == TW_INVALID ? TW_OK : status;
}

static void run_invalid(const struct tw_data *reference, const struct tw_data *window, struct tw_statistic *s)
{
    size_t n = window->rows + window->invalid, m = reference->rows + reference->invalid;
    s->value = n ? (double)window->invalid / (double)n : NAN;
    s->error = n ? sqrt(s->value * (1 - s->value) / (double)n) : NAN;
    s->floor = m ? (double)reference->invalid / (double)m : NAN;
    s->p_value = tw_rate_fisher(window->invalid, n, reference->invalid, m);
}

/* The columns of the detector that accumulates: the features, then the log-likelihood. */
static int run_cusum(const struct tw_data *window, const struct tw_drift_options *options, struct tw_pool *pool,
                     struct tw_drift *out, struct tw_statistic *statistics)
{
    struct tw_cusum *cusum = options->cusum;
    out->cusum = tw_size_alloc((size_t)cusum->columns, sizeof *out->cusum);
    if (!out->cusum)
        return TW_NO_MEMORY;
    struct tw_cusum_sample sample = {window, options->log_prob};
    int status = tw_cusum_step(cusum, &sample, options->tag, pool, out->cusum);
    for (int c = 0; c < cusum->columns && status == TW_OK; c++) {
        statistics[c].value = out->cusum[c].value;
        statistics[c].error = out->cusum[c].error;
        statistics[c].floor = 0;
        statistics[c].p_value = out->cusum[c].p_value;
    }
    return status;
}

/* --- together --- */

static int optional_features(const struct tw_schema *schema)
{
    int count = 0;
    for (int f = 0; f < schema->features; f++)
        count += schema->columns[f].optional;
    return count;
}

/* The statistics of each detector: how many, and the first; none where it does not run. */
struct parts {
    int count[TW_DETECTORS];
    struct tw_statistic *first[TW_DETECTORS];
};

static void count_parts(const struct tw_drift_options *options, const struct tw_schema *schema, struct parts *parts)
{
    int features = schema->features;
    const int each[TW_DETECTORS] = {
        [TW_DETECT_C2ST] = 1,
        [TW_DETECT_KS] = features,
        [TW_DETECT_CVM] = features,
        [TW_DETECT_CHI2] = features,
        [TW_DETECT_MMD] = 1,
        [TW_DETECT_CUSUM] = options->cusum ? options->cusum->columns : 0,
        [TW_DETECT_PRESENCE] = optional_features(schema),
        [TW_DETECT_INVALID] = 1,
    };
    unsigned chosen = options->detectors | 1u << TW_DETECT_INVALID | 1u << TW_DETECT_PRESENCE;
    for (int d = 0; d < TW_DETECTORS; d++)
        parts->count[d] = chosen >> d & 1 ? each[d] : 0;
}

/* The feature that statistic i of a detector is about; -1: none. */
static int feature_of(enum tw_detector detector, int i, const struct tw_schema *schema)
{
    switch (detector) {
    case TW_DETECT_KS:
    case TW_DETECT_CVM:
    case TW_DETECT_CHI2:
    case TW_DETECT_CUSUM:
        return i < schema->features ? i : -1;
    case TW_DETECT_PRESENCE:
        for (int f = 0; f < schema->features; f++)
            if (schema->columns[f].optional && i-- == 0)
                return f;
        return -1;
    case TW_DETECT_C2ST:
    case TW_DETECT_MMD:
    case TW_DETECT_INVALID:
    case TW_DETECTORS:
        break;
    }
    return -1;
}

static int allocate(struct tw_drift *out, const struct tw_schema *schema, double alpha, struct parts *parts)
{
    double all = 0;
    for (int d = 0; d < TW_DETECTORS; d++) {
        all += parts->count[d] ? detectors[d].share : 0;
        out->count += parts->count[d];
    }
    struct tw_statistic *at = out->statistics = tw_size_alloc((size_t)out->count, sizeof *out->statistics);
    if (!at)
        return TW_NO_MEMORY;
    for (int d = 0; d < TW_DETECTORS; d++) {
        int count = parts->count[d];
        parts->first[d] = count ? at : NULL;
        for (int i = 0; i < count; i++, at++)
            *at = (struct tw_statistic){.detector = (enum tw_detector)d,
                                        .feature = feature_of((enum tw_detector)d, i, schema),
                                        .value = NAN,
                                        .error = NAN,
                                        .floor = NAN,
                                        .p_value = 1,
                                        .p_adjusted = 1,
                                        .threshold = alpha * detectors[d].share / all / count};
    }
    return TW_OK;
}

static int run(const struct tw_data *reference, const struct tw_data *window, const struct tw_drift_options *options,
               const struct tw_kernels *kernels, struct tw_pool *pool, const struct parts *parts, struct tw_drift *out)
{
    struct tw_statistic *const *first = parts->first;
    int status = TW_OK;
    if (first[TW_DETECT_C2ST])
        status = run_c2st(reference, window, options->seed, kernels, pool, &out->c2st, first[TW_DETECT_C2ST],
                          &out->left_out[TW_DETECT_C2ST]);
    if (status == TW_OK && (first[TW_DETECT_KS] || first[TW_DETECT_CVM] || first[TW_DETECT_CHI2]))
        status = tw_marginals(reference, window, pool, first, out->left_out);
    if (status == TW_OK && first[TW_DETECT_MMD])
        status = run_mmd(reference, window, tw_rng_mix(options->seed, 3), kernels, pool, first[TW_DETECT_MMD],
                         &out->left_out[TW_DETECT_MMD]);
    tw_presence(reference, window, first[TW_DETECT_PRESENCE], parts->count[TW_DETECT_PRESENCE]);
    run_invalid(reference, window, first[TW_DETECT_INVALID]);
    if (status == TW_OK && first[TW_DETECT_CUSUM]) /* last: it is taken on only if nothing else fails */
        status = run_cusum(window, options, pool, out, first[TW_DETECT_CUSUM]);
    return status;
}

/* Holm's correction, each detector a family. */
static int adjust(struct tw_drift *out, const struct parts *parts)
{
    int status = TW_OK;
    double *p = tw_size_alloc((size_t)out->count, 2 * sizeof *p), *adjusted = p + out->count;
    if (!p)
        return TW_NO_MEMORY;
    for (int d = 0; d < TW_DETECTORS && status == TW_OK; d++) {
        for (int i = 0; i < parts->count[d]; i++)
            p[i] = parts->first[d][i].p_value;
        status = parts->count[d] ? tw_adjust_holm(p, parts->count[d], adjusted) : TW_OK;
        for (int i = 0; i < parts->count[d] && status == TW_OK; i++)
            parts->first[d][i].p_adjusted = adjusted[i];
    }
    free(p);
    return status;
}

/* The decision, and what follows from it for the detector that accumulates. */
static void decide(struct tw_drift *out, const struct tw_drift_options *options, const struct parts *parts)
{
    for (int i = 0; i < out->count; i++) {
        struct tw_statistic *s = &out->statistics[i];
        s->alarm = s->p_value <= s->threshold;
        out->drift |= s->alarm;
    }
    if (parts->first[TW_DETECT_CUSUM])
        tw_cusum_settle(options->cusum, out->drift, parts->first[TW_DETECT_CUSUM]->threshold);
}

int tw_drift(const struct tw_data *reference, const struct tw_data *window, const struct tw_drift_options *options,
             const struct tw_kernels *kernels, struct tw_pool *pool, struct tw_drift *out, struct tw_error *error)
{
    *out = (struct tw_drift){.c2st = {.auc = NAN, .error = NAN, .p_value = 1}};
    if (!(options->expected_run_time >= 1))
        return tw_error_set(error, TW_INVALID, "expected_run_time must be at least 1");
    struct parts parts;
    count_parts(options, reference->schema, &parts);
    int status = allocate(out, reference->schema, 1 / (2 * options->expected_run_time), &parts);
    if (status == TW_OK)
        status = run(reference, window, options, kernels, pool, &parts, out);
    if (status == TW_OK)
        status = adjust(out, &parts);
    if (status) {
        tw_drift_fini(out);
        return status;
    }
    decide(out, options, &parts);
    return TW_OK;
}

void tw_drift_fini(struct tw_drift *drift)
{
    if (!drift)
        return;
    tw_c2st_fini(&drift->c2st);
    free(drift->statistics);
    free(drift->cusum);
    drift->cusum = NULL;
    drift->statistics = NULL;
    drift->count = 0;
}

/* --- where it began --- */

#define STAND_OUT 4.0 /* standard errors: what chance reaches at none of some hundred boundaries */
#define MIXED     3.0 /* standard errors below the rest: a batch that holds rows from before the change */

/* Moments of the scores of batches first .. end-1 from cumulated sums. */
struct moments {
    double n, mean, squares; /* squares of the distances to the mean */
};

/* Cumulated (count, sum, sum of squares) before each batch: (batches + 1) of them. */
struct sums {
    double n, sum, squares;
};

static struct moments moments_of(const struct sums *sums, size_t first, size_t end)
{
    double n = sums[end].n - sums[first].n, sum = sums[end].sum - sums[first].sum;
    double mean = n > 0 ? sum / n : 0;
    return (struct moments){n, mean, fmax(0, sums[end].squares - sums[first].squares - n * mean * mean)};
}

/* (mean of b - mean of a) in standard errors of the pooled spread; 0 where this has no meaning. */
static double separation(struct moments a, struct moments b)
{
    if (a.n < 2 || b.n < 2)
        return 0;
    double variance = (a.squares + b.squares) / (a.n + b.n - 2) * (1 / a.n + 1 / b.n);
    return variance > 0 ? (b.mean - a.mean) / sqrt(variance) : 0;
}

static void cumulate(const double *scores, const size_t *offsets, size_t batches, struct sums *sums)
{
    /* centred on the first score, so that the difference of squares keeps its digits */
    double centre = offsets[batches] > offsets[0] ? scores[offsets[0]] : 0;
    for (size_t b = 0; b < batches; b++) {
        sums[b + 1] = sums[b];
        for (size_t i = offsets[b]; i < offsets[b + 1]; i++) {
            double score = scores[i] - centre;
            if (!isfinite(score))
                continue;
            sums[b + 1].n++;
            sums[b + 1].sum += score;
            sums[b + 1].squares += score * score;
        }
    }
}

size_t tw_drift_change_point(const double *scores, const size_t *offsets, size_t batches, size_t window, size_t last)
{
    if (last >= batches)
        return window;
    struct sums *sums = tw_size_alloc(batches + 1, sizeof *sums);
    if (!sums)
        return window;
    cumulate(scores, offsets, batches, sums);
    size_t best = window;
    double most = STAND_OUT;
    for (size_t k = 1; k <= last; k++) {
        double found = separation(moments_of(sums, 0, k), moments_of(sums, k, batches));
        if (found > most) {
            most = found;
            best = k;
        }
    }
    /* The change need not fall between two batches. What is named will be learnt from, so a batch that looks mixed is
     * left out. */
    while (best < last && separation(moments_of(sums, best, best + 1), moments_of(sums, best + 1, batches)) > MIXED)
        best++;
    free(sums);
    return best;
}
