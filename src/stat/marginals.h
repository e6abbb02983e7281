/* The tests of one column at a time, over all columns of a schema. */
#ifndef TW_STAT_MARGINALS_H
#define TW_STAT_MARGINALS_H

#include "stat/drift.h"

/* Kolmogorov-Smirnov, Cramer-von Mises and chi-square by feature: first[d] are the statistics of detector d (features
 * of them), NULL where it does not run; detectors of other kinds are passed over. Absent values of an observable lie
 * below all others, so that a change of their number is a change of the column; an optional feature is compared where
 * it is there, as its presence has a test of its own. What rows a test can't judge keeps p = 1, and left_out[d] says
 * why. TW_NO_MEMORY or 0. */
int tw_marginals(const struct tw_data *reference, const struct tw_data *window, struct tw_pool *pool,
                 struct tw_statistic *const *first, struct tw_error *left_out);

#endif
