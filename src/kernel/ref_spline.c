/* Monotonic rational-quadratic splines, one event at a time.
 *
 * Durkan et al. 2019 (arXiv:1906.04032). The bin that holds x has the corners (xl, yl) and (xr, yr) and the slopes d0,
 * d1 at its ends; with w = xr - xl, h = yr - yl, s = h/w, xi = (x - xl)/w, eta = 1 - xi:
 *
 *   N = s xi^2 + d0 xi eta         D = s (xi^2 + eta^2) + (d0 + d1) xi eta         P = d1 xi^2 + 2 s xi eta + d0 eta^2
 *   y = yl + h N/D                  (eq. 4)
 *   dy/dx = s^2 P / D^2             (eq. 5)
 *
 * D is eq. 4's denominator s + (d0 + d1 - 2s) xi eta as a sum of positive terms. The bins are found from edges rounded
 * to tw_real, and widths are differences of those edges: then x and y meet the same corners in both directions, which
 * is what makes the round trip exact to a few units in the last place.
 */
#include <tgmath.h>

#include "kernel/ref_spline.h"

struct bin {
    int k;
    tw_real xl, xr, yl, yr, d0, d1;
};

static tw_real softplus(tw_real x)
{
    return (x > 0 ? x : 0) + log1p(exp(-fabs(x)));
}

/* Sum over `bins` of exp(logit - max); *max is the largest logit. NaN anywhere gives NaN. */
static tw_real softmax_sum(const tw_real *logits, int bins, int cols, tw_real *max)
{
    *max = logits[0];
    for (int k = 1; k < bins; k++) {
        if (logits[(size_t)k * cols] > *max)
            *max = logits[(size_t)k * cols];
    }
    tw_real sum = 0;
    for (int k = 0; k < bins; k++)
        sum += exp(logits[(size_t)k * cols] - *max);
    return sum;
}

/* edge[0..bins] on [-bound, bound]; prob[k] is softmax(logits)_k. */
static void edges(const struct tw_spline *spline, const tw_real *logits, int cols, tw_real min, tw_real *edge,
                  tw_real *prob)
{
    tw_real max, sum = softmax_sum(logits, spline->bins, cols, &max);
    edge[0] = -spline->bound;
    for (int k = 0; k < spline->bins; k++) {
        prob[k] = exp(logits[(size_t)k * cols] - max) / sum;
        edge[k + 1] = edge[k] + 2 * spline->bound * (min + (1 - spline->bins * min) * prob[k]);
    }
    edge[spline->bins] = spline->bound; /* with NaN logits no inner edge is reached, and the first bin gives NaN */
}

/* The row of the logit that gives the slope at edge k, or -1 where the slope is 1 by definition. */
static int slope_row(const struct tw_spline *spline, int k)
{
    switch (spline->kind) {
    case TW_SPLINE_TAILS:
        return k == 0 || k == spline->bins ? -1 : 2 * spline->bins + k - 1;
    case TW_SPLINE_BOUNDED:
        return 2 * spline->bins + k;
    case TW_SPLINE_CIRCULAR:
        return 2 * spline->bins + k % spline->bins;
    }
    return -1;
}

static tw_real slope(const struct tw_spline *spline, int cols, const tw_real *p, int k)
{
    int row = slope_row(spline, k);
    return row < 0 ? 1 : spline->min_slope + softplus(p[(size_t)row * cols]);
}

/* The bin that holds x, or with `inverse` the one that holds y. p points to the event's column. */
static struct bin find_bin(const struct tw_spline *spline, int cols, const tw_real *p, tw_real at, bool inverse,
                           tw_real *prob_w, tw_real *prob_h)
{
    tw_real x_edge[65], y_edge[65];
    edges(spline, p, cols, spline->min_width, x_edge, prob_w);
    edges(spline, p + (size_t)spline->bins * cols, cols, spline->min_height, y_edge, prob_h);
    const tw_real *edge = inverse ? y_edge : x_edge;
    int k = 0;
    while (k + 1 < spline->bins && at >= edge[k + 1])
        k++;
    return (struct bin){k,
                        x_edge[k],
                        x_edge[k + 1],
                        y_edge[k],
                        y_edge[k + 1],
                        slope(spline, cols, p, k),
                        slope(spline, cols, p, k + 1)};
}

/* The representative in [-bound, bound). */
static tw_real wrap(const struct tw_spline *spline, tw_real x)
{
    tw_real period = 2 * spline->bound;
    tw_real r = x - period * rint(x / period);
    if (r < -spline->bound || r >= spline->bound) /* r = bound, or x too large to have a phase */
        r = -spline->bound;
    return r;
}

static bool outside(const struct tw_spline *spline, tw_real x)
{
    return fabs(x) > spline->bound;
}

/* Takes a coordinate to where bins are looked up; NaN stays NaN. */
static tw_real enter(const struct tw_spline *spline, tw_real x)
{
    if (spline->kind == TW_SPLINE_CIRCULAR)
        return wrap(spline, x);
    return x > spline->bound ? spline->bound : x < -spline->bound ? -spline->bound : x;
}

static tw_real slope_at(const struct bin *bin, tw_real xi, tw_real eta)
{
    tw_real s = (bin->yr - bin->yl) / (bin->xr - bin->xl);
    tw_real p = bin->d1 * xi * xi + 2 * s * xi * eta + bin->d0 * eta * eta;
    tw_real d = s * (xi * xi + eta * eta) + (bin->d0 + bin->d1) * xi * eta;
    return (s / d) * (s / d) * p;
}

/* h N/D: how far y is above the bin's lower corner */
static tw_real rise(const struct bin *bin, tw_real xi, tw_real eta)
{
    tw_real h = bin->yr - bin->yl, s = h / (bin->xr - bin->xl);
    tw_real n = s * xi * xi + bin->d0 * xi * eta;
    tw_real d = s * (xi * xi + eta * eta) + (bin->d0 + bin->d1) * xi * eta;
    return h * (n / d);
}

void tw_ref_spline(const struct tw_spline *spline, int cols, const tw_real *x, const tw_real *p, tw_real *y,
                   tw_real *log_det)
{
    tw_real prob_w[64], prob_h[64];
    for (int i = 0; i < cols; i++) {
        if (spline->kind == TW_SPLINE_TAILS && outside(spline, x[i])) {
            y[i] = x[i];
            continue;
        }
        tw_real at = enter(spline, x[i]);
        struct bin bin = find_bin(spline, cols, p + i, at, false, prob_w, prob_h);
        tw_real w = bin.xr - bin.xl, xi = (at - bin.xl) / w, eta = (bin.xr - at) / w;
        tw_real value = bin.yl + rise(&bin, xi, eta);
        log_det[i] += log(slope_at(&bin, xi, eta));
        y[i] = value > bin.yr ? bin.yr : value;
        if (spline->kind == TW_SPLINE_CIRCULAR)
            y[i] = wrap(spline, y[i] + p[(size_t)3 * spline->bins * cols + i]);
    }
}

static tw_real into_unit(tw_real xi)
{
    return xi < 0 ? 0 : xi > 1 ? 1 : xi;
}

/* Eqs. 6-8: a xi^2 + b xi + c = 0 with u = y - yl, e = u (d0 + d1 - 2s), b = h d0 - e, a = h s - b, c = -s u. Of the
 * root's two equal forms 2c/(-b-q) and (-b+q)/(2a) the one without cancellation is taken; a Newton step on eq. 4, whose
 * terms are all positive, then removes what rounding the discriminant cost. That is at most about sqrt(epsilon), so a
 * longer step comes from a slope near zero and is cut. */
static tw_real root(const struct bin *bin, tw_real u)
{
    tw_real h = bin->yr - bin->yl, s = h / (bin->xr - bin->xl);
    tw_real b = h * bin->d0 - u * (bin->d0 + bin->d1 - 2 * s), a = h * s - b, c = -s * u;
    tw_real square = b * b - 4 * a * c, q = sqrt(square < 0 ? 0 : square);
    tw_real xi = into_unit(b < 0 ? (q - b) / (2 * a) : 2 * c / (-b - q));
    tw_real step = (rise(bin, xi, 1 - xi) - u) / (slope_at(bin, xi, 1 - xi) * (bin->xr - bin->xl));
    tw_real longest = (tw_real)1e-3;
    return into_unit(xi - (step < -longest ? -longest : step > longest ? longest : step));
}

void tw_ref_spline_inverse(const struct tw_spline *spline, int cols, const tw_real *y, const tw_real *p, tw_real *x,
                           tw_real *log_det)
{
    tw_real prob_w[64], prob_h[64];
    for (int i = 0; i < cols; i++) {
        if (spline->kind == TW_SPLINE_TAILS && outside(spline, y[i])) {
            x[i] = y[i];
            continue;
        }
        tw_real at = enter(spline, y[i]);
        if (spline->kind == TW_SPLINE_CIRCULAR)
            at = wrap(spline, at - p[(size_t)3 * spline->bins * cols + i]);
        struct bin bin = find_bin(spline, cols, p + i, at, true, prob_w, prob_h);
        tw_real xi = root(&bin, at - bin.yl);
        tw_real value = bin.xl + xi * (bin.xr - bin.xl);
        log_det[i] -= log(slope_at(&bin, xi, 1 - xi));
        x[i] = value > bin.xr ? bin.xr : value;
        if (spline->kind == TW_SPLINE_CIRCULAR)
            x[i] = wrap(spline, x[i]);
    }
}

/* Gradients of gy y + gl log(dy/dx) with respect to a bin's numbers, with theta = xi eta, M = s eta^2 + d1 theta:
 *
 *   F = N/D:  F_xi = s P/D^2    F_s = theta (d1 xi^2 - d0 eta^2)/D^2    F_d0 = theta M/D^2    F_d1 = -theta N/D^2
 *   log dy/dx = 2 log s + log P - 2 log D, term by term
 *
 * then s = h/w and xi = (x - xl)/w by the chain rule. */
struct bin_gradient {
    tw_real x, w, h, d0, d1; /* w: moving the right edge alone; moving the bin as a whole changes y by -x */
};

static struct bin_gradient bin_vjp(const struct bin *bin, tw_real x, tw_real gy, tw_real gl)
{
    tw_real w = bin->xr - bin->xl, h = bin->yr - bin->yl, s = h / w, d0 = bin->d0, d1 = bin->d1;
    tw_real xi = (x - bin->xl) / w, eta = (bin->xr - x) / w, theta = xi * eta;
    tw_real n = s * xi * xi + d0 * theta, m = s * eta * eta + d1 * theta;
    tw_real d = s * (xi * xi + eta * eta) + (d0 + d1) * theta;
    tw_real p = d1 * xi * xi + 2 * s * theta + d0 * eta * eta;

    tw_real g_xi = gy * h * s * p / (d * d) +
                   gl * (2 * (d1 * xi - d0 * eta + s * (eta - xi)) / p - 2 * (d0 + d1 - 2 * s) * (eta - xi) / d);
    tw_real g_s = gy * h * theta * (d1 * xi * xi - d0 * eta * eta) / (d * d) +
                  gl * (2 / s + 2 * theta / p - 2 * (xi * xi + eta * eta) / d);
    struct bin_gradient g;
    g.x = g_xi / w;
    g.w = -(g_s * s + g_xi * xi) / w;
    g.h = gy * n / d + g_s / w;
    g.d0 = gy * h * theta * m / (d * d) + gl * (eta * eta / p - 2 * theta / d);
    g.d1 = -gy * h * theta * n / (d * d) + gl * (xi * xi / p - 2 * theta / d);
    return g;
}

/* Edge k is the sum of the widths before it, so a width left of the bin moves the whole bin (gradient `left`), the
 * bin's own moves its right edge (`own`), and those to the right do nothing. Softmax then gives
 * g_logit_j = 2 bound (1 - K min) prob_j (g_j - sum_i prob_i g_i). */
static void softmax_vjp(const struct tw_spline *spline, tw_real min, const tw_real *prob, int k, tw_real left,
                        tw_real own, int cols, tw_real *g_logits)
{
    tw_real mean = 0;
    for (int j = 0; j <= k; j++)
        mean += prob[j] * (j < k ? left : own);
    for (int j = 0; j < spline->bins; j++) {
        tw_real g = j < k ? left : j == k ? own : 0;
        g_logits[(size_t)j * cols] = 2 * spline->bound * (1 - spline->bins * min) * prob[j] * (g - mean);
    }
}

static void add_slope_gradient(const struct tw_spline *spline, int cols, const tw_real *p, int k, tw_real g,
                               tw_real *gp)
{
    int row = slope_row(spline, k);
    if (row >= 0) /* d softplus(s) / ds */
        gp[(size_t)row * cols] += g / (1 + exp(-p[(size_t)row * cols]));
}

void tw_ref_spline_vjp(const struct tw_spline *spline, int cols, const tw_real *x, const tw_real *p, const tw_real *gy,
                       const tw_real *glog_det, tw_real *gx, tw_real *gp)
{
    tw_real prob_w[64], prob_h[64];
    for (int i = 0; i < cols; i++) {
        for (int row = 0; row < tw_spline_rows(spline); row++)
            gp[(size_t)row * cols + i] = 0;
        if (spline->kind == TW_SPLINE_TAILS && outside(spline, x[i])) {
            gx[i] = gy[i];
            continue;
        }
        tw_real at = enter(spline, x[i]);
        struct bin bin = find_bin(spline, cols, p + i, at, false, prob_w, prob_h);
        struct bin_gradient g = bin_vjp(&bin, at, gy[i], glog_det[i]);
        bool clamped = spline->kind == TW_SPLINE_BOUNDED && outside(spline, x[i]);
        gx[i] = clamped ? 0 : g.x;
        softmax_vjp(spline, spline->min_width, prob_w, bin.k, -g.x, g.w, cols, gp + i);
        softmax_vjp(spline, spline->min_height, prob_h, bin.k, gy[i], g.h, cols, gp + (size_t)spline->bins * cols + i);
        add_slope_gradient(spline, cols, p + i, bin.k, g.d0, gp + i);
        add_slope_gradient(spline, cols, p + i, bin.k + 1, g.d1, gp + i);
        if (spline->kind == TW_SPLINE_CIRCULAR)
            gp[(size_t)3 * spline->bins * cols + i] = gy[i];
    }
}
