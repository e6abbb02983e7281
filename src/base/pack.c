#include "base/pack.h"

#include <string.h>

unsigned char *tw_pack_put(unsigned char *at, const void *from, size_t size)
{
    memcpy(at, from, size);
    return at + size;
}

unsigned char *tw_pack_put_number(unsigned char *at, uint64_t value)
{
    for (; value > 127; value >>= 7)
        *at++ = (unsigned char)(value | 128);
    *at++ = (unsigned char)value;
    return at;
}

void tw_pack_get(struct tw_pack *reader, void *to, size_t size)
{
    reader->failed = reader->failed || size > reader->left;
    if (reader->failed) {
        memset(to, 0, size);
        return;
    }
    memcpy(to, reader->at, size);
    reader->at += size;
    reader->left -= size;
}

uint64_t tw_pack_get_number(struct tw_pack *reader)
{
    uint64_t value = 0;
    unsigned char byte = 128;
    for (int shift = 0; byte & 128; shift += 7) {
        tw_pack_get(reader, &byte, 1);
        reader->failed = reader->failed || shift > 63 || (shift == 63 && byte > 1) || (shift && !byte);
        if (reader->failed)
            return 0;
        value |= (uint64_t)(byte & 127) << shift;
    }
    return value;
}
