/* Two-sample test of all columns at once: maximum mean discrepancy with random Fourier features. */
#ifndef TW_STAT_MMD_H
#define TW_STAT_MMD_H

#include <stdint.h>

#include "base/pool.h"
#include "kernel/kernel.h"
#include "model/data.h"

struct tw_mmd {
    double value; /* MMD^2, of a kernel with k(x, x) = 1 */
    double floor; /* what it is on average if both samples have one distribution */
    double p_value;
    double bandwidth; /* in standardised coordinates */
};

/* Both of one schema; conditions are left out. The frequencies are a function of seed and the number of columns.
 * Weights may have either sign. TW_INVALID for fewer than 50 effective events on a side or a sum of weights that is not
 * positive; TW_NO_MEMORY or 0. */
int tw_mmd(const struct tw_data *a, const struct tw_data *b, uint64_t seed, const struct tw_kernels *kernels,
           struct tw_pool *pool, struct tw_mmd *out, struct tw_error *error);

#endif
