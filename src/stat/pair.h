/* Two samples of one column, sorted: where Kolmogorov-Smirnov, Cramer-von Mises and chi-square begin.
 *
 * With event weights, a distribution function F is the share of the sum of weights at or below a value, and Q is the
 * same with the squares of the weights. They tell the law of F_a - F_b if both samples have one distribution: with
 * V_a = sum w^2 / (sum w)^2 = 1 / effective events and V = V_a + V_b,
 *
 *     F_a(x) - F_b(x) -> sqrt(V) (B(q(x)) + (q(x) - F(x)) N),     q = (V_a Q_a + V_b Q_b) / V,
 *
 * where B is a Brownian bridge and N a standard normal number that is independent of it. (The influence of an event on
 * F_a is w (1{x_i <= x} - F(x)) / E[w], whose covariance is V_a (Q(x ^ y) - F(y) Q(x) - F(x) Q(y) + F(x) F(y)).)
 * Weights that have nothing to do with the column give q = F, and the bridge alone is left: the law for as many events
 * as are effective.
 */
#ifndef TW_STAT_PAIR_H
#define TW_STAT_PAIR_H

#include <stddef.h>

#include "stat/weights.h"

struct tw_side {
    size_t n;
    float *values, *weights; /* (n) sorted by value; weights NULL where they are all equal */
    struct tw_weights sums;
};

struct tw_pair {
    struct tw_side a, b;
    float *block; /* what the sides point into */
};

/* Sorts copies. Weights may be NULL: all 1. TW_NO_MEMORY, TW_INVALID for NaN among the values, or 0. n m < 2^63. */
int tw_pair_init(struct tw_pair *pair, const float *a, const float *weights_a, size_t n, const float *b,
                 const float *weights_b, size_t m);
void tw_pair_fini(struct tw_pair *pair); /* accepts a zeroed pair */

/* Walks the distinct values in rising order. */
struct tw_cursor {
    size_t i, j;                 /* rows of a and of b at or below `value` */
    double sum_a, sum_b;         /* their weights */
    double squares_a, squares_b; /* and the squares of these */
    float value;
};

/* False when there are no more; begin with a zeroed cursor. */
int tw_pair_next(const struct tw_pair *pair, struct tw_cursor *cursor);

/* F_a, F_b, Q_a and Q_b at the cursor, V, and the mixtures of the law above. */
struct tw_shares {
    double fa, fb, f, q;
};
struct tw_shares tw_pair_shares(const struct tw_pair *pair, const struct tw_cursor *cursor);
double tw_pair_variance(const struct tw_pair *pair); /* V */

/* P(S > x) for S = S_0 + shift |N|, where P(S_0 > x) = survival(x) and N is standard normal, independent of S_0. */
double tw_pair_shifted(double (*survival)(double), double x, double shift);

#endif
