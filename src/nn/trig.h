/* Sine and cosine of many angles. In float32 by polynomials that the compiler vectorises: absolute error <= 5e-7 for
 * |x| <= 100. In double by the C library. */
#ifndef TW_NN_TRIG_H
#define TW_NN_TRIG_H

#include "base/real.h"

/* cosine[i] = cos(factor x[i]), sine[i] = sin(factor x[i]); results may not overlap x. */
void tw_trig_cos_sin(int n, tw_real factor, const tw_real *x, tw_real *restrict cosine, tw_real *restrict sine);

#endif
