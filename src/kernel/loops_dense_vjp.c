/* Backward through a layer: the derivative of the activation and the sum for the bias in one pass, then two products.
 *
 * The product for the weights, gz x^T, goes over events, which are contiguous in both factors. x is turned over, square
 * by square in registers, into panels (events, STRIP) that stay in the first-level cache; then it is a product like any
 * other.
 */
#include <string.h>

#include "kernel/blas.h"
#include "kernel/loops.h"
#include "kernel/product.h"
#include "kernel/transpose.h"

#define DEPTH 256 /* events of a panel */

/* gz = gy act'(z), a vector of one row; `kept` is what tells act': its value, or y */
static inline __attribute__((always_inline)) vec bend(enum tw_activation act, vec gy, const tw_real *kept)
{
    vec y = act == TW_LINEAR ? (vec){0} : *(const vec *)(const void *)kept;
    switch (act) {
    case TW_LINEAR:
        return gy;
    case TW_RELU:
        return (vec)((lanes)gy & (y > 0));
    case TW_SILU:
        return gy * y;
    case TW_TANH:
        return gy * (1 - y * y);
    }
    return gy;
}

/* gz in place of gy, rows of it; sum[o] is the sum of row o by lanes */
static inline __attribute__((always_inline)) void bend_rows(enum tw_activation act, int rows, int cols,
                                                            const tw_real *kept, tw_real *gy, vec *sum)
{
    for (int o = 0; o < rows; o++) {
        vec s = {0};
        for (int i = 0; i < cols; i += LANES) {
            vec *at = (vec *)(void *)(gy + (size_t)o * (size_t)cols + i);
            vec g = bend(act, *at, kept + (size_t)o * (size_t)cols + i);
            if (act != TW_LINEAR)
                *at = g;
            s += g;
        }
        sum[o] = s;
    }
}

/* gz = gy act'(z), gb = [gb +] gz 1 */
static void activation_vjp(enum tw_activation act, int out, int cols, const tw_real *slope, const tw_real *y,
                           tw_real *gy, bool add, tw_real *gb)
{
    const tw_real *kept = act == TW_SILU ? slope : y;
    for (int o = 0; o < out; o += LANES) {
        int rows = out - o < LANES ? out - o : LANES;
        size_t at = (size_t)o * (size_t)cols;
        vec sum[LANES] = {0};
        switch (act) {
        case TW_LINEAR:
            if (gb)
                bend_rows(TW_LINEAR, rows, cols, NULL, gy + at, sum);
            break;
        case TW_RELU:
            bend_rows(TW_RELU, rows, cols, kept + at, gy + at, sum);
            break;
        case TW_SILU:
            bend_rows(TW_SILU, rows, cols, kept + at, gy + at, sum);
            break;
        case TW_TANH:
            bend_rows(TW_TANH, rows, cols, kept + at, gy + at, sum);
            break;
        }
        if (!gb)
            continue;
        vec total = sums(sum);
        for (int r = 0; r < rows; r++)
            gb[o + r] = (add ? gb[o + r] : 0) + total[r];
    }
}

void tw_loops_dense_vjp_blas(enum tw_activation act, int out, int in, int cols, const tw_real *w, const tw_real *x,
                             const tw_real *slope, const tw_real *y, tw_real *gy, unsigned add, tw_real *gw,
                             tw_real *gb, tw_real *gx)
{
    activation_vjp(act, out, cols, slope, y, gy, add & TW_ADD_PARAMS, gb);
    if (gw)
        tw_blas_gemm(false, true, out, in, cols, gy, cols, x, cols, add & TW_ADD_PARAMS ? 1 : 0, gw, in);
    if (gx)
        tw_blas_gemm(true, false, in, cols, out, w, in, gy, cols, add & TW_ADD_INPUT ? 1 : 0, gx, cols);
}

/* panel (n, STRIP) = the transpose of `rows` rows of x, n columns of them, zeros behind them to whole vectors */
static void turn(int rows, int n, int cols, const tw_real *x, tw_real *restrict panel)
{
    for (int j = 0; j < rows; j += LANES) {
        for (int i = 0; i < n; i += LANES) {
            vec square[LANES];
#pragma GCC unroll 16
            for (int r = 0; r < LANES; r++) {
                const tw_real *from = x + (size_t)(j + r) * (size_t)cols + i;
                square[r] = j + r < rows ? *(const vec *)(const void *)from : (vec){0};
            }
            transpose(square);
#pragma GCC unroll 16
            for (int r = 0; r < LANES; r++)
                *(vec *)(void *)(panel + (size_t)(i + r) * STRIP + j) = square[r];
        }
    }
}

#if BYTES == 64
/* Few columns, as in the first layer of a small flow, take half a vector each, which is all that some processors
 * compute at a time. */
#define NARROW (LANES / 2)
typedef tw_real half __attribute__((vector_size(BYTES / 2)));
typedef tw_real loose_half __attribute__((vector_size(BYTES / 2), aligned(sizeof(tw_real)), may_alias));

/* c (rows, n) = [c +] A B for n <= NARROW; as tile() in product_tile.h, and the sums start from 0 */
static inline __attribute__((always_inline)) void narrow(int rows, const struct factors *f, int n, tw_real *c,
                                                         size_t ldc)
{
    half sum[ROWS];
    const tw_real *b = f->b, *a[ROWS / 3 + 1];
    size_t row = f->row, next = f->next;
    for (int i = 0; i < rows; i += 3) {
        a[i / 3] = f->a + (size_t)i * row;
        HIDE(a[i / 3]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
        sum[i] = (half){0};
    for (int p = 0; p < f->k; p++, b += next) {
        half b0 = *(const loose_half *)b;
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++)
            sum[i] += a[i / 3][(size_t)(i % 3) * row] * b0;
        for (int i = 0; i < rows; i += 3)
            a[i / 3]++;
    }
    HIDE(c);
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++, c += ldc) {
        half start = {0};
        if (f->add)
            memcpy(&start, c, (size_t)n * sizeof *c);
        sum[i] += start;
        memcpy(c, &sum[i], (size_t)n * sizeof *c);
    }
}

static __attribute__((noinline)) void narrow_full(const struct factors *f, int n, tw_real *c, size_t ldc)
{
    if (n == NARROW)
        narrow(ROWS, f, NARROW, c, ldc);
    else
        narrow(ROWS, f, n, c, ldc);
}

static __attribute__((noinline)) void narrow_1(const struct factors *f, int n, tw_real *c, size_t ldc)
{
    narrow(1, f, n, c, ldc);
}

static void narrow_rows(int m, struct factors f, int n, tw_real *c, size_t ldc)
{
    for (int i = 0, rows; i < m; i += rows) {
        rows = m - i < ROWS ? 1 : ROWS;
        (rows == 1 ? narrow_1 : narrow_full)(&f, n, c + (size_t)i * ldc, ldc);
        f.a += (size_t)rows * f.row;
    }
}
#else
#define NARROW 0
static void narrow_rows(int m, struct factors f, int n, tw_real *c, size_t ldc)
{
}
#endif

/* gw (out, in) = [gw +] gz x^T */
static void weights_vjp(int out, int in, int cols, const tw_real *gz, const tw_real *x, bool add, tw_real *gw)
{
    tw_real panel[DEPTH * STRIP] __attribute__((aligned(64)));
    for (int j = 0; j < in; j += STRIP) {
        int n = in - j < STRIP ? in - j : STRIP;
        for (int i = 0; i < cols; i += DEPTH) {
            int events = cols - i < DEPTH ? cols - i : DEPTH;
            struct factors f = {.a = gz + i,
                                .row = (size_t)cols,
                                .step = 1,
                                .b = panel,
                                .next = STRIP,
                                .k = events,
                                .add = add || i > 0};
            turn(n, events, cols, x + (size_t)j * (size_t)cols + i, panel);
            if (n % LANES == 0)
                strip_rows(out, n / LANES, f, gw + j, (size_t)in);
            else if (n <= NARROW)
                narrow_rows(out, f, n, gw + j, (size_t)in);
            else
                tw_product(false, false, out, n, events, f.a, cols, panel, STRIP, f.add ? 1 : 0, gw + j, in);
        }
    }
}

void tw_loops_dense_vjp_own(enum tw_activation act, int out, int in, int cols, const tw_real *w, const tw_real *x,
                            const tw_real *slope, const tw_real *y, tw_real *gy, unsigned add, tw_real *gw, tw_real *gb,
                            tw_real *gx)
{
    activation_vjp(act, out, cols, slope, y, gy, add & TW_ADD_PARAMS, gb);
    if (gw)
        weights_vjp(out, in, cols, gy, x, add & TW_ADD_PARAMS, gw);
    if (gx)
        tw_product(true, false, in, cols, out, w, in, gy, cols, add & TW_ADD_INPUT ? 1 : 0, gx, cols);
}
