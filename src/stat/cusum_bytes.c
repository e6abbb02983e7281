/* The state of the detector in bytes: "TWCUSUM3", u32 columns, u8 log_prob, u8 unrest, u8 fineness, u64 paused,
 * u64 windows; of each column u8 edges (128 more: it is periodic), f32[edges], then the counts of what the grid was
 * made from and of the pool, and the sums over the pool (path by path, f64; rounded with each window that
 * was added, so not quite what the counts give); of each path u8 whether ln W is above 0 and, if so, f64 ln W and its
 * start. Counts and starts are LEB128; little-endian, without padding. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/pack.h"
#include "base/size.h"
#include "stat/cusum.h"

static const char magic[8] = "TWCUSUM3";
enum { HEAD = 8 + 4 + 3 + 8 + 8, FLAGS = 3, PERIODIC = 128 };

static unsigned char *put_counts(unsigned char *at, const uint64_t counts[TW_SKETCH_CELLS])
{
    for (int i = 0; i < TW_SKETCH_CELLS; i++)
        at = tw_pack_put_number(at, counts[i]);
    return at;
}

int tw_cusum_to_bytes(const struct tw_cusum *cusum, unsigned char **bytes, size_t *size)
{
    size_t column = 1 + TW_SKETCH_BINS * 4 + 2 * TW_SKETCH_CELLS * TW_PACK_NUMBER_MAX + TW_CUSUM_SMOOTH * 8 +
                    TW_CUSUM_PATHS * (1 + 8 + TW_PACK_NUMBER_MAX),
           most;
    uint32_t columns = (uint32_t)cusum->columns;
    unsigned char flags[FLAGS] = {cusum->log_prob, (unsigned char)cusum->unrest, (unsigned char)cusum->fineness};
    *bytes = tw_size_mul((size_t)columns, column, &most) ? malloc(HEAD + most) : NULL;
    if (!*bytes)
        return TW_NO_MEMORY;
    unsigned char *at = tw_pack_put(*bytes, magic, sizeof magic);
    at = tw_pack_put(at, &columns, sizeof columns);
    at = tw_pack_put(at, flags, sizeof flags);
    at = tw_pack_put(at, &cusum->paused, sizeof cusum->paused);
    at = tw_pack_put(at, &cusum->windows, sizeof cusum->windows);
    for (int c = 0; c < cusum->columns; c++) {
        *at++ = (unsigned char)(cusum->grid.count[c] | (cusum->periodic[c] ? PERIODIC : 0));
        at = tw_pack_put(at, cusum->grid.edges + c * TW_SKETCH_BINS, (size_t)cusum->grid.count[c] * sizeof(float));
        at = put_counts(at, cusum->made.counts + c * TW_SKETCH_CELLS);
        at = put_counts(at, cusum->pool.counts + c * TW_SKETCH_CELLS);
        at = tw_pack_put(at, cusum->sums[c].of, TW_CUSUM_SMOOTH_BETS * sizeof(double));
    }
    for (int path = 0; path < cusum->columns * TW_CUSUM_PATHS; path++) {
        bool up = cusum->log_w[path] > 0; /* below 0 is 0 with the next window */
        *at++ = up;
        if (!up)
            continue;
        at = tw_pack_put(at, &cusum->log_w[path], sizeof *cusum->log_w);
        at = tw_pack_put_number(at, cusum->start[path]);
    }
    *size = (size_t)(at - *bytes);
    return TW_OK;
}

static void get_counts(struct tw_pack *reader, uint64_t counts[TW_SKETCH_CELLS])
{
    uint64_t rows = 0;
    for (int i = 0; i < TW_SKETCH_CELLS; i++) {
        uint64_t here = counts[i] = tw_pack_get_number(reader);
        reader->failed = reader->failed || here > TW_CUSUM_ROWS_MAX || (rows += here) > TW_CUSUM_ROWS_MAX;
    }
}

/* Rounding moves them by far less than what is looked for here. */
static void get_sums(struct tw_pack *reader, struct tw_cusum *cusum, int column)
{
    struct tw_cusum_bets_sums *sums = &cusum->sums[column], right = tw_cusum_sum(cusum, column);
    *sums = right;
    tw_pack_get(reader, sums->of, TW_CUSUM_SMOOTH_BETS * sizeof(double));
    for (int path = 0; path < TW_CUSUM_SMOOTH_BETS; path++)
        reader->failed = reader->failed || !(fabs(sums->of[path] - right.of[path]) <= 1e-6 * right.of[path]);
}

static void get_column(struct tw_pack *reader, struct tw_cusum *cusum, int column)
{
    unsigned char count;
    float *edges = cusum->grid.edges + column * TW_SKETCH_BINS;
    tw_pack_get(reader, &count, 1);
    bool periodic = count & PERIODIC;
    count &= PERIODIC - 1;
    reader->failed = reader->failed || count >= TW_SKETCH_BINS;
    if (reader->failed)
        return;
    cusum->periodic[column] = periodic;
    cusum->grid.count[column] = count;
    tw_pack_get(reader, edges, count * sizeof *edges);
    for (int i = 0; i < count; i++)
        reader->failed = reader->failed || isnan(edges[i]) || (i > 0 && !(edges[i] > edges[i - 1]));
    get_counts(reader, cusum->made.counts + column * TW_SKETCH_CELLS);
    get_counts(reader, cusum->pool.counts + column * TW_SKETCH_CELLS);
    tw_cusum_tables(cusum, column);
    get_sums(reader, cusum, column);
}

static void get_path(struct tw_pack *reader, double *log_w, uint64_t *start)
{
    unsigned char up;
    tw_pack_get(reader, &up, 1);
    reader->failed = reader->failed || up > 1;
    if (reader->failed || !up)
        return;
    tw_pack_get(reader, log_w, sizeof *log_w);
    reader->failed = reader->failed || !isfinite(*log_w) || !(*log_w > 0);
    *start = tw_pack_get_number(reader);
}

int tw_cusum_from_bytes(struct tw_cusum *cusum, const unsigned char *bytes, size_t size)
{
    struct tw_pack reader = {bytes, size, false};
    char found[sizeof magic];
    unsigned char flags[FLAGS];
    uint32_t columns;
    uint64_t paused, windows;
    *cusum = (struct tw_cusum){0};
    tw_pack_get(&reader, found, sizeof found);
    tw_pack_get(&reader, &columns, sizeof columns);
    tw_pack_get(&reader, flags, sizeof flags);
    tw_pack_get(&reader, &paused, sizeof paused);
    tw_pack_get(&reader, &windows, sizeof windows);
    /* a column takes more than a byte for each path */
    if (reader.failed || memcmp(found, magic, sizeof magic) || flags[0] > 1 || flags[1] > TW_CUSUM_UNREST ||
        flags[2] < TW_CUSUM_FINENESS_MIN || flags[2] > TW_CUSUM_FINENESS_MAX || columns < 1 ||
        columns > reader.left / TW_CUSUM_PATHS || columns > TW_COLUMNS_MAX + 1)
        return TW_CORRUPT;
    if (tw_cusum_alloc(cusum, (int)columns, flags[0]))
        return TW_NO_MEMORY;
    cusum->unrest = flags[1];
    cusum->fineness = flags[2];
    cusum->paused = paused;
    cusum->windows = windows;
    for (int c = 0; c < cusum->columns && !reader.failed; c++)
        get_column(&reader, cusum, c);
    for (int path = 0; path < cusum->columns * TW_CUSUM_PATHS && !reader.failed; path++)
        get_path(&reader, &cusum->log_w[path], &cusum->start[path]);
    if (!reader.failed && reader.left == 0)
        return TW_OK;
    tw_cusum_fini(cusum);
    return TW_CORRUPT;
}
