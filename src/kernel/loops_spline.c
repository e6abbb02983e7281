/* Splines over events: the formulae are in ref_spline.c, this file arranges them.
 *
 * A strip of 64 events goes through a few passes whose innermost loop is over its events, with selects in place of
 * branches, so that all of it becomes vector code; what a pass leaves for the next stays in the first-level cache.
 *
 *   1. softmax numerators e of widths and heights, and the factor that makes them bin sizes
 *   2. a walk over the bins that keeps, for each event, the corners and slope logits of the last bin not right of it
 *   3. slopes, the rational function, its logarithmic derivative (or root, or gradient)
 *   4. vjp only: gradients of the logits, from e and the bin's number
 */
#include <stdbool.h>
#include <string.h>

#include "kernel/loops.h"
#include "kernel/loops_bins.h"
#include "kernel/vmath.h"

/* The nearest number in [low, high]; NaN stays. */
static inline tw_real into(tw_real x, tw_real low, tw_real high)
{
    tw_real raised = x < low ? low : x;
    return raised > high ? high : raised;
}

/* The representative in [-bound, bound). */
static inline tw_real wrap(tw_real bound, tw_real x)
{
    tw_real r = x - 2 * bound * tw_vmath_round(x / (2 * bound));
    return ((r < -bound) | (r >= bound)) ? -bound : r; /* r = bound, or x too large to have a phase */
}

/* Coordinates to where bins are looked up. `shift` (circular inverse, else NULL) is taken off first. */
static void enter(const struct tw_spline *spline, const tw_real *x, const tw_real *shift, tw_real *restrict at)
{
    tw_real bound = spline->bound;
    if (spline->kind != TW_SPLINE_CIRCULAR) {
        for (int i = 0; i < STRIP; i++)
            at[i] = into(x[i], -bound, bound);
    } else if (shift) {
        for (int i = 0; i < STRIP; i++)
            at[i] = wrap(bound, wrap(bound, x[i]) - shift[i]);
    } else {
        for (int i = 0; i < STRIP; i++)
            at[i] = wrap(bound, x[i]);
    }
}

/* Results to their places: the tails are the identity, the circle is shifted (`shift` or NULL) and wrapped. */
static void leave(const struct tw_spline *spline, const tw_real *x, const tw_real *shift, const tw_real *restrict value,
                  const tw_real *restrict log_slope, tw_real *y, tw_real *log_det)
{
    tw_real bound = spline->bound;
    switch (spline->kind) {
    case TW_SPLINE_TAILS:
        for (int i = 0; i < STRIP; i++) {
            bool out = tw_vmath_abs(x[i]) > bound;
            log_det[i] += out ? 0 : log_slope[i];
            y[i] = out ? x[i] : value[i];
        }
        break;
    case TW_SPLINE_BOUNDED:
        for (int i = 0; i < STRIP; i++) {
            log_det[i] += log_slope[i];
            y[i] = value[i];
        }
        break;
    case TW_SPLINE_CIRCULAR:
        for (int i = 0; i < STRIP; i++) {
            log_det[i] += log_slope[i];
            y[i] = wrap(bound, shift ? value[i] + shift[i] : value[i]);
        }
        break;
    }
}

static const tw_real *shift_row(const struct tw_spline *spline, int cols, const tw_real *p)
{
    return spline->kind == TW_SPLINE_CIRCULAR ? p + (size_t)3 * spline->bins * cols : NULL;
}

static void forward(const struct tw_spline *spline, int cols, const tw_real *x, const tw_real *p, tw_real *y,
                    tw_real *log_det)
{
    struct partition width, height;
    struct bins b;
    strip value, log_slope;
    enter(spline, x, NULL, b.at);
    find_bins(false, spline, cols, p, &width, &height, &b);
    slopes(spline, &b);
    for (int i = 0; i < STRIP; i++) {
        tw_real w = b.xr[i] - b.xl[i], h = b.yr[i] - b.yl[i], per_w = 1 / w, s = h * per_w;
        tw_real xi = (b.at[i] - b.xl[i]) * per_w, eta = (b.xr[i] - b.at[i]) * per_w;
        tw_real theta = xi * eta, xi2 = xi * xi, eta2 = eta * eta;
        tw_real numerator = s * xi2 + b.d0[i] * theta;
        tw_real per_d = 1 / (s * (xi2 + eta2) + (b.d0[i] + b.d1[i]) * theta);
        tw_real rise = b.yl[i] + h * (numerator * per_d), ratio = s * per_d;
        value[i] = rise > b.yr[i] ? b.yr[i] : rise;
        log_slope[i] = tw_vmath_log(ratio * ratio * (b.d1[i] * xi2 + 2 * s * theta + b.d0[i] * eta2));
    }
    leave(spline, x, shift_row(spline, cols, p), value, log_slope, y, log_det);
}

/* See root() in ref_spline.c. */
static void inverse(const struct tw_spline *spline, int cols, const tw_real *y, const tw_real *p, tw_real *x,
                    tw_real *log_det)
{
    struct partition width, height;
    struct bins bin;
    strip value, log_slope;
    enter(spline, y, shift_row(spline, cols, p), bin.at);
    find_bins(true, spline, cols, p, &width, &height, &bin);
    slopes(spline, &bin);
    for (int i = 0; i < STRIP; i++) {
        tw_real w = bin.xr[i] - bin.xl[i], h = bin.yr[i] - bin.yl[i], s = h / w, u = bin.at[i] - bin.yl[i];
        tw_real d0 = bin.d0[i], d1 = bin.d1[i];
        tw_real b = h * d0 - u * (d0 + d1 - 2 * s), a = h * s - b, square = b * b + 4 * a * s * u;
        tw_real q = tw_vmath_sqrt(square < 0 ? 0 : square);
        tw_real xi = into((b < 0 ? q - b : 2 * s * u) / (b < 0 ? 2 * a : b + q), 0, 1);

        /* Newton: xi -= (h N/D - u) / (h s P/D^2), at most 1e-3 */
        tw_real eta = 1 - xi, theta = xi * eta, xi2 = xi * xi, eta2 = eta * eta;
        tw_real d = s * (xi2 + eta2) + (d0 + d1) * theta;
        tw_real slope = h * s * (d1 * xi2 + 2 * s * theta + d0 * eta2);
        tw_real step = d * (h * (s * xi2 + d0 * theta) - u * d) / slope;
        xi = into(xi - into(step, (tw_real)-1e-3, (tw_real)1e-3), 0, 1);

        eta = 1 - xi, theta = xi * eta, xi2 = xi * xi, eta2 = eta * eta;
        d = s * (xi2 + eta2) + (d0 + d1) * theta;
        tw_real ratio = d / s, back = bin.xl[i] + xi * w;
        value[i] = back > bin.xr[i] ? bin.xr[i] : back;
        log_slope[i] = tw_vmath_log(ratio * ratio / (d1 * xi2 + 2 * s * theta + d0 * eta2));
    }
    leave(spline, y, NULL, value, log_slope, x, log_det);
}

/* What pass 4 needs: gradients of the bin's parts, then factors of e for bins left of the event's, its own, and
 * those to the right. */
struct gradients {
    strip x, d0, d1;
    struct sides {
        strip left, own, right;
    } width, height;
};

/* See bin_vjp() in ref_spline.c. */
static void bin_vjp(const struct bins *restrict b, const tw_real *restrict gy, const tw_real *restrict gl,
                    struct gradients *restrict g)
{
    for (int i = 0; i < STRIP; i++) {
        tw_real w = b->xr[i] - b->xl[i], h = b->yr[i] - b->yl[i], per_w = 1 / w, s = h * per_w;
        tw_real d0 = b->d0[i], d1 = b->d1[i];
        tw_real xi = (b->at[i] - b->xl[i]) * per_w, eta = (b->xr[i] - b->at[i]) * per_w;
        tw_real theta = xi * eta, xi2 = xi * xi, eta2 = eta * eta, turn = eta - xi;
        tw_real d = s * (xi2 + eta2) + (d0 + d1) * theta, p = d1 * xi2 + 2 * s * theta + d0 * eta2;
        tw_real per_d = 1 / d, per_p = gl[i] / p, gl_d = 2 * gl[i] * per_d;
        tw_real numerator = s * xi2 + d0 * theta, gy_d2 = gy[i] * h * per_d * per_d;

        tw_real g_xi = gy_d2 * s * p + 2 * per_p * (d1 * xi - d0 * eta + s * turn) - gl_d * (d0 + d1 - 2 * s) * turn;
        tw_real g_s = gy_d2 * theta * (d1 * xi2 - d0 * eta2) + 2 * gl[i] / s + 2 * per_p * theta - gl_d * (xi2 + eta2);
        g->x[i] = g_xi * per_w;
        g->width.own[i] = -(g_s * s + g_xi * xi) * per_w;
        g->height.own[i] = gy[i] * numerator * per_d + g_s * per_w;
        tw_real g_d0 = gy_d2 * theta * (s * eta2 + d1 * theta) + per_p * eta2 - gl_d * theta;
        tw_real g_d1 = -gy_d2 * theta * numerator + per_p * xi2 - gl_d * theta;
        g->d0[i] = g_d0 * tw_vmath_sigmoid(b->logit0[i]);
        g->d1[i] = g_d1 * tw_vmath_sigmoid(b->logit1[i]);
    }
}

/* Turns the gradients of the bin's place (`left`) and size (`own`) into factors of e. The mean over the softmax takes
 * its probabilities from the edges: those left of the bin add up to (low + bound - k least) / rest. */
static void softmax_vjp(const struct tw_spline *spline, const struct partition *restrict part,
                        const tw_real *restrict low, const tw_real *restrict high, const tw_real *restrict k,
                        struct sides *restrict sides)
{
    tw_real bound = spline->bound, least = part->least, per_rest = 1 / (2 * bound - (tw_real)spline->bins * least);
    for (int i = 0; i < STRIP; i++) {
        tw_real before = (low[i] + bound - k[i] * least) * per_rest, within = (high[i] - low[i] - least) * per_rest;
        tw_real mean = sides->left[i] * before + sides->own[i] * within;
        sides->left[i] = part->scale[i] * (sides->left[i] - mean);
        sides->own[i] = part->scale[i] * (sides->own[i] - mean);
        sides->right[i] = -part->scale[i] * mean;
    }
}

/* Row j of `g` gets the gradient of logit j. */
static void logit_gradients(int bins, int cols, const struct partition *restrict part,
                            const struct sides *restrict sides, const tw_real *restrict k, tw_real *restrict g)
{
    for (int j = 0; j < bins; j++) {
        tw_real *row = g + (size_t)j * cols;
        const tw_real *e = part->e[j];
        tw_real number = (tw_real)j;
        for (int i = 0; i < STRIP; i++) {
            tw_real outer = number < k[i] ? sides->left[i] : sides->right[i];
            row[i] = e[i] * (k[i] == number ? sides->own[i] : outer);
        }
    }
}

/* The slope logit of edge k (as the right end of bin k - 1 or, on the circle, of the last; as the left end of bin k) */
static void slope_gradient(int as_left, int as_right, const tw_real *restrict k, const tw_real *restrict g0,
                           const tw_real *restrict g1, tw_real *restrict row)
{
    tw_real left = (tw_real)as_left, right = (tw_real)as_right;
    for (int i = 0; i < STRIP; i++) {
        tw_real other = k[i] == right ? g1[i] : 0;
        row[i] = k[i] == left ? g0[i] : other;
    }
}

static void slope_gradients(const struct tw_spline *spline, int cols, const tw_real *restrict k,
                            const struct gradients *restrict g, tw_real *restrict rows)
{
    int bins = spline->bins, first = spline->kind == TW_SPLINE_TAILS ? 1 : 0;
    int last = spline->kind == TW_SPLINE_BOUNDED ? bins : bins - 1;
    for (int edge = first; edge <= last; edge++) {
        int as_right = edge == 0 && spline->kind == TW_SPLINE_CIRCULAR ? bins - 1 : edge - 1;
        slope_gradient(edge, as_right, k, g->d0, g->d1, rows + (size_t)(edge - first) * cols);
    }
}

/* Gradients that count: none of the spline's own where the tails are the identity. */
static void incoming(const struct tw_spline *spline, const tw_real *restrict x, const tw_real *restrict gy,
                     const tw_real *restrict gl, tw_real *restrict gy_in, tw_real *restrict gl_in)
{
    bool tails = spline->kind == TW_SPLINE_TAILS;
    for (int i = 0; i < STRIP; i++) {
        bool out = tails & (tw_vmath_abs(x[i]) > spline->bound);
        gy_in[i] = out ? 0 : gy[i];
        gl_in[i] = out ? 0 : gl[i];
    }
}

/* The identity hands gy on; a clamped coordinate has no influence; on the circle everything is inside. */
static void outgoing(const struct tw_spline *spline, const tw_real *restrict x, const tw_real *restrict gy,
                     const tw_real *restrict inside, tw_real *restrict gx)
{
    tw_real bound = spline->kind == TW_SPLINE_CIRCULAR ? INFINITY : spline->bound;
    tw_real pass = spline->kind == TW_SPLINE_TAILS ? 1 : 0;
    for (int i = 0; i < STRIP; i++)
        gx[i] = tw_vmath_abs(x[i]) > bound ? pass * gy[i] : inside[i];
}

static void vjp(const struct tw_spline *spline, int cols, const tw_real *x, const tw_real *p, const tw_real *gy,
                const tw_real *glog_det, tw_real *gx, tw_real *gp)
{
    struct partition width, height;
    struct bins b;
    struct gradients g;
    strip gy_in, gl_in;
    int bins = spline->bins;
    enter(spline, x, NULL, b.at);
    find_bins(false, spline, cols, p, &width, &height, &b);
    slopes(spline, &b);
    incoming(spline, x, gy, glog_det, gy_in, gl_in);
    bin_vjp(&b, gy_in, gl_in, &g);
    for (int i = 0; i < STRIP; i++) {
        g.width.left[i] = -g.x[i];
        g.height.left[i] = gy_in[i];
    }
    softmax_vjp(spline, &width, b.xl, b.xr, b.k, &g.width);
    softmax_vjp(spline, &height, b.yl, b.yr, b.k, &g.height);
    logit_gradients(bins, cols, &width, &g.width, b.k, gp);
    logit_gradients(bins, cols, &height, &g.height, b.k, gp + (size_t)bins * cols);
    slope_gradients(spline, cols, b.k, &g, gp + (size_t)2 * bins * cols);
    if (spline->kind == TW_SPLINE_CIRCULAR) {
        for (int i = 0; i < STRIP; i++)
            gp[(size_t)3 * bins * cols + i] = gy[i];
    }
    outgoing(spline, x, gy, g.x, gx);
}

/* Columns that do not fill a strip are copied into one, padded with zeros, and the results back. */
struct remainder {
    strip in[3], out[1], p[3 * BINS + 1], gp[3 * BINS + 1];
};

/* The first `n` of each row's columns: rows of length `from_cols` to rows of length `to_cols`. */
static void copy_columns(int n, int rows, int from_cols, const tw_real *from, int to_cols, tw_real *to)
{
    for (int row = 0; row < rows; row++)
        memcpy(to + (size_t)row * to_cols, from + (size_t)row * from_cols, (size_t)n * sizeof *to);
}

static void take_parameters(struct remainder *rest, int n, const struct tw_spline *spline, int cols, const tw_real *p)
{
    memset(rest->in, 0, sizeof rest->in);
    memset(rest->p, 0, (size_t)tw_spline_rows(spline) * sizeof rest->p[0]);
    copy_columns(n, tw_spline_rows(spline), cols, p, STRIP, rest->p[0]);
}

typedef void direction(const struct tw_spline *spline, int cols, const tw_real *x, const tw_real *p, tw_real *y,
                       tw_real *log_det);

static void in_strips(direction *map, const struct tw_spline *spline, int cols, const tw_real *x, const tw_real *p,
                      tw_real *y, tw_real *log_det)
{
    int i = 0, n;
    for (; i + STRIP <= cols; i += STRIP)
        map(spline, cols, x + i, p + i, y + i, log_det + i);
    if ((n = cols - i) == 0)
        return;
    struct remainder rest;
    take_parameters(&rest, n, spline, cols, p + i);
    copy_columns(n, 1, cols, x + i, STRIP, rest.in[0]);
    copy_columns(n, 1, cols, log_det + i, STRIP, rest.in[1]);
    map(spline, STRIP, rest.in[0], rest.p[0], rest.out[0], rest.in[1]);
    copy_columns(n, 1, STRIP, rest.out[0], cols, y + i);
    copy_columns(n, 1, STRIP, rest.in[1], cols, log_det + i);
}

void tw_loops_spline(const struct tw_spline *spline, int cols, const tw_real *x, const tw_real *p, tw_real *y,
                     tw_real *log_det)
{
    in_strips(forward, spline, cols, x, p, y, log_det);
}

void tw_loops_spline_inverse(const struct tw_spline *spline, int cols, const tw_real *y, const tw_real *p, tw_real *x,
                             tw_real *log_det)
{
    in_strips(inverse, spline, cols, y, p, x, log_det);
}

void tw_loops_spline_vjp(const struct tw_spline *spline, int cols, const tw_real *x, const tw_real *p,
                         const tw_real *gy, const tw_real *glog_det, tw_real *gx, tw_real *gp)
{
    int i = 0, n;
    for (; i + STRIP <= cols; i += STRIP)
        vjp(spline, cols, x + i, p + i, gy + i, glog_det + i, gx + i, gp + i);
    if ((n = cols - i) == 0)
        return;
    struct remainder rest;
    take_parameters(&rest, n, spline, cols, p + i);
    copy_columns(n, 1, cols, x + i, STRIP, rest.in[0]);
    copy_columns(n, 1, cols, gy + i, STRIP, rest.in[1]);
    copy_columns(n, 1, cols, glog_det + i, STRIP, rest.in[2]);
    vjp(spline, STRIP, rest.in[0], rest.p[0], rest.in[1], rest.in[2], rest.out[0], rest.gp[0]);
    copy_columns(n, 1, STRIP, rest.out[0], cols, gx + i);
    copy_columns(n, tw_spline_rows(spline), STRIP, rest.gp[0], cols, gp + i);
}
