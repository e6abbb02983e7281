/* Does a table do on this machine what `ref` does? */
#ifndef TW_KERNEL_SELFTEST_H
#define TW_KERNEL_SELFTEST_H

#include "kernel/kernel.h"

/* NULL if `candidate` agrees with `ref` on small fixed inputs, else the name of the first function that does not. It
 * takes some milliseconds. */
const char *tw_selftest(const struct tw_kernels *candidate);

#endif
