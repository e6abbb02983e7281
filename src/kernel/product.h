/* Our own matrix product, compiled once for each instruction set, as loops.h says.
 *
 * Every element of C is one sum over k = 0, 1, 2, ... of fused multiply-adds in one lane, whatever the shape: a column
 * of C does not depend on how many columns there are, nor on where it stands among them. OpenBLAS promises neither.
 */
#ifndef TW_KERNEL_PRODUCT_H
#define TW_KERNEL_PRODUCT_H

#include <stdbool.h>

#include "kernel/loops.h"

#ifdef TW_LOOPS_ISA
#define tw_product TW_LOOPS_NAME(tw_product)
/* gemm of struct tw_kernels. */
void tw_product(bool ta, bool tb, int m, int n, int k, const tw_real *a, int lda, const tw_real *b, int ldb,
                tw_real beta, tw_real *c, int ldc);
#endif

/* Columns of C that are computed together, and the fewest that make a panel. */
#define TW_PRODUCT_STRIP 32

#endif
