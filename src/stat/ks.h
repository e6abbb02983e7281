/* Two-sample test of one column: Kolmogorov-Smirnov. */
#ifndef TW_STAT_KS_H
#define TW_STAT_KS_H

#include <stddef.h>

#include "stat/pair.h"

struct tw_error;

/* D = sup |F_a - F_b|. p: two-sided; without weights exact where the samples are small or alike enough to sum the law
 * of D, else from the asymptotic Kolmogorov law, which is a little too large; ties make it larger, never smaller. With
 * weights, from a bound on the limit law of pair.h. An empty sample gives D = 0, p = 1. TW_NO_MEMORY or 0; TW_INVALID
 * for weights below zero or too few effective events. */
int tw_ks_of(const struct tw_pair *pair, double *statistic, double *p_value, struct tw_error *error);

/* The same for samples without weights in any order. TW_INVALID for NaN. n m < 2^63. */
int tw_ks(const float *a, size_t n, const float *b, size_t m, double *statistic, double *p_value);

/* Survival function of the Kolmogorov distribution. */
double tw_ks_survival(double x);

#endif
