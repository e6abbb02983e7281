/* Backward through a layer: the derivative of the activation and the sum for the bias in one pass, then two products.
 *
 * The product for the weights, gz x^T, goes over events, which are contiguous in both factors. x is turned over, square
 * by square in registers, into panels (events, STRIP) that stay in the first-level cache; then it is a product like any
 * other.
 */
#include "kernel/blas.h"
#include "kernel/loops.h"
#include "kernel/product.h"
#include "kernel/transpose.h"

#define STRIP TW_PRODUCT_STRIP
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
            for (int r = 0; r < LANES; r++)
                square[r] =
                    j + r < rows ? *(const vec *)(const void *)(x + (size_t)(j + r) * (size_t)cols + i) : (vec){0};
            transpose(square);
#pragma GCC unroll 16
            for (int r = 0; r < LANES; r++)
                *(vec *)(void *)(panel + (size_t)(i + r) * STRIP + j) = square[r];
        }
    }
}

/* gw (out, in) = [gw +] gz x^T */
static void weights_vjp(int out, int in, int cols, const tw_real *gz, const tw_real *x, bool add, tw_real *gw)
{
    tw_real panel[DEPTH * STRIP] __attribute__((aligned(64)));
    for (int i = 0; i < cols; i += DEPTH) {
        int n = cols - i < DEPTH ? cols - i : DEPTH;
        for (int j = 0; j < in; j += STRIP) {
            int rows = in - j < STRIP ? in - j : STRIP;
            turn(rows, n, cols, x + (size_t)j * (size_t)cols + i, panel);
            tw_product(false, false, out, rows, n, gz + i, cols, panel, STRIP, add || i > 0 ? 1 : 0, gw + j, in);
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
