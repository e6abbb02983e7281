/* Counter-based random numbers: Philox4x32-10 (Salmon et al., SC'11, doi:10.1145/2063384.2063405).
 *
 * A number is a pure function of (key, counter), so any event can be regenerated from the seed and its index, in any
 * order and by any thread. There is no hidden state.
 */
#ifndef TW_BASE_RNG_H
#define TW_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

#include "base/real.h"

/* The four words of counter (c0, c1) under `key`. */
void tw_rng_words(uint64_t key, uint64_t c0, uint64_t c1, uint32_t out[4]);

/* Mixes two numbers into a new key: streams for (seed, layer), (seed, epoch), ... */
uint64_t tw_rng_mix(uint64_t a, uint64_t b);

/* A double in the open interval (0, 1) from counter (c0, c1). */
double tw_rng_uniform(uint64_t key, uint64_t c0, uint64_t c1);

/* out[i] for i < n: standard normal of event `first + i` and draw index `draw`. Same numbers for the same
 * (key, draw, event), however the events are cut into calls. */
void tw_rng_normal(uint64_t key, uint64_t draw, uint64_t first, size_t n, tw_real *out);

/* out[i]: uniform on the open interval (0, 1), indexed in the same way. */
void tw_rng_uniforms(uint64_t key, uint64_t draw, uint64_t first, size_t n, tw_real *out);

/* A random permutation of 0..n-1 (Fisher-Yates), a function of key alone. n < 2^32. */
void tw_rng_permutation(uint64_t key, size_t n, uint32_t *out);

#endif
