/* Event weights of a sample: their sums, and how many events without weights would know as much. */
#ifndef TW_STAT_WEIGHTS_H
#define TW_STAT_WEIGHTS_H

#include <stdbool.h>
#include <stddef.h>

struct tw_error;

struct tw_weights {
    double sum, squares; /* of w and w^2 */
    double effective;    /* sum^2 / squares (Kish 1965); the number of rows where all weights are equal */
    size_t negative;     /* how many are below zero */
    bool equal;          /* all the same and positive: a common factor says nothing, so that these are no weights */
};

/* weights (n), or NULL: all 1. */
struct tw_weights tw_weights_of(const float *weights, size_t n);

/* TW_INVALID, with a sentence that says what may be done instead, if a test that needs distribution functions that
 * rise (Kolmogorov-Smirnov, Cramer-von Mises, ranks of scores) can't take the two samples: a weight below zero, or
 * fewer than `least` effective events on a side. */
int tw_weights_need_rising(const struct tw_weights *a, const struct tw_weights *b, double least,
                           struct tw_error *error);
/* The same for tests that need sums alone: weights below zero are welcome, a sum of zero or less is not. */
int tw_weights_need_sums(const struct tw_weights *a, const struct tw_weights *b, double least, struct tw_error *error);

#endif
