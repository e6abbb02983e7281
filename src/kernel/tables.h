/* Every table that this processor can run.
 */
#ifndef TW_KERNEL_TABLES_H
#define TW_KERNEL_TABLES_H

#include "kernel/kernel.h"

/* The `rank`th best table, from 0; NULL beyond the last. Without `ref`. The first call sets OpenBLAS to one thread. */
const struct tw_kernels *tw_tables(int rank);
/* The level of the x86-64 psABI that this processor has: 1, 3 or 4. 0 on others. */
int tw_tables_level(void);

#endif
