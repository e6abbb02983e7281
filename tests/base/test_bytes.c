/* Checksums and digests against published values and against their own second implementation; status names. */
#include "cm.h"

#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/rng.h"
#include "base/sha256.h"
#include "base/status.h"

/* RFC 3720, appendix B.4, and the check value of the CRC catalogue */
static void crc32c_known_answers(void **state)
{
    uint8_t bytes[32];
    uint32_t (*const functions[])(uint32_t, const void *, size_t) = {tw_crc32c, tw_crc32c_table};
    for (int f = 0; f < 2; f++) {
        assert_int_equal(functions[f](0, "123456789", 9), 0xe3069283u);
        memset(bytes, 0, sizeof bytes);
        assert_int_equal(functions[f](0, bytes, 32), 0x8a9136aau);
        memset(bytes, 0xff, sizeof bytes);
        assert_int_equal(functions[f](0, bytes, 32), 0x62a8ab43u);
        for (int i = 0; i < 32; i++)
            bytes[i] = (uint8_t)i;
        assert_int_equal(functions[f](0, bytes, 32), 0x46dd794eu);
        for (int i = 0; i < 32; i++)
            bytes[i] = (uint8_t)(31 - i);
        assert_int_equal(functions[f](0, bytes, 32), 0x113fdb5cu);
        assert_int_equal(functions[f](0, NULL, 0), 0);
    }
}

/* Any cut of any length at any alignment gives the same value, by instruction and by tables. */
static void crc32c_continues(void **state)
{
    uint8_t bytes[300];
    for (uint32_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(tw_rng_mix(i, 1) & 0xff);
    for (size_t start = 0; start < 9; start++) {
        for (size_t size = 0; size + start <= sizeof bytes; size += 7) {
            uint32_t whole = tw_crc32c(0, bytes + start, size);
            assert_int_equal(whole, tw_crc32c_table(0, bytes + start, size));
            size_t cut = size / 3;
            assert_int_equal(whole, tw_crc32c(tw_crc32c(0, bytes + start, cut), bytes + start + cut, size - cut));
        }
    }
    uint32_t before = tw_crc32c(0, bytes, sizeof bytes);
    bytes[123] ^= 4;
    assert_int_not_equal(before, tw_crc32c(0, bytes, sizeof bytes));
}

/* FIPS 180-2, appendix B */
static void sha256_known_answers(void **state)
{
    char hex[TW_SHA256_HEX];
    tw_sha256_hex("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    tw_sha256_hex(NULL, 0, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    const char *two_blocks = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    tw_sha256_hex(two_blocks, strlen(two_blocks), hex);
    assert_string_equal(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    uint8_t digest[32];
    tw_sha256(two_blocks, strlen(two_blocks), digest);
    assert_int_equal(digest[0], 0x24);
    assert_int_equal(digest[31], 0xc1);
}

/* The processor's instructions, where there are any, against libsodium, in pieces that end anywhere in a block. */
static void sha256_in_pieces(void **state)
{
    uint8_t bytes[700], whole[32], pieces[32];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * i + i / 7);
    for (size_t size = 0; size <= sizeof bytes; size += 9) {
        crypto_hash_sha256(whole, bytes, size);
        for (size_t piece = 1; piece < 200; piece += 13) {
            crypto_hash_sha256_state hash;
            crypto_hash_sha256_init(&hash);
            for (size_t at = 0; at < size; at += piece)
                tw_sha256_update(&hash, bytes + at, size - at < piece ? size - at : piece);
            crypto_hash_sha256_final(&hash, pieces);
            assert_memory_equal(pieces, whole, sizeof whole);
        }
        tw_sha256(bytes, size, pieces);
        assert_memory_equal(pieces, whole, sizeof whole);
    }
}

static void errors_are_cut_not_overrun(void **state)
{
    struct tw_error error;
    char longer[1000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(tw_error_set(&error, TW_INVALID, "column %d", 7), TW_INVALID);
    assert_string_equal(error.text, "column 7");
    assert_int_equal(tw_error_set(&error, TW_IO, "%s", longer), TW_IO);
    assert_int_equal(strlen(error.text), sizeof error.text - 1);
    assert_int_equal(tw_error_set(NULL, TW_CORRUPT, "nobody listens"), TW_CORRUPT);
}

static void every_status_has_its_name(void **state)
{
    const int all[] = {TW_OK,        TW_INVALID, TW_NOT_FOUND, TW_EXISTS,    TW_CONFLICT, TW_NOT_FINITE,
                       TW_CANCELLED, TW_BUSY,    TW_FULL,      TW_NO_MEMORY, TW_IO,       TW_CORRUPT};
    size_t count = sizeof all / sizeof all[0];
    for (size_t i = 0; i < count; i++) {
        assert_string_not_equal(tw_status_name(all[i]), "unknown");
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(tw_status_name(all[i]), tw_status_name(all[j]));
    }
    assert_string_equal(tw_status_name(TW_OK), "ok");
    assert_string_equal(tw_status_name(12345), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c_known_answers),       cmocka_unit_test(crc32c_continues),
        cmocka_unit_test(sha256_known_answers),       cmocka_unit_test(sha256_in_pieces),
        cmocka_unit_test(errors_are_cut_not_overrun), cmocka_unit_test(every_status_has_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
