/* Backward through a spline, a vector of events at a time; see bin_vjp() in ref_spline.c. The bins are found again: to
 * keep them would cost more memory than time. */
#include "kernel/loops.h"
#include "kernel/loops_bins.h"

/* Gradients with respect to the coordinate and the slopes' logits, then factors of e for bins left of the event's, its
 * own, and those to the right. */
struct gradients {
    vec x, logit0, logit1;
    struct sides {
        vec left, own, right;
    } width, height;
};

INLINE void bin_vjp(const struct bin *b, vec gy, vec gl, struct gradients *g)
{
    vec w = b->xr - b->xl, h = b->yr - b->yl, per_w = 1 / w, s = h * per_w, d0 = b->d0, d1 = b->d1;
    vec xi = (b->at - b->xl) * per_w, eta = (b->xr - b->at) * per_w;
    vec theta = xi * eta, xi2 = xi * xi, eta2 = eta * eta, turn = eta - xi;
    vec d = s * (xi2 + eta2) + (d0 + d1) * theta, p = d1 * xi2 + 2 * s * theta + d0 * eta2;
    vec per_d = 1 / d, per_p = gl / p, gl_d = 2 * gl * per_d;
    vec numerator = s * xi2 + d0 * theta, gy_d2 = gy * h * per_d * per_d;

    vec g_xi = gy_d2 * s * p + 2 * per_p * (d1 * xi - d0 * eta + s * turn) - gl_d * (d0 + d1 - 2 * s) * turn;
    vec g_s = gy_d2 * theta * (d1 * xi2 - d0 * eta2) + 2 * gl / s + 2 * per_p * theta - gl_d * (xi2 + eta2);
    g->x = g_xi * per_w;
    g->width.left = -g->x;
    g->width.own = -(g_s * s + g_xi * xi) * per_w;
    g->height.left = gy;
    g->height.own = gy * numerator * per_d + g_s * per_w;
    vec g_d0 = gy_d2 * theta * (s * eta2 + d1 * theta) + per_p * eta2 - gl_d * theta;
    vec g_d1 = -gy_d2 * theta * numerator + per_p * xi2 - gl_d * theta;
    g->logit0 = g_d0 * vec_sigmoid_of(b->logit0, b->t0);
    g->logit1 = g_d1 * vec_sigmoid_of(b->logit1, b->t1);
}

/* Turns the gradients of the bin's place (`left`) and size (`own`) into factors of e. The mean over the softmax takes
 * its probabilities from the edges: those left of the bin add up to (low + bound - k least) / rest. */
INLINE void softmax_vjp(const struct tw_spline *spline, int bins, const struct partition *part, vec low, vec high,
                        vec number, struct sides *sides)
{
    tw_real bound = spline->bound, least = part->least, per_rest = 1 / (2 * bound - (tw_real)bins * least);
    vec before = (low + bound - number * least) * per_rest, within = (high - low - least) * per_rest;
    vec mean = sides->left * before + sides->own * within;
    sides->left = part->scale * (sides->left - mean);
    sides->own = part->scale * (sides->own - mean);
    sides->right = -part->scale * mean;
}

/* Row k of `g` gets the gradient of logit k. */
INLINE void logit_gradients(int bins, size_t cols, const struct partition *part, const struct sides *sides,
                            const mask *right_of, tw_real *g)
{
#pragma GCC unroll 8
    for (int k = 0; k < bins; k++) {
        vec side = k ? vec_choose(right_of[k], sides->own, sides->right) : sides->own;
        if (k + 1 < bins)
            side = vec_choose(right_of[k + 1], sides->left, side);
        vec_store(part->e[k] * side, g);
        g += cols;
        HIDE(g);
    }
}

/* Of the slope at an edge: as the left end of the bin to the right of it (`left_end`: events of that bin), as the right
 * end of the one to the left. */
INLINE vec slope_gradient(const struct gradients *g, mask left_end, mask right_end)
{
    vec zero = {0};
    return vec_choose(left_end, g->logit0, vec_choose(right_end, g->logit1, zero));
}

INLINE void slope_gradients(const struct tw_spline *spline, int bins, size_t cols, const struct gradients *g,
                            const mask *right_of, tw_real *rows)
{
    mask first = mask_not(right_of[1]), last = right_of[bins - 1], none = mask_without(last, last);
    mask before = first;
    if (spline->kind != TW_SPLINE_TAILS) {
        vec_store(slope_gradient(g, first, spline->kind == TW_SPLINE_CIRCULAR ? last : none), rows);
        rows += cols;
    }
#pragma GCC unroll 8
    for (int k = 1; k < bins; k++) {
        mask own = k + 1 < bins ? mask_without(right_of[k], right_of[k + 1]) : last;
        vec_store(slope_gradient(g, own, before), rows);
        before = own;
        rows += cols;
        HIDE(rows);
    }
    if (spline->kind == TW_SPLINE_BOUNDED)
        vec_store(slope_gradient(g, none, last), rows);
}

INLINE void vjp(const struct tw_spline *spline, int bins, int beside, size_t cols, const tw_real *x, const tw_real *p,
                const tw_real *gy, const tw_real *glog_det, tw_real *gx, tw_real *gp)
{
    struct partition width[PAIR], height[PAIR];
    struct bin bin[PAIR];
    struct gradients g[PAIR];
    mask out[PAIR];
    vec zero = {0};
    EACH(j)
    {
        vec from = vec_load(x + j * beside);
        out[j] = outside(spline, from);
        bin[j].at = enter(spline, from);
        find_bin(false, true, spline, bins, cols, p + j * beside, &width[j], &height[j], &bin[j]);
    }
    EACH(j) exps(&bin[j]);
    EACH(j) slopes(spline, bins, &bin[j]);
    EACH(j)
    {
        vec gy_in = vec_load(gy + j * beside), gl_in = vec_load(glog_det + j * beside);
        if (spline->kind == TW_SPLINE_TAILS) { /* which are the identity */
            gy_in = vec_choose(out[j], zero, gy_in);
            gl_in = vec_choose(out[j], zero, gl_in);
        }
        bin_vjp(&bin[j], gy_in, gl_in, &g[j]);
    }
    EACH(j)
    {
        const struct bin *b = &bin[j];
        tw_real *to = gp + j * beside;
        vec gy_all = vec_load(gy + j * beside), inside = g[j].x;
        softmax_vjp(spline, bins, &width[j], b->xl, b->xr, b->number, &g[j].width);
        softmax_vjp(spline, bins, &height[j], b->yl, b->yr, b->number, &g[j].height);
        logit_gradients(bins, cols, &width[j], &g[j].width, b->right_of, to);
        logit_gradients(bins, cols, &height[j], &g[j].height, b->right_of, to + (size_t)bins * cols);
        slope_gradients(spline, bins, cols, &g[j], b->right_of, to + (size_t)(2 * bins) * cols);
        switch (spline->kind) {
        case TW_SPLINE_TAILS:
            inside = vec_choose(out[j], gy_all, inside);
            break;
        case TW_SPLINE_BOUNDED: /* a clamped coordinate has no influence */
            inside = vec_choose(out[j], zero, inside);
            break;
        case TW_SPLINE_CIRCULAR:
            vec_store(gy_all, to + (size_t)(3 * bins) * cols);
            break;
        }
        vec_store(inside, gx + j * beside);
    }
}

/* As in loops_spline.c. */
#define VJP(name, bins)                                                                                                \
    static __attribute__((noinline)) void name(const struct tw_spline *spline, int beside, size_t cols,                \
                                               const tw_real *x, const tw_real *p, const tw_real *gy,                  \
                                               const tw_real *glog_det, tw_real *gx, tw_real *gp)                      \
    {                                                                                                                  \
        vjp(spline, bins, beside, cols, x, p, gy, glog_det, gx, gp);                                                   \
    }
VJP(vjp_8, 8)
VJP(vjp_any, spline->bins)

void tw_loops_spline_vjp(const struct tw_spline *spline, int cols, const tw_real *x, const tw_real *p,
                         const tw_real *gy, const tw_real *glog_det, tw_real *gx, tw_real *gp)
{
    for (int i = 0; i < cols; i += PAIR * LANES)
        (spline->bins == 8 ? vjp_8 : vjp_any)(spline, beside(cols - i), (size_t)cols, x + i, p + i, gy + i,
                                              glog_det + i, gx + i, gp + i);
}
