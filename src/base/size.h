/* Sizes that come from outside are multiplied with a check. */
#ifndef TW_BASE_SIZE_H
#define TW_BASE_SIZE_H

#include <stdbool.h>
#include <stddef.h>

/* *out = a*b (or a+b); false on overflow. */
static inline bool tw_size_mul(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

static inline bool tw_size_add(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

/* calloc with both factors checked and 64-byte alignment; NULL on overflow or no memory; release with free(). */
void *tw_size_alloc(size_t count, size_t each);

#endif
