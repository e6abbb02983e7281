#include "stat/sketch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "base/status.h"
#include "stat/sort.h"

int tw_sketch_grid_init(struct tw_sketch_grid *grid, int columns)
{
    *grid = (struct tw_sketch_grid){.columns = columns};
    grid->count = tw_size_alloc((size_t)columns, sizeof *grid->count);
    grid->edges = tw_size_alloc((size_t)columns * TW_SKETCH_BINS, sizeof *grid->edges);
    if (!grid->count || !grid->edges) {
        tw_sketch_grid_fini(grid);
        return TW_NO_MEMORY;
    }
    for (int i = 0; i < columns * TW_SKETCH_BINS; i++)
        grid->edges[i] = INFINITY;
    return TW_OK;
}

void tw_sketch_grid_fini(struct tw_sketch_grid *grid)
{
    free(grid->count);
    free(grid->edges);
    *grid = (struct tw_sketch_grid){0};
}

int tw_sketch_grid_column(struct tw_sketch_grid *grid, int column, const float *values, size_t n, size_t stride)
{
    float *sorted = tw_size_alloc(2 * n + 1, sizeof *sorted), *edges = grid->edges + column * TW_SKETCH_BINS;
    size_t kept = 0;
    int count = 0;
    if (!sorted)
        return TW_NO_MEMORY;
    for (size_t i = 0; i < n; i++)
        if (!isnan(values[i * stride]))
            sorted[kept++] = values[i * stride];
    tw_sort_floats(sorted, kept, sorted + n);
    for (size_t i = 1; i < TW_SKETCH_BINS && kept; i++) {
        float edge = sorted[i * kept / TW_SKETCH_BINS];
        /* none at the largest value: nothing would lie beyond it */
        if (edge < sorted[kept - 1] && (count == 0 || edge > edges[count - 1]))
            edges[count++] = edge;
    }
    grid->count[column] = count;
    free(sorted);
    return TW_OK;
}

/* The number of edges below the value, by halving 64 places without a branch: values come in no order, and a branch on
 * them would be guessed wrongly every other time. */
static int cell_of(const float *edges, float value)
{
    int at = 0;
    for (int step = TW_SKETCH_BINS / 2; step > 0; step /= 2)
        at += edges[at + step - 1] < value ? step : 0;
    return isnan(value) ? TW_SKETCH_NAN : at;
}

int tw_sketch_grid_cell(const struct tw_sketch_grid *grid, int column, float value)
{
    return cell_of(grid->edges + column * TW_SKETCH_BINS, value);
}

void tw_sketch_grid_cells(const struct tw_sketch_grid *grid, int column, const float *values, size_t n, size_t stride,
                          unsigned char *cells)
{
    const float *edges = grid->edges + column * TW_SKETCH_BINS;
    for (size_t i = 0; i < n; i++)
        cells[i] = (unsigned char)cell_of(edges, values[i * stride]);
}

int tw_sketch_init(struct tw_sketch *sketch, int columns)
{
    *sketch = (struct tw_sketch){.columns = columns};
    sketch->counts = tw_size_alloc((size_t)columns * TW_SKETCH_CELLS, sizeof *sketch->counts);
    return sketch->counts ? TW_OK : TW_NO_MEMORY;
}

void tw_sketch_fini(struct tw_sketch *sketch)
{
    free(sketch->counts);
    *sketch = (struct tw_sketch){0};
}

void tw_sketch_fill(struct tw_sketch *sketch, const struct tw_sketch_grid *grid, int column, const float *values,
                    size_t n, size_t stride)
{
    uint64_t *counts = sketch->counts + column * TW_SKETCH_CELLS;
    for (size_t i = 0; i < n; i++)
        counts[tw_sketch_grid_cell(grid, column, values[i * stride])]++;
}

void tw_sketch_add(struct tw_sketch *sketch, const struct tw_sketch *other)
{
    for (int i = 0; i < sketch->columns * TW_SKETCH_CELLS; i++)
        sketch->counts[i] += other->counts[i];
}

bool tw_sketch_subtract(struct tw_sketch *sketch, const struct tw_sketch *other)
{
    for (int i = 0; i < sketch->columns * TW_SKETCH_CELLS; i++)
        if (sketch->counts[i] < other->counts[i])
            return false;
    for (int i = 0; i < sketch->columns * TW_SKETCH_CELLS; i++)
        sketch->counts[i] -= other->counts[i];
    return true;
}

uint64_t tw_sketch_rows(const struct tw_sketch *sketch, int column)
{
    uint64_t rows = 0;
    for (int i = 0; i < TW_SKETCH_CELLS; i++)
        rows += sketch->counts[column * TW_SKETCH_CELLS + i];
    return rows;
}
