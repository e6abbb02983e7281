/* Finding the bins of a vector of events: what loops_spline.c and loops_spline_vjp.c begin with, and nobody else
 * includes.
 *
 * All of it is for one vector; where the number of bins is a constant the compiler keeps what belongs to a bin in
 * registers. Selects in place of branches: each lane is an event.
 */
#ifndef TW_KERNEL_LOOPS_BINS_H
#define TW_KERNEL_LOOPS_BINS_H

#include "kernel/kernel.h"
#include "kernel/vector_math.h"

#define BINS   64 /* kernel.h: at most */
#define INLINE static inline __attribute__((always_inline))

/* Makes a pointer one that the compiler knows nothing of, lest it keep one for each row. */
#define HIDE(pointer) __asm__("" : "+r"(pointer))

/* Pairs of vectors go through the stages side by side; vector j of a pair begins at column j * beside. One that is left
 * over goes through as both: in code of its own it might be rounded otherwise. */
#define PAIR    2
#define EACH(j) _Pragma("GCC unroll 2") for (int j = 0; j < PAIR; j++)

static inline int beside(int cols)
{
    return cols > LANES ? LANES : 0;
}

/* A partition of [-bound, bound]: size of bin k = least + scale e_k. */
struct partition {
    vec e[BINS], scale;
    tw_real least;
};

/* The bin that an event fell into. */
struct bin {
    vec at; /* the coordinate, brought into the interval */
    vec xl, xr, yl, yr;
    vec logit0, logit1; /* of the slopes at its ends, */
    vec t0, t1;         /* exp of minus their sizes */
    vec d0, d1;         /* the slopes */
    vec number;
    mask right_of[BINS]; /* from 1 on: whether it is not left of bin k */
};

/* e_k = exp(l_k - the largest), and their sum into the scale */
INLINE void partition(int bins, tw_real bound, tw_real min, size_t cols, const tw_real *logits, struct partition *part)
{
    const tw_real *row = logits;
    vec most = vec_load(row), sum = {0};
#pragma GCC unroll 8
    for (int k = 1; k < bins; k++) {
        row += cols;
        HIDE(row);
        most = vec_at_least(most, vec_load(row));
    }
    row = logits;
#pragma GCC unroll 8
    for (int k = 0; k < bins; k++) {
        part->e[k] = vec_exp_part(vec_at_least(vec_all(-87), vec_load(row) - most));
        sum += part->e[k];
        row += cols;
        HIDE(row);
    }
    part->scale = 2 * bound * (1 - (tw_real)bins * min) / sum;
    part->least = 2 * bound * min;
}

/* Where the logits of slopes are: at edge 0, at edge k (inner + k cols), and at the last edge. The tails' outer edges
 * have none; any row does, see slopes(). */
struct edges {
    const tw_real *first, *inner, *last;
};

INLINE struct edges edges(const struct tw_spline *spline, int bins, size_t cols, const tw_real *p)
{
    const tw_real *first = p + (size_t)(2 * bins) * cols, *last = first;
    bool tails = spline->kind == TW_SPLINE_TAILS;
    if (spline->kind == TW_SPLINE_BOUNDED)
        last += (size_t)bins * cols;
    return (struct edges){first, tails ? first - cols : first, last};
}

INLINE void exps(struct bin *bin)
{
    bin->t0 = vec_exp_neg(-vec_size(bin->logit0));
    bin->t1 = vec_exp_neg(-vec_size(bin->logit1));
}

/* Logits of the slopes at the ends to slopes. For the tails the outer slopes are 1. */
INLINE void slopes(const struct tw_spline *spline, int bins, struct bin *bin)
{
    bin->d0 = spline->min_slope + vec_softplus_of(bin->logit0, bin->t0);
    bin->d1 = spline->min_slope + vec_softplus_of(bin->logit1, bin->t1);
    if (spline->kind == TW_SPLINE_TAILS) {
        bin->d0 = vec_choose(bin->right_of[1], bin->d0, vec_all(1));
        bin->d1 = vec_choose(bin->right_of[bins - 1], vec_all(1), bin->d1);
    }
}

/* The bin of `at`, a coordinate x, or y if `inverse`: bin by bin, in order, an event moves into it unless it lies left
 * of it. Written as "not left of", so that NaN moves along and comes out as NaN. */
INLINE void find_bin(bool inverse, bool numbered, const struct tw_spline *spline, int bins, size_t cols,
                     const tw_real *p, struct partition *width, struct partition *height, struct bin *bin)
{
    partition(bins, spline->bound, spline->min_width, cols, p, width);
    partition(bins, spline->bound, spline->min_height, cols, p + (size_t)bins * cols, height);
    struct edges edge = edges(spline, bins, cols, p);
    const tw_real *row = edge.inner + cols;
    vec bound = vec_all(spline->bound), x1 = width->least - bound + width->scale * width->e[0];
    vec y1 = height->least - bound + height->scale * height->e[0], logit1 = vec_load(row);
    bin->xl = bin->yl = -bound;
    bin->xr = x1, bin->yr = y1, bin->logit0 = vec_load(edge.first), bin->logit1 = logit1;
    bin->number = vec_all(0);
#pragma GCC unroll 8
    for (int k = 1; k < bins; k++) {
        bool last = k == bins - 1;
        vec x0 = x1, y0 = y1, logit0 = logit1;
        row += cols;
        HIDE(row);
        x1 = last ? bound : x0 + (width->least + width->scale * width->e[k]);
        y1 = last ? bound : y0 + (height->least + height->scale * height->e[k]);
        logit1 = vec_load(last ? edge.last : row);
        mask take = vec_not_below(bin->at, inverse ? y0 : x0);
        bin->right_of[k] = take;
        bin->xl = vec_choose(take, x0, bin->xl);
        bin->xr = vec_choose(take, x1, bin->xr);
        bin->yl = vec_choose(take, y0, bin->yl);
        bin->yr = vec_choose(take, y1, bin->yr);
        bin->logit0 = vec_choose(take, logit0, bin->logit0);
        bin->logit1 = vec_choose(take, logit1, bin->logit1);
        if (numbered)
            bin->number = vec_choose(take, vec_all((tw_real)k), bin->number);
    }
}

/* The representative in [-bound, bound): -bound where there is none, as x is too large to have a phase. */
INLINE vec wrap(tw_real bound, vec x)
{
    vec r = x - 2 * bound * vec_round(x / (2 * bound)), low = (r - r) - bound; /* NaN where r is */
    return vec_choose(vec_not_below(r, vec_all(bound)), low, vec_at_least(vec_all(-bound), r));
}

/* The nearest number in [low, high]; NaN stays. */
INLINE vec into(vec x, tw_real low, tw_real high)
{
    return vec_at_most(vec_all(high), vec_at_least(vec_all(low), x));
}

/* Coordinates to where bins are looked up. */
INLINE vec enter(const struct tw_spline *spline, vec x)
{
    return spline->kind == TW_SPLINE_CIRCULAR ? wrap(spline->bound, x) : into(x, -spline->bound, spline->bound);
}

INLINE mask outside(const struct tw_spline *spline, vec x)
{
    return vec_below(vec_all(spline->bound), vec_size(x));
}

INLINE const tw_real *shift_row(const struct tw_spline *spline, size_t cols, const tw_real *p)
{
    return p + (size_t)(3 * spline->bins) * cols;
}

#endif
