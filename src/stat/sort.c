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

static unsigned digit_of(float value, unsigned pass)
{
    return (key_of(value) >> pass * DIGIT_BITS) % DIGITS;
}

/* start[d]: where the first value with digit d goes. */
static void count_digits(const float *values, size_t n, unsigned pass, size_t start[DIGITS])
{
    memset(start, 0, DIGITS * sizeof *start);
    for (size_t i = 0; i < n; i++)
        start[digit_of(values[i], pass)]++;
    size_t sum = 0;
    for (unsigned d = 0; d < DIGITS; d++) {
        size_t count = start[d];
        start[d] = sum;
        sum += count;
    }
}

void tw_sort_floats(float *values, size_t n, float *scratch)
{
    float *from = values, *to = scratch;
    size_t start[DIGITS];
    for (unsigned pass = 0; pass < PASSES; pass++) {
        count_digits(from, n, pass, start);
        for (size_t i = 0; i < n; i++)
            to[start[digit_of(from[i], pass)]++] = from[i];
        float *other = from;
        from = to;
        to = other;
    }
    if (n)
        memcpy(values, scratch, n * sizeof *values); /* an odd number of passes ends in scratch */
}

void tw_sort_carrying(float *values, float *carried, size_t n, float *scratch)
{
    float *from = values, *to = scratch, *with = carried, *with_to = scratch + n;
    size_t start[DIGITS];
    for (unsigned pass = 0; pass < PASSES; pass++) {
        count_digits(from, n, pass, start);
        for (size_t i = 0; i < n; i++) {
            size_t at = start[digit_of(from[i], pass)]++;
            to[at] = from[i];
            with_to[at] = with[i];
        }
        float *other = from, *other_with = with;
        from = to, with = with_to;
        to = other, with_to = other_with;
    }
    if (n) {
        memcpy(values, scratch, n * sizeof *values);
        memcpy(carried, scratch + n, n * sizeof *carried);
    }
}
