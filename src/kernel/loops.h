/* The vectorised loops: one source, compiled for several instruction sets, a table of functions each.
 *
 * TW_LOOPS_ISA names the instruction set of the object that is being compiled; names get it as a suffix, so that all
 * of them live side by side in one library. Nothing of an object may run before tables.c has asked the processor.
 */
#ifndef TW_KERNEL_LOOPS_H
#define TW_KERNEL_LOOPS_H

#include "kernel/kernel.h"

extern const struct tw_kernels tw_loops_baseline;
#ifdef __x86_64__
extern const struct tw_kernels tw_loops_v3;
extern const struct tw_kernels tw_loops_v4;
extern const struct tw_kernels tw_loops_own_v3; /* with our own products */
extern const struct tw_kernels tw_loops_own_v4;
#endif

#ifdef TW_LOOPS_ISA
#define TW_LOOPS_JOIN_(a, b) a##_##b
#define TW_LOOPS_JOIN(a, b)  TW_LOOPS_JOIN_(a, b)
#define TW_LOOPS_NAME(name)  TW_LOOPS_JOIN(name, TW_LOOPS_ISA)

#define tw_loops                TW_LOOPS_NAME(tw_loops)
#define tw_loops_own            TW_LOOPS_NAME(tw_loops_own)
#define tw_loops_spline         TW_LOOPS_NAME(tw_loops_spline)
#define tw_loops_spline_inverse TW_LOOPS_NAME(tw_loops_spline_inverse)
#define tw_loops_spline_vjp     TW_LOOPS_NAME(tw_loops_spline_vjp)
#define tw_loops_normal         TW_LOOPS_NAME(tw_loops_normal)
#define tw_loops_dense_vjp_own  TW_LOOPS_NAME(tw_loops_dense_vjp_own)
#define tw_loops_dense_vjp_blas TW_LOOPS_NAME(tw_loops_dense_vjp_blas)

void tw_loops_spline(const struct tw_spline *spline, int cols, const tw_real *x, const tw_real *p, tw_real *y,
                     tw_real *log_det);
void tw_loops_spline_inverse(const struct tw_spline *spline, int cols, const tw_real *y, const tw_real *p, tw_real *x,
                             tw_real *log_det);
void tw_loops_spline_vjp(const struct tw_spline *spline, int cols, const tw_real *x, const tw_real *p,
                         const tw_real *gy, const tw_real *glog_det, tw_real *gx, tw_real *gp);
void tw_loops_normal(uint64_t key, uint64_t draw, uint64_t first, size_t n, tw_real *out);
/* dense_vjp with products of our own, and with those of OpenBLAS */
void tw_loops_dense_vjp_own(enum tw_activation act, int out, int in, int cols, const tw_real *w, const tw_real *x,
                            const tw_real *slope, const tw_real *y, tw_real *gy, unsigned add, tw_real *gw, tw_real *gb,
                            tw_real *gx);
void tw_loops_dense_vjp_blas(enum tw_activation act, int out, int in, int cols, const tw_real *w, const tw_real *x,
                             const tw_real *slope, const tw_real *y, tw_real *gy, unsigned add, tw_real *gw,
                             tw_real *gb, tw_real *gx);
#endif

#endif
