/* Are weights what they say they are? A reliability diagram: among events that the discriminator takes for data with
 * probability D, the share that is data must be D. */
#ifndef TW_STAT_RELIABILITY_H
#define TW_STAT_RELIABILITY_H

#include <stddef.h>

#include "base/status.h"

#define TW_RELIABILITY_BINS 10

struct tw_reliability_bin {
    double predicted;       /* mean D = w / (1 + w) */
    double observed, error; /* share of data, both samples taken to be equally many, and its binomial error */
    size_t rows;
};

struct tw_reliability {
    int count;
    struct tw_reliability_bin bins[TW_RELIABILITY_BINS]; /* by rising D, about equally many rows in each */
};

/* Log weights of data (n), with the event weights that these have, and of samples (m): of rows that no network has
 * seen. Equal weights share a bin. TW_NO_MEMORY or 0. */
int tw_reliability(const double *of_data, const float *weights, size_t n, const double *of_samples, size_t m,
                   struct tw_reliability *out);

#endif
