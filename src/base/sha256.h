/* SHA-256 by libsodium: the identity of artifacts and blobs. */
#ifndef TW_BASE_SHA256_H
#define TW_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define TW_SHA256_HEX 65 /* 64 digits and the end */

/* Lower-case hexadecimal digest. */
void tw_sha256_hex(const void *bytes, size_t size, char out[TW_SHA256_HEX]);
void tw_sha256(const void *bytes, size_t size, uint8_t out[32]);

#endif
