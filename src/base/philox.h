/* The block function of rng.h, for loops that compute many blocks side by side: Philox4x32-10 (Salmon et al., SC'11)
 * mixes a 128-bit counter (c0, c1) under a 64-bit key. */
#ifndef TW_BASE_PHILOX_H
#define TW_BASE_PHILOX_H

#include <stdint.h>

#define TW_PHILOX_ROUNDS 10

static inline void tw_philox(uint64_t key, uint64_t c0, uint64_t c1, uint32_t out[4])
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    uint32_t x0 = (uint32_t)c0, x1 = (uint32_t)(c0 >> 32), x2 = (uint32_t)c1, x3 = (uint32_t)(c1 >> 32);
#pragma GCC unroll 10
    for (int round = 0; round < TW_PHILOX_ROUNDS; round++) {
        uint64_t left = (uint64_t)0xd2511f53u * x0, right = (uint64_t)0xcd9e8d57u * x2;
        x0 = (uint32_t)(right >> 32) ^ x1 ^ k0;
        x1 = (uint32_t)right;
        x2 = (uint32_t)(left >> 32) ^ x3 ^ k1;
        x3 = (uint32_t)left;
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    out[0] = x0, out[1] = x1, out[2] = x2, out[3] = x3;
}

#endif
