#include "stat/leb128.h"

#include <string.h>

unsigned char *tw_leb128_put(unsigned char *at, uint64_t value)
{
    for (; value > 127; value >>= 7)
        *at++ = (unsigned char)(value | 128);
    *at++ = (unsigned char)value;
    return at;
}

void tw_leb128_bytes(struct tw_leb128 *reader, void *to, size_t size)
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

uint64_t tw_leb128_get(struct tw_leb128 *reader)
{
    uint64_t value = 0;
    unsigned char byte = 128;
    for (int shift = 0; byte & 128; shift += 7) {
        tw_leb128_bytes(reader, &byte, 1);
        reader->failed = reader->failed || shift > 63 || (shift == 63 && byte > 1) || (shift && !byte);
        if (reader->failed)
            return 0;
        value |= (uint64_t)(byte & 127) << shift;
    }
    return value;
}
