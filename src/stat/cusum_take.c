/* A window is taken in, column by column: block after block, all paths, then what stands out. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "stat/cusum.h"

struct step {
    struct tw_cusum *cusum;
    const struct tw_cusum_window *window;
    int blocks; /* that its parts are put together to */
    uint64_t tag;
    struct tw_cusum_column *out;
};

/* Values of a column by cell, and how many they are. Doubles, as all they meet are. */
struct values {
    double in[TW_SKETCH_CELLS], rows;
};

static struct values values_of(const uint64_t counts[TW_SKETCH_CELLS])
{
    struct values values;
    uint64_t rows = 0;
    for (int i = 0; i < TW_SKETCH_CELLS; i++) {
        values.in[i] = (double)counts[i];
        rows += counts[i];
    }
    values.rows = (double)rows;
    return values;
}

/* Page's recursion, ln of max(W, 1) e with ln e = gain - rows ln(mean). `least` is a bound from below on ln(mean) that
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

/* Of one component: the sums of a over a block and over all values, and those of exp(lambda a) and exp(-lambda a) over
 * all; the smallest lambda has a table, each next one follows by squaring. One loop, as none of the sums alone keeps
 * the processor busy. */
struct sums {
    double of_block, of_all, growth[TW_CUSUM_SIZES][2];
};

static struct sums sum_up(const double scores[TW_SKETCH_CELLS], const double growth[TW_SKETCH_CELLS][2],
                          const struct values *block, const struct values *all)
{
    struct sums sums = {0};
    for (int i = 0; i < TW_SKETCH_CELLS; i++) {
        double up = growth[i][0], down = growth[i][1], n = all->in[i];
        sums.of_block += block->in[i] * scores[i];
        sums.of_all += n * scores[i];
        for (int j = 0; j < TW_CUSUM_SIZES; j++) {
            sums.growth[j][0] += n * up;
            sums.growth[j][1] += n * down;
            up *= up;
            down *= down;
        }
    }
    return sums;
}

/* One block against the union of pool and block: every path of the column takes its e-value. */
static void take_smooth(const struct step *step, int column, const struct values *block, const struct values *all)
{
    const struct tw_cusum *cusum = step->cusum;
    for (int k = 0, path = 0; k < TW_COMPONENTS; k++) {
        struct sums sums = sum_up(cusum->scores[column][k], cusum->growth[column][k], block, all);
        double lambda = ldexp(1, -cusum->fineness), mean = sums.of_all / all->rows;
        for (int j = 0; j < TW_CUSUM_SIZES; j++, lambda *= 2) {
            double gain = lambda * sums.of_block, least = lambda * mean; /* Jensen: E exp(a) >= exp(E a) */
            climb(step, column, path++, gain, block->rows, sums.growth[j][0] / all->rows, least);
            climb(step, column, path++, -gain, block->rows, sums.growth[j][1] / all->rows, -least);
        }
    }
}

/* below[i]: values in the bins before the i-th, counted on around the circle for as long as a notch may reach. */
enum { WIDEST = 8, AROUND = TW_SKETCH_BINS + WIDEST };

static void cumulate(const struct values *values, double below[AROUND + 1])
{
    below[0] = 0;
    for (int i = 0; i < AROUND; i++)
        below[i + 1] = below[i] + values->in[i % TW_SKETCH_BINS];
}

static void take_notches(const struct step *step, int column, const struct values *block, const struct values *all)
{
    static const double loss = 1 - TW_CUSUM_NOTCH_RATIO;
    double log_ratio = log(TW_CUSUM_NOTCH_RATIO), block_below[AROUND + 1], all_below[AROUND + 1];
    cumulate(block, block_below);
    cumulate(all, all_below);
    for (int width = 2, path = TW_CUSUM_SMOOTH; width <= WIDEST; width *= 2) {
        for (int first = 0; first < TW_SKETCH_BINS; first += width / 2, path++) {
            int end = first + width;
            if (end > TW_SKETCH_BINS && !step->cusum->periodic[column])
                continue;
            double inside = block_below[end] - block_below[first];
            double lost = loss * (all_below[end] - all_below[first]) / all->rows;
            climb(step, column, path, inside * log_ratio, block->rows, 1 - lost, -lost / (1 - lost));
        }
    }
}

/* Window less pool in what a path bets on. */
static void measure(const struct step *step, int column, const struct tw_cusum_path *path, const struct values *window,
                    const struct values *pool, struct tw_cusum_column *out)
{
    double scores[TW_SKETCH_CELLS], now = 0, before = 0;
    tw_cusum_path_scores(path, step->cusum->scores[column], scores);
    for (int i = 0; i < TW_SKETCH_CELLS; i++) {
        now += window->in[i] * scores[i];
        before += pool->in[i] * scores[i];
    }
    double all_rows = window->rows + pool->rows, unit = 1;
    if (path->component < 0) { /* shares, in standard deviations of being inside */
        double share = -(now + before) / all_rows;
        unit = share > 0 && share < 1 ? sqrt(share * (1 - share)) : INFINITY;
    }
    out->value = path->sign * (now / window->rows - before / pool->rows) / unit;
    out->error = sqrt(1 / window->rows + 1 / pool->rows);
}

static void judge(const struct step *step, int column, const struct values *window, const struct values *pool)
{
    const struct tw_cusum *cusum = step->cusum;
    const double *log_w = cusum->log_w + column * TW_CUSUM_PATHS;
    int best = tw_cusum_path_leading(log_w);
    struct tw_cusum_path path = tw_cusum_path_of(best, cusum->fineness);
    struct tw_cusum_column *out = &step->out[column];
    *out = (struct tw_cusum_column){
        .p_value = 1,
        .path = best,
        .component =
            path.component < 0 ? TW_COMPONENT_NOTCH : tw_smooth_component(cusum->periodic[column], path.component),
        .sign = path.sign,
        .start = cusum->start[column * TW_CUSUM_PATHS + best],
        .value = NAN,
        .error = NAN,
    };
    if (window->rows <= 0)
        return;
    /* not zero, whatever underflows */
    out->p_value = fmax(exp(fmin(tw_cusum_path_price(best) - log_w[best], 0)), DBL_MIN);
    measure(step, column, &path, window, pool, out);
}

/* The counts of a block: those of its parts together. */
static void put_together(const struct step *step, int column, int block, uint64_t counts[TW_SKETCH_CELLS])
{
    int parts = TW_CUSUM_BLOCKS / step->blocks, first = column * TW_CUSUM_BLOCKS + block * parts;
    memset(counts, 0, TW_SKETCH_CELLS * sizeof *counts);
    for (int part = first; part < first + parts; part++)
        for (int i = 0; i < TW_SKETCH_CELLS; i++)
            counts[i] += step->window->counts[part * TW_SKETCH_CELLS + i];
}

static void step_column(void *context, size_t task, unsigned worker)
{
    const struct step *step = context;
    int column = (int)task;
    const uint64_t *before = step->cusum->pool.counts + column * TW_SKETCH_CELLS;
    uint64_t *last = step->cusum->last.counts + column * TW_SKETCH_CELLS, counts[TW_SKETCH_CELLS];
    struct values pool = values_of(before), all = pool;
    memset(last, 0, sizeof counts);
    for (int b = 0; b < step->blocks; b++) {
        put_together(step, column, b, counts);
        struct values block = values_of(counts);
        if (block.rows <= 0)
            continue;
        for (int i = 0; i < TW_SKETCH_CELLS; i++) {
            last[i] += counts[i];
            all.in[i] += block.in[i];
        }
        all.rows += block.rows;
        take_smooth(step, column, &block, &all);
        take_notches(step, column, &block, &all);
    }
    struct values window = values_of(last);
    judge(step, column, &window, &pool);
}

/* A block of m rows beside a pool of n loses the share m / (n + m) of its information: halving goes on while that is
 * more than a sixteenth. */
static int blocks_for(uint64_t rows, uint64_t pool)
{
    int blocks = 1;
    while (blocks < TW_CUSUM_BLOCKS && 16 * rows > (uint64_t)blocks * pool)
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
