/* Elementary functions of vectors, for splines, with the polynomials of vmath.h. Largest errors, as there:
 *
 *   exp_neg    1.5 ulp   x <= 0 only; below -87 it stays at exp(-87) = 1.6e-38
 *   log        1.5 ulp   subnormal arguments included; log(0) = -inf, log(x < 0) = NaN
 *   softplus   2.5 ulp   x >= -87; below, less than 2e-38 off
 *   sigmoid    2.5 ulp   the same
 *   gate       3 ulp     the same
 *
 * NaN gives NaN everywhere. In the double build they are libm's.
 */
#ifndef TW_KERNEL_VECTOR_MATH_H
#define TW_KERNEL_VECTOR_MATH_H

#include "kernel/vector.h"
#include "kernel/vmath.h"

#ifdef TW_REAL_IS_DOUBLE

static inline vec vec_exp_neg(vec x)
{
    for (int l = 0; l < LANES; l++)
        x[l] = exp(x[l]);
    return x;
}

static inline vec vec_exp_part(vec x)
{
    return vec_exp_neg(x);
}

static inline vec vec_exp_mid(vec x)
{
    return vec_exp_neg(x);
}

static inline vec vec_log(vec x)
{
    for (int l = 0; l < LANES; l++)
        x[l] = log(x[l]);
    return x;
}

static inline vec vec_log1p_unit(vec t)
{
    for (int l = 0; l < LANES; l++)
        t[l] = log1p(t[l]);
    return t;
}

static inline vec vec_round(vec x)
{
    for (int l = 0; l < LANES; l++)
        x[l] = rint(x[l]);
    return x;
}

#else

/* As tw_vmath_round. */
static inline vec vec_round(vec x)
{
    return (x + TW_VMATH_ROUNDER) - TW_VMATH_ROUNDER;
}

/* As tw_vmath_exp_neg, for |x| <= 87. */
static inline vec exp_held(vec x)
{
    const float ln2_high = 0x1.62e4p-1f, ln2_low = 0x1.7f7d1cp-20f, shift = TW_VMATH_ROUNDER + 127;
    vec shifted = x * 0x1.715476p+0f + shift, whole = shifted - shift;
    vec r = (x - whole * ln2_high) - whole * ln2_low;
    return (1 + (r + r * r * TW_VMATH_EXP_Q(r))) * (vec)((lanes)shifted << 23);
}

static inline vec vec_exp_neg(vec x)
{
    return exp_held(vec_at_least(vec_all(-87), x));
}

/* Two more for |x| <= 87. exp_part is for a softmax, where what counts is the error beside 1: 1.5 ulp, and a quarter
 * more for each unit of |x|, 1.25 more where multiplication and addition are not fused. exp_mid is as precise as
 * exp_neg. With 16 lanes both are 2^(n + j/16) 2^(f/16), where a table for j makes the polynomial three terms
 * shorter. */
#if BYTES == 64

#define PARTS     0x1.715476p+4f /* 16 / ln 2, */
#define PARTS_LOW 0x1.4ae0cp-22f /* and what it lacks */
#define SHIFT     (TW_VMATH_ROUNDER + 16 * 127)

static inline vec from_table(vec shifted, vec f)
{
    static const lane mantissa[16]
        __attribute__((aligned(64))) = {0x000000, 0x05aac3, 0x0b95c2, 0x11c3d3, 0x1837f0, 0x1ef532, 0x25fed7, 0x2d583f,
                                        0x3504f3, 0x3d08a4, 0x45672a, 0x4e248c, 0x5744fd, 0x60ccdf, 0x6ac0c7, 0x75257d};
    lanes fraction = (lanes)_mm512_permutexvar_epi32((__m512i)shifted, _mm512_load_si512(mantissa));
    vec power = (vec)(((lanes)shifted << 19 & (lane)0xff800000) | fraction);
    return power + power * (((0x1.c6ac6ap-17f * f + 0x1.ebfff4p-11f) * f + 0x1.62e43p-5f) * f);
}

static inline vec vec_exp_part(vec x)
{
    vec shifted = x * PARTS + SHIFT;
    return from_table(shifted, x * PARTS - (shifted - SHIFT));
}

static inline vec vec_exp_mid(vec x)
{
    vec shifted = x * PARTS + SHIFT, f = x * PARTS - (shifted - SHIFT);
    return from_table(shifted, x * PARTS_LOW + f);
}

#else

static inline vec vec_exp_part(vec x)
{
    const float log2_e = 0x1.715476p+0f, shift = TW_VMATH_ROUNDER + 127;
    vec shifted = x * log2_e + shift, f = x * log2_e - (shifted - shift);
    return TW_VMATH_POWER_P(f) * (vec)((lanes)shifted << 23);
}

static inline vec vec_exp_mid(vec x)
{
    return exp_held(x);
}

#endif

/* What tw_vmath_log says where x is not a normal number above 0; y elsewhere. */
static __attribute__((noinline)) vec log_beside(vec x, mask normal, vec y)
{
    vec special = x;
    for (int l = 0; l < LANES; l++)
        special[l] = tw_vmath_log(x[l]);
    return vec_choose(normal, y, special);
}

/* As tw_vmath_log. */
static inline vec vec_log(vec x)
{
    const float ln2_high = 0x1.62e4p-1f, ln2_low = 0x1.7f7d1cp-20f;
    const lane root_half = 0x3f3504f3; /* bits of sqrt(1/2) */
    lanes exponent = ((lanes)x - root_half) >> 23;
    vec f = (vec)((lanes)x - (exponent << 23)) - 1;
    vec n = __builtin_convertvector(exponent, vec);
    vec y = n * ln2_high + (f + (f * f * (f * TW_VMATH_LOG_Q(f) - 0.5f) + n * ln2_low));
    mask normal = mask_without(vec_below(x, vec_all(INFINITY)), vec_below(x, vec_all(0x1p-126f)));
    return mask_full(normal) ? y : log_beside(x, normal, y);
}

/* log(1 + t) for 0 <= t <= 1: 2 artanh(z) with z = t/(2 + t), written as t minus a correction, so that t's own rounding
 * is all that a small t costs */
static inline vec vec_log1p_unit(vec t)
{
    vec z = t / (2 + t), v = z * z;
    return t - z * (t - v * TW_VMATH_LOG1P_Q(v));
}

#endif

/* log(1 + exp(x)) and its derivative, from one t = exp(-|x|) */
static inline vec vec_softplus_of(vec x, vec t)
{
    return vec_at_least(vec_all(0), x) + vec_log1p_unit(t);
}

static inline vec vec_sigmoid_of(vec x, vec t)
{
    return vec_choose(vec_below(x, vec_all(0)), t, vec_all(1)) / (1 + t);
}

/* sigmoid(x) as a factor of something that grows less than exp(87) */
static inline vec vec_gate(vec x)
{
    return 1 / (1 + vec_exp_mid(vec_at_most(vec_all(87), vec_at_least(vec_all(-87), -x))));
}

#endif
