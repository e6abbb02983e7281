/* Two-sample test of one column: Kolmogorov-Smirnov. */
#ifndef TW_STAT_KS_H
#define TW_STAT_KS_H

#include <stddef.h>

/* D = sup |F_a - F_b|. Sorts copies. TW_NO_MEMORY, TW_INVALID for NaN, or 0. p: two-sided; exact where the samples are
 * small or alike enough to sum the law of D, else from the asymptotic Kolmogorov law, which is a little too large; ties
 * make it larger, never smaller. An empty sample gives D = 0, p = 1. n m < 2^63. */
int tw_ks(const float *a, size_t n, const float *b, size_t m, double *statistic, double *p_value);

/* Survival function of the Kolmogorov distribution. */
double tw_ks_survival(double x);

#endif
