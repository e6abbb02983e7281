/* How much of a drift a retune recovered: R = (L_after - L_before) / (L_best - L_before). */
#ifndef TW_STAT_RECOVERY_H
#define TW_STAT_RECOVERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tw_recovery {
    double before, after, best; /* mean log-likelihood of the held-out rows */
    double value, error;        /* R with its bootstrap error */
    double span, span_error;    /* L_best - L_before */
    bool measurable;            /* span >= 5 standard errors */
};

/* Log-likelihoods of the same n held-out rows under three models; rows where any is not finite are left out of all.
 * TW_INVALID if fewer than 100 remain. */
int tw_recovery(const double *before, const double *after, const double *best, size_t n, uint64_t seed,
                struct tw_recovery *out);

#endif
