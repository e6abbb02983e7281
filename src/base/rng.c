/* Philox4x32-10. The block function mixes a 128-bit counter under a 64-bit key; everything else is indexing:
 * one block serves four consecutive events of a draw. */
#include <tgmath.h>

#include "base/philox.h"
#include "base/rng.h"

void tw_rng_words(uint64_t key, uint64_t c0, uint64_t c1, uint32_t out[4])
{
    tw_philox(key, c0, c1, out);
}

uint64_t tw_rng_mix(uint64_t a, uint64_t b)
{
    uint32_t words[4];
    tw_philox(a, b, UINT64_MAX, words); /* no draw index reaches this counter */
    return (uint64_t)words[1] << 32 | words[0];
}

double tw_rng_uniform(uint64_t key, uint64_t c0, uint64_t c1)
{
    uint32_t words[4];
    tw_philox(key, c0, c1, words);
    uint64_t bits = (uint64_t)words[1] << 32 | words[0];
    return ((double)(bits >> 12) + 0.5) * 0x1p-52; /* 53 significant bits, so neither end can be reached */
}

/* Box and Muller 1958 on two words. The radius reaches sqrt(2 ln 2^33) = 6.8. */
static inline void normal_pair(const uint32_t words[2], tw_real out[2])
{
    tw_real u = ((tw_real)words[0] + (tw_real)0.5) * (tw_real)0x1p-32;
    tw_real radius = sqrt(-2 * log(u)), angle = ((tw_real)words[1] + (tw_real)0.5) * (tw_real)(0x1p-31 * M_PI);
    out[0] = radius * cos(angle);
    out[1] = radius * sin(angle);
}

void tw_rng_normal(uint64_t key, uint64_t draw, uint64_t first, size_t n, tw_real *out)
{
    for (size_t i = 0; i < n;) {
        uint64_t event = first + i;
        uint32_t words[4];
        tw_real normals[4];
        tw_philox(key, event / 4, draw, words);
        normal_pair(words, normals);
        normal_pair(words + 2, normals + 2);
        for (unsigned lane = event % 4; lane < 4 && i < n; lane++, i++)
            out[i] = normals[lane];
    }
}

static inline tw_real open_uniform(uint32_t word)
{
#ifdef TW_REAL_IS_DOUBLE
    return ((double)word + 0.5) * 0x1p-32;
#else
    return ((float)(word >> 9) + 0.5f) * 0x1p-23f; /* 24 significant bits, so neither end can be reached */
#endif
}

void tw_rng_uniforms(uint64_t key, uint64_t draw, uint64_t first, size_t n, tw_real *out)
{
    for (size_t i = 0; i < n;) {
        uint64_t event = first + i;
        uint32_t words[4];
        tw_philox(key, event / 4, draw, words);
        for (unsigned lane = event % 4; lane < 4 && i < n; lane++, i++)
            out[i] = open_uniform(words[lane]);
    }
}

void tw_rng_permutation(uint64_t key, size_t n, uint32_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (uint32_t)i;
    for (size_t i = n; i > 1; i--) {
        uint32_t words[4];
        tw_philox(key, i, 0, words);
        uint64_t bits = (uint64_t)words[1] << 32 | words[0];
        size_t j = (size_t)(((unsigned __int128)bits * i) >> 64); /* biased by less than i 2^-64 */
        uint32_t swap = out[i - 1];
        out[i - 1] = out[j];
        out[j] = swap;
    }
}
