/* The naive splines: see kernel.h for the arguments. */
#ifndef TW_KERNEL_REF_SPLINE_H
#define TW_KERNEL_REF_SPLINE_H

#include "kernel/kernel.h"

void tw_ref_spline(const struct tw_spline *spline, int cols, const tw_real *x, const tw_real *p, tw_real *y,
                   tw_real *log_det);
void tw_ref_spline_inverse(const struct tw_spline *spline, int cols, const tw_real *y, const tw_real *p, tw_real *x,
                           tw_real *log_det);
void tw_ref_spline_vjp(const struct tw_spline *spline, int cols, const tw_real *x, const tw_real *p, const tw_real *gy,
                       const tw_real *glog_det, tw_real *gx, tw_real *gp);

#endif
