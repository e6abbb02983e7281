/* Cramer-von Mises. Between two neighbouring values F_a - F_b is one number; at a value it is taken halfway between
 * the numbers before and after. Without ties this lowers the sum by exactly 1/(4N), which is put back. With ties it is
 * what the sum over the tied rows would be on average if they were told apart at random, less their spread: each tie
 * replaces the bridge by its mean over an interval, which lowers every eigenvalue of its covariance, so that p errs to
 * the large side.
 */
#include <float.h>
#include <math.h>

#include "base/status.h"
#include "stat/cvm.h"
#include "stat/gamma.h"

#define ROWS_MIN      10
#define EFFECTIVE_MIN 25 /* events, from where on the limit law holds for moderate weights */

enum { NODES = 32, ARCHES = 40 };

/* The integral over one arch of Smirnov's formula below, (2k-1) pi < u < 2k pi. With u = (2k - 1/2) pi + pi s / 2 the
 * integrand is a smooth function over sqrt(1 - s^2): the rule of Gauss and Chebyshev. */
static double arch(int k, double x)
{
    double sum = 0;
    for (int i = 0; i < NODES; i++) {
        double s = cos(M_PI * (i + 0.5) / NODES), u = (2 * k - 0.5) * M_PI + M_PI / 2 * s;
        sum += exp(-x * u * u / 2) * sqrt((1 - s * s) / (u * cos(M_PI / 2 * s)));
    }
    return sum * (M_PI / NODES) * (M_PI / 2);
}

/* omega^2 is the sum of z_k^2 / (k pi)^2; inverting its characteristic function gives (Smirnov 1936)
 * P(omega^2 > x) = 2/pi sum_k (-1)^(k+1) integral_{(2k-1) pi}^{2 k pi} exp(-x u^2 / 2) / sqrt(-u sin u) du.
 * In the tail the first arch is all of it, so that small chances keep their digits. */
double tw_cvm_survival(double x)
{
    if (isnan(x))
        return x;
    if (x <= 0.004) /* 1 to ten digits */
        return 1;
    double sum = 0;
    for (int k = 1; k <= ARCHES; k++) {
        double term = arch(k, x);
        sum += k % 2 ? term : -term;
        if (term <= DBL_EPSILON * sum)
            break;
    }
    return fmin(1, 2 / M_PI * sum);
}

static void plain(const struct tw_pair *pair, double *statistic, double *p_value)
{
    struct tw_cursor c = {0};
    double n = (double)pair->a.n, m = (double)pair->b.n, total = n + m, before = 0, sum = 0, rows = 0;
    while (tw_pair_next(pair, &c)) {
        double after = (double)c.i * m - (double)c.j * n, middle = (before + after) / 2;
        sum += ((double)(c.i + c.j) - rows) * middle * middle;
        rows = (double)(c.i + c.j);
        before = after;
    }
    *statistic = sum / (n * m) / (total * total) + 1 / (4 * total);
    /* Anderson 1962, eqs. 10 and 14 */
    double mean = (1 + 1 / total) / 6;
    double variance =
        (total + 1) / 45 * (4 * n * m * total - 3 * (n * n + m * m) - 2 * n * m) / (4 * total * total * n * m);
    *p_value = tw_cvm_survival(1.0 / 6 + (*statistic - mean) / sqrt(45 * variance));
    /* no order of the rows is rarer than this one and its mirror image */
    double rarest = M_LN2 - tw_gamma_log(total + 1) + tw_gamma_log(n + 1) + tw_gamma_log(m + 1);
    *p_value = fmin(1, fmax(*p_value, fmax(exp(rarest), DBL_MIN)));
}

/* The norm of B(q) + (q - F) N is at most that of B(q) plus that of q - F times |N|. */
static double survival_of_root(double root)
{
    return root <= 0 ? 1 : tw_cvm_survival(root * root);
}

static void weighted(const struct tw_pair *pair, double *statistic, double *p_value)
{
    struct tw_cursor c = {0};
    struct tw_shares last = {0};
    double distance = 0, shift = 0;
    while (tw_pair_next(pair, &c)) {
        struct tw_shares s = tw_pair_shares(pair, &c);
        double middle = (last.fa - last.fb + s.fa - s.fb) / 2, off = (last.q - last.f + s.q - s.f) / 2;
        distance += (s.q - last.q) * middle * middle;
        shift += (s.q - last.q) * off * off;
        last = s;
    }
    *statistic = distance / tw_pair_variance(pair);
    *p_value = fmin(1, fmax(tw_pair_shifted(survival_of_root, sqrt(*statistic), sqrt(shift)), DBL_MIN));
}

int tw_cvm_of(const struct tw_pair *pair, double *statistic, double *p_value, struct tw_error *error)
{
    const struct tw_side *a = &pair->a, *b = &pair->b;
    *statistic = 0;
    *p_value = 1;
    if (a->n == 0 || b->n == 0)
        return TW_OK;
    if (a->weights || b->weights) {
        int status = tw_weights_need_rising(&a->sums, &b->sums, EFFECTIVE_MIN, error);
        if (status == TW_OK)
            weighted(pair, statistic, p_value);
        return status;
    }
    if (a->n < ROWS_MIN || b->n < ROWS_MIN)
        return tw_error_set(error, TW_INVALID, "%d rows are needed on each side, not %zu and %zu", ROWS_MIN, a->n,
                            b->n);
    plain(pair, statistic, p_value);
    return TW_OK;
}
