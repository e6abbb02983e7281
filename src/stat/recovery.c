/* R is a ratio of two differences that share rows and models: the bootstrap over rows carries their dependence, and the
 * middle 68 % of its replicas is a standard error that a few wild ratios do not spoil.
 */
#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "base/size.h"
#include "base/status.h"
#include "stat/recovery.h"

#define REPLICAS 400
#define ROWS_MIN 100
#define SPAN_MIN 5.0 /* standard errors below which R is not measurable */

/* Per-row differences to `before`, of the n rows where all three are finite. */
struct rows {
    double *after, *best; /* (n) each, one block at `after` */
    size_t n;
};

static int gather(const double *before, const double *after, const double *best, size_t n, struct rows *rows,
                  struct tw_recovery *out)
{
    rows->after = tw_size_alloc(n, 2 * sizeof *rows->after);
    if (!rows->after)
        return TW_NO_MEMORY;
    rows->best = rows->after + n;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(before[i]) || !isfinite(after[i]) || !isfinite(best[i]))
            continue;
        rows->after[rows->n] = after[i] - before[i];
        rows->best[rows->n++] = best[i] - before[i];
        out->before += before[i];
        out->after += after[i];
        out->best += best[i];
    }
    if (rows->n < ROWS_MIN)
        return TW_INVALID;
    out->before /= (double)rows->n;
    out->after /= (double)rows->n;
    out->best /= (double)rows->n;
    return TW_OK;
}

/* R of one resample of the rows; four draws from each block of random words. */
static double replica(const struct rows *rows, uint64_t key, uint64_t number)
{
    double gained = 0, possible = 0;
    uint32_t words[4];
    for (size_t i = 0; i < rows->n; i++) {
        if (i % 4 == 0)
            tw_rng_words(key, number, i / 4, words);
        size_t pick = (size_t)(((uint64_t)words[i % 4] * rows->n) >> 32);
        gained += rows->after[pick];
        possible += rows->best[pick];
    }
    return gained / possible;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double bootstrap_error(const struct rows *rows, uint64_t seed)
{
    double ratios[REPLICAS];
    uint64_t key = tw_rng_mix(seed, 0x7265636fu);
    for (uint64_t k = 0; k < REPLICAS; k++) {
        ratios[k] = replica(rows, key, k);
        if (isnan(ratios[k])) /* 0/0: no span at all in this resample */
            return NAN;
    }
    qsort(ratios, REPLICAS, sizeof *ratios, ascending);
    return (ratios[(int)(0.8413 * REPLICAS)] - ratios[(int)(0.1587 * REPLICAS)]) / 2;
}

int tw_recovery(const double *before, const double *after, const double *best, size_t n, uint64_t seed,
                struct tw_recovery *out)
{
    *out = (struct tw_recovery){.value = NAN, .error = NAN, .span = NAN, .span_error = NAN};
    if (n < ROWS_MIN || n > UINT32_MAX)
        return TW_INVALID;
    struct rows rows = {0};
    int status = gather(before, after, best, n, &rows, out);
    if (status == TW_OK) {
        double squares = 0, count = (double)rows.n;
        out->span = out->best - out->before;
        for (size_t i = 0; i < rows.n; i++)
            squares += (rows.best[i] - out->span) * (rows.best[i] - out->span);
        out->span_error = sqrt(squares / (count - 1) / count);
        out->value = (out->after - out->before) / out->span;
        out->error = bootstrap_error(&rows, seed);
        out->measurable = out->span > 0 && out->span >= SPAN_MIN * out->span_error;
    }
    free(rows.after);
    return status;
}
