/* Tails of sums of squares of normal numbers. */
#ifndef TW_STAT_GAMMA_H
#define TW_STAT_GAMMA_H

/* ln Gamma(x), x > 0. lgamma writes to a global, which threads must not. */
double tw_gamma_log(double x);

/* Q(shape, x) = Gamma(shape, x) / Gamma(shape), shape > 0. A chi-square of k degrees of freedom exceeds x with the
 * chance Q(k/2, x/2). Relative accuracy 1e-12 down to the smallest numbers. */
double tw_gamma_survival(double shape, double x);

/* P(sum_i lambda_i z_i^2 > x) for independent standard normal z_i and lambda_i >= 0, by the saddlepoint approximation
 * of Lugannani and Rice (Kuonen 1999, Biometrika 86, 929): within 6 % of the chance itself, however small.
 * 1 where all lambda are zero and x <= 0. */
double tw_gamma_mixture_survival(const double *lambda, int count, double x);

#endif
