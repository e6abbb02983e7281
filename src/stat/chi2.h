/* Two-sample test of one column: chi-square of two histograms, with weights of either sign. */
#ifndef TW_STAT_CHI2_H
#define TW_STAT_CHI2_H

#include "stat/pair.h"

struct tw_error;

/* Bins hold equal shares of the pooled sample: 2 to 32 of them, as many as leave some 20 events of the
 * smaller sample in each, or 40 effective ones with weights; a value is never cut, so that discrete columns get bins of
 * their own. Without weights the statistic is Pearson's. p from the chi-square law; *bins (may be NULL) - 1 is its
 * number of degrees of freedom; one bin gives 0 and p = 1, as does an empty sample. TW_INVALID for a sum of weights
 * that is not positive or too few effective events on a side; or 0. */
int tw_chi2_of(const struct tw_pair *pair, double *statistic, int *bins, double *p_value, struct tw_error *error);

#endif
