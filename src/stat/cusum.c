#include "stat/cusum.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/size.h"

static const double sizes[TW_CUSUM_SIZES] = {0.5, 1, 2, 4};

/* Windows without drift that bring a path back from its cap to the limit: on average ln W falls by eta^2 / 2 with each.
 */
#define FALL 2.0

/* --- columns of a sample: the features as they lie, then the log-likelihood as floats --- */

struct view {
    const struct tw_data *data;
    float *log_prob; /* owned; NULL: not watched */
};

static int view_init(struct view *view, const struct tw_cusum_sample *sample)
{
    *view = (struct view){.data = sample->data};
    if (!sample->log_prob)
        return TW_OK;
    view->log_prob = tw_size_alloc(sample->data->rows + 1, sizeof *view->log_prob);
    if (!view->log_prob)
        return TW_NO_MEMORY;
    for (size_t i = 0; i < sample->data->rows; i++)
        view->log_prob[i] = (float)sample->log_prob[i];
    return TW_OK;
}

static const float *view_column(const struct view *view, int column, size_t *stride)
{
    bool feature = column < view->data->schema->features;
    *stride = feature ? (size_t)view->data->schema->features : 1;
    return feature ? view->data->features + column : view->log_prob;
}

/* --- life --- */

int tw_cusum_alloc(struct tw_cusum *cusum, int columns, bool log_prob)
{
    size_t paths = (size_t)columns * TW_CUSUM_PATHS;
    *cusum = (struct tw_cusum){.columns = columns, .log_prob = log_prob};
    cusum->log_w = tw_size_alloc(paths, sizeof *cusum->log_w);
    cusum->start = tw_size_alloc(paths, sizeof *cusum->start);
    int status = cusum->log_w && cusum->start ? TW_OK : TW_NO_MEMORY;
    if (status == TW_OK)
        status = tw_sketch_grid_init(&cusum->grid, columns);
    if (status == TW_OK)
        status = tw_sketch_init(&cusum->pool, columns);
    if (status == TW_OK)
        status = tw_sketch_init(&cusum->window, columns);
    if (status)
        tw_cusum_fini(cusum);
    return status;
}

int tw_cusum_init(struct tw_cusum *cusum, const struct tw_cusum_sample *events, const struct tw_cusum_sample *reference)
{
    bool log_prob = events->log_prob && reference->log_prob;
    struct view made, held = {0};
    int status = tw_cusum_alloc(cusum, reference->data->schema->features + log_prob, log_prob);
    if (status)
        return status;
    status = view_init(&made, events);
    if (status == TW_OK)
        status = view_init(&held, reference);
    for (int c = 0; status == TW_OK && c < cusum->columns; c++) {
        size_t stride;
        const float *values = view_column(&made, c, &stride);
        status = tw_sketch_grid_column(&cusum->grid, c, values, made.data->rows, stride);
        values = view_column(&held, c, &stride);
        tw_sketch_fill(&cusum->pool, &cusum->grid, c, values, held.data->rows, stride);
    }
    free(made.log_prob);
    free(held.log_prob);
    if (status)
        tw_cusum_fini(cusum);
    return status;
}

void tw_cusum_fini(struct tw_cusum *cusum)
{
    free(cusum->log_w);
    free(cusum->start);
    tw_sketch_grid_fini(&cusum->grid);
    tw_sketch_fini(&cusum->pool);
    tw_sketch_fini(&cusum->window);
    *cusum = (struct tw_cusum){0};
}

int tw_cusum_copy(const struct tw_cusum *cusum, struct tw_cusum *out)
{
    size_t columns = (size_t)cusum->columns, paths = columns * TW_CUSUM_PATHS;
    int status = tw_cusum_alloc(out, cusum->columns, cusum->log_prob);
    if (status)
        return status;
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
    struct view view;
    unsigned char *block; /* (rows) which block a row belongs to */
    uint64_t tag;
    struct tw_cusum_column *out;
};

/* A hash of the row's identity: nothing of its values, nor of its place. A batch may be sorted. */
static unsigned char block_of(const struct tw_data *data, size_t row)
{
    return (unsigned char)(tw_rng_mix(data->keys[row], UINT64_C(0x626c6f636b)) % TW_CUSUM_BLOCKS);
}

/* Counts of the column by block of the window. */
static void count_blocks(const struct step *step, int column, uint64_t blocks[TW_CUSUM_BLOCKS][TW_SKETCH_CELLS])
{
    size_t stride;
    const float *values = view_column(&step->view, column, &stride);
    memset(blocks, 0, sizeof(uint64_t[TW_CUSUM_BLOCKS][TW_SKETCH_CELLS]));
    for (size_t i = 0; i < step->view.data->rows; i++)
        blocks[step->block[i]][tw_sketch_grid_cell(&step->cusum->grid, column, values[i * stride])]++;
}

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
    double rows = total(block), all_rows = total(all), root = sqrt((double)step->view.data->rows);
    for (int k = 0, path = 0; k < TW_COMPONENTS; k++) {
        double sum = sum_of(block, scores[k]);
        for (int s = 0; s < 2 * TW_CUSUM_SIZES; s++, path++) {
            double lambda = (s % 2 ? -1 : 1) * sizes[s / 2] / root;
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
    bool periodic =
        column < step->view.data->schema->features && step->view.data->schema->columns[column].kind == TW_PERIODIC;
    int best = leading(log_w), k = best / (2 * TW_CUSUM_SIZES);
    double n = total(window), m = total(pool);
    step->out[column] = (struct tw_cusum_column){
        .p_value = exp(fmin(log(TW_CUSUM_PATHS) - log_w[best], 0)),
        .component = tw_smooth_component(periodic, k),
        .sign = best % 2 ? -1 : 1,
        .start = step->cusum->start[column * TW_CUSUM_PATHS + best],
        .value = sum_of(window, scores[k]) / n - sum_of(pool, scores[k]) / m,
        .error = sqrt(1 / n + 1 / m),
    };
}

static void step_column(void *context, size_t task, unsigned worker)
{
    const struct step *step = context;
    int column = (int)task;
    const struct tw_schema *schema = step->view.data->schema;
    bool periodic = column < schema->features && schema->columns[column].kind == TW_PERIODIC;
    uint64_t blocks[TW_CUSUM_BLOCKS][TW_SKETCH_CELLS], all[TW_SKETCH_CELLS];
    uint64_t *window = step->cusum->window.counts + column * TW_SKETCH_CELLS;
    double scores[TW_COMPONENTS][TW_SKETCH_CELLS];
    memset(window, 0, sizeof all);
    memcpy(all, step->cusum->pool.counts + column * TW_SKETCH_CELLS, sizeof all);
    count_blocks(step, column, blocks);
    for (int b = 0; b < TW_CUSUM_BLOCKS; b++) {
        for (int i = 0; i < TW_SKETCH_CELLS; i++) {
            window[i] += blocks[b][i];
            all[i] += blocks[b][i];
        }
        tw_smooth_scores(all, periodic, scores);
        if (total(blocks[b]) > 0)
            take_block(step, column, blocks[b], all, scores);
    }
    judge(step, column, window, scores);
}

int tw_cusum_step(struct tw_cusum *cusum, const struct tw_cusum_sample *window, uint64_t tag, struct tw_pool *pool,
                  struct tw_cusum_column *out)
{
    struct step step = {.cusum = cusum, .tag = tag, .out = out};
    cusum->tag = tag;
    int status = view_init(&step.view, window);
    step.block = tw_size_alloc(window->data->rows + 1, 1);
    if (status == TW_OK && !step.block)
        status = TW_NO_MEMORY;
    if (status == TW_OK) {
        for (size_t i = 0; i < window->data->rows; i++)
            step.block[i] = block_of(window->data, i);
        tw_pool_run(pool, (size_t)cusum->columns, step_column, &step);
    }
    free(step.block);
    free(step.view.log_prob);
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
        tw_sketch_add(&cusum->pool, &cusum->window);
    for (int c = 0; c < cusum->columns; c++)
        cap_paths(cusum->log_w + c * TW_CUSUM_PATHS, log(TW_CUSUM_PATHS / threshold));
    if (over)
        memset(cusum->log_w, 0, (size_t)cusum->columns * TW_CUSUM_PATHS * sizeof *cusum->log_w);
    cusum->windows++;
}
