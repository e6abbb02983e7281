/* C = op(A) op(B): for each strip of columns, op(B) is packed into a panel that stays in the first-level cache, and the
 * tiles of product_tile.h go down the rows of A. (Goto, van de Geijn 2008, without their outer loops: k is at most some
 * hundreds here.) A long k goes in pieces, each continued from where the one before left C.
 */
#include <string.h>

#include "kernel/product.h"
#include "kernel/product_tile.h"

#define DEPTH 512 /* of a panel: at most 64 KiB */

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
static void last_strip(int m, int n, struct factors f, tw_real *c, size_t ldc)
{
    tw_real edge[ROWS * STRIP] __attribute__((aligned(64)));
    int vectors = n > LANES ? 2 : 1;
    if (n % LANES == 0) {
        strip_rows(m, vectors, f, c, ldc);
        return;
    }
    for (int i = 0; i < m; i += ROWS) {
        int rows = m - i < ROWS ? m - i : ROWS;
        for (int r = 0; f.add && r < rows; r++)
            memcpy(edge + r * STRIP, c + (size_t)(i + r) * ldc, (size_t)n * sizeof *c);
        strip_rows(rows, vectors, f, edge, STRIP);
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
            struct factors f = {
                .a = ta ? a + (size_t)p * (size_t)lda : a + p,
                .row = ta ? 1 : (size_t)lda,
                .step = ta ? (size_t)lda : 1,
                .b = panel,
                .next = STRIP,
                .k = depth,
                .add = p > 0 || beta != 0,
                .ahead = a,
            };
            pack(tb, depth, width, tb ? b + (size_t)j * (size_t)ldb + p : b + (size_t)p * (size_t)ldb + j, ldb, panel);
            if (width == STRIP)
                strip_rows(m, 2, f, c + j, (size_t)ldc);
            else
                last_strip(m, width, f, c + j, (size_t)ldc);
        }
    }
}
