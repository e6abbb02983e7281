/* Weights of both signs are what simulation at next-to-leading order gives. A weighted distribution function then
 * falls where they prevail, and the largest distance between two of them, or a rank, has lost its meaning; sums of
 * w and w^2 keep theirs. */
#include "stat/weights.h"

#include "base/status.h"

#define REMEDY "refine the weights to positive ones first (neural resampling, arXiv:2007.11586), or use chi2 and mmd"

struct tw_weights tw_weights_of(const float *weights, size_t n)
{
    struct tw_weights out = {.sum = (double)n, .squares = (double)n, .effective = (double)n, .equal = true};
    if (!weights || n == 0)
        return out;
    out.sum = out.squares = 0;
    for (size_t i = 0; i < n; i++) {
        out.sum += weights[i];
        out.squares += (double)weights[i] * weights[i];
        out.negative += weights[i] < 0;
        out.equal &= weights[i] == weights[0];
    }
    out.equal &= weights[0] > 0;
    if (!out.equal)
        out.effective = out.squares > 0 ? out.sum * out.sum / out.squares : 0;
    return out;
}

static int need_effective(const struct tw_weights *a, const struct tw_weights *b, double least, struct tw_error *error)
{
    if (a->effective >= least && b->effective >= least)
        return TW_OK;
    return tw_error_set(error, TW_INVALID, "%.0f effective events are needed on each side, not %.1f and %.1f", least,
                        a->effective, b->effective);
}

int tw_weights_need_rising(const struct tw_weights *a, const struct tw_weights *b, double least, struct tw_error *error)
{
    size_t negative = a->negative + b->negative;
    if (negative)
        return tw_error_set(error, TW_INVALID, "%zu weight%s below zero, which has no distribution function: %s",
                            negative, negative == 1 ? " is" : "s are", REMEDY);
    return need_effective(a, b, least, error);
}

int tw_weights_need_sums(const struct tw_weights *a, const struct tw_weights *b, double least, struct tw_error *error)
{
    if (!(a->sum > 0) || !(b->sum > 0))
        return tw_error_set(error, TW_INVALID, "the sum of the weights must be above zero, not %g and %g", a->sum,
                            b->sum);
    return need_effective(a, b, least, error);
}
