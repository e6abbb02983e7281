/* One window against the reference: all p-values first, then one joint decision; and where the change began. */
#include <math.h>
#include <stdlib.h>

#include "base/size.h"
#include "stat/drift.h"
#include "stat/ks.h"
#include "stat/rate.h"

#define SHARE_C2ST     0.5
#define SHARE_KS       0.4 /* of all features together */
#define SHARE_INVALID  0.1
#define SHARE_CUSUM    0.4 /* of all columns together */
#define SHARE_PRESENCE 0.1 /* of all optional features together */

const char *tw_drift_detector_name(enum tw_detector detector)
{
    static const char *const names[TW_DETECTORS] = {
        [TW_DETECT_C2ST] = "c2st",
        [TW_DETECT_KS] = "ks",
        [TW_DETECT_INVALID] = "invalid_rows",
        [TW_DETECT_CUSUM] = "cusum",
        [TW_DETECT_PRESENCE] = "presence",
    };
    return names[detector];
}

/* --- Kolmogorov-Smirnov, a task for each feature --- */

struct ks_job {
    const struct tw_data *reference, *window;
    struct tw_statistic *statistics; /* (D) */
    int *status;                     /* (D) */
};

/* Absent values of an observable lie below all others, so that a change of their number is a change of the column; an
 * optional feature is compared where it is there, as its presence has a test of its own. Returns the number of values.
 */
static size_t copy_column(const struct tw_data *data, int feature, float *out)
{
    size_t features = (size_t)data->schema->features, count = 0;
    bool optional = data->schema->columns[feature].optional;
    for (size_t i = 0; i < data->rows; i++) {
        float value = data->features[i * features + (size_t)feature];
        if (!isnan(value) || !optional)
            out[count++] = isnan(value) ? -INFINITY : value;
    }
    return count;
}

static void ks_task(void *context, size_t task, unsigned worker)
{
    struct ks_job *job = context;
    size_t n = job->reference->rows, m = job->window->rows;
    float *columns = tw_size_alloc(n + m, sizeof *columns);
    if (!columns) {
        job->status[task] = TW_NO_MEMORY;
        return;
    }
    n = copy_column(job->reference, (int)task, columns);
    m = copy_column(job->window, (int)task, columns + n);
    struct tw_statistic *s = &job->statistics[task];
    job->status[task] = tw_ks(columns, n, columns + n, m, &s->value, &s->p_value);
    free(columns);
}

static int run_ks(const struct tw_data *reference, const struct tw_data *window, struct tw_pool *pool,
                  struct tw_statistic *statistics)
{
    int features = reference->schema->features, status = TW_OK;
    struct ks_job job = {.reference = reference, .window = window, .statistics = statistics};
    job.status = tw_size_alloc((size_t)features, sizeof *job.status);
    if (!job.status)
        return TW_NO_MEMORY;
    tw_pool_run(pool, (size_t)features, ks_task, &job);
    for (int d = 0; d < features && status == TW_OK; d++)
        status = job.status[d];
    free(job.status);
    return status;
}

/* --- the others --- */

/* Too few rows, or a training that failed for good, leave p at 1 and the value NaN: a window is never an error. */
static int run_c2st(const struct tw_data *reference, const struct tw_data *window, uint64_t seed,
                    const struct tw_kernels *kernels, struct tw_pool *pool, struct tw_c2st *result,
                    struct tw_statistic *s, struct tw_error *error)
{
    int status = tw_c2st(reference, window, seed, kernels, pool, result, error);
    s->value = result->auc;
    s->error = result->error;
    s->floor = 0.5;
    s->p_value = result->p_value;
    return status == TW_INVALID || status == TW_NOT_FINITE ? TW_OK : status;
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
    if (window->rows == 0) {
        for (int c = 0; c < cusum->columns; c++)
            out->cusum[c] = (struct tw_cusum_column){.p_value = 1, .value = NAN, .error = NAN};
        return TW_OK;
    }
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

static size_t count_present(const struct tw_data *data, int feature)
{
    size_t features = (size_t)data->schema->features, count = 0;
    for (size_t i = 0; i < data->rows; i++)
        count += !isnan(data->features[i * features + (size_t)feature]);
    return count;
}

static void run_presence(const struct tw_data *reference, const struct tw_data *window, struct tw_statistic *s)
{
    size_t n = window->rows, m = reference->rows, present = count_present(window, s->feature);
    size_t before = count_present(reference, s->feature);
    s->value = n ? (double)present / (double)n : NAN;
    s->error = n ? sqrt(s->value * (1 - s->value) / (double)n) : NAN;
    s->floor = m ? (double)before / (double)m : NAN;
    s->p_value = tw_rate_fisher(present, n, before, m);
}

/* --- together --- */

static int optional_features(const struct tw_schema *schema)
{
    int count = 0;
    for (int f = 0; f < schema->features; f++)
        count += schema->columns[f].optional;
    return count;
}

/* How many statistics each detector gives. */
struct counts {
    int c2st, ks, cusum, presence;
};

static struct tw_statistic *fill(struct tw_statistic *at, enum tw_detector detector, int count, int features,
                                 double threshold)
{
    for (int i = 0; i < count; i++)
        *at++ = (struct tw_statistic){.detector = detector,
                                      .feature = i < features ? i : -1,
                                      .value = NAN,
                                      .error = NAN,
                                      .floor = NAN,
                                      .p_value = 1,
                                      .threshold = threshold / count};
    return at;
}

static int allocate(struct tw_drift *out, const struct tw_schema *schema, const struct counts *counts, double alpha)
{
    int features = schema->features;
    double all = (counts->c2st ? SHARE_C2ST : 0) + (counts->ks ? SHARE_KS : 0) + (counts->cusum ? SHARE_CUSUM : 0) +
                 (counts->presence ? SHARE_PRESENCE : 0) + SHARE_INVALID;
    out->count = counts->c2st + counts->ks + counts->cusum + counts->presence + 1;
    out->statistics = tw_size_alloc((size_t)out->count, sizeof *out->statistics);
    if (!out->statistics)
        return TW_NO_MEMORY;
    struct tw_statistic *at = out->statistics;
    at = fill(at, TW_DETECT_C2ST, counts->c2st, 0, alpha * SHARE_C2ST / all);
    at = fill(at, TW_DETECT_KS, counts->ks, features, alpha * SHARE_KS / all);
    at = fill(at, TW_DETECT_CUSUM, counts->cusum, features, alpha * SHARE_CUSUM / all);
    struct tw_statistic *presence = at;
    at = fill(at, TW_DETECT_PRESENCE, counts->presence, 0, alpha * SHARE_PRESENCE / all);
    for (int f = 0; f < features; f++)
        if (schema->columns[f].optional)
            (presence++)->feature = f;
    fill(at, TW_DETECT_INVALID, 1, 0, alpha * SHARE_INVALID / all);
    return TW_OK;
}

/* The decision, and what follows from it for the detector that accumulates. */
static void decide(struct tw_drift *out, const struct tw_drift_options *options, const struct counts *counts)
{
    for (int i = 0; i < out->count; i++) {
        struct tw_statistic *s = &out->statistics[i];
        s->alarm = s->p_value <= s->threshold;
        out->drift |= s->alarm;
    }
    if (counts->cusum)
        tw_cusum_settle(options->cusum, out->drift, out->statistics[counts->c2st + counts->ks].threshold);
}

int tw_drift(const struct tw_data *reference, const struct tw_data *window, const struct tw_drift_options *options,
             const struct tw_kernels *kernels, struct tw_pool *pool, struct tw_drift *out, struct tw_error *error)
{
    *out = (struct tw_drift){.c2st = {.auc = NAN, .error = NAN, .p_value = 1}};
    if (!(options->expected_run_time >= 1))
        return tw_error_set(error, TW_INVALID, "expected_run_time must be at least 1");
    int features = reference->schema->features;
    struct counts counts = {
        .c2st = options->detectors >> TW_DETECT_C2ST & 1,
        .ks = options->detectors >> TW_DETECT_KS & 1 ? features : 0,
        .cusum = options->detectors >> TW_DETECT_CUSUM & 1 && options->cusum ? options->cusum->columns : 0,
        .presence = optional_features(reference->schema),
    };
    int status = allocate(out, reference->schema, &counts, 1 / (2 * options->expected_run_time));
    if (status == TW_OK && counts.c2st)
        status = run_c2st(reference, window, options->seed, kernels, pool, &out->c2st, &out->statistics[0], error);
    if (status == TW_OK && counts.ks)
        status = run_ks(reference, window, pool, out->statistics + counts.c2st);
    if (status == TW_OK && counts.cusum)
        status = run_cusum(window, options, pool, out, out->statistics + counts.c2st + counts.ks);
    if (status) {
        tw_drift_fini(out);
        return status;
    }
    for (int i = 0; i < out->count; i++)
        if (out->statistics[i].detector == TW_DETECT_PRESENCE)
            run_presence(reference, window, &out->statistics[i]);
    run_invalid(reference, window, &out->statistics[out->count - 1]);
    decide(out, options, &counts);
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

size_t tw_drift_change_point(const double *scores, const size_t *offsets, size_t batches, size_t last)
{
    if (last >= batches)
        return last;
    struct sums *sums = tw_size_alloc(batches + 1, sizeof *sums);
    if (!sums)
        return last;
    cumulate(scores, offsets, batches, sums);
    size_t best = last;
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
