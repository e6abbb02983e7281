/* Products by OpenBLAS.
 */
#ifndef TW_KERNEL_BLAS_H
#define TW_KERNEL_BLAS_H

#include "kernel/kernel.h"

/* cblas_?gemm with the corner cases of kernel.h; what the tables' `gemm` is. */
void tw_blas_gemm(bool ta, bool tb, int m, int n, int k, const tw_real *a, int lda, const tw_real *b, int ldb,
                  tw_real beta, tw_real *c, int ldc);

#endif
