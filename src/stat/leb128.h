/* Whole numbers of unknown size in few bytes, seven bits each, the lowest first (LEB128), and a reader of bytes from
 * outside: once a read has failed, all that follow do. Only the shortest form of a number is taken. */
#ifndef TW_STAT_LEB128_H
#define TW_STAT_LEB128_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TW_LEB128_MAX = 10 }; /* bytes of a number */

/* Returns where it ends. */
unsigned char *tw_leb128_put(unsigned char *at, uint64_t value);

struct tw_leb128 {
    const unsigned char *at;
    size_t left;
    bool failed;
};
uint64_t tw_leb128_get(struct tw_leb128 *reader);
/* Zeros if it fails. */
void tw_leb128_bytes(struct tw_leb128 *reader, void *to, size_t size);

#endif
