/* Two rates compared: Fisher's exact test of x1 of n1 against x2 of n2. */
#ifndef TW_STAT_RATE_H
#define TW_STAT_RATE_H

#include <stddef.h>

/* Two-sided p-value, exact. */
double tw_rate_fisher(size_t x1, size_t n1, size_t x2, size_t n2);

#endif
