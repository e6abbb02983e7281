/* A window is taken in, column by column: block after block (stat/cusum_bets.c), then what stands out. */
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

/* Window less pool in what a path bets on. */
static void measure(const struct step *step, int column, const struct tw_cusum_path *path,
                    const struct tw_cusum_bets_values *window, const struct tw_cusum_bets_values *all,
                    struct tw_cusum_column *out)
{
    const struct tw_cusum_bets *bets = step->cusum->bets;
    double own[TW_SKETCH_CELLS], sign = 1;
    const double *scores = own;
    if (path->component >= 0) {
        scores = step->cusum->scores[column][path->component];
    } else {
        tw_cusum_path_scores(path, step->cusum->scores[column], own);
        sign = path->sign;
    }
    double now = bets->dot(TW_SKETCH_CELLS, window->in, scores), ever = bets->dot(TW_SKETCH_CELLS, all->in, scores);
    double before = all->rows - window->rows, unit = 1;
    if (path->component < 0) { /* shares, in standard deviations of being inside */
        double share = -ever / all->rows;
        unit = share > 0 && share < 1 ? sqrt(share * (1 - share)) : INFINITY;
    }
    out->value = sign * (now / window->rows - (ever - now) / before) / unit;
    out->error = sqrt(1 / window->rows + 1 / before);
}

static void judge(const struct step *step, int column, const struct tw_cusum_bets_values *window,
                  const struct tw_cusum_bets_values *all)
{
    const struct tw_cusum *cusum = step->cusum;
    double log_p;
    int best = tw_cusum_leading(cusum, column, &log_p);
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
    if (log_p < 0)
        out->p_value = fmax(exp(log_p), DBL_MIN); /* not zero, whatever underflows */
    measure(step, column, &path, window, all, out);
}

/* The counts of a block: those of its parts together, in `sum` if there are several. */
static const uint64_t *put_together(const struct step *step, int column, int block, uint64_t sum[TW_SKETCH_CELLS])
{
    int parts = step->window->blocks / step->blocks, first = column * step->window->blocks + block * parts;
    const uint64_t *counts = step->window->counts + first * TW_SKETCH_CELLS;
    if (parts == 1)
        return counts;
    memset(sum, 0, TW_SKETCH_CELLS * sizeof *sum);
    for (int i = 0; i < parts * TW_SKETCH_CELLS; i++)
        sum[i % TW_SKETCH_CELLS] += counts[i];
    return sum;
}

static void add(struct tw_cusum_bets_values *to, const struct tw_cusum_bets_values *values)
{
    for (int i = 0; i < TW_SKETCH_CELLS; i++)
        to->in[i] += values->in[i];
    to->rows += values->rows;
}

static void step_column(void *context, size_t task, unsigned worker)
{
    const struct step *step = context;
    struct tw_cusum *cusum = step->cusum;
    int column = (int)task;
    struct tw_cusum_bets_column bets = tw_cusum_bets_of(cusum, column);
    struct tw_cusum_bets_sums sums = cusum->sums[column];
    struct tw_cusum_bets_values all, block, window = {.rows = 0};
    uint64_t *last = cusum->last.counts + column * TW_SKETCH_CELLS, sum[TW_SKETCH_CELLS];
    cusum->bets->values(cusum->pool.counts + column * TW_SKETCH_CELLS, &all);
    memset(last, 0, sizeof sum);
    for (int b = 0; b < step->blocks; b++) {
        const uint64_t *counts = put_together(step, column, b, sum);
        cusum->bets->values(counts, &block);
        if (block.rows <= 0)
            continue;
        for (int i = 0; i < TW_SKETCH_CELLS; i++)
            last[i] += counts[i];
        add(&window, &block);
        add(&all, &block);
        cusum->bets->take(&bets, &block, &all, &sums, step->tag, cusum->log_w + column * TW_CUSUM_PATHS,
                          cusum->start + column * TW_CUSUM_PATHS);
    }
    cusum->next[column] = sums;
    judge(step, column, &window, &all);
}

/* A block of m rows beside a pool of n loses the share m / (n + m) of its information: halving goes on while that is
 * more than a sixteenth. */
int tw_cusum_blocks(const struct tw_cusum *cusum, uint64_t rows)
{
    uint64_t pool = tw_sketch_rows(&cusum->pool, 0);
    int blocks = 1;
    while (blocks < TW_CUSUM_BLOCKS && 16 * rows > (uint64_t)blocks * pool)
        blocks *= 2;
    return blocks;
}

void tw_cusum_take(struct tw_cusum *cusum, const struct tw_cusum_window *window, uint64_t tag, struct tw_pool *pool,
                   struct tw_cusum_column *out)
{
    uint64_t rows = 0;
    for (int i = 0; i < window->blocks * TW_SKETCH_CELLS; i++)
        rows += window->counts[i];
    struct step step = {
        .cusum = cusum, .window = window, .blocks = tw_cusum_blocks(cusum, rows), .tag = tag, .out = out};
    if (step.blocks > window->blocks)
        step.blocks = window->blocks;
    cusum->tag = tag;
    tw_pool_run(pool, (size_t)cusum->columns, step_column, &step);
}
