/* Squares of LANES vectors turned over in registers, for the gradients of a layer: loops_dense_vjp.c includes this and
 * nobody else does. */
#ifndef TW_KERNEL_TRANSPOSE_H
#define TW_KERNEL_TRANSPOSE_H

#include "kernel/product_tile.h"

/* Lanes of two vectors a, b side by side, for an exchange at distance s: what becomes of a takes the lanes of b, s to
 * the left, where bit s is set; what becomes of b those of a, s to the right, where it is not. */
#define LOW(j, s)     ((j) & (s) ? LANES + (j) - (s) : (j))
#define HIGH(j, s)    ((j) & (s) ? LANES + (j) : (j) + (s))
#define ROW4(f, j, s) f(j, s), f(j + 1, s), f(j + 2, s), f(j + 3, s)
#define ROW16(f, s)                                                                                                    \
    {                                                                                                                  \
        ROW4(f, 0, s), ROW4(f, 4, s), ROW4(f, 8, s), ROW4(f, 12, s)                                                    \
    } /* the first LANES are used */

static const lane exchange[4][2][16] __attribute__((aligned(64))) = {
    {ROW16(LOW, 1), ROW16(HIGH, 1)},
    {ROW16(LOW, 2), ROW16(HIGH, 2)},
    {ROW16(LOW, 4), ROW16(HIGH, 4)},
    {ROW16(LOW, 8), ROW16(HIGH, 8)},
};

static inline lanes exchange_lanes(int step, int side)
{
    return *(const lanes *)(const void *)exchange[step][side];
}

/* Lane j of the result is lane which[j] of a and b side by side. clang, which the fuzzers use, has no shuffle by a
 * vector. */
static inline __attribute__((always_inline)) vec pick(vec a, vec b, lanes which)
{
#ifdef __clang__
    vec out;
    for (int j = 0; j < LANES; j++)
        out[j] = which[j] < LANES ? a[which[j]] : b[which[j] - LANES];
    return out;
#else
    return __builtin_shuffle(a, b, which);
#endif
}

/* v[i][j] <-> v[j][i]: blocks off the diagonal are exchanged, of 1, 2, 4, ... lanes (Eklundh 1972). */
static inline __attribute__((always_inline)) void transpose(vec *v)
{
#pragma GCC unroll 4
    for (int step = 0; 1 << step < LANES; step++) {
        lanes low = exchange_lanes(step, 0), high = exchange_lanes(step, 1);
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++) {
            int k = i | 1 << step;
            if (k == i)
                continue;
            vec a = v[i], b = v[k];
            v[i] = pick(a, b, low);
            v[k] = pick(a, b, high);
        }
    }
}

/* Lane i is the sum over the lanes of v[i], in an order that is always the same: at each step half as many vectors hold
 * two sums side by side that were one above the other. */
static inline __attribute__((always_inline)) vec sums(vec *v)
{
#pragma GCC unroll 4
    for (int step = 0; 1 << step < LANES; step++) {
        lanes low = exchange_lanes(step, 0), high = exchange_lanes(step, 1);
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i += 2 << step) {
            vec a = v[i], b = v[i | 1 << step];
            v[i] = pick(a, b, low) + pick(a, b, high);
        }
    }
    return v[0];
}

#endif
