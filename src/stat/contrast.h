/* How two sketches on one grid differ in a column: by what kind of change, by how much, and where.
 */
#ifndef TW_STAT_CONTRAST_H
#define TW_STAT_CONTRAST_H

#include <stdbool.h>

#include "stat/sketch.h"
#include "stat/smooth.h"

struct tw_contrast {
    enum tw_component component; /* the one that stands out by the most standard errors */
    double value, error;         /* since less before, in standard deviations of the component */
    /* The same as a change of the column: of its location in spreads, of its width as a share of the width (for both as
     * if it were normal), of the share of absent values. NaN for the other components. */
    double size, size_error;
    double spread; /* half of what holds the central 68 % before; NaN where the bins do not say */
};

/* Both hold rows. */
void tw_contrast_column(const struct tw_sketch_grid *grid, const struct tw_sketch *before,
                        const struct tw_sketch *since, int column, bool periodic, struct tw_contrast *out);

/* Neighbouring bins with more (or fewer) values than there should be. */
struct tw_excess {
    int first, last;           /* bins; the column's range is from edge first - 1 to edge last */
    double observed, expected; /* values in `since`; by `before`, for as many rows */
    double ratio, error;       /* observed / expected - 1, and its standard error; of the range that was chosen */
    double significance;       /* standard errors from 0; the range is the one that has the most */
};

/* sign +1: an excess, -1: a deficit. */
void tw_contrast_excess(const struct tw_sketch_grid *grid, const struct tw_sketch *before,
                        const struct tw_sketch *since, int column, int sign, struct tw_excess *out);

#endif
