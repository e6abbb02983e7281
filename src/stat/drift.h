/* Drift of a window: data against the champion's acceptance reference, with one joint decision.
 *
 * Each detector gives a p-value that is valid over the reference and all windows so far. cusum looks at the past
 * too, the others at the window alone. The alarm level for one window is
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

/* In the order of the statistics. */
enum tw_detector {
    TW_DETECT_C2ST,
    TW_DETECT_KS,
    TW_DETECT_CVM,
    TW_DETECT_CHI2,
    TW_DETECT_MMD,
    TW_DETECT_CUSUM,
    TW_DETECT_PRESENCE,
    TW_DETECT_INVALID,
    TW_DETECTORS
};

/* As definitions and iterations have it: "c2st", ..., "invalid_rows". */
const char *tw_drift_detector_name(enum tw_detector detector);

/* The detector that a definition may choose by this name; TW_DETECTORS if there is none. */
enum tw_detector tw_drift_find(const char *name);
#define TW_DRIFT_CHOICE "c2st, ks, cvm, chi2, mmd and cusum"

struct tw_statistic {
    enum tw_detector detector;
    int feature;  /* index of the feature it names, or -1 (cusum: the log-likelihood) */
    double value; /* AUC; D; T; X^2 per degree of freedom; MMD^2; window less pool in the leading component; share of
                   * the rows that have the feature; rate of invalid rows */
    double error; /* standard error, NaN where there is none */
    double floor; /* value without drift: 0.5; NaN; 1/6; 1; its mean; 0; share and rate in the reference */
    double p_value;
    double p_adjusted; /* p_value after Holm's correction for all columns of its detector: what is at or below some
                        * level is named with that chance, at most, of naming any that did not change */
    double threshold;  /* its share of alpha */
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
    struct tw_statistic *statistics; /* by detector in the order of the enum, then by column */
    struct tw_cusum_column *cusum;   /* (columns of the cusum) what stands out in each; NULL unless it ran */
    struct tw_c2st c2st;             /* valid if the detector ran; its classifier names where the window differs */
    struct tw_error left_out[TW_DETECTORS]; /* why a chosen detector could not judge these rows; "" where it did */
};

/* Shares: c2st 5, ks, cvm, chi2, mmd and cusum 4 each, presence 1, invalid 1, in parts of the sum over those that were
 * chosen; a detector's share is split evenly among its columns, that of presence among the optional features, of which
 * those that come and go together are one (stat/presence.h). A detector that cannot judge these rows (too few of them,
 * weights below zero) is left out with p = 1, keeps its share, and left_out says why. */
int tw_drift(const struct tw_data *reference, const struct tw_data *window, const struct tw_drift_options *options,
             const struct tw_kernels *kernels, struct tw_pool *pool, struct tw_drift *out, struct tw_error *error);
void tw_drift_fini(struct tw_drift *drift);

/* Where did it begin? Classifier scores of batches in order of ordinals (rows [offsets[i], offsets[i+1]) of scores;
 * offsets holds batches + 1): the boundary where the mean score after it exceeds the mean before it by the most
 * standard errors. Returns the index of the first batch after the change, at most `last`; `window` (the first batch of
 * the window that alarmed, <= last) where no boundary stands out or memory is short. Errs to the later side: the rows
 * from there on are to be learnt from. */
size_t tw_drift_change_point(const double *scores, const size_t *offsets, size_t batches, size_t window, size_t last);

#endif
