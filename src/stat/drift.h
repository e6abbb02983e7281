/* Drift of a window: data against the champion's acceptance reference, with one joint decision.
 *
 * Each detector gives a p-value that is valid over the reference and all windows so far. c2st, ks and the rate of
 * invalid rows look at the window alone, cusum at the past too. The alarm level for one window is
 * alpha = 1 / (2 expected_run_time), shared out among the detectors; an alarm is raised if any p is at or below its
 * share. By the union bound P(T <= m) <= m alpha for a fixed reference, however the windows depend on each other
 * through it, hence E[T] >= expected_run_time.
 */
#ifndef TW_STAT_DRIFT_H
#define TW_STAT_DRIFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pool.h"
#include "model/data.h"
#include "model/model.h"
#include "stat/c2st.h"
#include "stat/cusum.h"

enum tw_detector { TW_DETECT_C2ST, TW_DETECT_KS, TW_DETECT_INVALID, TW_DETECT_CUSUM, TW_DETECT_PRESENCE, TW_DETECTORS };

/* As definitions and iterations have it: "c2st", "ks", "invalid_rows", "cusum", "presence". */
const char *tw_drift_detector_name(enum tw_detector detector);

struct tw_statistic {
    enum tw_detector detector;
    int feature;  /* index of the feature it names, or -1 (cusum: the log-likelihood) */
    double value; /* AUC; D; rate of invalid rows in the window; window less pool in the leading component;
                   * share of the rows that have the feature */
    double error; /* standard error, NaN where there is none */
    double floor; /* value without drift: 0.5; NaN; rate in the reference; 0; share in the reference */
    double p_value;
    double threshold; /* its share of alpha */
    bool alarm;
};

struct tw_drift_options {
    unsigned detectors; /* bit mask of 1 << TW_DETECT_...; INVALID and PRESENCE are always added */
    double expected_run_time;
    uint64_t seed;
    struct tw_cusum *cusum; /* taken one window on, unless tw_drift fails; NULL: nothing accumulates */
    const double *log_prob; /* of the window's rows, if the cusum watches it */
    uint64_t tag;           /* of the window, for the cusum */
};

struct tw_drift {
    bool drift;
    int count;
    struct tw_statistic *statistics; /* c2st first, then ks by feature, cusum by column, presence, invalid last */
    struct tw_cusum_column *cusum;   /* (columns of the cusum) what stands out in each; NULL unless it ran */
    struct tw_c2st c2st;             /* valid if the detector ran; its classifier names where the window differs */
};

/* Shares: c2st 1/2, ks 2/5 (split evenly among the D features), cusum 2/5 (among its columns), presence 1/10 (among the
 * optional features), invalid 1/10, renormalised to what runs. A detector that cannot run on so few rows gives p = 1.
 * KS compares the rows that have an optional feature. */
int tw_drift(const struct tw_data *reference, const struct tw_data *window, const struct tw_drift_options *options,
             const struct tw_kernels *kernels, struct tw_pool *pool, struct tw_drift *out, struct tw_error *error);
void tw_drift_fini(struct tw_drift *drift);

/* Where did it begin? Classifier scores of batches in order of ordinals (rows [offsets[i], offsets[i+1]) of scores;
 * offsets holds batches + 1): the boundary where the mean score after it exceeds the mean before it by the most
 * standard errors. Returns the index of the first batch after the change; `last` (the first batch of the window that
 * alarmed, a safe answer) where no earlier boundary stands out or memory is short. Errs to the later side: the rows
 * from there on are to be learnt from. */
size_t tw_drift_change_point(const double *scores, const size_t *offsets, size_t batches, size_t last);

#endif
