/* y = act(W x + b) with products of our own: the bias is what the sums start from, and ReLU is taken of them while they
 * are in registers. Activations that take longer go over a strip of columns that is still in the first-level cache.
 *
 * Every element is one sum b, + w_0 x_0, + w_1 x_1, ... of fused multiply-adds in one lane, in a block of any number of
 * columns as for a single one: which lanes are side by side, events or outputs, is all that differs.
 */
#include <string.h>

#include "kernel/layer.h"
#include "kernel/product_tile.h"
#include "kernel/vector_math.h"

#define DEPTH   512  /* of a panel: at most 64 KiB */
#define NEAR    4096 /* values that may lie about with gaps and still be in the first-level cache */
#define ABREAST 12   /* vectors of outputs of a single event */

static void silu(size_t n, tw_real *y)
{
    for (size_t i = 0; i < n; i += LANES) {
        vec z = vec_load(y + i);
        vec_store(z * vec_gate(z), y + i);
    }
}

static void silu_slope(size_t n, tw_real *slope, tw_real *y)
{
    for (size_t i = 0; i < n; i += LANES) {
        vec z = vec_load(y + i), sigmoid = vec_gate(z);
        vec_store(sigmoid * (1 + z * (1 - sigmoid)), slope + i);
        vec_store(z * sigmoid, y + i);
    }
}

static void hyperbolic(size_t n, tw_real *restrict y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = tw_vmath_tanh(y[i]);
}

static void rectify(size_t n, tw_real *restrict y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = y[i] < 0 ? 0 : y[i];
}

void tw_layer_bend(enum tw_activation act, size_t n, tw_real *slope, tw_real *y)
{
    switch (act) {
    case TW_LINEAR:
        break;
    case TW_RELU:
        rectify(n, y);
        break;
    case TW_SILU:
        if (slope)
            silu_slope(n, slope, y);
        else
            silu(n, y);
        break;
    case TW_TANH:
        hyperbolic(n, y);
        break;
    }
}

FIRST(first_1, 1, PACK, TW_LINEAR)
FIRST(first_2, 2, PACK, TW_LINEAR)

/* Columns j .. j + width of z = W x + b, or of its positive part. */
static void strip(bool relu, int out, int in, int cols, int j, int width, const tw_real *w, const tw_real *b,
                  const tw_real *x, tw_real *z)
{
    tw_real panel[DEPTH * STRIP] __attribute__((aligned(64)));
    int p = 0;
    do {
        int depth = in - p < DEPTH ? in - p : DEPTH;
        struct factors f = {
            .a = w + p,
            .row = (size_t)in,
            .step = 1,
            .k = depth,
            .add = p > 0,
            .bias = p > 0 ? NULL : b,
            .b = x + (size_t)p * (size_t)cols + j,
            .next = (size_t)cols,
            .relu = relu && p + depth == in,
            .ahead = w + p + ROWS * (size_t)in,
            .pace = ROWS,
            .leap = ROWS * (size_t)in,
            .far = cols > STRIP,
        };
        int done = 0;
        if (cols > STRIP && depth * cols > NEAR && out >= ROWS) {
            struct errands e = {.panel = panel};
            (width == STRIP ? first_2 : first_1)(&f, &e, z + j, (size_t)cols);
            f = below_first(f, &e);
            done = ROWS;
        }
        strip_rows(out - done, width / LANES, f, z + (size_t)done * (size_t)cols + j, (size_t)cols);
        p += depth;
    } while (p < in);
}

void tw_layer_dense(enum tw_activation act, int out, int in, int cols, const tw_real *w, const tw_real *b,
                    const tw_real *x, tw_real *slope, tw_real *y)
{
    bool straight = act == TW_LINEAR || act == TW_RELU; /* the tiles see to it */
    for (int j = 0; j < cols; j += STRIP) {
        int width = cols - j < STRIP ? cols - j : STRIP;
        strip(act == TW_RELU, out, in, cols, j, width, w, b, x, y);
        if (straight)
            continue;
        if (width == cols)
            tw_layer_bend(act, (size_t)out * (size_t)cols, slope, y);
        for (int o = 0; o < out && width < cols; o++) {
            size_t at = (size_t)o * (size_t)cols + (size_t)j;
            tw_layer_bend(act, (size_t)width, slope ? slope + at : NULL, y + at);
        }
    }
}

/* z (vectors * LANES) += W^T x: some outputs of a single event. */
static inline __attribute__((always_inline)) void outputs(int vectors, int in, const tw_real *turned, size_t stride,
                                                          const tw_real *x, tw_real *z)
{
    vec sum[ABREAST];
#pragma GCC unroll 12
    for (int v = 0; v < vectors; v++)
        sum[v] = *(const vec *)(const void *)(z + v * LANES);
    for (int p = 0; p < in; p++, turned += stride) {
#pragma GCC unroll 12
        for (int v = 0; v < vectors; v++)
            sum[v] += *(const vec *)(const void *)(turned + v * LANES) * x[p];
    }
#pragma GCC unroll 12
    for (int v = 0; v < vectors; v++)
        *(vec *)(void *)(z + v * LANES) = sum[v];
}

void tw_layer_single(enum tw_activation act, int out, int in, const tw_real *turned, const tw_real *b, const tw_real *x,
                     tw_real *y)
{
    tw_real z[ABREAST * LANES] __attribute__((aligned(64))) = {0};
    size_t stride = tw_kernels_turned(out);
    for (int o = 0, n; o < out; o += n, turned += n) {
        int vectors = ((int)stride - o) / LANES;
        n = out - o < ABREAST * LANES ? out - o : ABREAST * LANES;
        memcpy(z, b + o, (size_t)n * sizeof *z);
        if (vectors >= ABREAST) {
            outputs(ABREAST, in, turned, stride, x, z);
        } else if (vectors >= 8) {
            outputs(8, in, turned, stride, x, z);
            n = n < 8 * LANES ? n : 8 * LANES;
        } else if (vectors >= 4) {
            outputs(4, in, turned, stride, x, z);
            n = n < 4 * LANES ? n : 4 * LANES;
        } else {
            outputs(1, in, turned, stride, x, z);
            n = n < LANES ? n : LANES;
        }
        tw_layer_bend(act, ABREAST * LANES, NULL, z);
        memcpy(y + o, z, (size_t)n * sizeof *y);
    }
}
