/* Sorting of plain floats: the tests of one column and the ranges of histograms sort every column of every window.
 */
#ifndef TW_STAT_SORT_H
#define TW_STAT_SORT_H

#include <stddef.h>

/* Sorts n floats in place, ascending, in linear time (radix sort, three passes of 11 bits); `scratch` holds n floats.
 * The order is that of IEEE 754 totalOrder: -0 before +0, NaN at the ends. */
void tw_sort_floats(float *values, size_t n, float *scratch);

/* The same, and carried[i] stays beside values[i]; `scratch` holds 2 n floats. */
void tw_sort_carrying(float *values, float *carried, size_t n, float *scratch);

#endif
