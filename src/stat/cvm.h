/* Two-sample test of one column: Cramer-von Mises. */
#ifndef TW_STAT_CVM_H
#define TW_STAT_CVM_H

#include "stat/pair.h"

struct tw_error;

/* T = n m / N^2 sum (F_a - F_b)^2 over the N = n + m values (Anderson 1962); p from the limit law after T has been
 * given the mean and variance that it has at n and m. Ties make p larger, never smaller. With weights: T = integral of
 * (F_a - F_b)^2 dq / V, p from a bound on the limit law of pair.h. An empty sample gives T = 0, p = 1. TW_INVALID for
 * fewer than 10 rows, weights below zero or too few effective events on a side; or 0. */
int tw_cvm_of(const struct tw_pair *pair, double *statistic, double *p_value, struct tw_error *error);

/* P(omega^2 > x) in the limit. */
double tw_cvm_survival(double x);

#endif
