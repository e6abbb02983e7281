#include "stat/pair.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "base/status.h"
#include "stat/sort.h"

/* Cuts the arrays of a side out of the block and fills them; returns what is left of the block. */
static float *fill_side(struct tw_side *side, const float *values, const float *weights, float *at)
{
    side->values = at;
    memcpy(side->values, values, side->n * sizeof *at);
    at += side->n;
    if (side->sums.equal)
        return at;
    side->weights = at;
    memcpy(side->weights, weights, side->n * sizeof *at);
    return at + side->n;
}

static int sort_side(struct tw_side *side, float *scratch)
{
    if (side->weights)
        tw_sort_carrying(side->values, side->weights, side->n, scratch);
    else
        tw_sort_floats(side->values, side->n, scratch);
    return side->n && (isnan(side->values[0]) || isnan(side->values[side->n - 1])) ? TW_INVALID : TW_OK;
}

int tw_pair_init(struct tw_pair *pair, const float *a, const float *weights_a, size_t n, const float *b,
                 const float *weights_b, size_t m)
{
    *pair = (struct tw_pair){.a = {.n = n, .sums = tw_weights_of(weights_a, n)},
                             .b = {.n = m, .sums = tw_weights_of(weights_b, m)}};
    size_t larger = n > m ? n : m, total;
    if (!tw_size_add(n, m, &total) || !tw_size_add(total, larger, &total) ||
        !(pair->block = tw_size_alloc(total, 2 * sizeof *pair->block)))
        return TW_NO_MEMORY;
    float *scratch = fill_side(&pair->b, b, weights_b, fill_side(&pair->a, a, weights_a, pair->block));
    int status = sort_side(&pair->a, scratch);
    if (status == TW_OK)
        status = sort_side(&pair->b, scratch);
    if (status)
        tw_pair_fini(pair);
    return status;
}

void tw_pair_fini(struct tw_pair *pair)
{
    free(pair->block);
    *pair = (struct tw_pair){0};
}

/* Takes in the rows of a side at or below `value`. */
static void advance(const struct tw_side *side, float value, size_t *at, double *sum, double *squares)
{
    size_t first = *at;
    for (; *at < side->n && side->values[*at] <= value; ++*at) {
        if (side->weights) {
            *sum += side->weights[*at];
            *squares += (double)side->weights[*at] * side->weights[*at];
        }
    }
    if (!side->weights) {
        *sum += (double)(*at - first);
        *squares = *sum;
    }
}

int tw_pair_next(const struct tw_pair *pair, struct tw_cursor *c)
{
    bool more_a = c->i < pair->a.n, more_b = c->j < pair->b.n;
    if (!more_a && !more_b)
        return 0;
    float next_a = more_a ? pair->a.values[c->i] : INFINITY, next_b = more_b ? pair->b.values[c->j] : INFINITY;
    c->value = next_a < next_b ? next_a : next_b;
    advance(&pair->a, c->value, &c->i, &c->sum_a, &c->squares_a);
    advance(&pair->b, c->value, &c->j, &c->sum_b, &c->squares_b);
    return 1;
}

/* Where all weights of a side are equal the cursor counts rows, whatever the weights are. */
static double whole(const struct tw_side *side, double weighted)
{
    return side->weights ? weighted : (double)side->n;
}

struct tw_shares tw_pair_shares(const struct tw_pair *pair, const struct tw_cursor *c)
{
    double fa = c->sum_a / whole(&pair->a, pair->a.sums.sum), fb = c->sum_b / whole(&pair->b, pair->b.sums.sum);
    double qa = c->squares_a / whole(&pair->a, pair->a.sums.squares);
    double qb = c->squares_b / whole(&pair->b, pair->b.sums.squares);
    double va = 1 / pair->a.sums.effective, vb = 1 / pair->b.sums.effective, v = va + vb;
    return (struct tw_shares){fa, fb, (va * fa + vb * fb) / v, (va * qa + vb * qb) / v};
}

double tw_pair_variance(const struct tw_pair *pair)
{
    return 1 / pair->a.sums.effective + 1 / pair->b.sums.effective;
}

/* The mean of survival(x - shift |z|) over the normal density, by the trapezoidal rule: for a smooth integrand on the
 * whole line its error falls faster than any power of the step. */
double tw_pair_shifted(double (*survival)(double), double x, double shift)
{
    enum { STEPS = 80 };
    const double step = 1.0 / 8; /* to ten standard deviations */
    double sum = survival(x) / 2, norm = 0.5;
    for (int k = 1; k <= STEPS; k++) {
        double z = k * step, density = exp(-z * z / 2);
        sum += density * survival(x - shift * z);
        norm += density;
    }
    return sum / norm;
}
