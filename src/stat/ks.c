/* Kolmogorov-Smirnov on integers: with i rows of a and j rows of b at or below a value, |i/n - j/m| is
 * |i m - j n| / (n m), so that comparisons between the statistic and the lattice of its null law are exact.
 */
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/size.h"
#include "base/status.h"
#include "stat/ks.h"

#define EXACT_CELLS   1e6 /* lattice cells up to which the exact law is summed: some milliseconds */
#define EFFECTIVE_MIN 25  /* events, from where on the limit law holds for moderate weights */

/* P(sqrt(n) D > x) in the limit (Kolmogorov 1933): 2 sum (-1)^(k-1) exp(-2 k^2 x^2), or, where this converges slowly,
 * one minus its image under the theta function's functional equation. */
double tw_ks_survival(double x)
{
    if (isnan(x))
        return x;
    if (x <= 0.04) /* 1 to the last digit */
        return 1;
    double sum = 0;
    if (x < 1) {
        for (int k = 1; k <= 7; k += 2)
            sum += exp(-(double)(k * k) * (M_PI * M_PI / 8) / (x * x));
        return 1 - sqrt(2 * M_PI) / x * sum;
    }
    for (int k = 5; k >= 1; k--)
        sum = exp(-2.0 * k * k * x * x) - sum;
    return 2 * sum;
}

/* max |i m - j n| over all values; ties move both counts before the difference is taken. a, b sorted. */
static uint64_t largest_difference(const float *a, size_t n, const float *b, size_t m)
{
    uint64_t largest = 0;
    size_t i = 0, j = 0;
    while (i < n && j < m) {
        float at = a[i] < b[j] ? a[i] : b[j];
        while (i < n && a[i] <= at)
            i++;
        while (j < m && b[j] <= at)
            j++;
        uint64_t left = (uint64_t)i * m, right = (uint64_t)j * n;
        uint64_t difference = left > right ? left - right : right - left;
        if (difference > largest)
            largest = difference;
    }
    return largest;
}

/* P(max |i m - j n| >= limit) when every order of the n + m rows is equally likely (Hodges 1958). v(i, j) is the
 * chance that a random path from (0, 0) to (i, j) has left the band |i m - j n| < limit; its last step came from the
 * left with chance i / (i + j). All terms are positive, so that small chances keep their digits. Outside the band
 * v = 1, so that only the band is walked. row (m + 1) is scratch. */
static double exact_survival(uint64_t limit, size_t n, size_t m, double *row)
{
    for (size_t j = 0; j <= m; j++)
        row[j] = (uint64_t)j * n >= limit ? 1 : 0;
    for (size_t i = 1; i <= n; i++) {
        uint64_t at = (uint64_t)i * m;
        /* inside: at - limit < j n < at + limit */
        size_t first = at >= limit ? (size_t)((at - limit) / n) + 1 : 0;
        size_t last = (size_t)((at + limit - 1) / n);
        if (last > m)
            last = m;
        double left = 1; /* the cell before the first is outside, or there is none */
        for (size_t j = first; j <= last; j++) {
            left = j ? ((double)i * row[j] + (double)j * left) / (double)(i + j) : row[0];
            row[j] = left;
        }
    }
    return row[m];
}

static int p_value_of(uint64_t limit, size_t n, size_t m, double *p_value)
{
    double d = (double)limit / ((double)n * (double)m);
    if (limit == 0) {
        *p_value = 1;
        return TW_OK;
    }
    if (2 * (double)limit > EXACT_CELLS) {
        /* In its tail the limit law is 2 exp(-2 x^2), a bound at these sizes (Wei, Dudley 2012); corrections that are
         * right for one sample would make it too small for two. */
        double survival = tw_ks_survival(sqrt((double)n * (double)m / (double)(n + m)) * d);
        *p_value = fmin(1, fmax(survival, DBL_MIN)); /* not zero, whatever underflows */
        return TW_OK;
    }
    double *row = tw_size_alloc(m + 1, sizeof *row);
    if (!row)
        return TW_NO_MEMORY;
    *p_value = exact_survival(limit, n, m, row);
    free(row);
    return TW_OK;
}

/* sup |B(q) + (q - F) N| <= sup |B| + sup |q - F| |N|: a bound that costs nothing where the weights have nothing to do
 * with the column. */
static void weighted(const struct tw_pair *pair, double *statistic, double *p_value)
{
    struct tw_cursor cursor = {0};
    double d = 0, shift = 0;
    while (tw_pair_next(pair, &cursor)) {
        struct tw_shares s = tw_pair_shares(pair, &cursor);
        d = fmax(d, fabs(s.fa - s.fb));
        shift = fmax(shift, fabs(s.q - s.f));
    }
    *statistic = d;
    double p = tw_pair_shifted(tw_ks_survival, d / sqrt(tw_pair_variance(pair)), shift);
    *p_value = fmin(1, fmax(p, DBL_MIN));
}

int tw_ks_of(const struct tw_pair *pair, double *statistic, double *p_value, struct tw_error *error)
{
    const struct tw_side *a = &pair->a, *b = &pair->b;
    *statistic = 0;
    *p_value = 1;
    if (a->n == 0 || b->n == 0)
        return TW_OK;
    if (!a->weights && !b->weights) {
        uint64_t limit = largest_difference(a->values, a->n, b->values, b->n);
        *statistic = (double)limit / ((double)a->n * (double)b->n);
        return p_value_of(limit, a->n, b->n, p_value);
    }
    int status = tw_weights_need_rising(&a->sums, &b->sums, EFFECTIVE_MIN, error);
    if (status == TW_OK)
        weighted(pair, statistic, p_value);
    return status;
}

int tw_ks(const float *a, size_t n, const float *b, size_t m, double *statistic, double *p_value)
{
    struct tw_pair pair;
    *statistic = 0;
    *p_value = 1;
    int status = tw_pair_init(&pair, a, NULL, n, b, NULL, m);
    if (status == TW_OK)
        status = tw_ks_of(&pair, statistic, p_value, NULL);
    tw_pair_fini(&pair);
    return status;
}
