/* Splines over events: the formulae are in ref_spline.c, this file arranges them.
 *
 * Pairs of vectors of events go through it side by side, without branches, in stages of twenty or thirty instructions.
 * What follows after the bins are found is one long chain of divisions, exponentials and logarithms that wait for each
 * other: the processor looks some hundred instructions ahead, so that it finds work only if the next vector's stage is
 * near. (8 bins, 16 events, cycles: 400 with one vector after the other, 325 with two abreast, 300 with four.)
 */
#include "kernel/loops.h"
#include "kernel/loops_bins.h"

/* Results to their places: the tails are the identity, the circle is wrapped. */
INLINE void leave(const struct tw_spline *spline, vec x, vec value, vec log_slope, vec before, tw_real *y,
                  tw_real *log_det)
{
    if (spline->kind == TW_SPLINE_TAILS) {
        mask out = outside(spline, x);
        value = vec_choose(out, x, value);
        log_slope = vec_choose(out, vec_all(0), log_slope);
    } else if (spline->kind == TW_SPLINE_CIRCULAR) {
        value = wrap(spline->bound, value);
    }
    vec_store(value, y);
    vec_store(before + log_slope, log_det);
}

/* N, D and P of ref_spline.c. */
struct rational {
    vec n, d, p;
};

INLINE struct rational rational(const struct bin *b, vec s, vec xi, vec eta)
{
    vec theta = xi * eta, xi2 = xi * xi, eta2 = eta * eta;
    return (struct rational){.n = s * xi2 + b->d0 * theta,
                             .d = s * (xi2 + eta2) + (b->d0 + b->d1) * theta,
                             .p = b->d1 * xi2 + 2 * s * theta + b->d0 * eta2};
}

INLINE void forward(const struct tw_spline *spline, int bins, int beside, size_t cols, const tw_real *x,
                    const tw_real *p, tw_real *y, tw_real *log_det)
{
    struct partition width, height;
    struct bin bin[PAIR];
    vec from[PAIR], before[PAIR], value[PAIR], slope[PAIR];
    EACH(j)
    {
        from[j] = vec_load(x + j * beside);
        before[j] = vec_load(log_det + j * beside);
        bin[j].at = enter(spline, from[j]);
        find_bin(false, false, spline, bins, cols, p + j * beside, &width, &height, &bin[j]);
    }
    EACH(j) exps(&bin[j]);
    EACH(j) slopes(spline, bins, &bin[j]);
    EACH(j)
    {
        const struct bin *b = &bin[j];
        vec h = b->yr - b->yl, per_w = 1 / (b->xr - b->xl), s = h * per_w;
        struct rational r = rational(b, s, (b->at - b->xl) * per_w, (b->xr - b->at) * per_w);
        vec per_d = 1 / r.d, ratio = s * per_d;
        value[j] = vec_at_most(b->yr, b->yl + h * (r.n * per_d));
        slope[j] = ratio * ratio * r.p;
    }
    EACH(j) slope[j] = vec_log(slope[j]);
    EACH(j)
    {
        if (spline->kind == TW_SPLINE_CIRCULAR)
            value[j] += vec_load(shift_row(spline, cols, p + j * beside));
        leave(spline, from[j], value[j], slope[j], before[j], y + j * beside, log_det + j * beside);
    }
}

/* See root() in ref_spline.c. */
INLINE void inverse(const struct tw_spline *spline, int bins, int beside, size_t cols, const tw_real *y,
                    const tw_real *p, tw_real *x, tw_real *log_det)
{
    struct partition width, height;
    struct bin bin[PAIR];
    vec from[PAIR], before[PAIR], xi[PAIR], value[PAIR], slope[PAIR], zero = {0};
    EACH(j)
    {
        from[j] = vec_load(y + j * beside);
        before[j] = vec_load(log_det + j * beside);
        bin[j].at = enter(spline, from[j]);
        if (spline->kind == TW_SPLINE_CIRCULAR)
            bin[j].at = wrap(spline->bound, bin[j].at - vec_load(shift_row(spline, cols, p + j * beside)));
        find_bin(true, false, spline, bins, cols, p + j * beside, &width, &height, &bin[j]);
    }
    EACH(j) exps(&bin[j]);
    EACH(j) slopes(spline, bins, &bin[j]);
    EACH(j)
    {
        vec w = bin[j].xr - bin[j].xl, h = bin[j].yr - bin[j].yl, s = h / w, u = bin[j].at - bin[j].yl;
        vec d0 = bin[j].d0, d1 = bin[j].d1, b = h * d0 - u * (d0 + d1 - 2 * s), a = h * s - b;
        vec q = vec_root(vec_at_least(zero, b * b + 4 * a * s * u));
        mask falls = vec_below(b, zero);
        xi[j] = into(vec_choose(falls, q - b, 2 * s * u) / vec_choose(falls, 2 * a, b + q), 0, 1);
    }
    EACH(j)
    {
        vec w = bin[j].xr - bin[j].xl, h = bin[j].yr - bin[j].yl, s = h / w, u = bin[j].at - bin[j].yl;
        /* Newton: xi -= (h N/D - u) / (h s P/D^2), at most 1e-3 */
        struct rational r = rational(&bin[j], s, xi[j], 1 - xi[j]);
        vec step = r.d * (h * r.n - u * r.d) / (h * s * r.p);
        xi[j] = into(xi[j] - into(step, (tw_real)-1e-3, (tw_real)1e-3), 0, 1);
    }
    EACH(j)
    {
        vec w = bin[j].xr - bin[j].xl, s = (bin[j].yr - bin[j].yl) / w;
        struct rational r = rational(&bin[j], s, xi[j], 1 - xi[j]);
        value[j] = vec_at_most(bin[j].xr, bin[j].xl + xi[j] * w);
        slope[j] = r.d * r.d / (s * s * r.p);
    }
    EACH(j) slope[j] = vec_log(slope[j]);
    EACH(j) leave(spline, from[j], value[j], slope[j], before[j], x + j * beside, log_det + j * beside);
}

/* Functions for a pair, with the usual number of bins as a constant and with any: were they loops over pairs, the
 * compiler would gather all constants before them, more than there are registers. */
typedef void direction(const struct tw_spline *spline, int beside, size_t cols, const tw_real *x, const tw_real *p,
                       tw_real *y, tw_real *log_det);

#define DIRECTION(map, name, bins)                                                                                     \
    static __attribute__((noinline)) void name(const struct tw_spline *spline, int beside, size_t cols,                \
                                               const tw_real *x, const tw_real *p, tw_real *y, tw_real *log_det)       \
    {                                                                                                                  \
        map(spline, bins, beside, cols, x, p, y, log_det);                                                             \
    }
DIRECTION(forward, forward_8, 8)
DIRECTION(forward, forward_any, spline->bins)
DIRECTION(inverse, inverse_8, 8)
DIRECTION(inverse, inverse_any, spline->bins)

static void all(direction *map, const struct tw_spline *spline, int cols, const tw_real *x, const tw_real *p,
                tw_real *y, tw_real *log_det)
{
    for (int i = 0; i < cols; i += PAIR * LANES)
        map(spline, beside(cols - i), (size_t)cols, x + i, p + i, y + i, log_det + i);
}

void tw_loops_spline(const struct tw_spline *spline, int cols, const tw_real *x, const tw_real *p, tw_real *y,
                     tw_real *log_det)
{
    all(spline->bins == 8 ? forward_8 : forward_any, spline, cols, x, p, y, log_det);
}

void tw_loops_spline_inverse(const struct tw_spline *spline, int cols, const tw_real *y, const tw_real *p, tw_real *x,
                             tw_real *log_det)
{
    all(spline->bins == 8 ? inverse_8 : inverse_any, spline, cols, y, p, x, log_det);
}
