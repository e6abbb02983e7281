#include "stat/reweight.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "base/size.h"
#include "model/kind.h"
#include "model/trainer.h"
#include "stat/sampler.h"

#define FOLDS    4
#define SAMPLES  50000
#define ROWS_MIN 100

enum stream { STREAM_SAMPLES, STREAM_FOLD, STREAM_MEMBER, STREAM_NEW };

struct tw_reweight {
    struct tw_model *model;
    const struct tw_kernels *kernels;
    struct tw_reweight_options options;
    struct tw_observables *observables; /* NULL: none */
    struct tw_schema *schema;           /* what the networks see */
    struct tw_data data;                /* as it came: what new samples are drawn like */
    struct tw_data side[2];             /* samples, data, with their observables: the index is the label */
    double *held_out[2];                /* for each row, the logit of the network that has not seen it */
    struct tw_trainer *trainer;         /* of the next network, if it has begun */
    struct tw_model *trained[TW_REWEIGHTING_MEMBERS_MAX];
    int members; /* trained so far */
    int epochs;  /* of them all */
};

/* --- folds --- */

static int fold_of(const struct tw_reweight *r, uint64_t key)
{
    return (int)(tw_rng_mix(tw_rng_mix(r->options.seed, STREAM_FOLD), key) % (uint64_t)r->options.folds);
}

static double sum_of_weights(const struct tw_data *data)
{
    double sum = 0;
    for (size_t i = 0; i < data->rows; i++)
        sum += (double)data->weights[i];
    return sum;
}

/* Appends the rows of one side inside or outside a fold. */
static int append_rows(const struct tw_reweight *r, int label, int fold, bool inside, struct tw_data *to)
{
    const struct tw_data *from = &r->side[label];
    int status = TW_OK;
    for (size_t i = 0; i < from->rows && status == TW_OK; i++)
        if ((fold_of(r, from->keys[i]) == fold) == inside)
            status = tw_data_append_rows(to, from, i, 1, inside ? -1 : label);
    return status;
}

/* Both sides get the same total weight, so that the logit is the log-likelihood ratio. The trainer takes its stopping
 * rows by the hash of their keys, and leaves some aside for a gate, which there is none of here: each row gets the next
 * key that is not, in the random order that makes the part of stopping rows a fair one. */
static int training_rows(const struct tw_reweight *r, int fold, struct tw_data *to)
{
    uint64_t next = 0;
    for (int label = 0; label < 2; label++) {
        size_t first = to->rows;
        double sum = 0;
        int status = append_rows(r, label, fold, false, to);
        if (status != TW_OK)
            return status;
        for (size_t i = first; i < to->rows; i++)
            sum += (double)to->weights[i];
        for (size_t i = first; i < to->rows; i++) {
            while (tw_data_part(tw_data_key(0, next)) == TW_PART_GATE)
                next++;
            to->keys[i] = tw_data_key(0, next++);
            to->weights[i] = (float)((double)to->weights[i] * (double)(to->rows - first) / sum);
        }
    }
    return TW_OK;
}

static int begin_member(struct tw_reweight *r, struct tw_error *error)
{
    const struct tw_kind *kind = tw_kind_find("classifier");
    json_t *config = json_pack("{s:s, s:b}", "kind", "classifier", "quartiles", 1);
    struct tw_train_options options;
    struct tw_data rows;
    tw_data_init(&rows, r->side[1].schema);
    int status = config ? training_rows(r, r->members, &rows) : TW_NO_MEMORY;
    if (status == TW_OK) {
        tw_trainer_defaults(&options, kind, rows.rows, false);
        options.seed = tw_rng_mix(tw_rng_mix(r->options.seed, STREAM_MEMBER), (uint64_t)r->members) >> 11;
        if (r->options.epochs > 0)
            options.epochs = r->options.epochs;
        status = tw_trainer_new(kind, config, rows.schema, &rows, NULL, &options, r->kernels, &r->trainer, error);
    }
    tw_data_fini(&rows);
    json_decref(config);
    return status;
}

/* Logits of the fold that the network has not seen. */
static int score_fold(struct tw_reweight *r, int member, struct tw_pool *pool)
{
    int status = TW_OK;
    for (int label = 0; label < 2 && status == TW_OK; label++) {
        struct tw_data rows;
        tw_data_init(&rows, r->side[label].schema);
        status = append_rows(r, label, member, true, &rows);
        double *logits = tw_size_alloc(rows.rows + 1, sizeof *logits);
        if (!logits)
            status = TW_NO_MEMORY;
        if (status == TW_OK)
            status =
                tw_model_score(r->trained[member], r->kernels, pool, rows.rows, rows.features, rows.conditions, logits);
        for (size_t i = 0, k = 0; status == TW_OK && i < r->side[label].rows; i++)
            if (fold_of(r, r->side[label].keys[i]) == member)
                r->held_out[label][i] = logits[k++];
        free(logits);
        tw_data_fini(&rows);
    }
    return status;
}

static int end_member(struct tw_reweight *r, struct tw_pool *pool)
{
    struct tw_train_report report;
    tw_trainer_report(r->trainer, &report);
    int status = tw_trainer_model(r->trainer, &r->trained[r->members]);
    if (status != TW_OK)
        return status;
    tw_trainer_free(r->trainer);
    r->trainer = NULL;
    r->epochs += report.epochs;
    return score_fold(r, r->members++, pool);
}

/* --- the training --- */

/* Appends the rows with what the networks see beside them. */
static int extend(const struct tw_reweight *r, const struct tw_data *from, struct tw_data *to)
{
    return r->observables ? tw_observables_extend(r->observables, from, to)
                          : tw_data_append_rows(to, from, 0, from->rows, -1);
}

/* Both sides: the data, and samples like them. */
static int make_sides(struct tw_reweight *r, const struct tw_data *data, struct tw_pool *pool, struct tw_error *error)
{
    struct tw_data samples;
    tw_data_init(&samples, data->schema);
    int status = tw_data_append_rows(&r->data, data, 0, data->rows, -1);
    if (status == TW_OK)
        status = tw_sampler_like(tw_model_base(r->model), data, tw_rng_mix(r->options.seed, STREAM_SAMPLES), r->kernels,
                                 pool, &samples);
    if (status == TW_OK && samples.rows != data->rows) /* a flow makes valid events */
        status = tw_error_set(error, TW_INVALID, "the model makes events outside its own domain");
    if (status == TW_OK)
        status = extend(r, &samples, &r->side[0]);
    if (status == TW_OK)
        status = extend(r, data, &r->side[1]);
    tw_data_fini(&samples);
    return status;
}

static int check_input(const struct tw_model *model, const struct tw_data *data, int folds, struct tw_error *error)
{
    const unsigned needed = 1u << TW_OUTPUT_LOG_PROB | 1u << TW_OUTPUT_SAMPLE;
    if ((tw_model_kind(model)->outputs & needed) != needed)
        return tw_error_set(error, TW_INVALID, "a model of kind %s has no density to put weights on",
                            tw_model_kind(model)->name);
    if (data->rows < ROWS_MIN)
        return tw_error_set(error, TW_INVALID, "weights need %d rows of data, not %zu", ROWS_MIN, data->rows);
    for (size_t i = 0; i < data->rows; i++)
        if (data->weights[i] < 0)
            return tw_error_set(error, TW_INVALID,
                                "a network cannot learn from events of negative weight: refine them "
                                "to positive ones first (neural resampling, arXiv:2007.11586)");
    if (!(sum_of_weights(data) > 0))
        return tw_error_set(error, TW_INVALID, "every event of the data has weight 0");
    if (folds < 2 || folds > TW_REWEIGHTING_MEMBERS_MAX)
        return tw_error_set(error, TW_INVALID, "folds must be from 2 to %d", TW_REWEIGHTING_MEMBERS_MAX);
    return TW_OK;
}

int tw_reweight_new(struct tw_model *model, const struct tw_data *data, struct tw_observables *observables,
                    const struct tw_reweight_options *options, const struct tw_kernels *kernels, struct tw_pool *pool,
                    struct tw_reweight **out, struct tw_error *error)
{
    int folds = options->folds ? options->folds : FOLDS, status = check_input(model, data, folds, error);
    *out = NULL;
    if (status != TW_OK)
        return status;
    struct tw_reweight *r = calloc(1, sizeof *r);
    if (!r)
        return TW_NO_MEMORY;
    r->model = tw_model_ref(model);
    r->kernels = kernels;
    r->options = *options;
    if (observables && observables->count > 0)
        r->observables = tw_observables_ref(observables);
    tw_data_init(&r->data, data->schema);
    r->options.folds = folds;
    if (r->options.samples == 0)
        r->options.samples = SAMPLES;
    r->schema = tw_reweighting_schema(r->observables, data->schema);
    if (!r->schema)
        status = TW_NO_MEMORY;
    for (int label = 0; label < 2; label++) {
        tw_data_init(&r->side[label], r->schema);
        r->held_out[label] = tw_size_alloc(data->rows, sizeof *r->held_out[label]);
        if (!r->held_out[label])
            status = TW_NO_MEMORY;
    }
    if (status == TW_OK)
        status = make_sides(r, data, pool, error);
    if (status == TW_OK)
        *out = r;
    else
        tw_reweight_free(r);
    return status;
}

void tw_reweight_free(struct tw_reweight *reweight)
{
    struct tw_reweight *r = reweight;
    if (!r)
        return;
    tw_trainer_free(r->trainer);
    for (int m = 0; m < r->members; m++)
        tw_model_unref(r->trained[m]);
    for (int label = 0; label < 2; label++) {
        tw_data_fini(&r->side[label]);
        free(r->held_out[label]);
    }
    tw_data_fini(&r->data);
    tw_observables_unref(r->observables);
    tw_schema_free(r->schema);
    tw_model_unref(r->model);
    free(r);
}

int tw_reweight_run(struct tw_reweight *reweight, struct tw_pool *pool, double seconds, bool *done)
{
    struct tw_reweight *r = reweight;
    int status = TW_OK;
    while (status == TW_OK && r->members < r->options.folds) {
        bool trained = false;
        if (!r->trainer)
            status = begin_member(r, NULL);
        if (status == TW_OK)
            status = tw_trainer_run(r->trainer, pool, seconds, &trained);
        if (status == TW_OK && trained)
            status = end_member(r, pool);
        if (seconds > 0)
            break;
    }
    *done = status == TW_OK && r->members == r->options.folds;
    return status;
}

double tw_reweight_progress(const struct tw_reweight *reweight)
{
    double current = reweight->trainer ? tw_trainer_progress(reweight->trainer) : 0;
    return (reweight->members + current) / reweight->options.folds;
}

/* --- calibration --- */

/* Held-out logits of both sides, end to end, calibrated together. */
static int calibrate(const struct tw_reweight *r, struct tw_reweight_report *report)
{
    size_t n = r->side[0].rows, at = 0;
    double *logits = tw_size_alloc(2 * n, sizeof *logits);
    float *labels = tw_size_alloc(2 * n, 2 * sizeof *labels), *weights = labels + 2 * n;
    int status = logits && labels ? TW_OK : TW_NO_MEMORY;
    for (int label = 0; label < 2 && status == TW_OK; label++) {
        double sum = sum_of_weights(&r->side[label]);
        for (size_t i = 0; i < n; i++, at++) {
            logits[at] = r->held_out[label][i];
            labels[at] = (float)label;
            weights[at] = (float)((double)r->side[label].weights[i] * (double)n / sum);
        }
    }
    if (status == TW_OK)
        tw_reweight_calibrate(logits, labels, weights, 2 * n, &report->scale, &report->offset, &report->scale_error);
    free(logits);
    free(labels);
    return status;
}

/* --- the end --- */

/* New samples, at the conditions of the data where there are any. */
static int new_samples(const struct tw_reweight *r, struct tw_pool *pool, struct tw_data *out)
{
    struct tw_data like;
    tw_data_init(&like, r->data.schema);
    int status = TW_OK;
    for (size_t left = r->options.samples; left > 0 && status == TW_OK;) {
        size_t rows = left < r->data.rows ? left : r->data.rows;
        status = tw_data_append_rows(&like, &r->data, 0, rows, -1);
        left -= rows;
    }
    if (status == TW_OK)
        status = tw_sampler_like(tw_model_base(r->model), &like, tw_rng_mix(r->options.seed, STREAM_NEW), r->kernels,
                                 pool, out);
    tw_data_fini(&like);
    return status;
}

/* Of what is finite. */
static double squares_about_mean(const double *x, size_t n)
{
    double sum = 0, squares = 0;
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (isfinite(x[i])) {
            sum += x[i];
            count++;
        }
    for (size_t i = 0; i < n; i++)
        if (isfinite(x[i]))
            squares += (x[i] - sum / (double)count) * (x[i] - sum / (double)count);
    return squares;
}

/* The mean logit of all networks is less noisy than that of one, which the calibration saw: what it has in common with
 * the truth is the same, so the slope of the truth on it is larger by the ratio of their variances. */
static double scale_of_mean(const double *logits, const double *mean, size_t n, int members)
{
    double all = squares_about_mean(mean, n), one = 0;
    for (int m = 0; m < members; m++)
        one += squares_about_mean(logits + (size_t)m * n, n) / members;
    return all > 0 && isfinite(one / all) ? one / all : 1;
}

/* Logits of every network for the new samples: (members, n). */
static int score_samples(const struct tw_reweight *r, const struct tw_data *samples, struct tw_pool *pool,
                         double *logits)
{
    struct tw_data rows;
    tw_data_init(&rows, r->schema);
    int status = extend(r, samples, &rows);
    for (int m = 0; m < r->members && status == TW_OK; m++)
        status = tw_model_score(r->trained[m], r->kernels, pool, rows.rows, rows.features, rows.conditions,
                                logits + (size_t)m * rows.rows);
    tw_data_fini(&rows);
    return status;
}

static int weigh(const struct tw_reweight *r, const struct tw_data *samples, struct tw_pool *pool,
                 struct tw_reweighting *weights, struct tw_reweight_report *report, double *log_weights)
{
    size_t n = samples->rows;
    int members = r->members;
    double *logits = tw_size_alloc(n, (size_t)(members + 1) * sizeof *logits);
    int status = logits ? score_samples(r, samples, pool, logits) : TW_NO_MEMORY;
    if (status == TW_OK) {
        for (size_t i = 0; i < n; i++) {
            log_weights[i] = 0;
            for (int m = 0; m < members; m++)
                log_weights[i] += logits[(size_t)m * n + i] / members;
        }
        double scale = report->scale * scale_of_mean(logits, log_weights, n, members);
        weights->scale = fmin(scale, TW_REWEIGHT_SCALE_MAX);
        for (size_t i = 0; i < n; i++)
            log_weights[i] *= weights->scale;
        tw_reweight_normalise(log_weights, n, logits + (size_t)members * n, weights, report);
        report->sum *= exp(report->offset);
    }
    free(logits);
    return status;
}

int tw_reweight_finish(struct tw_reweight *reweight, struct tw_pool *pool, struct tw_model **out,
                       struct tw_reweight_report *report, struct tw_data *samples, double **log_weights,
                       struct tw_error *error)
{
    struct tw_reweight *r = reweight;
    struct tw_reweighting weights = {.members = r->members, .observables = r->observables};
    *out = NULL;
    *log_weights = NULL;
    *report = (struct tw_reweight_report){.rows = r->side[1].rows, .epochs = r->epochs};
    if (r->members < r->options.folds)
        return TW_BUSY;
    for (int m = 0; m < r->members; m++)
        weights.member[m] = r->trained[m]; /* tw_model_reweight takes references of its own */
    int status = calibrate(r, report);
    if (status == TW_OK)
        status = new_samples(r, pool, samples);
    if (status == TW_OK && !(*log_weights = tw_size_alloc(samples->rows + 1, sizeof **log_weights)))
        status = TW_NO_MEMORY;
    if (status == TW_OK)
        status = weigh(r, samples, pool, &weights, report, *log_weights);
    if (status == TW_OK && !(fabs(weights.log_mean) <= TW_REWEIGHTING_LOG_MEAN_MAX))
        status = tw_error_set(error, TW_INVALID,
                              "samples and data have too little in common: no weights lead from one to the other");
    if (status == TW_OK)
        status = tw_model_reweight(r->model, &weights, out, error);
    if (status != TW_OK) {
        free(*log_weights);
        *log_weights = NULL;
    }
    return status;
}
