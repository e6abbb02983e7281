/* Finding the bins of a strip of events: passes 1 and 2 of loops_spline.c, which includes this and nobody else does.
 */
#ifndef TW_KERNEL_LOOPS_BINS_H
#define TW_KERNEL_LOOPS_BINS_H

#include <stdbool.h>

#include "kernel/kernel.h"
#include "kernel/vmath.h"

#define STRIP 32 /* events in flight */
#define BINS  64 /* kernel.h: at most */
#define GROUP 4  /* bins a pass over the strip looks at */

/* One value an event. */
typedef tw_real strip[STRIP] __attribute__((aligned(64)));

/* The bin that an event fell into: corners, slopes, number. */
struct bins {
    strip at; /* the coordinate, brought into the interval */
    strip xl, xr, yl, yr, k;
    strip logit0, logit1; /* of the slopes at its ends */
    strip d0, d1;         /* the slopes */
};

/* A partition of [-bound, bound]: size of bin k = least + scale e_k. */
struct partition {
    strip e[BINS];
    strip scale;
    tw_real least;
};

/* The largest of `logits`, bin by bin in groups. */
static inline void largest(int bins, int cols, const tw_real *logits, tw_real *restrict max)
{
    for (int i = 0; i < STRIP; i++)
        max[i] = logits[i];
    int k = 1;
    for (; k + 3 <= bins; k += 3) {
        const tw_real *a = logits + (size_t)k * cols, *b = a + cols, *c = b + cols;
        for (int i = 0; i < STRIP; i++) {
            tw_real ab = a[i] > b[i] ? a[i] : b[i], cm = c[i] > max[i] ? c[i] : max[i];
            max[i] = ab > cm ? ab : cm;
        }
    }
    for (; k < bins; k++) {
        for (int i = 0; i < STRIP; i++) {
            tw_real a = logits[(size_t)k * cols + i];
            max[i] = a > max[i] ? a : max[i];
        }
    }
}

static inline void partition(const struct tw_spline *spline, tw_real min, int cols, const tw_real *logits,
                             struct partition *restrict part)
{
    strip max, sum;
    largest(spline->bins, cols, logits, max);
    for (int i = 0; i < STRIP; i++)
        sum[i] = 0;
    for (int k = 0; k < spline->bins; k++) {
        const tw_real *row = logits + (size_t)k * cols;
        tw_real *e = part->e[k];
        for (int i = 0; i < STRIP; i++) {
            e[i] = tw_vmath_exp_neg(row[i] - max[i]);
            sum[i] += e[i];
        }
    }
    tw_real period = 2 * spline->bound, rest = period * (1 - spline->bins * min);
    for (int i = 0; i < STRIP; i++)
        part->scale[i] = rest / sum[i];
    part->least = period * min;
}

/* The row of the logit for the slope at edge k. The tails' outer edges have none; any row does, see slopes(). */
static inline const tw_real *slope_row(const struct tw_spline *spline, int cols, const tw_real *p, int k)
{
    int row = k;
    if (spline->kind == TW_SPLINE_CIRCULAR)
        row = k % spline->bins;
    else if (spline->kind == TW_SPLINE_TAILS)
        row = k < 1 ? 0 : k < spline->bins ? k - 1 : spline->bins - 2;
    return p + (size_t)(2 * spline->bins + row) * cols;
}

/* Takes `group` bins from number `first` on, in order: an event moves into a bin unless it lies left of it. Written
 * as "not left of", so that NaN moves along and comes out as NaN. */
static inline __attribute__((always_inline)) void
walk_group(int group, int first, bool inverse, const struct tw_spline *spline, int cols, const tw_real *p,
           const struct partition *restrict width, const struct partition *restrict height, tw_real *restrict x_edge,
           tw_real *restrict y_edge, struct bins *restrict bins)
{
    const tw_real *logits[GROUP + 1];
    for (int g = 0; g <= group; g++)
        logits[g] = slope_row(spline, cols, p, first + g);
    tw_real least_w = width->least, least_h = height->least;
    for (int i = 0; i < STRIP; i++) {
        tw_real at = bins->at[i], xl = bins->xl[i], xr = bins->xr[i], yl = bins->yl[i], yr = bins->yr[i];
        tw_real l0 = bins->logit0[i], l1 = bins->logit1[i], k = bins->k[i];
        tw_real x0 = x_edge[i], y0 = y_edge[i];
#pragma GCC unroll 4
        for (int g = 0; g < group; g++) {
            tw_real x1 = x0 + (least_w + width->scale[i] * width->e[first + g][i]);
            tw_real y1 = y0 + (least_h + height->scale[i] * height->e[first + g][i]);
            tw_real s0 = logits[g][i], s1 = logits[g + 1][i];
            bool take = !(at < (inverse ? y0 : x0));
            xl = take ? x0 : xl;
            xr = take ? x1 : xr;
            yl = take ? y0 : yl;
            yr = take ? y1 : yr;
            l0 = take ? s0 : l0;
            l1 = take ? s1 : l1;
            k = take ? (tw_real)(first + g) : k;
            x0 = x1;
            y0 = y1;
        }
        bins->xl[i] = xl, bins->xr[i] = xr, bins->yl[i] = yl, bins->yr[i] = yr;
        bins->logit0[i] = l0, bins->logit1[i] = l1, bins->k[i] = k;
        x_edge[i] = x0, y_edge[i] = y0;
    }
}

/* Logits of the chosen slopes to slopes, the last edge to the bound. For the tails the outer slopes are 1. */
static inline void slopes(const struct tw_spline *spline, struct bins *restrict bins)
{
    tw_real last = (tw_real)(spline->bins - 1), bound = spline->bound, min = spline->min_slope;
    for (int i = 0; i < STRIP; i++) {
        bins->xr[i] = bins->k[i] == last ? bound : bins->xr[i];
        bins->yr[i] = bins->k[i] == last ? bound : bins->yr[i];
        bins->d0[i] = min + tw_vmath_softplus(bins->logit0[i]);
        bins->d1[i] = min + tw_vmath_softplus(bins->logit1[i]);
    }
    if (spline->kind != TW_SPLINE_TAILS)
        return;
    for (int i = 0; i < STRIP; i++) {
        bins->d0[i] = bins->k[i] == 0 ? 1 : bins->d0[i];
        bins->d1[i] = bins->k[i] == last ? 1 : bins->d1[i];
    }
}

/* Finds the bins of bins->at, a coordinate x, or y if `inverse`. */
static inline void find_bins(bool inverse, const struct tw_spline *spline, int cols, const tw_real *p,
                             struct partition *restrict width, struct partition *restrict height,
                             struct bins *restrict bins)
{
    strip x_edge, y_edge;
    partition(spline, spline->min_width, cols, p, width);
    partition(spline, spline->min_height, cols, p + (size_t)spline->bins * cols, height);
    for (int i = 0; i < STRIP; i++) {
        x_edge[i] = y_edge[i] = -spline->bound;
        bins->xl[i] = bins->xr[i] = bins->yl[i] = bins->yr[i] = bins->logit0[i] = bins->logit1[i] = bins->k[i] = 0;
    }
    int k = 0;
    for (; k + GROUP <= spline->bins; k += GROUP)
        walk_group(GROUP, k, inverse, spline, cols, p, width, height, x_edge, y_edge, bins);
    for (; k < spline->bins; k++)
        walk_group(1, k, inverse, spline, cols, p, width, height, x_edge, y_edge, bins);
}

#endif
