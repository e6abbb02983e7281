#include "stat/cusum.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

/* Windows without drift that bring a path back from its cap to the limit. */
#define FALL 2.0

/* What each value adds to the logarithm of a path that does not bet: it lies below all others. */
#define NEVER (-1e9F)

/* Rows from which on waking workers costs less than they take over. */
enum { WORTH_WORKERS = 256 };

/* --- life --- */

int tw_cusum_alloc(struct tw_cusum *cusum, int columns, bool log_prob)
{
    size_t paths = (size_t)columns * TW_CUSUM_PATHS;
    *cusum = (struct tw_cusum){.columns = columns, .log_prob = log_prob};
    cusum->log_w = tw_size_alloc(paths, sizeof *cusum->log_w);
    cusum->start = tw_size_alloc(paths, sizeof *cusum->start);
    cusum->periodic = tw_size_alloc((size_t)columns, sizeof *cusum->periodic);
    cusum->scores = tw_size_alloc((size_t)columns, sizeof *cusum->scores);
    cusum->cells = tw_size_alloc((size_t)columns, sizeof *cusum->cells);
    cusum->sums = tw_size_alloc((size_t)columns, sizeof *cusum->sums);
    cusum->next = tw_size_alloc((size_t)columns, sizeof *cusum->next);
    cusum->bets = tw_cusum_bets(0);
    cusum->prices = tw_size_alloc(2, sizeof *cusum->prices);
    for (int i = 0; cusum->prices && i < 2 * TW_CUSUM_PATHS; i++)
        cusum->prices[i / TW_CUSUM_PATHS][i % TW_CUSUM_PATHS] =
            tw_cusum_path_price(i % TW_CUSUM_PATHS, i >= TW_CUSUM_PATHS);
    bool got = cusum->log_w && cusum->start && cusum->periodic && cusum->scores && cusum->cells && cusum->sums &&
               cusum->next && cusum->prices;
    int status = got ? tw_sketch_grid_init(&cusum->grid, columns) : TW_NO_MEMORY;
    if (status == TW_OK)
        status = tw_sketch_init(&cusum->made, columns);
    if (status == TW_OK)
        status = tw_sketch_init(&cusum->pool, columns);
    if (status == TW_OK)
        status = tw_sketch_init(&cusum->last, columns);
    if (status)
        tw_cusum_fini(cusum);
    return status;
}

void tw_cusum_tables(struct tw_cusum *cusum, int column)
{
    const uint64_t *made = cusum->made.counts + column * TW_SKETCH_CELLS;
    tw_smooth_scores(made, cusum->periodic[column], cusum->scores[column]);
    for (int which = 0; which < TW_CUSUM_SMOOTH; which++) {
        struct tw_cusum_path path = tw_cusum_path_of(which, cusum->fineness);
        double growth[TW_SKETCH_CELLS];
        tw_cusum_path_growth(&path, cusum->scores[column], made, cusum->periodic[column], growth);
        for (int i = 0; i < TW_SKETCH_CELLS; i++) {
            struct tw_cusum_bets_cell *cell = &cusum->cells[column][i];
            cell->growth[which] = (float)growth[i];
            cell->gain[which] = path.sign ? nextafterf((float)log((double)cell->growth[which]), -INFINITY) : NEVER;
        }
    }
}

struct tw_cusum_bets_column tw_cusum_bets_of(const struct tw_cusum *cusum, int column)
{
    return (struct tw_cusum_bets_column){cusum->cells[column], cusum->periodic[column]};
}

struct tw_cusum_bets_sums tw_cusum_sum(const struct tw_cusum *cusum, int column)
{
    struct tw_cusum_bets_column bets = tw_cusum_bets_of(cusum, column);
    struct tw_cusum_bets_values pool;
    struct tw_cusum_bets_sums sums = {0};
    cusum->bets->values(cusum->pool.counts + column * TW_SKETCH_CELLS, &pool);
    cusum->bets->add(&bets, &pool, &sums);
    return sums;
}

/* The smallest lambda lies between one and two standard errors of the reference's mean: the pool grows, and what is
 * smaller it cannot tell. */
static int fineness_of(size_t rows)
{
    int fineness = TW_CUSUM_FINENESS_MIN;
    while (fineness < TW_CUSUM_FINENESS_MAX && (UINT64_C(4) << 2 * fineness) < rows)
        fineness++;
    return fineness;
}

int tw_cusum_init(struct tw_cusum *cusum, const struct tw_cusum_sample *events, const struct tw_cusum_sample *reference)
{
    const struct tw_schema *schema = reference->data->schema;
    bool log_prob = events->log_prob && reference->log_prob;
    int status = tw_cusum_alloc(cusum, schema->features + log_prob, log_prob);
    cusum->fineness = fineness_of(reference->data->rows);
    for (int c = 0; status == TW_OK && c < cusum->columns; c++) {
        struct tw_cusum_values values;
        cusum->periodic[c] = c < schema->features && schema->columns[c].kind == TW_PERIODIC;
        status = tw_cusum_values_init(&values, events, c);
        if (status == TW_OK)
            status = tw_sketch_grid_column(&cusum->grid, c, values.at, events->data->rows, values.stride);
        if (status == TW_OK)
            tw_sketch_fill(&cusum->made, &cusum->grid, c, values.at, events->data->rows, values.stride);
        tw_cusum_values_fini(&values);
        if (status == TW_OK)
            status = tw_cusum_values_init(&values, reference, c);
        if (status == TW_OK) {
            tw_sketch_fill(&cusum->pool, &cusum->grid, c, values.at, reference->data->rows, values.stride);
            tw_cusum_values_fini(&values);
        }
    }
    if (status)
        tw_cusum_fini(cusum);
    if (status)
        return status;
    for (int c = 0; c < cusum->columns; c++) {
        tw_cusum_tables(cusum, c);
        cusum->sums[c] = tw_cusum_sum(cusum, c);
    }
    return TW_OK;
}

void tw_cusum_fini(struct tw_cusum *cusum)
{
    free(cusum->log_w);
    free(cusum->start);
    free(cusum->periodic);
    free(cusum->scores);
    free(cusum->cells);
    free(cusum->sums);
    free(cusum->next);
    free(cusum->prices);
    tw_sketch_grid_fini(&cusum->grid);
    tw_sketch_fini(&cusum->made);
    tw_sketch_fini(&cusum->pool);
    tw_sketch_fini(&cusum->last);
    *cusum = (struct tw_cusum){0};
}

int tw_cusum_copy(const struct tw_cusum *cusum, struct tw_cusum *out)
{
    size_t columns = (size_t)cusum->columns, paths = columns * TW_CUSUM_PATHS;
    int status = tw_cusum_alloc(out, cusum->columns, cusum->log_prob);
    if (status)
        return status;
    memcpy(out->periodic, cusum->periodic, columns * sizeof *out->periodic);
    memcpy(out->grid.count, cusum->grid.count, columns * sizeof *out->grid.count);
    memcpy(out->grid.edges, cusum->grid.edges, columns * TW_SKETCH_BINS * sizeof *out->grid.edges);
    memcpy(out->log_w, cusum->log_w, paths * sizeof *out->log_w);
    memcpy(out->start, cusum->start, paths * sizeof *out->start);
    memcpy(out->scores, cusum->scores, columns * sizeof *out->scores);
    memcpy(out->cells, cusum->cells, columns * sizeof *out->cells);
    memcpy(out->sums, cusum->sums, columns * sizeof *out->sums);
    tw_sketch_add(&out->made, &cusum->made);
    tw_sketch_add(&out->pool, &cusum->pool);
    out->fineness = cusum->fineness;
    out->unrest = cusum->unrest;
    out->paused = cusum->paused;
    out->windows = cusum->windows;
    return TW_OK;
}

/* --- a window --- */

int tw_cusum_step(struct tw_cusum *cusum, const struct tw_cusum_sample *window, uint64_t tag, struct tw_pool *pool,
                  struct tw_cusum_column *out)
{
    size_t rows = window->data->rows;
    struct tw_pool *workers = rows < WORTH_WORKERS ? NULL : pool;
    struct tw_cusum_window counted;
    int status = tw_cusum_window_init(&counted, cusum->columns, tw_cusum_blocks(cusum, rows));
    if (status == TW_OK)
        status = tw_cusum_window_count(&counted, cusum, window, workers);
    if (status == TW_OK)
        tw_cusum_take(cusum, &counted, tag, workers, out);
    tw_cusum_window_fini(&counted);
    return status;
}

int tw_cusum_leading(const struct tw_cusum *cusum, int column, double *log_ratio)
{
    const double *log_w = cusum->log_w + column * TW_CUSUM_PATHS, *prices = cusum->prices[cusum->periodic[column]];
    double most = cusum->bets->largest(TW_CUSUM_PATHS, log_w, prices);
    int path = 0;
    while (log_w[path] - prices[path] < most)
        path++;
    *log_ratio = -most;
    return path;
}

/* Where a column alarms, paths are capped a little above their limits, the price over the threshold, by what a window
 * of so many rows takes back. Only the path with the least p stays there, the others at half of their limits: it has
 * the size that fits the drift, and the time after which the alarm ends is its own. */
static void cap_paths(struct tw_cusum *cusum, int column, double rows, double log_threshold)
{
    double *log_w = cusum->log_w + column * TW_CUSUM_PATHS, log_ratio;
    const double *prices = cusum->prices[cusum->periodic[column]];
    if (-cusum->bets->largest(TW_CUSUM_PATHS, log_w, prices) > log_threshold)
        return; /* most columns, at all times */
    int best = tw_cusum_leading(cusum, column, &log_ratio);
    for (int path = 0; path < TW_CUSUM_PATHS; path++) {
        struct tw_cusum_path it = tw_cusum_path_of(path, cusum->fineness);
        double limit = prices[path] - log_threshold, cap = limit + FALL * rows * tw_cusum_path_fall(&it);
        log_w[path] = fmin(log_w[path], path == best ? cap : limit / 2);
    }
}

void tw_cusum_settle(struct tw_cusum *cusum, bool alarm, double threshold)
{
    bool over = !alarm && cusum->unrest == 1;
    if (alarm && cusum->unrest == 0)
        cusum->paused = cusum->tag;
    cusum->unrest = alarm ? TW_CUSUM_UNREST : cusum->unrest - (cusum->unrest > 0);
    if (cusum->unrest == 0) {
        tw_sketch_add(&cusum->pool, &cusum->last);
        memcpy(cusum->sums, cusum->next, (size_t)cusum->columns * sizeof *cusum->sums);
    }
    double log_threshold = log(threshold);
    for (int c = 0; c < cusum->columns; c++)
        cap_paths(cusum, c, (double)tw_sketch_rows(&cusum->last, c), log_threshold);
    if (over)
        memset(cusum->log_w, 0, (size_t)cusum->columns * TW_CUSUM_PATHS * sizeof *cusum->log_w);
    cusum->windows++;
}
