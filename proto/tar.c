/* ustar, no more of it than a backup needs. Layout of the block: name 100, mode 8, uid 8, gid 8, size 12, mtime 12,
 * checksum 8, type 1, link 100, "ustar" NUL "00", owner 32, group 32, device 8 + 8, prefix 155, 12 unused. */
#include "proto/tar.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { MODE = 100, UID = 108, GID = 116, SIZE = 124, MTIME = 136, SUM = 148, TYPE = 156, MAGIC = 257, PREFIX = 345 };
#define OCTAL_MAX ((UINT64_C(1) << 33) - 1) /* eleven digits */

bool twp_tar_name_ok(const char *name)
{
    size_t length = strnlen(name, TWP_TAR_NAME_MAX);
    if (length == 0 || length == TWP_TAR_NAME_MAX)
        return false;
    bool begins = true; /* a part */
    for (size_t i = 0; i < length; i++) {
        char c = name[i];
        bool plain = isascii(c) && (isalnum((unsigned char)c) || c == '_' || c == '-');
        if (!plain && (begins || (c != '.' && c != '/')))
            return false;
        begins = c == '/';
    }
    return !begins;
}

size_t twp_tar_padding(uint64_t size)
{
    return (size_t)(-size % TWP_TAR_BLOCK);
}

/* The checksum counts its own field as blanks. */
static unsigned sum_of(const unsigned char *block)
{
    unsigned sum = 8 * ' ';
    for (int i = 0; i < TWP_TAR_BLOCK; i++)
        sum += i >= SUM && i < SUM + 8 ? 0 : block[i];
    return sum;
}

static void put_size(unsigned char *field, uint64_t size)
{
    if (size <= OCTAL_MAX) {
        snprintf((char *)field, 12, "%011llo", (unsigned long long)size);
        return;
    }
    field[0] = 0x80;
    for (int i = 11; i > 3; i--, size >>= 8)
        field[i] = (unsigned char)size;
}

bool twp_tar_header(unsigned char block[TWP_TAR_BLOCK], const char *name, uint64_t size, int64_t seconds)
{
    if (!twp_tar_name_ok(name))
        return false;
    memset(block, 0, TWP_TAR_BLOCK);
    memcpy(block, name, strlen(name));
    memcpy(block + MODE, "0000600", 8);
    memcpy(block + UID, "0000000", 8);
    memcpy(block + GID, "0000000", 8);
    put_size(block + SIZE, size);
    snprintf((char *)block + MTIME, 12, "%011llo", (unsigned long long)(seconds > 0 ? seconds : 0) & OCTAL_MAX);
    block[TYPE] = '0';
    memcpy(block + MAGIC, "ustar\00000", 8);
    snprintf((char *)block + SUM, 8, "%06o", sum_of(block));
    block[SUM + 7] = ' ';
    return true;
}

/* --- reading --- */

static bool fail(struct twp_tar *tar, const char *problem)
{
    tar->problem = problem;
    return false;
}

/* An octal number in a field that a NUL or blank ends. */
static bool get_octal(const unsigned char *field, size_t size, uint64_t *out)
{
    size_t i = 0;
    *out = 0;
    while (i < size && field[i] >= '0' && field[i] <= '7')
        *out = *out << 3 | (uint64_t)(field[i++] - '0');
    return i > 0 && i < size && (field[i] == 0 || field[i] == ' ');
}

static bool get_size(const unsigned char *field, uint64_t *out)
{
    if (field[0] != 0x80)
        return get_octal(field, 12, out);
    *out = 0;
    for (int i = 1; i < 4; i++)
        if (field[i])
            return false;
    for (int i = 4; i < 12; i++)
        *out = *out << 8 | field[i];
    return *out <= INT64_MAX;
}

static bool is_zero(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i])
            return false;
    return true;
}

static bool end_of_file(struct twp_tar *tar)
{
    return tar->visitor.end(tar->visitor.context) || fail(tar, "stopped");
}

static bool take_header(struct twp_tar *tar)
{
    const unsigned char *block = tar->block;
    char name[TWP_TAR_NAME_MAX + 1] = "";
    uint64_t sum, size;
    if (is_zero(block, TWP_TAR_BLOCK)) {
        tar->zeros++;
        return true;
    }
    if (tar->zeros)
        return fail(tar, "something follows the end");
    if (memcmp(block + MAGIC, "ustar", 5) != 0)
        return fail(tar, "this is no tar archive");
    if (!get_octal(block + SUM, 8, &sum) || sum != sum_of(block))
        return fail(tar, "a header is damaged");
    if ((block[TYPE] != '0' && block[TYPE] != 0) || block[PREFIX] != 0)
        return fail(tar, "it holds something else than plain files with short names");
    memcpy(name, block, TWP_TAR_NAME_MAX);
    if (!twp_tar_name_ok(name))
        return fail(tar, "it holds a name that is not allowed");
    if (!get_size(block + SIZE, &size))
        return fail(tar, "a size is not valid");
    tar->left = size;
    tar->padding = twp_tar_padding(size);
    if (!tar->visitor.entry(tar->visitor.context, name, size))
        return fail(tar, "stopped");
    return size > 0 || end_of_file(tar);
}

/* Takes what belongs together from the front: data, padding, or a part of a header. Returns its size, 0: wrong. */
static size_t take(struct twp_tar *tar, const unsigned char *bytes, size_t size)
{
    if (tar->left > 0) {
        size_t n = size < tar->left ? size : (size_t)tar->left;
        tar->left -= n;
        if (!tar->visitor.data(tar->visitor.context, bytes, n))
            return fail(tar, "stopped");
        return tar->left > 0 || end_of_file(tar) ? n : 0;
    }
    if (tar->padding > 0) {
        size_t n = size < tar->padding ? size : tar->padding;
        tar->padding -= n;
        return is_zero(bytes, n) || fail(tar, "the space between two files is not empty") ? n : 0;
    }
    size_t room = TWP_TAR_BLOCK - tar->have, n = size < room ? size : room;
    memcpy(tar->block + tar->have, bytes, n);
    tar->have += n;
    if (tar->have < TWP_TAR_BLOCK)
        return n;
    tar->have = 0;
    return take_header(tar) ? n : 0;
}

bool twp_tar_push(struct twp_tar *tar, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    while (!tar->problem && size > 0) {
        size_t n = take(tar, at, size);
        at += n;
        size -= n;
    }
    return !tar->problem;
}

bool twp_tar_finish(struct twp_tar *tar)
{
    if (tar->problem)
        return false;
    if (tar->left || tar->padding || tar->have || tar->zeros < 2)
        return fail(tar, "it ends too early");
    return true;
}
