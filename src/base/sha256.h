/* SHA-256 (FIPS 180-4): the identity of artifacts, blobs and batches. By libsodium, but whole blocks with the
 * processor's own instructions where it has them. */
#ifndef TW_BASE_SHA256_H
#define TW_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#include <sodium/crypto_hash_sha256.h>

#define TW_SHA256_HEX 65 /* 64 digits and the end */

/* Lower-case hexadecimal digest. */
void tw_sha256_hex(const void *bytes, size_t size, char out[TW_SHA256_HEX]);
void tw_sha256(const void *bytes, size_t size, uint8_t out[32]);

/* In pieces: init of libsodium, any number of these, final of libsodium. */
void tw_sha256_update(crypto_hash_sha256_state *state, const void *bytes, size_t size);

#endif
