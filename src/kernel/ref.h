/* The naive kernels. */
#ifndef TW_KERNEL_REF_H
#define TW_KERNEL_REF_H

#include "kernel/kernel.h"

extern const struct tw_kernels tw_ref_kernels;

#endif
