/* Backward through a layer: two products. The first, for the inputs, has the derivative of the activation and the sum
 * for the bias done by the way (product_tile.h); where it is not wanted, or too small, they are a pass.
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
#define DEEP  512 /* outputs of a panel */

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

/* gb (rows) = [gb +] the sums over the lanes of `sum` (LANES), which is lost */
static void put_sums(int rows, vec *sum, bool add, tw_real *gb)
{
    vec total = sums(sum);
    for (int r = 0; r < LANES && r < rows; r++)
        gb[r] = (add ? gb[r] : 0) + total[r];
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
        put_sums(rows, sum, add, gb + o);
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

/* panel (n, LANES of STRIP) = the transpose of so many rows of x, n columns of them; zeros for those that lack */
static inline __attribute__((always_inline)) void turn_some(int rows, int n, int cols, const tw_real *x, tw_real *panel)
{
    for (int i = 0; i < n; i += LANES) {
        const tw_real *row = x + i;
        vec square[LANES];
#pragma GCC unroll 16
        for (int r = 0; r < LANES; r++) {
            square[r] = r < rows ? vec_load(row) : (vec){0};
            row += cols;
            HIDE(row);
        }
        transpose(square);
#pragma GCC unroll 16
        for (int r = 0; r < LANES; r++)
            *(vec *)(void *)(panel + (size_t)(i + r) * STRIP) = square[r];
    }
}

/* panel (n, STRIP) = the transpose of `rows` rows of x, n columns of them, zeros behind them to whole vectors */
static void turn(int rows, int n, int cols, const tw_real *x, tw_real *panel)
{
    for (int j = 0; j < rows; j += LANES, x += (size_t)LANES * (size_t)cols, panel += LANES) {
        if (rows - j >= LANES)
            turn_some(LANES, n, cols, x, panel);
        else
            turn_some(rows - j, n, cols, x, panel);
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
                                .add = add || i > 0,
                                .ahead = gz + i + ROWS * (size_t)cols,
                                .pace = ROWS,
                                .leap = ROWS * (size_t)cols,
                                .far = true};
            ask(ROWS, 2, gw + j, (size_t)in);
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

FIRST(linear_1, 1, BEND, TW_LINEAR)
FIRST(linear_2, 2, BEND, TW_LINEAR)
FIRST(relu_1, 1, BEND, TW_RELU)
FIRST(relu_2, 2, BEND, TW_RELU)
FIRST(silu_1, 1, BEND, TW_SILU)
FIRST(silu_2, 2, BEND, TW_SILU)
FIRST(tanh_1, 1, BEND, TW_TANH)
FIRST(tanh_2, 2, BEND, TW_TANH)

/* What the tiles of strip j of gx ask for: in the first strip the weights of the next tile, as these lie in a line of
 * each row; in the others the layer's input, in equal parts, which weights_vjp() turns over next. */
static void look_ahead(struct factors *f, int in, int cols, int j, const tw_real *x)
{
    if (j == 0) {
        f->ahead = f->a + 64 / sizeof *x;
        f->pace = (size_t)in;
        f->leap = ROWS;
    } else {
        int steps = (cols - 1) / STRIP * f->k; /* of a tile, in all those strips */
        f->pace = (size_t)(ROWS * cols / steps + 1);
        f->leap = (size_t)f->k * f->pace;
        f->ahead = x + (size_t)((j / STRIP - 1) * (in / ROWS)) * f->leap;
    }
}

/* gz = gy act'(z), gb = [gb +] gz 1, gx (in, cols) = [gx +] W^T gz for in >= ROWS */
static void inputs_vjp(enum tw_activation act, int out, int in, int cols, const tw_real *w, const tw_real *x,
                       const tw_real *kept, tw_real *gy, unsigned add, tw_real *gb, tw_real *gx)
{
    static first_tile *const first[][2] = {
        [TW_LINEAR] = {linear_1, linear_2},
        [TW_RELU] = {relu_1, relu_2},
        [TW_SILU] = {silu_1, silu_2},
        [TW_TANH] = {tanh_1, tanh_2},
    };
    tw_real panel[DEEP * STRIP] __attribute__((aligned(64)));
    vec sum[DEEP];
    for (int p = 0; p < out; p += DEEP) {
        int depth = out - p < DEEP ? out - p : DEEP;
        memset(sum, 0, (size_t)(depth + LANES - 1) / LANES * LANES * sizeof *sum);
        for (int j = 0; j < cols; j += STRIP) {
            int vectors = cols - j < STRIP ? 1 : 2;
            size_t at = (size_t)p * (size_t)cols + (size_t)j;
            struct factors f = {.a = w + (size_t)p * (size_t)in,
                                .row = 1,
                                .step = (size_t)in,
                                .b = gy + at,
                                .next = (size_t)cols,
                                .k = depth,
                                .add = p > 0 || add & TW_ADD_INPUT,
                                .far = true};
            look_ahead(&f, in, cols, j, x);
            struct errands e = {.panel = panel, .gy = gy + at, .kept = kept + at, .sums = sum};
            first[act][vectors - 1](&f, &e, gx + j, (size_t)cols);
            strip_rows(in - ROWS, vectors, below_first(f, &e), gx + ROWS * (size_t)cols + j, (size_t)cols);
        }
        for (int o = 0; gb && o < depth; o += LANES)
            put_sums(depth - o, sum + o, add & TW_ADD_PARAMS, gb + p + o);
    }
}

void tw_loops_dense_vjp_own(enum tw_activation act, int out, int in, int cols, const tw_real *w, const tw_real *x,
                            const tw_real *slope, const tw_real *y, tw_real *gy, unsigned add, tw_real *gw, tw_real *gb,
                            tw_real *gx)
{
    bool together = gx && in >= ROWS;
    if (together)
        inputs_vjp(act, out, in, cols, w, x, act == TW_SILU ? slope : y, gy, add, gb, gx);
    else
        activation_vjp(act, out, cols, slope, y, gy, add & TW_ADD_PARAMS, gb);
    if (gw)
        weights_vjp(out, in, cols, gy, x, add & TW_ADD_PARAMS, gw);
    if (gx && !together)
        tw_product(true, false, in, cols, out, w, in, gy, cols, add & TW_ADD_INPUT ? 1 : 0, gx, cols);
}
