/* Chi-square of two histograms. With w_i the sum of weights of a bin, s_i that of their squares and W the sum over all
 * bins, the differences d_i = w_i^a / W^a - w_i^b / W^b of one law p have the covariance of
 *
 *     d = (1 - p 1^T) y,   y_i independent with variance v_i = s_i^a / (W^a)^2 + s_i^b / (W^b)^2,
 *
 * because the normalisation is estimated too. The sum that follows a chi-square law of bins - 1 degrees of freedom is
 * therefore the least one over what normalisation took away,
 *
 *     X^2 = min_c sum (d_i + c p_i)^2 / v_i = sum d_i^2 / v_i - (sum d_i p_i / v_i)^2 / sum p_i^2 / v_i.
 *
 * The first term alone is the statistic for two weighted histograms of Gagunashvili (physics/0605123) and Porter
 * (arXiv:0804.0380); the second vanishes where the mean weight is the same in all bins, and is what keeps the size
 * right where it is not. The null hypothesis also says more of v_i than the bin itself does: v_i = p_i (r_i^a / W^a +
 * r_i^b / W^b) with r_i = s_i / w_i and p_i from both samples, which is Pearson's statistic where all weights are 1.
 * Weights of both signs leave no meaning to r_i; then v_i stands as it is above.
 *
 * An estimate of v_i that scatters by a share e of itself makes the sum too large, by e^2 on average: v_i is raised by
 * so much. e^2 is at most that of the mean of w^2 in the bin, sum w^4 / (sum w^2)^2 - 1/n, which is 0 without weights.
 */
#include <float.h>
#include <math.h>
#include <stdbool.h>

#include "base/status.h"
#include "stat/chi2.h"
#include "stat/gamma.h"

enum { BINS_MAX = 32, ROWS_IN_BIN = 20, WEIGHED_IN_BIN = 40 /* with weights */ };

struct bin {
    double share;                  /* of the pooled sample */
    double wa, wb, sa, sb, ea, eb; /* sums of w and w^2, and the bound on e^2, of its own */
};

struct histogram {
    struct bin bins[BINS_MAX];
    int count;
    double a, b;   /* sums of weights */
    double total;  /* of effective events */
    double part_a; /* a's share of them */
};

static double sum_of(const struct tw_side *side)
{
    return side->weights ? side->sums.sum : (double)side->n;
}

static double squares_of(const struct tw_side *side)
{
    return side->weights ? side->sums.squares : (double)side->n;
}

/* The bound on e^2 for rows first .. last-1. */
static double scatter_of(const struct tw_side *side, size_t first, size_t last)
{
    double squares = 0, fourths = 0;
    for (size_t i = first; side->weights && i < last; i++) {
        double square = (double)side->weights[i] * side->weights[i];
        squares += square;
        fourths += square * square;
    }
    return squares > 0 ? fmax(0, fourths / (squares * squares) - 1 / (double)(last - first)) : 0;
}

/* Ends a bin where the pooled share has reached its next multiple of 1/bins. The pooled share is that of squared
 * weights, each sample by its effective events: a function of the rows and not of whose they are, where weights are 1,
 * and everywhere one that rises. */
static void fill(const struct tw_pair *pair, int wanted, struct histogram *h)
{
    const struct tw_side *a = &pair->a, *b = &pair->b;
    struct tw_cursor c = {0}, begin = {0};
    double filled = 0;
    size_t first_a = 0, first_b = 0; /* of the bin that is being filled */
    *h = (struct histogram){.a = sum_of(a), .b = sum_of(b), .total = a->sums.effective + b->sums.effective};
    h->part_a = a->sums.effective / h->total;
    while (tw_pair_next(pair, &c)) {
        double share = h->part_a * c.squares_a / squares_of(a) + (1 - h->part_a) * c.squares_b / squares_of(b);
        bool last = c.i == a->n && c.j == b->n;
        if (!last && share < (floor(filled * wanted + 1e-6) + 1) / wanted - 1e-9)
            continue;
        /* a remainder of less than half a bin belongs to the one before */
        bool merge = last && h->count && (share - filled) * wanted < 0.5;
        struct bin *bin = &h->bins[merge ? h->count - 1 : h->count++];
        if (!merge)
            first_a = begin.i, first_b = begin.j;
        bin->share += share - filled;
        bin->wa += c.sum_a - begin.sum_a;
        bin->wb += c.sum_b - begin.sum_b;
        bin->sa += c.squares_a - begin.squares_a;
        bin->sb += c.squares_b - begin.squares_b;
        bin->ea = scatter_of(a, first_a, c.i);
        bin->eb = scatter_of(b, first_b, c.j);
        filled = share;
        begin = c;
    }
}

/* s / w of a bin, or of the whole sample where the bin is empty. */
static double ratio(double s, double w, double all_s, double all_w)
{
    return w > 0 ? s / w : all_s / all_w;
}

static double statistic_of(const struct histogram *h, const struct tw_pair *pair)
{
    bool signs = pair->a.sums.negative || pair->b.sums.negative;
    double straight = 0, along = 0, norm = 0;
    for (int i = 0; i < h->count; i++) {
        const struct bin *bin = &h->bins[i];
        double pa = bin->wa / h->a, pb = bin->wb / h->b, d = pa - pb, p = h->part_a * pa + (1 - h->part_a) * pb;
        double va = bin->sa / (h->a * h->a), vb = bin->sb / (h->b * h->b);
        if (!signs) {
            va = p * ratio(bin->sa, bin->wa, squares_of(&pair->a), h->a) / h->a;
            vb = p * ratio(bin->sb, bin->wb, squares_of(&pair->b), h->b) / h->b;
        }
        double v = va + vb + (va * va * bin->ea + vb * vb * bin->eb) / (va + vb);
        if (!(v > 0))
            continue;
        straight += d * d / v;
        along += d * p / v;
        norm += p * p / v;
    }
    return fmax(0, straight - (norm > 0 ? along * along / norm : 0));
}

int tw_chi2_of(const struct tw_pair *pair, double *statistic, int *bins, double *p_value, struct tw_error *error)
{
    const struct tw_side *a = &pair->a, *b = &pair->b;
    *statistic = 0;
    *p_value = 1;
    if (bins)
        *bins = 1;
    if (a->n == 0 || b->n == 0)
        return TW_OK;
    int in_bin = a->weights || b->weights ? WEIGHED_IN_BIN : ROWS_IN_BIN;
    int status = tw_weights_need_sums(&a->sums, &b->sums, 2 * in_bin, error);
    if (status)
        return status;
    struct histogram h;
    fill(pair, (int)fmin(BINS_MAX, fmin(a->sums.effective, b->sums.effective) / in_bin), &h);
    if (bins)
        *bins = h.count;
    if (h.count < 2)
        return TW_OK;
    *statistic = statistic_of(&h, pair);
    *p_value = fmax(tw_gamma_survival((h.count - 1) / 2.0, *statistic / 2), DBL_MIN);
    return TW_OK;
}
