/* C = op(A) op(B) in tiles of ROWS x 2 vectors that stay in registers.
 *
 * For each strip of columns, op(B) is packed into a panel (k, strip) that stays in the first-level cache; each step
 * over k takes two vectors of the panel and one number for each row of the tile, so that 2 ROWS multiply-adds go with
 * ROWS + 2 loads. (Goto, van de Geijn 2008, without their outer loops: k is at most some hundreds here.) A long k goes
 * in pieces, each continued from where the one before left C.
 */
#include <string.h>

#include "kernel/product.h"

#if defined(__AVX512F__)
#define BYTES 64
#define ROWS  12 /* 24 of 32 registers for sums */
#elif defined(__AVX2__)
#define BYTES 32
#define ROWS  6 /* 12 of 16 */
#else
#define BYTES 16
#define ROWS  6
#endif
#define LANES ((int)(BYTES / sizeof(tw_real)))
#define STRIP (2 * LANES)
#define DEPTH 512 /* of a panel: at most 64 KiB */

typedef tw_real vec __attribute__((vector_size(BYTES)));
typedef tw_real loose __attribute__((vector_size(BYTES), aligned(sizeof(tw_real)), may_alias)); /* anywhere */

/* A, by its strides, and the panel. */
struct factors {
    const tw_real *a;
    size_t row, step; /* from row to row, from k to k + 1 */
    const tw_real *panel;
    int k;
};

/* c (rows, vectors * LANES) = [c +] A panel; rows and vectors are constants where this is inlined. */
static inline __attribute__((always_inline)) void tile(int rows, int vectors, const struct factors *f, bool add,
                                                       tw_real *c, size_t ldc)
{
    vec sum[ROWS][2];
    const tw_real *a = f->a, *b = f->panel;
    size_t row = f->row, step = f->step;
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < vectors; j++)
            sum[i][j] = add ? *(const loose *)(c + (size_t)i * ldc + j * LANES) : (loose){0};
    }
    for (int p = 0; p < f->k; p++, a += step, b += STRIP) {
        vec b0 = *(const vec *)(const void *)b, b1 = vectors > 1 ? *(const vec *)(const void *)(b + LANES) : b0;
#pragma GCC unroll 12
        for (int i = 0; i < rows; i++) {
            tw_real x = a[(size_t)i * row];
            sum[i][0] += x * b0;
            if (vectors > 1)
                sum[i][1] += x * b1;
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < vectors; j++)
            *(loose *)(c + (size_t)i * ldc + j * LANES) = sum[i][j];
    }
}

/* One function a shape, so that the compiler keeps its sums in registers. */
#define SHAPE(rows, vectors)                                                                                           \
    static __attribute__((noinline)) void tile_##rows##_##vectors(const struct factors *f, bool add, tw_real *c,       \
                                                                  size_t ldc)                                          \
    {                                                                                                                  \
        if (add)                                                                                                       \
            tile(rows, vectors, f, true, c, ldc);                                                                      \
        else                                                                                                           \
            tile(rows, vectors, f, false, c, ldc);                                                                     \
    }
SHAPE(1, 1)
SHAPE(2, 1)
SHAPE(4, 1)
SHAPE(1, 2)
SHAPE(2, 2)
SHAPE(4, 2)
#if ROWS == 12
SHAPE(12, 1)
SHAPE(12, 2)
#define tile_full_1 tile_12_1
#define tile_full_2 tile_12_2
#else
SHAPE(6, 1)
SHAPE(6, 2)
#define tile_full_1 tile_6_1
#define tile_full_2 tile_6_2
#endif

/* All rows of a strip: full tiles, then what is left in powers of two. */
static void strip_rows(int m, int vectors, struct factors f, bool add, tw_real *c, size_t ldc)
{
    static const struct {
        int rows;
        void (*run[2])(const struct factors *, bool, tw_real *, size_t);
    } shapes[] = {
        {ROWS, {tile_full_1, tile_full_2}},
        {4, {tile_4_1, tile_4_2}},
        {2, {tile_2_1, tile_2_2}},
        {1, {tile_1_1, tile_1_2}},
    };
    for (int s = 0, i = 0; s < 4; s++) {
        for (; i + shapes[s].rows <= m; i += shapes[s].rows) {
            shapes[s].run[vectors - 1](&f, add, c, ldc);
            f.a += (size_t)shapes[s].rows * f.row;
            c += (size_t)shapes[s].rows * ldc;
        }
    }
}

/* panel (k, STRIP) = columns j .. j + n of op(B), zeros behind them. */
static void pack(bool tb, int k, int n, const tw_real *b, int ldb, tw_real *restrict panel)
{
    if (n < STRIP)
        memset(panel, 0, (size_t)k * STRIP * sizeof *panel);
    if (tb) {
        for (int j = 0; j < n; j++) {
            for (int p = 0; p < k; p++)
                panel[p * STRIP + j] = b[(size_t)j * (size_t)ldb + (size_t)p];
        }
    } else if (n == STRIP) {
        for (int p = 0; p < k; p++)
            memcpy(panel + p * STRIP, b + (size_t)p * (size_t)ldb, STRIP * sizeof *panel);
    } else {
        for (int p = 0; p < k; p++)
            memcpy(panel + p * STRIP, b + (size_t)p * (size_t)ldb, (size_t)n * sizeof *panel);
    }
}

/* The last columns of C, fewer than a strip: in whole vectors directly, else through a copy. */
static void last_strip(int m, int n, struct factors f, bool add, tw_real *c, size_t ldc)
{
    tw_real edge[ROWS * STRIP] __attribute__((aligned(64)));
    int vectors = n > LANES ? 2 : 1;
    if (n % LANES == 0) {
        strip_rows(m, vectors, f, add, c, ldc);
        return;
    }
    for (int i = 0; i < m; i += ROWS) {
        int rows = m - i < ROWS ? m - i : ROWS;
        for (int r = 0; add && r < rows; r++)
            memcpy(edge + r * STRIP, c + (size_t)(i + r) * ldc, (size_t)n * sizeof *c);
        strip_rows(rows, vectors, f, add, edge, STRIP);
        for (int r = 0; r < rows; r++)
            memcpy(c + (size_t)(i + r) * ldc, edge + r * STRIP, (size_t)n * sizeof *c);
        f.a += (size_t)rows * f.row;
    }
}

/* What C starts from where the tiles do not see to it: beta C for a beta that is neither 0 nor 1, 0 if nothing is added
 * to it. */
static void scale(int m, int n, int k, tw_real beta, tw_real *c, int ldc)
{
    if (beta == 1 || (beta == 0 && k > 0))
        return;
    for (int i = 0; i < m; i++) {
        for (int j = 0; j < n; j++)
            c[(size_t)i * (size_t)ldc + (size_t)j] = beta == 0 ? 0 : beta * c[(size_t)i * (size_t)ldc + (size_t)j];
    }
}

void tw_product(bool ta, bool tb, int m, int n, int k, const tw_real *a, int lda, const tw_real *b, int ldb,
                tw_real beta, tw_real *c, int ldc)
{
    tw_real panel[DEPTH * STRIP] __attribute__((aligned(64)));
    scale(m, n, k, beta, c, ldc);
    for (int j = 0; j < n; j += STRIP) {
        int width = n - j < STRIP ? n - j : STRIP;
        for (int p = 0; p < k; p += DEPTH) {
            int depth = k - p < DEPTH ? k - p : DEPTH;
            bool add = p > 0 || beta != 0;
            struct factors f = {
                .a = ta ? a + (size_t)p * (size_t)lda : a + p,
                .row = ta ? 1 : (size_t)lda,
                .step = ta ? (size_t)lda : 1,
                .panel = panel,
                .k = depth,
            };
            pack(tb, depth, width, tb ? b + (size_t)j * (size_t)ldb + p : b + (size_t)p * (size_t)ldb + j, ldb, panel);
            if (width == STRIP)
                strip_rows(m, 2, f, add, c + j, (size_t)ldc);
            else
                last_strip(m, width, f, add, c + j, (size_t)ldc);
        }
    }
}
