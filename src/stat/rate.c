/* Fisher's exact test without factorials: the hypergeometric weights are grown from near their mode by the ratio of
 * neighbours, so that nothing is lost to the difference of large logarithms, whatever the counts.
 */
#include <float.h>
#include <math.h>

#include "stat/rate.h"

#define SAME 1e-7 /* tables this close in probability count as equally probable, as is customary */

/* Given n1, n2 rows and k marked ones among them, x of which fall into the first sample. */
struct table {
    double n1, n2, k;
};

/* P(x + 1) / P(x) */
static double ratio_up(const struct table *t, double x)
{
    return (t->k - x) * (t->n1 - x) / ((x + 1) * (t->n2 - t->k + x + 1));
}

/* The weight of x when the mode weighs 1. */
static double weight_of(const struct table *t, double mode, double x)
{
    double weight = 1;
    for (double at = mode; at < x && weight > 0; at++)
        weight *= ratio_up(t, at);
    for (double at = mode; at > x && weight > 0; at--)
        weight /= ratio_up(t, at - 1);
    return weight;
}

/* Adds the weights from the mode to `end`, the mode left out: all to *total, what weighs no more than `limit` to
 * *tail. */
static void add_side(const struct table *t, double mode, double end, double limit, double *total, double *tail)
{
    double weight = 1, step = end > mode ? 1 : -1;
    for (double at = mode; at != end && weight > 0; at += step) {
        weight = step > 0 ? weight * ratio_up(t, at) : weight / ratio_up(t, at - 1);
        *total += weight;
        if (weight <= limit)
            *tail += weight;
    }
}

double tw_rate_fisher(size_t x1, size_t n1, size_t x2, size_t n2)
{
    struct table t = {.n1 = (double)n1, .n2 = (double)n2, .k = (double)x1 + (double)x2};
    double low = fmax(0, t.k - t.n2), high = fmin(t.k, t.n1);
    double mode = floor((t.n1 + 1) * (t.k + 1) / (t.n1 + t.n2 + 2));
    mode = fmin(fmax(mode, low), high);
    double limit = weight_of(&t, mode, (double)x1) * (1 + SAME);
    double total = 1, tail = limit >= 1 ? 1 : 0;
    add_side(&t, mode, high, limit, &total, &tail);
    add_side(&t, mode, low, limit, &total, &tail);
    return fmin(1, fmax(tail / total, DBL_MIN)); /* what underflows is smaller than any level, but not zero */
}
