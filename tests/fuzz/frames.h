/* A multipart message as one input: for each frame a 16-bit length and its bytes. */
#ifndef TESTS_FUZZ_FRAMES_H
#define TESTS_FUZZ_FRAMES_H

#include <stdint.h>

#include "proto/wire.h"

enum { FRAMES = 6 };

static inline size_t frames_split(const uint8_t *data, size_t size, struct twp_frame *frames)
{
    size_t count = 0;
    while (count < FRAMES && size >= 2) {
        size_t length = data[0] | (size_t)data[1] << 8;
        length = length > size - 2 ? size - 2 : length;
        frames[count++] = (struct twp_frame){data + 2, length};
        data += 2 + length;
        size -= 2 + length;
    }
    return count;
}

#endif
