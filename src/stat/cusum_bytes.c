/* The state of the detector in bytes: "TWCUSUM1", u32 columns, u8 log_prob, u8 unrest, u64 paused, u64 windows; of each
 * column u8 edges (128 more: it is periodic), f32[edges], then the pool's counts; of each path f64 ln W and, if that is
 * above 0, its start. Counts and starts are LEB128; little-endian, without padding. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/pack.h"
#include "base/size.h"
#include "stat/cusum.h"

static const char magic[8] = "TWCUSUM1";
enum { HEAD = 8 + 4 + 1 + 1 + 8 + 8, PERIODIC = 128 };

int tw_cusum_to_bytes(const struct tw_cusum *cusum, unsigned char **bytes, size_t *size)
{
    size_t column = 1 + TW_SKETCH_BINS * 4 + TW_SKETCH_CELLS * TW_PACK_NUMBER_MAX +
                    TW_CUSUM_PATHS * (8 + TW_PACK_NUMBER_MAX),
           most;
    uint32_t columns = (uint32_t)cusum->columns;
    unsigned char flags[2] = {cusum->log_prob, (unsigned char)cusum->unrest};
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
        for (int i = 0; i < TW_SKETCH_CELLS; i++)
            at = tw_pack_put_number(at, cusum->pool.counts[c * TW_SKETCH_CELLS + i]);
    }
    for (int path = 0; path < cusum->columns * TW_CUSUM_PATHS; path++) {
        double log_w = cusum->log_w[path] > 0 ? cusum->log_w[path] : 0; /* below 0 is 0 with the next window */
        at = tw_pack_put(at, &log_w, sizeof log_w);
        if (log_w > 0)
            at = tw_pack_put_number(at, cusum->start[path]);
    }
    *size = (size_t)(at - *bytes);
    return TW_OK;
}

static void get_column(struct tw_pack *reader, struct tw_cusum *cusum, int column)
{
    unsigned char count;
    float *edges = cusum->grid.edges + column * TW_SKETCH_BINS;
    uint64_t rows = 0;
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
    for (int i = 0; i < TW_SKETCH_CELLS; i++) {
        uint64_t rows_in = tw_pack_get_number(reader);
        reader->failed = reader->failed || rows_in > TW_CUSUM_ROWS_MAX || (rows += rows_in) > TW_CUSUM_ROWS_MAX;
        cusum->pool.counts[column * TW_SKETCH_CELLS + i] = rows_in;
    }
}

static void get_path(struct tw_pack *reader, double *log_w, uint64_t *start)
{
    tw_pack_get(reader, log_w, sizeof *log_w);
    reader->failed = reader->failed || !isfinite(*log_w) || signbit(*log_w);
    if (*log_w > 0)
        *start = tw_pack_get_number(reader);
}

int tw_cusum_from_bytes(struct tw_cusum *cusum, const unsigned char *bytes, size_t size)
{
    struct tw_pack reader = {bytes, size, false};
    char found[sizeof magic];
    unsigned char flags[2];
    uint32_t columns;
    uint64_t paused, windows;
    *cusum = (struct tw_cusum){0};
    tw_pack_get(&reader, found, sizeof found);
    tw_pack_get(&reader, &columns, sizeof columns);
    tw_pack_get(&reader, flags, sizeof flags);
    tw_pack_get(&reader, &paused, sizeof paused);
    tw_pack_get(&reader, &windows, sizeof windows);
    /* a column takes more than its paths' 8 bytes each */
    if (reader.failed || memcmp(found, magic, sizeof magic) || flags[0] > 1 || flags[1] > TW_CUSUM_UNREST ||
        columns < 1 || columns > reader.left / (TW_CUSUM_PATHS * 8) || columns > TW_COLUMNS_MAX + 1)
        return TW_CORRUPT;
    if (tw_cusum_alloc(cusum, (int)columns, flags[0]))
        return TW_NO_MEMORY;
    cusum->unrest = flags[1];
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
