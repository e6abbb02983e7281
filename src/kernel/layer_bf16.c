/* Layers whose factors are bfloat16 and whose sums are float32 (vdpbf16ps): twice the products of layer.c in the same
 * time. Compiled for processors that have it, in float32 only.
 *
 * bfloat16 keeps 8 bits of a number, so a weight or an activation moves by up to 2^-9 of itself. What comes in from
 * outside (coordinates and conditions: few inputs) is therefore multiplied in float32, which costs little, and splines
 * and densities are float32 as ever: a flow stays an exact density with exact samples, of a neighbour of the network
 * that was asked for.
 *
 * vdpbf16ps adds two products to a lane, so factors lie in pairs: (w[2p], w[2p+1]) of a row, (x[2p], x[2p+1]) of a
 * column. As in layer.c the order of a sum depends on nothing else, and a column on no other.
 */
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "kernel/layer.h"

#ifndef TW_REAL_IS_DOUBLE

enum {
    LANES = 16,
    STRIP = 2 * LANES, /* columns that a tile computes */
    GROUP = 4 * STRIP, /* columns for which a weight is converted once */
    ROWS = 12,         /* of a tile: 24 of 32 registers for sums */
    DEPTH = 256,       /* pairs that are in a panel: 32 KiB a strip */
    ABREAST = 12,      /* vectors of outputs of a single event */
    FEW = 32,          /* inputs: fewer than that come from outside */
};

typedef uint32_t pair;

/* Vectors of the numbers behind each other in memory or in two rows -> their pairs. */
static inline __m512i behind(__m512 first, __m512 second)
{
    return (__m512i)_mm512_cvtne2ps_pbh(second, first);
}

static inline __m512i interleaved(__m512 even, __m512 odd)
{
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                           21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(order, behind(even, odd));
}

/* The first n (any number) of the 16 numbers at x, zeros behind them. */
static inline __m512 some(int n, const float *x)
{
    __mmask16 mask = n >= LANES ? 0xffff : n <= 0 ? 0 : (__mmask16)((1u << n) - 1);
    return _mm512_maskz_loadu_ps(mask, x);
}

/* a (rows, DEPTH) = pairs of k numbers of each row of W */
static void pack_rows(int rows, int k, const float *w, int in, pair *a)
{
    for (int r = 0; r < rows; r++, w += in, a += DEPTH) {
        for (int p = 0; p < k; p += STRIP)
            _mm512_store_si512(a + p / 2, behind(some(k - p, w + p), some(k - p - LANES, w + p + LANES)));
    }
}

/* panel (pairs, STRIP) = those of k rows of x, `width` columns */
static void pack_columns(int k, int width, const float *x, int cols, pair *panel)
{
    for (int p = 0; p < k; p += 2, x += 2 * cols, panel += STRIP) {
        for (int c = 0; c < width; c += LANES) {
            __m512 odd = p + 1 < k ? _mm512_loadu_ps(x + cols + c) : _mm512_setzero_ps();
            _mm512_store_si512(panel + c, interleaved(_mm512_loadu_ps(x + c), odd));
        }
    }
}

struct factors {
    const pair *a, *b; /* (rows, DEPTH), (pairs, STRIP) */
    int pairs;
    bool add;          /* C starts from what it is, */
    const float *bias; /* else from one number a row */
    bool relu;
};

/* c (rows, vectors * LANES) = start + A B */
static inline __attribute__((always_inline)) void tile(int rows, int vectors, const struct factors *f, float *c,
                                                       size_t ldc)
{
    __m512 sum[ROWS][2];
    const pair *a = f->a, *b = f->b;
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < vectors; j++)
            sum[i][j] = f->add ? _mm512_loadu_ps(c + (size_t)i * ldc + (size_t)j * LANES) : _mm512_set1_ps(f->bias[i]);
    }
    for (int p = 0; p < f->pairs; p++, b += STRIP) {
        __m512bh b0 = (__m512bh)_mm512_load_si512(b), b1 = (__m512bh)_mm512_load_si512(b + LANES);
#pragma GCC unroll 12
        for (int i = 0; i < rows; i++) {
            __m512bh x = (__m512bh)_mm512_set1_epi32((int)a[i * DEPTH + p]);
            sum[i][0] = _mm512_dpbf16_ps(sum[i][0], x, b0);
            if (vectors > 1)
                sum[i][1] = _mm512_dpbf16_ps(sum[i][1], x, b1);
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < vectors; j++) {
            /* the second operand where one of them is NaN */
            __m512 y = f->relu ? _mm512_max_ps(_mm512_setzero_ps(), sum[i][j]) : sum[i][j];
            _mm512_storeu_ps(c + (size_t)i * ldc + (size_t)j * LANES, y);
        }
    }
}

/* One function a shape, so that the compiler keeps its sums in registers. */
#define SHAPE(rows)                                                                                                    \
    static __attribute__((noinline)) void tile_##rows##_1(const struct factors *f, float *c, size_t ldc)               \
    {                                                                                                                  \
        tile(rows, 1, f, c, ldc);                                                                                      \
    }                                                                                                                  \
    static __attribute__((noinline)) void tile_##rows##_2(const struct factors *f, float *c, size_t ldc)               \
    {                                                                                                                  \
        tile(rows, 2, f, c, ldc);                                                                                      \
    }
SHAPE(1)
SHAPE(2)
SHAPE(4)
SHAPE(8)
SHAPE(12)

static const struct shape {
    int rows;
    void (*run[2])(const struct factors *, float *, size_t);
} shapes[] = {{12, {tile_12_1, tile_12_2}},
              {8, {tile_8_1, tile_8_2}},
              {4, {tile_4_1, tile_4_2}},
              {2, {tile_2_1, tile_2_2}},
              {1, {tile_1_1, tile_1_2}}};

/* The tallest that fits. */
static const struct shape *shape_of(int rows)
{
    const struct shape *shape = shapes;
    while (shape->rows > rows)
        shape++;
    return shape;
}

/* Columns of y, at most GROUP of them; y and x are their first. */
static void group(enum tw_activation act, int out, int in, int width, int cols, const float *w, const float *b,
                  const float *x, float *slope, float *y)
{
    pair panels[GROUP / STRIP][DEPTH * STRIP] __attribute__((aligned(64)));
    pair a[ROWS * DEPTH] __attribute__((aligned(64)));
    for (int k = 0, depth; k < in; k += depth) {
        bool last = in - k <= 2 * DEPTH;
        depth = last ? in - k : 2 * DEPTH;
        for (int j = 0; j < width; j += STRIP)
            pack_columns(depth, width - j < STRIP ? width - j : STRIP, x + (size_t)k * (size_t)cols + j, cols,
                         panels[j / STRIP]);
        for (int o = 0, rows; o < out; o += rows) {
            const struct shape *shape = shape_of(out - o);
            struct factors f = {
                .a = a, .pairs = (depth + 1) / 2, .add = k > 0, .bias = b + o, .relu = last && act == TW_RELU};
            rows = shape->rows;
            pack_rows(rows, depth, w + (size_t)o * (size_t)in + k, in, a);
            for (int j = 0; j < width; j += STRIP) {
                f.b = panels[j / STRIP];
                shape->run[width - j > LANES](&f, y + (size_t)o * (size_t)cols + j, (size_t)cols);
            }
            for (int r = o; last && r < o + rows; r++) {
                size_t at = (size_t)r * (size_t)cols;
                tw_layer_bend(act, (size_t)width, slope ? slope + at : NULL, y + at);
            }
        }
    }
}

void tw_layer_bf16_dense(enum tw_activation act, int out, int in, int cols, const tw_real *w, const tw_real *b,
                         const tw_real *x, tw_real *slope, tw_real *y)
{
    if (in < FEW) {
        tw_layer_dense(act, out, in, cols, w, b, x, slope, y);
        return;
    }
    for (int j = 0; j < cols; j += GROUP)
        group(act, out, in, cols - j < GROUP ? cols - j : GROUP, cols, w, b, x + j, slope ? slope + j : NULL, y + j);
}

/* z (vectors * LANES) += W^T x, of some outputs of a single event. */
static inline __attribute__((always_inline)) void outputs(int vectors, int in, const float *turned, size_t stride,
                                                          const float *x, float *z)
{
    __m512 sum[ABREAST];
#pragma GCC unroll 12
    for (int v = 0; v < vectors; v++)
        sum[v] = _mm512_load_ps(z + v * LANES);
    for (int k = 0; k < in; k += 2, turned += 2 * stride) {
        bool both = k + 1 < in;
        __m512 odd = _mm512_set1_ps(both ? x[k + 1] : 0);
        __m512bh factor = (__m512bh)interleaved(_mm512_set1_ps(x[k]), odd);
#pragma GCC unroll 12
        for (int v = 0; v < vectors; v++) {
            const float *row = turned + v * LANES;
            __m512 next = both ? _mm512_load_ps(row + stride) : _mm512_setzero_ps();
            sum[v] = _mm512_dpbf16_ps(sum[v], (__m512bh)interleaved(_mm512_load_ps(row), next), factor);
        }
    }
#pragma GCC unroll 12
    for (int v = 0; v < vectors; v++)
        _mm512_store_ps(z + v * LANES, sum[v]);
}

void tw_layer_bf16_single(enum tw_activation act, int out, int in, const tw_real *turned, const tw_real *b,
                          const tw_real *x, tw_real *y)
{
    float z[ABREAST * LANES] __attribute__((aligned(64))) = {0};
    size_t stride = tw_kernels_turned(out);
    if (in < FEW) {
        tw_layer_single(act, out, in, turned, b, x, y);
        return;
    }
    for (int o = 0, n; o < out; o += n, turned += n) {
        int vectors = ((int)stride - o) / LANES;
        n = out - o;
        if (vectors >= ABREAST) {
            n = n < ABREAST * LANES ? n : ABREAST * LANES;
            memcpy(z, b + o, (size_t)n * sizeof *z);
            outputs(ABREAST, in, turned, stride, x, z);
        } else {
            n = n < LANES ? n : LANES;
            memcpy(z, b + o, (size_t)n * sizeof *z);
            outputs(1, in, turned, stride, x, z);
        }
        tw_layer_bend(act, ABREAST * LANES, NULL, z);
        memcpy(y + o, z, (size_t)n * sizeof *y);
    }
}

#endif
