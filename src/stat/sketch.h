/* A sketch of a sample: for each column, how many of its values lie in each of some 64 bins.
 *
 * The bins' edges (the grid) are made once, from rows that belong to none of the samples to be compared, such as events
 * drawn from the champion. Sketches on one grid add up exactly, in any order and on any machine: windows that several
 * daemons took become one by adding counts, and whatever is computed from the sum runs in one place.
 */
#ifndef TW_STAT_SKETCH_H
#define TW_STAT_SKETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TW_SKETCH_BINS = 64,
    TW_SKETCH_NAN = TW_SKETCH_BINS, /* the cell of values that are absent */
    TW_SKETCH_CELLS
};

struct tw_sketch_grid {
    int columns;
    int *count;   /* (columns): edges of the column, below TW_SKETCH_BINS */
    float *edges; /* (columns, TW_SKETCH_BINS), ascending, infinite from `count` on; bin i holds edge[i-1] < x <=
                     edge[i] */
};

/* Without edges: one bin a column. TW_NO_MEMORY or 0. */
int tw_sketch_grid_init(struct tw_sketch_grid *grid, int columns);
void tw_sketch_grid_fini(struct tw_sketch_grid *grid); /* accepts a zeroed grid */
/* Edges of a column: the quantiles i/64 of n values, each once, so that a column of few values has a bin for each. NaN
 * is left out. TW_NO_MEMORY or 0. */
int tw_sketch_grid_column(struct tw_sketch_grid *grid, int column, const float *values, size_t n, size_t stride);
/* The cell that a value falls into. */
int tw_sketch_grid_cell(const struct tw_sketch_grid *grid, int column, float value);
/* Those of n values, `stride` floats apart. */
void tw_sketch_grid_cells(const struct tw_sketch_grid *grid, int column, const float *values, size_t n, size_t stride,
                          unsigned char *cells);

struct tw_sketch {
    int columns;
    uint64_t *counts; /* (columns, TW_SKETCH_CELLS) */
};

int tw_sketch_init(struct tw_sketch *sketch, int columns); /* empty; TW_NO_MEMORY or 0 */
void tw_sketch_fini(struct tw_sketch *sketch);             /* accepts a zeroed sketch */
/* Counts n values, `stride` floats apart, in a column. */
void tw_sketch_fill(struct tw_sketch *sketch, const struct tw_sketch_grid *grid, int column, const float *values,
                    size_t n, size_t stride);
/* Both have as many columns, and one grid. */
void tw_sketch_add(struct tw_sketch *sketch, const struct tw_sketch *other);
/* Takes away what was added; false, and nothing is taken, if it cannot have been. */
bool tw_sketch_subtract(struct tw_sketch *sketch, const struct tw_sketch *other);
/* Values counted in a column, absent ones too. */
uint64_t tw_sketch_rows(const struct tw_sketch *sketch, int column);

#endif
