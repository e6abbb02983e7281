/* Normal numbers for many events at once: what tw_rng_normal draws, with blocks of Philox side by side and elementary
 * functions that become vector code. The words are the same; a number differs from that of libm by a few ulp. */
#include "base/philox.h"
#include "base/rng.h"
#include "kernel/loops.h"
#include "kernel/vmath.h"

#ifdef TW_REAL_IS_DOUBLE

void tw_loops_normal(uint64_t key, uint64_t draw, uint64_t first, size_t n, tw_real *out)
{
    tw_rng_normal(key, draw, first, n, out);
}

#else

#define BLOCKS 16 /* of four words, for four events */
#define EVENTS (4 * BLOCKS)

static inline float negated(float x, uint32_t yes)
{
    return tw_vmath_from_bits((uint32_t)tw_vmath_bits(x) ^ yes << 31);
}

/* Box and Muller 1958 on two words. The angle is a word's part of a full turn: the nearest quarter comes off as an
 * integer, and what is left, at most pi/4, goes into minimax polynomials. */
static inline void pair(uint32_t for_radius, uint32_t for_angle, float *restrict cosine, float *restrict sine)
{
    float radius = tw_vmath_sqrt(-2 * tw_vmath_log(((float)for_radius + 0.5f) * 0x1p-32f));
    uint32_t quarter = (for_angle + 0x20000000u) >> 30;
    float x = ((float)(int32_t)(for_angle - (quarter << 30)) + 0.5f) * (0x1p-31f * (float)M_PI), v = x * x;
    float s = x + x * v * ((-0x1.9943ep-13f * v + 0x1.11073ap-7f) * v - 0x1.555546p-3f);
    float c = 1 - 0.5f * v + v * v * ((0x1.99eb9cp-16f * v - 0x1.6c0c34p-10f) * v + 0x1.55554ap-5f);
    uint32_t odd = quarter & 1;
    *cosine = radius * negated(odd ? s : c, (quarter + 1) >> 1 & 1);
    *sine = radius * negated(odd ? c : s, quarter >> 1 & 1);
}

/* Events block * 4 and those that follow. */
static void some(uint64_t key, uint64_t draw, uint64_t block, float *restrict out)
{
    uint32_t words[4][BLOCKS];
    float normals[4][BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        uint32_t w[4];
        tw_philox(key, block + (uint64_t)i, draw, w);
        words[0][i] = w[0], words[1][i] = w[1], words[2][i] = w[2], words[3][i] = w[3];
    }
    for (int k = 0; k < 4; k += 2) {
        for (int i = 0; i < BLOCKS; i++)
            pair(words[k][i], words[k + 1][i], &normals[k][i], &normals[k + 1][i]);
    }
    for (int i = 0; i < BLOCKS; i++) {
        for (int k = 0; k < 4; k++)
            out[4 * i + k] = normals[k][i];
    }
}

void tw_loops_normal(uint64_t key, uint64_t draw, uint64_t first, size_t n, tw_real *out)
{
    float drawn[EVENTS];
    size_t before = first % 4; /* in its block */
    for (size_t i = 0, from = before, count; i < n; i += count, from = 0) {
        count = EVENTS - from < n - i ? EVENTS - from : n - i;
        some(key, draw, (first + i) / 4, drawn);
        memcpy(out + i, drawn + from, count * sizeof *out);
    }
}

#endif
