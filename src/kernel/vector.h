/* Vectors of the instruction set that a file is compiled for: what our own products and splines are written in. Only
 * the files that loops.h speaks of include this.
 *
 * Arithmetic is the compiler's; here is what its vectors lack. A `mask` says yes or no for each lane.
 */
#ifndef TW_KERNEL_VECTOR_H
#define TW_KERNEL_VECTOR_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/real.h"

#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX2__)
#define BYTES 32
#else
#define BYTES 16
#endif
#define LANES ((int)(BYTES / sizeof(tw_real)))

#if defined(__AVX2__) && !defined(TW_REAL_IS_DOUBLE)
#include <immintrin.h>
#define VECTOR_INTRINSICS /* the compiler's own ways to choose take several instructions */
#endif

#ifdef TW_REAL_IS_DOUBLE
typedef int64_t lane;
#define LANE_MAX INT64_MAX
#else
typedef int32_t lane;
#define LANE_MAX INT32_MAX
#endif

typedef tw_real vec __attribute__((vector_size(BYTES)));
typedef tw_real loose __attribute__((vector_size(BYTES), aligned(sizeof(tw_real)), may_alias)); /* anywhere */
typedef lane lanes __attribute__((vector_size(BYTES)));

static inline vec vec_load(const tw_real *from)
{
    return *(const loose *)from;
}

static inline void vec_store(vec x, tw_real *to)
{
    *(loose *)to = x;
}

static inline vec vec_all(tw_real x)
{
#if defined(VECTOR_INTRINSICS) && BYTES == 64
    return (vec)_mm512_set1_ps(x);
#elif defined(VECTOR_INTRINSICS)
    return (vec)_mm256_set1_ps(x);
#else
    return (vec){0} + x;
#endif
}

#if defined(VECTOR_INTRINSICS) && BYTES == 64

typedef __mmask16 mask;

static inline mask vec_below(vec a, vec b)
{
    return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LT_OQ);
}

static inline mask vec_not_below(vec a, vec b)
{
    return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_NLT_UQ);
}

static inline mask mask_without(mask a, mask b)
{
    return (mask)(a & ~b);
}

static inline mask mask_not(mask a)
{
    return (mask)~a;
}

static inline bool mask_full(mask m)
{
    return m == 0xffff;
}

static inline vec vec_choose(mask m, vec yes, vec no)
{
    return (vec)_mm512_mask_mov_ps((__m512)no, m, (__m512)yes);
}

static inline vec vec_at_least(vec low, vec x)
{
    return (vec)_mm512_max_ps((__m512)low, (__m512)x);
}

static inline vec vec_at_most(vec high, vec x)
{
    return (vec)_mm512_min_ps((__m512)high, (__m512)x);
}

static inline vec vec_root(vec x)
{
    return (vec)_mm512_sqrt_ps((__m512)x);
}

#else

typedef lanes mask;

/* a < b */
static inline mask vec_below(vec a, vec b)
{
    return a < b;
}

/* not a < b: also where one of them is NaN */
static inline mask vec_not_below(vec a, vec b)
{
    return ~(a < b);
}

/* a and not b */
static inline mask mask_without(mask a, mask b)
{
    return a & ~b;
}

static inline mask mask_not(mask a)
{
    return ~a;
}

static inline bool mask_full(mask m)
{
    bool full = true;
    for (int l = 0; l < LANES; l++)
        full &= m[l] != 0;
    return full;
}

static inline vec vec_choose(mask m, vec yes, vec no)
{
#ifdef VECTOR_INTRINSICS
    return (vec)_mm256_blendv_ps((__m256)no, (__m256)yes, (__m256)m);
#else
    return (vec)((m & (lanes)yes) | (~m & (lanes)no));
#endif
}

/* The larger one, x where one of them is NaN. */
static inline vec vec_at_least(vec low, vec x)
{
#ifdef VECTOR_INTRINSICS
    return (vec)_mm256_max_ps((__m256)low, (__m256)x);
#else
    return vec_choose(x < low, low, x);
#endif
}

/* The smaller one, x where one of them is NaN. */
static inline vec vec_at_most(vec high, vec x)
{
#ifdef VECTOR_INTRINSICS
    return (vec)_mm256_min_ps((__m256)high, (__m256)x);
#else
    return vec_choose(x > high, high, x);
#endif
}

/* Square root. */
static inline vec vec_root(vec x)
{
    for (int l = 0; l < LANES; l++)
        x[l] = (tw_real)sqrt((double)x[l]); /* rounded twice as once, for floats (Figueroa 1995) */
    return x;
}

#endif

static inline vec vec_size(vec x)
{
    return (vec)((lanes)x & LANE_MAX);
}

#endif
