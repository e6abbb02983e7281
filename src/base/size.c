/* Zeroed, aligned memory of a checked size. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

#define ALIGNMENT 64 /* a cache line, and the widest vector */

void *tw_size_alloc(size_t count, size_t each)
{
    size_t bytes;
    if (!tw_size_mul(count, each, &bytes) || bytes > SIZE_MAX - ALIGNMENT)
        return NULL;
    bytes = bytes ? (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT : ALIGNMENT;
    void *memory = aligned_alloc(ALIGNMENT, bytes);
    if (memory)
        memset(memory, 0, bytes);
    return memory;
}
