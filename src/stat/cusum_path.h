/* What the paths of a column bet on. A path's e-value for a block is the product over its rows of g(x), divided by the
 * mean of g over pool and block to the power of the block's rows (stat/cusum.h):
 *
 * smooth paths: g = exp(+-lambda a), with a component of stat/smooth.h for a and lambda the shift of its mean, in
 *   standard deviations, that the path finds soonest: five powers of two. The place of a peak has the likelihood ratio
 *   of which that is the tangent, as peaks move by much of their width (tw_smooth_peak);
 * notches: g = NOTCH_RATIO inside a run of neighbouring bins and 1 elsewhere. A dead region, or an edge that has moved,
 *   empties some bins and raises the others by little, which no smooth component sees soon: with a share p lost, the
 *   best path gains -ln(1 - p) a row. Runs of 2, 4 and 8 bins, each by half a run further than the last.
 *
 * Columns weigh them: p = min over paths of price / W, with the inverse prices summing to 1. What moves a column's
 * values from their place is watched for most: it is what calibrations do, and cheap where it is expected.
 */
#ifndef TW_STAT_CUSUM_PATH_H
#define TW_STAT_CUSUM_PATH_H

#include <stdbool.h>

#include "stat/sketch.h"
#include "stat/smooth.h"

enum {
    TW_CUSUM_SIZES = 5,                                        /* lambda = 2^(j - fineness) */
    TW_CUSUM_SMOOTH_BETS = TW_COMPONENTS * TW_CUSUM_SIZES * 2, /* component by component, size by size, + and - */
    TW_CUSUM_SMOOTH = (TW_CUSUM_SMOOTH_BETS + 7) / 8 * 8,      /* and some that never bet: paths go by eight */
    TW_CUSUM_NOTCHES = 2 * TW_SKETCH_BINS * 7 / 8,             /* 64 of 2 bins, 32 of 4, 16 of 8 */
    TW_CUSUM_PATHS = TW_CUSUM_SMOOTH + TW_CUSUM_NOTCHES        /* smooth ones first */
};

#define TW_CUSUM_NOTCH_RATIO 0.3

struct tw_cusum_path {
    int component;    /* 0 .. TW_COMPONENTS - 1; -1: a notch */
    int sign;         /* +1 or -1; of a notch -1; 0: it never bets */
    double lambda;    /* of a smooth path */
    int first, width; /* bins of a notch; it may go on from the last bin to the first one */
};

struct tw_cusum_path tw_cusum_path_of(int path, int fineness);
/* ln of the price; very large where nothing is bet. */
double tw_cusum_path_price(int path, bool periodic);
/* By how much ln W falls with a row without drift, on average, of a path that stands high; to leading order. */
double tw_cusum_path_fall(const struct tw_cusum_path *path);
/* g of a smooth path for a value in each cell; `made` are the counts that the scores are made of. */
void tw_cusum_path_growth(const struct tw_cusum_path *path, const double scores[TW_COMPONENTS][TW_SKETCH_CELLS],
                          const uint64_t made[TW_SKETCH_CELLS], bool periodic, double out[TW_SKETCH_CELLS]);
/* What a path gives a cell, larger for the change it bets on: the score, -1 inside a notch. */
void tw_cusum_path_scores(const struct tw_cusum_path *path, const double scores[TW_COMPONENTS][TW_SKETCH_CELLS],
                          double out[TW_SKETCH_CELLS]);

#endif
