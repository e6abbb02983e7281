/* Least-significant-digit radix sort. The bits of a float, with the sign bit flipped for positive numbers and all bits
 * flipped for negative ones, are ordered like the numbers themselves. */
#include <stdint.h>
#include <string.h>

#include "stat/sort.h"

#define DIGIT_BITS 11
#define DIGITS     (1u << DIGIT_BITS)
#define PASSES     3

static uint32_t key_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits ^ ((bits >> 31) ? 0xffffffffu : 0x80000000u);
}

void tw_sort_floats(float *values, size_t n, float *scratch)
{
    float *from = values, *to = scratch;
    for (unsigned pass = 0; pass < PASSES; pass++) {
        unsigned shift = pass * DIGIT_BITS;
        size_t start[DIGITS] = {0};
        for (size_t i = 0; i < n; i++)
            start[(key_of(from[i]) >> shift) % DIGITS]++;
        size_t sum = 0;
        for (unsigned d = 0; d < DIGITS; d++) {
            size_t count = start[d];
            start[d] = sum;
            sum += count;
        }
        for (size_t i = 0; i < n; i++)
            to[start[(key_of(from[i]) >> shift) % DIGITS]++] = from[i];
        float *other = from;
        from = to;
        to = other;
    }
    if (n)
        memcpy(values, scratch, n * sizeof *values); /* an odd number of passes ends in scratch */
}
