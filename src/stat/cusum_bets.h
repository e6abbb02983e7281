/* One block's bets in one column: what every path gains, and Page's recursion. Where a small window spends its time.
 *
 * Paths, or the components and signs that they are made of, lie side by side in vectors, and each has its own sums in
 * the order of the cells: the same bits come out for every instruction set, none of which may fuse a multiplication
 * with an addition. The source is compiled for several (src/stat/meson.build), a table each.
 */
#ifndef TW_STAT_CUSUM_BETS_H
#define TW_STAT_CUSUM_BETS_H

#include <stdbool.h>
#include <stdint.h>

#include "stat/cusum_path.h"
#include "stat/sketch.h"
#include "stat/smooth.h"

/* What a value in a cell does to each smooth path: W grows by `growth`, its logarithm by `gain`, rounded down, before
 * both are held against the means. */
struct tw_cusum_bets_cell {
    float growth[TW_CUSUM_SMOOTH], gain[TW_CUSUM_SMOOTH];
};

struct tw_cusum_bets_column {
    const struct tw_cusum_bets_cell *cells; /* (TW_SKETCH_CELLS) */
    bool periodic;
};

/* Of growth, over many values. */
struct tw_cusum_bets_sums {
    double of[TW_CUSUM_SMOOTH];
};

/* Values of a column by cell, and how many they are. Doubles, as all they meet are. */
struct tw_cusum_bets_values {
    double in[TW_SKETCH_CELLS], rows;
};

struct tw_cusum_bets {
    const char *name;
    void (*values)(const uint64_t counts[TW_SKETCH_CELLS], struct tw_cusum_bets_values *out);
    /* Adds the values' share to sums. */
    void (*add)(const struct tw_cusum_bets_column *column, const struct tw_cusum_bets_values *values,
                struct tw_cusum_bets_sums *sums);
    /* A block against all, the union of pool and block. ln W of every path becomes ln of max(W, 1) e, and `start` is
     * the tag where W was at or below 1. The sums are the pool's before and those of all after. */
    void (*take)(const struct tw_cusum_bets_column *column, const struct tw_cusum_bets_values *block,
                 const struct tw_cusum_bets_values *all, struct tw_cusum_bets_sums *sums, uint64_t tag,
                 double log_w[TW_CUSUM_PATHS], uint64_t start[TW_CUSUM_PATHS]);
    /* Sum of n products, in eight parts. */
    double (*dot)(int n, const double *a, const double *b);
    /* The largest of n differences x - less; n is a multiple of eight. */
    double (*largest)(int n, const double *x, const double *less);
};

/* The table of that rank, the widest vectors that the processor has first; NULL: there are no more. */
const struct tw_cusum_bets *tw_cusum_bets(int rank);

#endif
