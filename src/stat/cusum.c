#include "stat/cusum.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

static const double sizes[TW_CUSUM_SIZES] = {0.5, 1, 2, 4};

/* Windows without drift that bring a path back from its cap to the limit: on average ln W falls by eta^2 / 2 with each.
 */
#define FALL 2.0

/* --- life --- */

int tw_cusum_alloc(struct tw_cusum *cusum, int columns, bool log_prob)
{
    size_t paths = (size_t)columns * TW_CUSUM_PATHS;
    *cusum = (struct tw_cusum){.columns = columns, .log_prob = log_prob};
    cusum->log_w = tw_size_alloc(paths, sizeof *cusum->log_w);
    cusum->start = tw_size_alloc(paths, sizeof *cusum->start);
    cusum->periodic = tw_size_alloc((size_t)columns, sizeof *cusum->periodic);
    int status = cusum->log_w && cusum->start && cusum->periodic ? TW_OK : TW_NO_MEMORY;
    if (status == TW_OK)
        status = tw_sketch_grid_init(&cusum->grid, columns);
    if (status == TW_OK)
        status = tw_sketch_init(&cusum->pool, columns);
    if (status == TW_OK)
        status = tw_sketch_init(&cusum->last, columns);
    if (status)
        tw_cusum_fini(cusum);
    return status;
}

int tw_cusum_init(struct tw_cusum *cusum, const struct tw_cusum_sample *events, const struct tw_cusum_sample *reference)
{
    const struct tw_schema *schema = reference->data->schema;
    bool log_prob = events->log_prob && reference->log_prob;
    int status = tw_cusum_alloc(cusum, schema->features + log_prob, log_prob);
    for (int c = 0; status == TW_OK && c < cusum->columns; c++) {
        struct tw_cusum_values values;
        cusum->periodic[c] = c < schema->features && schema->columns[c].kind == TW_PERIODIC;
        status = tw_cusum_values_init(&values, events, c);
        if (status == TW_OK)
            status = tw_sketch_grid_column(&cusum->grid, c, values.at, events->data->rows, values.stride);
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
    return status;
}

void tw_cusum_fini(struct tw_cusum *cusum)
{
    free(cusum->log_w);
    free(cusum->start);
    free(cusum->periodic);
    tw_sketch_grid_fini(&cusum->grid);
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
    tw_sketch_add(&out->pool, &cusum->pool);
    out->unrest = cusum->unrest;
    out->paused = cusum->paused;
    out->windows = cusum->windows;
    return TW_OK;
}

/* --- a window --- */

struct step {
    struct tw_cusum *cusum;
    const struct tw_cusum_window *window;
    double root; /* of its rows */
    uint64_t tag;
    struct tw_cusum_column *out;
};

static double total(const uint64_t counts[TW_SKETCH_CELLS])
{
    double rows = 0;
    for (int i = 0; i < TW_SKETCH_CELLS; i++)
        rows += (double)counts[i];
    return rows;
}

/* Sum of a score over the values counted. */
static double sum_of(const uint64_t counts[TW_SKETCH_CELLS], const double scores[TW_SKETCH_CELLS])
{
    double sum = 0;
    for (int i = 0; i < TW_SKETCH_CELLS; i++)
        sum += (double)counts[i] * scores[i];
    return sum;
}

/* ln of the mean of exp(lambda a). */
static double log_mean_exp(const uint64_t counts[TW_SKETCH_CELLS], double rows, const double scores[TW_SKETCH_CELLS],
                           double lambda)
{
    double sum = 0;
    for (int i = 0; i < TW_SKETCH_CELLS; i++)
        if (counts[i])
            sum += (double)counts[i] * exp(lambda * scores[i]);
    return log(sum / rows);
}

/* One block against the union of pool and block: every path of the column takes its e-value. */
static void take_block(const struct step *step, int column, const uint64_t block[TW_SKETCH_CELLS],
                       const uint64_t all[TW_SKETCH_CELLS], const double scores[TW_COMPONENTS][TW_SKETCH_CELLS])
{
    double *log_w = step->cusum->log_w + column * TW_CUSUM_PATHS;
    uint64_t *start = step->cusum->start + column * TW_CUSUM_PATHS;
    double rows = total(block), all_rows = total(all);
    for (int k = 0, path = 0; k < TW_COMPONENTS; k++) {
        double sum = sum_of(block, scores[k]);
        for (int s = 0; s < 2 * TW_CUSUM_SIZES; s++, path++) {
            double lambda = (s % 2 ? -1 : 1) * sizes[s / 2] / step->root;
            if (log_w[path] <= 0) {
                log_w[path] = 0;
                start[path] = step->tag;
            }
            log_w[path] += lambda * sum - rows * log_mean_exp(all, all_rows, scores[k], lambda);
        }
    }
}

/* The largest path of a column. */
static int leading(const double *log_w)
{
    int best = 0;
    for (int path = 1; path < TW_CUSUM_PATHS; path++)
        if (log_w[path] > log_w[best])
            best = path;
    return best;
}

/* The largest path, and how far window and pool are apart in its component. */
static void judge(const struct step *step, int column, const uint64_t window[TW_SKETCH_CELLS],
                  const double scores[TW_COMPONENTS][TW_SKETCH_CELLS])
{
    const double *log_w = step->cusum->log_w + column * TW_CUSUM_PATHS;
    const uint64_t *pool = step->cusum->pool.counts + column * TW_SKETCH_CELLS;
    int best = leading(log_w), k = best / (2 * TW_CUSUM_SIZES);
    double n = total(window), m = total(pool);
    step->out[column] = (struct tw_cusum_column){
        /* not zero, whatever underflows */
        .p_value = n > 0 ? fmax(exp(fmin(log(TW_CUSUM_PATHS) - log_w[best], 0)), DBL_MIN) : 1,
        .component = tw_smooth_component(step->cusum->periodic[column], k),
        .sign = best % 2 ? -1 : 1,
        .start = step->cusum->start[column * TW_CUSUM_PATHS + best],
        .value = n > 0 ? sum_of(window, scores[k]) / n - sum_of(pool, scores[k]) / m : NAN,
        .error = n > 0 ? sqrt(1 / n + 1 / m) : NAN,
    };
}

static void step_column(void *context, size_t task, unsigned worker)
{
    const struct step *step = context;
    int column = (int)task;
    const uint64_t *blocks = step->window->counts + task * TW_CUSUM_BLOCKS * TW_SKETCH_CELLS;
    uint64_t *window = step->cusum->last.counts + column * TW_SKETCH_CELLS, all[TW_SKETCH_CELLS];
    double scores[TW_COMPONENTS][TW_SKETCH_CELLS];
    memset(window, 0, sizeof all);
    memcpy(all, step->cusum->pool.counts + column * TW_SKETCH_CELLS, sizeof all);
    for (int b = 0; b < TW_CUSUM_BLOCKS; b++) {
        const uint64_t *block = blocks + b * TW_SKETCH_CELLS;
        for (int i = 0; i < TW_SKETCH_CELLS; i++) {
            window[i] += block[i];
            all[i] += block[i];
        }
        tw_smooth_scores(all, step->cusum->periodic[column], scores);
        if (total(block) > 0)
            take_block(step, column, block, all, scores);
    }
    judge(step, column, window, scores);
}

void tw_cusum_take(struct tw_cusum *cusum, const struct tw_cusum_window *window, uint64_t tag, struct tw_pool *pool,
                   struct tw_cusum_column *out)
{
    double rows = 0;
    for (int b = 0; b < TW_CUSUM_BLOCKS; b++)
        rows += total(window->counts + b * TW_SKETCH_CELLS);
    struct step step = {.cusum = cusum, .window = window, .root = sqrt(rows), .tag = tag, .out = out};
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

/* Caps of a column's paths, `limit` being ln W that alarms. Once it does, only its largest path stays near the limit:
 * it has the size that fits the drift, and the time after which the alarm ends is its own. */
static void cap_paths(double *log_w, double limit)
{
    int best = leading(log_w);
    bool alarms = log_w[best] >= limit;
    for (int path = 0; path < TW_CUSUM_PATHS; path++) {
        double size = sizes[path % (2 * TW_CUSUM_SIZES) / 2];
        log_w[path] = fmin(log_w[path], alarms && path != best ? limit / 2 : limit + FALL * size * size / 2);
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
        cap_paths(cusum->log_w + c * TW_CUSUM_PATHS, log(TW_CUSUM_PATHS / threshold));
    if (over)
        memset(cusum->log_w, 0, (size_t)cusum->columns * TW_CUSUM_PATHS * sizeof *cusum->log_w);
    cusum->windows++;
}
