/* SHA-256: libsodium computes, this file writes it down. */
#include <sodium/crypto_hash_sha256.h>
#include <sodium/utils.h>

#include "base/sha256.h"

void tw_sha256(const void *bytes, size_t size, uint8_t out[32])
{
    crypto_hash_sha256(out, bytes, size);
}

void tw_sha256_hex(const void *bytes, size_t size, char out[TW_SHA256_HEX])
{
    uint8_t digest[crypto_hash_sha256_BYTES];
    tw_sha256(bytes, size, digest);
    sodium_bin2hex(out, TW_SHA256_HEX, digest, sizeof digest);
}
