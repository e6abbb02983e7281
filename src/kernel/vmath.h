/* Elementary functions that the compiler can turn into vector code: no branches, no tables, no calls.
 *
 * Reduction to a small interval, a minimax polynomial there (fitted in relative error by reweighted least squares,
 * coefficients rounded to float), reassembly. Largest errors found by tests/kernel/test_vmath.c, which goes through
 * the whole float range against libm in double:
 *
 *   exp        1.5 ulp   results below the smallest normal float: half the smallest subnormal more
 *   exp_neg    1.5 ulp   x <= 0 only; below -87 it stays at exp(-87) = 1.6e-38
 *   log        1.5 ulp   subnormal arguments included; log(0) = -inf, log(x < 0) = NaN
 *   gate       2.5 ulp   x >= -87; below, less than 2e-38 off
 *   tanh       2 ulp
 *
 * NaN gives NaN everywhere. In the double build they are libm's.
 */
#ifndef TW_KERNEL_VMATH_H
#define TW_KERNEL_VMATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/real.h"

#ifdef TW_REAL_IS_DOUBLE

static inline double tw_vmath_exp(double x)
{
    return exp(x);
}

static inline double tw_vmath_exp_neg(double x)
{
    return exp(x);
}

static inline double tw_vmath_log(double x)
{
    return log(x);
}

static inline double tw_vmath_tanh(double x)
{
    return tanh(x);
}

static inline double tw_vmath_sqrt(double x)
{
    return sqrt(x);
}

#else

static inline int32_t tw_vmath_bits(float x)
{
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float tw_vmath_from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* 2^n for -126 <= n <= 127 */
static inline float tw_vmath_power_of_2(int32_t n)
{
    return tw_vmath_from_bits((uint32_t)(n + 127) << 23);
}

/* Adding it leaves the nearest integer in the low bits of the mantissa, for |x| <= 2^22. */
#define TW_VMATH_ROUNDER 0x1.8p23f

static inline float tw_vmath_sqrt(float x)
{
    return sqrtf(x);
}

/* The polynomials, of a number or of a vector of them (vector_math.h): q of exp and log below, */
#define TW_VMATH_EXP_Q(r)                                                                                              \
    ((((0x1.6a2156p-10f * (r) + 0x1.123b9cp-7f) * (r) + 0x1.5558fcp-5f) * (r) + 0x1.555490p-3f) * (r) + 0x1.fffffcp-2f)
#define TW_VMATH_LOG_Q(f)                                                                                              \
    (((((((-0x1.38b4ccp-4f * (f) + 0x1.055b46p-3f) * (f)-0x1.0d8552p-3f) * (f) + 0x1.22da22p-3f) *                     \
        (f)-0x1.547244p-3f) *                                                                                          \
           (f) +                                                                                                       \
       0x1.99a008p-3f) *                                                                                               \
      (f)-0x1.000228p-2f) *                                                                                            \
         (f) +                                                                                                         \
     0x1.555554p-2f)
/* of log(1 + t) there, */
#define TW_VMATH_LOG1P_Q(v) (((0x1.1ef874p-2f * (v) + 0x1.1eb610p-2f) * (v) + 0x1.99d27cp-2f) * (v) + 0x1.555500p-1f)
/* and 2^f itself, |f| <= 1/2. */
#define TW_VMATH_POWER_P(f)                                                                                            \
    ((((((0x1.41fbbcp-13f * (f) + 0x1.5f3e54p-10f) * (f) + 0x1.3b2d4cp-7f) * (f) + 0x1.c6aee8p-5f) * (f) +             \
       0x1.ebfbdcp-3f) *                                                                                               \
          (f) +                                                                                                        \
      0x1.62e43p-1f) *                                                                                                 \
         (f) +                                                                                                         \
     1)

/* exp(x) = 2^n p(r) with x = n ln 2 + r, |r| <= ln 2 / 2; returns p, which is in [0.7, 1.42]. n ln2_high is exact. */
static inline float tw_vmath_exp_reduce(float x, int32_t *n)
{
    const float ln2_high = 0x1.62e4p-1f, ln2_low = 0x1.7f7d1cp-20f;
    float shifted = x * 0x1.715476p+0f + TW_VMATH_ROUNDER, whole = shifted - TW_VMATH_ROUNDER;
    float r = (x - whole * ln2_high) - whole * ln2_low;
    *n = tw_vmath_bits(shifted) - tw_vmath_bits(TW_VMATH_ROUNDER);
    return 1 + (r + r * r * TW_VMATH_EXP_Q(r));
}

static inline float tw_vmath_exp(float x)
{
    int32_t n;
    x = x < -104 ? -104 : x; /* exp gives 0 */
    x = x > 89 ? 89 : x;     /* exp gives inf */
    float p = tw_vmath_exp_reduce(x, &n);
    int32_t half = n >> 1; /* 2^n itself may not be a normal number */
    return p * tw_vmath_power_of_2(half) * tw_vmath_power_of_2(n - half);
}

static inline float tw_vmath_exp_neg(float x)
{
    int32_t n;
    x = x < -87 ? -87 : x;
    float p = tw_vmath_exp_reduce(x, &n);
    return p * tw_vmath_power_of_2(n);
}

/* log(2^n (1 + f)) = n ln 2 + f - f^2/2 + f^3 q(f), 1 + f in [sqrt(1/2), sqrt(2)) */
static inline float tw_vmath_log(float x)
{
    const float ln2_high = 0x1.62e4p-1f, ln2_low = 0x1.7f7d1cp-20f;
    float normal = x < 0x1p-126f ? x * 0x1p24f : x;
    int32_t bits = tw_vmath_bits(normal);
    int32_t exponent = (int32_t)((uint32_t)bits - 0x3f3504f3u) >> 23; /* bits of sqrt(1/2) */
    float f = tw_vmath_from_bits((uint32_t)bits - ((uint32_t)exponent << 23)) - 1;
    float n = (float)(x < 0x1p-126f ? exponent - 24 : exponent);
    float small = f * f * (f * TW_VMATH_LOG_Q(f) - 0.5f) + n * ln2_low;
    float y = n * ln2_high + (f + small);
    float special = x == 0 ? -INFINITY : x < 0 ? NAN : x;
    return ((x > 0) & (x < INFINITY)) ? y : special;
}

static inline float tw_vmath_tanh(float x)
{
    float size = fabsf(x), v = x * x;
    float q = -0x1.76abf6p-8f;
    q = q * v + 0x1.5256cep-6f;
    q = q * v - 0x1.b84448p-5f;
    q = q * v + 0x1.110768p-3f;
    q = q * v - 0x1.555534p-2f;
    float centre = x + x * v * q;
    float e = tw_vmath_exp_neg(-2 * size); /* beyond 43.5, where tanh is 1, it stops falling */
    float flank = copysignf(1 - 2 * e / (1 + e), x);
    return size < 0.625f ? centre : flank;
}

#endif

/* sigmoid(x) as a factor of something that is NaN where x is: NaN itself gives some number in [0, 1]. |x| is held to 87
 * as an integer; of two comparisons the compiler makes branches for the ends. */
#ifdef TW_REAL_IS_DOUBLE

static inline double tw_vmath_gate(double x)
{
    return 1 / (1 + exp(-x));
}

#else

static inline float tw_vmath_gate(float x)
{
    const uint32_t sign = 0x80000000u, most = 0x42ae0000u; /* bits of 87 */
    uint32_t bits = (uint32_t)tw_vmath_bits(x), size = bits & ~sign;
    int32_t n;
    size = size < most ? size : most;
    float p = tw_vmath_exp_reduce(tw_vmath_from_bits(size | (~bits & sign)), &n); /* of -x */
    return 1 / (1 + p * tw_vmath_power_of_2(n));
}

#endif

#endif
