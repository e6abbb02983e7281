/* SHA-256: libsodium keeps the state, pads and finishes. Its plain code does a gigabyte in two seconds, which is slower
 * than many disks, so whole blocks go through the processor's SHA instructions where there are any: four rounds, and
 * four words of the message schedule, in a few instructions. Whether that agrees with libsodium is tried before it is
 * used. */
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include <sodium/utils.h>

#include "base/sha256.h"

#ifdef __x86_64__
#include <immintrin.h>

enum { BLOCK = 64 };

/* Section 4.2.2. */
static const uint32_t round_constant[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/* Section 6.2.2. The instructions want the eight words a … h as (a, b, e, f) and (c, d, g, h), the first on top. */
__attribute__((target("sha,sse4.1"))) static void by_instruction(uint32_t state[8], const uint8_t *at, size_t blocks)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i dcba = _mm_loadu_si128((const __m128i *)&state[0]), hgfe = _mm_loadu_si128((const __m128i *)&state[4]);
    __m128i ba = _mm_shuffle_epi32(dcba, 0xb1), ef = _mm_shuffle_epi32(hgfe, 0x1b); /* low to high: b a d c, h g f e */
    __m128i abef = _mm_alignr_epi8(ba, ef, 8), cdgh = _mm_blend_epi16(ef, ba, 0xf0);
    for (; blocks > 0; blocks--, at += BLOCK) {
        __m128i abef_before = abef, cdgh_before = cdgh, word[4];
#pragma GCC unroll 16
        for (int four = 0; four < 16; four++) {
            __m128i *w = &word[four % 4];
            if (four < 4) {
                *w = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(at + 16 * four)), big_endian);
            } else {
                __m128i last = word[(four + 3) % 4], before = word[(four + 2) % 4];
                __m128i sum =
                    _mm_add_epi32(_mm_sha256msg1_epu32(*w, word[(four + 1) % 4]), _mm_alignr_epi8(last, before, 4));
                *w = _mm_sha256msg2_epu32(sum, last);
            }
            __m128i two = _mm_add_epi32(*w, _mm_loadu_si128((const __m128i *)&round_constant[4 * four]));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, two);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(two, 0x0e));
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    __m128i feba = _mm_shuffle_epi32(abef, 0x1b), dchg = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)&state[0], _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128((__m128i *)&state[4], _mm_alignr_epi8(dchg, feba, 8));
}

/* libsodium's state is open: words, the number of bits so far, and the bytes of a block that is not full. */
static void update(crypto_hash_sha256_state *state, const uint8_t *bytes, size_t size)
{
    size_t held = (size_t)(state->count / 8 % BLOCK), head = held ? BLOCK - held : 0;
    if (head < size) {
        crypto_hash_sha256_update(state, bytes, head);
        size_t whole = (size - head) / BLOCK * BLOCK;
        by_instruction(state->state, bytes + head, whole / BLOCK);
        state->count += 8 * (uint64_t)whole;
        bytes += head + whole;
        size -= head + whole;
    }
    crypto_hash_sha256_update(state, bytes, size);
}

static bool usable;
static pthread_once_t usable_once = PTHREAD_ONCE_INIT;

/* Pieces that fill blocks and do not. */
static void try_it(void)
{
    uint8_t bytes[5 * BLOCK + 7], ours[crypto_hash_sha256_BYTES], theirs[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_state state;
    __builtin_cpu_init();
    unsigned leaf[4];
    __asm__("cpuid" : "=a"(leaf[0]), "=b"(leaf[1]), "=c"(leaf[2]), "=d"(leaf[3]) : "a"(7), "c"(0));
    if (!__builtin_cpu_supports("sse4.1") || !(leaf[1] >> 29 & 1))
        return;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 151 + 7);
    crypto_hash_sha256_init(&state);
    update(&state, bytes, 3);
    update(&state, bytes + 3, 2 * BLOCK);
    update(&state, bytes + 3 + 2 * BLOCK, sizeof bytes - 3 - 2 * BLOCK);
    crypto_hash_sha256_final(&state, ours);
    crypto_hash_sha256(theirs, bytes, sizeof bytes);
    usable = memcmp(ours, theirs, sizeof ours) == 0;
}

void tw_sha256_update(crypto_hash_sha256_state *state, const void *bytes, size_t size)
{
    pthread_once(&usable_once, try_it);
    if (usable)
        update(state, bytes, size);
    else
        crypto_hash_sha256_update(state, bytes, size);
}
#else
void tw_sha256_update(crypto_hash_sha256_state *state, const void *bytes, size_t size)
{
    crypto_hash_sha256_update(state, bytes, size);
}
#endif

void tw_sha256(const void *bytes, size_t size, uint8_t out[32])
{
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    tw_sha256_update(&state, bytes, size);
    crypto_hash_sha256_final(&state, out);
}

void tw_sha256_hex(const void *bytes, size_t size, char out[TW_SHA256_HEX])
{
    uint8_t digest[crypto_hash_sha256_BYTES];
    tw_sha256(bytes, size, digest);
    sodium_bin2hex(out, TW_SHA256_HEX, digest, sizeof digest);
}
