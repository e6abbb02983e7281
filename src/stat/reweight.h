/* Learning the weights that turn a model's samples into the data (model/reweighting.h), in quanta.
 *
 * Cross-fitting: rows of data and as many samples are dealt into folds, and a network is trained for each fold on all
 * the others. So every row has a network that has not seen it, and these held-out logits are what the weights are
 * calibrated on: a network that has learnt its rows by heart gets a scale near zero, and its weights are one.
 *
 * The result is a function of (model, data, options, kernels): never of slices, workers or timing.
 */
#ifndef TW_STAT_REWEIGHT_H
#define TW_STAT_REWEIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pool.h"
#include "model/data.h"
#include "model/model.h"
#include "model/reweighting.h"

struct tw_reweight;

struct tw_reweight_options {
    uint64_t seed;
    int folds;      /* 2 .. TW_REWEIGHTING_MEMBERS_MAX; 0: the default, 4 */
    int epochs;     /* of each network; 0: the default of its kind */
    size_t samples; /* new ones, that the mean weight is estimated from; 0: the default, 50000 */
};

/* All rows of `data` are trained on. The model under the weights of `model`, if it has any, is what gets new ones; it
 * must have log_prob and sample. The networks see the observables beside the features (NULL: there are none), so that
 * weights follow what no single feature shows. Copies what it needs of `data`. TW_INVALID with a sentence: fewer than
 * 100 rows, a negative weight, or the model has no density. */
int tw_reweight_new(struct tw_model *model, const struct tw_data *data, struct tw_observables *observables,
                    const struct tw_reweight_options *options, const struct tw_kernels *kernels, struct tw_pool *pool,
                    struct tw_reweight **out, struct tw_error *error);
void tw_reweight_free(struct tw_reweight *reweight); /* accepts NULL */

/* As tw_trainer_run, tw_trainer_progress. */
int tw_reweight_run(struct tw_reweight *reweight, struct tw_pool *pool, double seconds, bool *done);
double tw_reweight_progress(const struct tw_reweight *reweight);

/* How well the networks knew what they had not seen. */
struct tw_reweight_report {
    double scale, offset; /* of the calibration of held-out logits: P(data) = 1 / (1 + exp(-scale logit - offset)) */
    double scale_error;   /* its standard error */
    size_t rows;          /* of data; as many samples */
    size_t samples;       /* that the weights were judged on */
    double ess, overflow; /* as tw_reweighting, before the cap and of it */
    double largest, sum;  /* of the weights of these samples, before the cap; their mean is 1 */
    size_t not_finite;    /* weights that were not, and were set to 1 */
    double mean_error;    /* relative standard error of the mean weight by which all were divided */
    int epochs;           /* of all networks together */
};

/* Calibrates, draws new samples and normalises; only after *done. *out is the model with its weights. samples
 * (initialised, of the model's schema) gets the new samples, and *log_weights, to be freed, the logs of their weights.
 */
int tw_reweight_finish(struct tw_reweight *reweight, struct tw_pool *pool, struct tw_model **out,
                       struct tw_reweight_report *report, struct tw_data *samples, double **log_weights,
                       struct tw_error *error);

/* The parts of it that stand alone. */

/* Logistic calibration by Newton's method: the scale >= 0 and offset that maximise the likelihood of labels (n, 0 or 1)
 * with weights (n) given logits (n). Where a scale beyond the largest would be better still it is that: a line between
 * classes that do not overlap has no finite scale. */
#define TW_REWEIGHT_SCALE_MAX 100.0
void tw_reweight_calibrate(const double *logits, const float *labels, const float *weights, size_t n, double *scale,
                           double *offset, double *scale_error);

/* Caps log weights and normalises them to mean 1, in place; those that are not finite get weight 1 and are counted. The
 * sums of the report, before the cap, and those of `reweighting` (all but its members and scale) follow. The cap is the
 * smallest weight that takes at most a thousandth of the sum away, and never more than TW_REWEIGHTING_MAX. `sorted` is
 * scratch (n). */
void tw_reweight_normalise(double *log_weights, size_t n, double *sorted, struct tw_reweighting *reweighting,
                           struct tw_reweight_report *report);

#endif
