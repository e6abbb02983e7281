/* State packed into bytes, and a reader of bytes from outside: once a read has failed, all that follow do. Values lie
 * as they do in memory, little-endian and without padding; whole numbers of unknown size take few bytes, seven bits
 * each, the lowest first (LEB128), and only the shortest form of a number is taken.
 */
#ifndef TW_BASE_PACK_H
#define TW_BASE_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TW_PACK_NUMBER_MAX = 10 }; /* bytes of a whole number */

/* Both return where it ends. */
unsigned char *tw_pack_put(unsigned char *at, const void *from, size_t size);
unsigned char *tw_pack_put_number(unsigned char *at, uint64_t value);

struct tw_pack {
    const unsigned char *at;
    size_t left;
    bool failed;
};
/* Zeros if it fails. */
void tw_pack_get(struct tw_pack *reader, void *to, size_t size);
uint64_t tw_pack_get_number(struct tw_pack *reader);

#endif
