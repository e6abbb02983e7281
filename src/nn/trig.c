#include "nn/trig.h"

#include <math.h>

#ifdef TW_REAL_IS_DOUBLE

void tw_trig_cos_sin(int n, tw_real factor, const tw_real *x, tw_real *restrict cosine, tw_real *restrict sine)
{
    for (int i = 0; i < n; i++) {
        cosine[i] = cos(factor * x[i]);
        sine[i] = sin(factor * x[i]);
    }
}

#else

/* r = factor x - 2 pi k lies in [-pi, pi]; with s, c the sine and cosine of r/2, |r/2| <= pi/2, by Taylor series whose
 * next term is below 6e-8: sin r = 2 s c, cos r = c^2 - s^2. 2 pi is subtracted in two parts, and adding and taking
 * away 1.5 * 2^23 rounds to the nearest integer. */
void tw_trig_cos_sin(int n, tw_real factor, const tw_real *x, tw_real *restrict cosine, tw_real *restrict sine)
{
    const float rounder = 12582912.0f, high = 6.28125f, low = 1.9353071795864769e-3f;

    for (int i = 0; i < n; i++) {
        float a = factor * x[i];
        float k = (a * 0.15915494309189535f + rounder) - rounder;
        float h = 0.5f * ((a - k * high) - k * low), q = h * h;
        float s = h + h * q *
                          (-1.6666667e-1f +
                           q * (8.3333333e-3f + q * (-1.9841270e-4f + q * (2.7557319e-6f + q * -2.5052108e-8f))));
        float c = 1 + q * (-0.5f +
                           q * (4.1666667e-2f +
                                q * (-1.3888889e-3f + q * (2.4801587e-5f + q * (-2.7557319e-7f + q * 2.0876757e-9f)))));

        sine[i] = 2 * s * c;
        cosine[i] = (c - s) * (c + s);
    }
}

#endif
