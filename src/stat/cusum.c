#include "stat/cusum.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

/* Windows without drift that bring a path back from its cap to the limit. */
#define FALL 2.0

/* --- life --- */

int tw_cusum_alloc(struct tw_cusum *cusum, int columns, bool log_prob)
{
    size_t paths = (size_t)columns * TW_CUSUM_PATHS;
    *cusum = (struct tw_cusum){.columns = columns, .log_prob = log_prob};
    cusum->log_w = tw_size_alloc(paths, sizeof *cusum->log_w);
    cusum->start = tw_size_alloc(paths, sizeof *cusum->start);
    cusum->periodic = tw_size_alloc((size_t)columns, sizeof *cusum->periodic);
    cusum->scores = tw_size_alloc((size_t)columns, sizeof *cusum->scores);
    cusum->growth = tw_size_alloc((size_t)columns, sizeof *cusum->growth);
    bool got = cusum->log_w && cusum->start && cusum->periodic && cusum->scores && cusum->growth;
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

void tw_cusum_tables(struct tw_cusum *cusum)
{
    double lambda = ldexp(1, -cusum->fineness);
    for (int c = 0; c < cusum->columns; c++) {
        tw_smooth_scores(cusum->made.counts + c * TW_SKETCH_CELLS, cusum->periodic[c], cusum->scores[c]);
        for (int i = 0; i < TW_SKETCH_CELLS; i++)
            for (int k = 0; k < TW_COMPONENTS; k++) {
                double growth = exp(lambda * cusum->scores[c][k][i]);
                cusum->growth[c][k][i][0] = growth;
                cusum->growth[c][k][i][1] = 1 / growth;
            }
    }
}

/* The whole number next above log2 of the root. */
static int fineness_of(size_t rows)
{
    int fineness = 0;
    while (fineness < TW_CUSUM_FINENESS_MAX && (UINT64_C(1) << 2 * fineness) < rows)
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
    else
        tw_cusum_tables(cusum);
    return status;
}

void tw_cusum_fini(struct tw_cusum *cusum)
{
    free(cusum->log_w);
    free(cusum->start);
    free(cusum->periodic);
    free(cusum->scores);
    free(cusum->growth);
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
    memcpy(out->growth, cusum->growth, columns * sizeof *out->growth);
    tw_sketch_add(&out->made, &cusum->made);
    tw_sketch_add(&out->pool, &cusum->pool);
    out->fineness = cusum->fineness;
    out->unrest = cusum->unrest;
    out->paused = cusum->paused;
    out->windows = cusum->windows;
    return TW_OK;
}

/* --- a window --- */

struct step {
    struct tw_cusum *cusum;
    const struct tw_cusum_window *window;
    int blocks; /* that its parts are put together to */
    uint64_t tag;
    struct tw_cusum_column *out;
};

static double total(const double counts[TW_SKETCH_CELLS])
{
    double rows = 0;
    for (int i = 0; i < TW_SKETCH_CELLS; i++)
        rows += counts[i];
    return rows;
}

/* Sum of a score over the values counted. */
static double sum_of(const double counts[TW_SKETCH_CELLS], const double scores[TW_SKETCH_CELLS])
{
    double sum = 0;
    for (int i = 0; i < TW_SKETCH_CELLS; i++)
        sum += counts[i] * scores[i];
    return sum;
}

/* Page's recursion, ln of max(W, 1) e with ln e = gain - rows ln(mean); `least` is a bound from below on ln(mean) that
 * spares the logarithm where W does not rise above 1: there is nothing to know of it but that. */
static void climb(const struct step *step, int column, int path, double gain, double rows, double mean, double least)
{
    double *log_w = &step->cusum->log_w[column * TW_CUSUM_PATHS + path];
    if (*log_w <= 0) {
        *log_w = 0;
        step->cusum->start[column * TW_CUSUM_PATHS + path] = step->tag;
        if (gain - rows * least <= 0)
            return;
    }
    *log_w += gain - rows * log(mean);
}

/* The sums of exp(lambda a) and exp(-lambda a) over the values counted, for one component: of the smallest lambda from
 * the table, of each that follows by squaring. */
static void sum_growth(const double counts[TW_SKETCH_CELLS], const double growth[TW_SKETCH_CELLS][2],
                       double sums[TW_CUSUM_SIZES][2])
{
    double sum[TW_CUSUM_SIZES][2] = {{0}};
    for (int i = 0; i < TW_SKETCH_CELLS; i++) {
        double up = growth[i][0], down = growth[i][1], n = counts[i];
        for (int j = 0; j < TW_CUSUM_SIZES; j++) {
            sum[j][0] += n * up;
            sum[j][1] += n * down;
            up *= up;
            down *= down;
        }
    }
    memcpy(sums, sum, sizeof sum);
}

/* One block against the union of pool and block: every smooth path of the column takes its e-value. */
static void take_smooth(const struct step *step, int column, const double block[TW_SKETCH_CELLS],
                        const double all[TW_SKETCH_CELLS])
{
    const struct tw_cusum *cusum = step->cusum;
    double rows = total(block), all_rows = total(all), sums[TW_CUSUM_SIZES][2];
    for (int k = 0; k < TW_COMPONENTS; k++) {
        const double *scores = cusum->scores[column][k];
        double sum = sum_of(block, scores), mean = sum_of(all, scores) / all_rows;
        sum_growth(all, cusum->growth[column][k], sums);
        for (int j = 0; j < TW_CUSUM_SIZES; j++) {
            double lambda = ldexp(1, j - cusum->fineness);
            int path = (k * TW_CUSUM_SIZES + j) * 2;
            /* Jensen: the mean of the exponential is at least the exponential of the mean */
            climb(step, column, path, lambda * sum, rows, sums[j][0] / all_rows, lambda * mean);
            climb(step, column, path + 1, -lambda * sum, rows, sums[j][1] / all_rows, -lambda * mean);
        }
    }
}

/* below[i]: values in the bins before the i-th, counted on around the circle for as long as a notch may reach. */
enum { AROUND = TW_SKETCH_BINS + 8 };

static void cumulate(const double counts[TW_SKETCH_CELLS], double below[AROUND + 1])
{
    below[0] = 0;
    for (int i = 0; i < AROUND; i++)
        below[i + 1] = below[i] + counts[i % TW_SKETCH_BINS];
}

static void take_notches(const struct step *step, int column, const double block[TW_SKETCH_CELLS],
                         const double all[TW_SKETCH_CELLS])
{
    static const double loss = 1 - TW_CUSUM_NOTCH_RATIO;
    double rows = total(block), all_rows = total(all), log_ratio = log(TW_CUSUM_NOTCH_RATIO);
    double block_below[AROUND + 1], all_below[AROUND + 1];
    cumulate(block, block_below);
    cumulate(all, all_below);
    for (int width = 2, path = TW_CUSUM_SMOOTH; width <= AROUND - TW_SKETCH_BINS; width *= 2) {
        for (int first = 0; first < TW_SKETCH_BINS; first += width / 2, path++) {
            int end = first + width;
            if (end > TW_SKETCH_BINS && !step->cusum->periodic[column])
                continue;
            double inside = block_below[end] - block_below[first];
            double lost = loss * (all_below[end] - all_below[first]) / all_rows;
            climb(step, column, path, inside * log_ratio, rows, 1 - lost, -lost / (1 - lost));
        }
    }
}

static int highest(const double *log_w, int first, int end)
{
    int best = first;
    for (int path = first + 1; path < end; path++)
        if (log_w[path] > log_w[best])
            best = path;
    return best;
}

/* The path with the least p of a column. */
static int leading(const double *log_w)
{
    int smooth = highest(log_w, 0, TW_CUSUM_SMOOTH), notch = highest(log_w, TW_CUSUM_SMOOTH, TW_CUSUM_PATHS);
    double smooth_level = log_w[smooth] - tw_cusum_path_price(smooth);
    return log_w[notch] - tw_cusum_path_price(notch) > smooth_level ? notch : smooth;
}

/* Window less pool in what a path bets on. */
static void measure(const struct step *step, int column, const struct tw_cusum_path *path,
                    const double window[TW_SKETCH_CELLS], const double pool[TW_SKETCH_CELLS],
                    struct tw_cusum_column *out)
{
    double n = total(window), m = total(pool), scores[TW_SKETCH_CELLS];
    tw_cusum_path_scores(path, step->cusum->scores[column], scores);
    double now = path->sign * sum_of(window, scores) / n, before = path->sign * sum_of(pool, scores) / m;
    if (path->component < 0) { /* shares */
        double share = (now * n + before * m) / (n + m), width = sqrt(share * (1 - share));
        now = width > 0 ? now / width : 0;
        before = width > 0 ? before / width : 0;
    }
    out->value = now - before;
    out->error = sqrt(1 / n + 1 / m);
}

static void judge(const struct step *step, int column, const double window[TW_SKETCH_CELLS],
                  const double pool[TW_SKETCH_CELLS])
{
    const struct tw_cusum *cusum = step->cusum;
    const double *log_w = cusum->log_w + column * TW_CUSUM_PATHS;
    int best = leading(log_w);
    struct tw_cusum_path path = tw_cusum_path_of(best, cusum->fineness);
    struct tw_cusum_column *out = &step->out[column];
    *out = (struct tw_cusum_column){
        /* not zero, whatever underflows */
        .p_value = fmax(exp(fmin(tw_cusum_path_price(best) - log_w[best], 0)), DBL_MIN),
        .path = best,
        .component =
            path.component < 0 ? TW_COMPONENT_NOTCH : tw_smooth_component(cusum->periodic[column], path.component),
        .sign = path.sign,
        .start = cusum->start[column * TW_CUSUM_PATHS + best],
        .value = NAN,
        .error = NAN,
    };
    if (total(window) > 0)
        measure(step, column, &path, window, pool, out);
    else
        out->p_value = 1;
}

/* Block b of a column, of the parts that make it up; returns its rows, and adds it to both sums. */
static uint64_t make_block(const struct step *step, int column, int b, double block[TW_SKETCH_CELLS],
                           double all[TW_SKETCH_CELLS])
{
    int parts = TW_CUSUM_BLOCKS / step->blocks;
    const uint64_t *counts =
        step->window->counts + ((size_t)column * TW_CUSUM_BLOCKS + (size_t)(b * parts)) * TW_SKETCH_CELLS;
    uint64_t *window = step->cusum->last.counts + column * TW_SKETCH_CELLS, rows = 0;
    for (int i = 0; i < TW_SKETCH_CELLS; i++) {
        uint64_t here = 0;
        for (int part = 0; part < parts; part++)
            here += counts[part * TW_SKETCH_CELLS + i];
        rows += here;
        window[i] += here;
        block[i] = (double)here;
        all[i] += block[i];
    }
    return rows;
}

static void to_doubles(const uint64_t counts[TW_SKETCH_CELLS], double out[TW_SKETCH_CELLS])
{
    for (int i = 0; i < TW_SKETCH_CELLS; i++)
        out[i] = (double)counts[i];
}

static void step_column(void *context, size_t task, unsigned worker)
{
    const struct step *step = context;
    int column = (int)task;
    uint64_t *last = step->cusum->last.counts + column * TW_SKETCH_CELLS;
    double pool[TW_SKETCH_CELLS], all[TW_SKETCH_CELLS], block[TW_SKETCH_CELLS], window[TW_SKETCH_CELLS];
    memset(last, 0, TW_SKETCH_CELLS * sizeof *last);
    to_doubles(step->cusum->pool.counts + column * TW_SKETCH_CELLS, pool);
    memcpy(all, pool, sizeof all);
    for (int b = 0; b < step->blocks; b++) {
        if (make_block(step, column, b, block, all) == 0)
            continue;
        take_smooth(step, column, block, all);
        take_notches(step, column, block, all);
    }
    to_doubles(last, window);
    judge(step, column, window, pool);
}

/* What a block of m rows beside a pool of n loses is the factor n / (n + m) of its information: halving goes on while
 * it loses more than a sixteenth. */
static int blocks_for(uint64_t rows, uint64_t pool)
{
    int blocks = 1;
    while (blocks < TW_CUSUM_BLOCKS && 16 * rows > blocks * pool)
        blocks *= 2;
    return blocks;
}

void tw_cusum_take(struct tw_cusum *cusum, const struct tw_cusum_window *window, uint64_t tag, struct tw_pool *pool,
                   struct tw_cusum_column *out)
{
    uint64_t rows = 0;
    for (int i = 0; i < TW_CUSUM_BLOCKS * TW_SKETCH_CELLS; i++)
        rows += window->counts[i];
    struct step step = {.cusum = cusum,
                        .window = window,
                        .blocks = blocks_for(rows, tw_sketch_rows(&cusum->pool, 0)),
                        .tag = tag,
                        .out = out};
    cusum->tag = tag;
    tw_pool_run(pool, (size_t)cusum->columns, step_column, &step);
}

int tw_cusum_step(struct tw_cusum *cusum, const struct tw_cusum_sample *window, uint64_t tag, struct tw_pool *pool,
                  struct tw_cusum_column *out)
{
    struct tw_cusum_window counted;
    int status = tw_cusum_window_init(&counted, cusum->columns);
    if (status == TW_OK)
        status = tw_cusum_window_count(&counted, cusum, window, pool);
    if (status == TW_OK)
        tw_cusum_take(cusum, &counted, tag, pool, out);
    tw_cusum_window_fini(&counted);
    return status;
}

/* Caps of a column's paths after a window of so many rows; at a path's limit the column alarms. Once it does, only the
 * path with the least p stays near its limit: it has the size that fits the drift, and the time after which the alarm
 * ends is its own. */
static void cap_paths(struct tw_cusum *cusum, int column, double rows, double threshold)
{
    double *log_w = cusum->log_w + column * TW_CUSUM_PATHS;
    int best = leading(log_w);
    double limits[2] = {tw_cusum_path_price(0) - log(threshold), tw_cusum_path_price(TW_CUSUM_SMOOTH) - log(threshold)};
    bool alarms = log_w[best] >= limits[best >= TW_CUSUM_SMOOTH];
    for (int path = 0; path < TW_CUSUM_PATHS; path++) {
        double limit = limits[path >= TW_CUSUM_SMOOTH];
        if (log_w[path] <= limit / 2) /* most of them, at all times */
            continue;
        struct tw_cusum_path it = tw_cusum_path_of(path, cusum->fineness);
        double cap = limit + FALL * rows * tw_cusum_path_fall(&it);
        log_w[path] = fmin(log_w[path], alarms && path != best ? limit / 2 : cap);
    }
}

void tw_cusum_settle(struct tw_cusum *cusum, bool alarm, double threshold)
{
    bool over = !alarm && cusum->unrest == 1;
    if (alarm && cusum->unrest == 0)
        cusum->paused = cusum->tag;
    cusum->unrest = alarm ? TW_CUSUM_UNREST : cusum->unrest - (cusum->unrest > 0);
    if (cusum->unrest == 0)
        tw_sketch_add(&cusum->pool, &cusum->last);
    for (int c = 0; c < cusum->columns; c++)
        cap_paths(cusum, c, (double)tw_sketch_rows(&cusum->last, c), threshold);
    if (over)
        memset(cusum->log_w, 0, (size_t)cusum->columns * TW_CUSUM_PATHS * sizeof *cusum->log_w);
    cusum->windows++;
}
