/* Products by OpenBLAS, on one thread: our own pool works on blocks of events, and OpenBLAS's threads get in its way
 * (a small product beside a busy core went from 0.08 to 35 ms). */
#include <cblas.h>

#include "kernel/blas.h"

void tw_blas_gemm(bool ta, bool tb, int m, int n, int k, const tw_real *a, int lda, const tw_real *b, int ldb,
                  tw_real beta, tw_real *c, int ldc)
{
    if (m == 0 || n == 0)
        return;
    if (k == 0) { /* leading dimensions of empty matrices are nothing to argue about */
        for (int i = 0; i < m; i++) {
            for (int j = 0; j < n; j++)
                c[(size_t)i * ldc + j] = beta == 0 ? 0 : beta * c[(size_t)i * ldc + j];
        }
        return;
    }
    CBLAS_TRANSPOSE trans_a = ta ? CblasTrans : CblasNoTrans, trans_b = tb ? CblasTrans : CblasNoTrans;
#ifdef TW_REAL_IS_DOUBLE
    cblas_dgemm(CblasRowMajor, trans_a, trans_b, m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
#else
    cblas_sgemm(CblasRowMajor, trans_a, trans_b, m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
#endif
}
