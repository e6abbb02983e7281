/* The state of the detector in bytes: "TWCUSUM1", u32 columns, u8 log_prob, u8 unrest, u64 paused, u64 windows; of each
 * column u8 edges, f32[edges], then the pool's counts; of each path f64 ln W and, if that is above 0, its start. Counts
 * and starts are LEB128; little-endian, without padding. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "stat/cusum.h"

static const char magic[8] = "TWCUSUM1";
enum { HEAD = 8 + 4 + 1 + 1 + 8 + 8, VARINT = 10 };

/* More rows than any pool will hold, few enough that sums do not wrap and doubles count them. */
#define ROWS_MAX ((uint64_t)1 << 45)

static unsigned char *put(unsigned char *at, const void *from, size_t size)
{
    memcpy(at, from, size);
    return at + size;
}

static unsigned char *put_count(unsigned char *at, uint64_t value)
{
    for (; value > 127; value >>= 7)
        *at++ = (unsigned char)(value | 128);
    *at++ = (unsigned char)value;
    return at;
}

int tw_cusum_to_bytes(const struct tw_cusum *cusum, unsigned char **bytes, size_t *size)
{
    size_t column = 1 + TW_SKETCH_BINS * 4 + TW_SKETCH_CELLS * VARINT + TW_CUSUM_PATHS * (8 + VARINT), most;
    uint32_t columns = (uint32_t)cusum->columns;
    unsigned char flags[2] = {cusum->log_prob, (unsigned char)cusum->unrest};
    *bytes = tw_size_mul((size_t)columns, column, &most) ? malloc(HEAD + most) : NULL;
    if (!*bytes)
        return TW_NO_MEMORY;
    unsigned char *at = put(*bytes, magic, sizeof magic);
    at = put(at, &columns, sizeof columns);
    at = put(at, flags, sizeof flags);
    at = put(at, &cusum->paused, sizeof cusum->paused);
    at = put(at, &cusum->windows, sizeof cusum->windows);
    for (int c = 0; c < cusum->columns; c++) {
        *at++ = (unsigned char)cusum->grid.count[c];
        at = put(at, cusum->grid.edges + c * TW_SKETCH_BINS, (size_t)cusum->grid.count[c] * sizeof(float));
        for (int i = 0; i < TW_SKETCH_CELLS; i++)
            at = put_count(at, cusum->pool.counts[c * TW_SKETCH_CELLS + i]);
    }
    for (int path = 0; path < cusum->columns * TW_CUSUM_PATHS; path++) {
        double log_w = fmax(cusum->log_w[path], 0); /* below 0 is 0 with the next window */
        at = put(at, &log_w, sizeof log_w);
        if (log_w > 0)
            at = put_count(at, cusum->start[path]);
    }
    *size = (size_t)(at - *bytes);
    return TW_OK;
}

/* Once a read has failed, all that follow do. */
struct reader {
    const unsigned char *at;
    size_t left;
    bool failed;
};

static void get(struct reader *reader, void *to, size_t size)
{
    reader->failed = reader->failed || size > reader->left;
    if (reader->failed) {
        memset(to, 0, size);
        return;
    }
    memcpy(to, reader->at, size);
    reader->at += size;
    reader->left -= size;
}

static uint64_t get_count(struct reader *reader)
{
    uint64_t value = 0;
    unsigned char byte = 128;
    for (int shift = 0; byte & 128; shift += 7) {
        get(reader, &byte, 1);
        reader->failed = reader->failed || shift > 63 || (shift == 63 && byte > 1) || (shift && !byte);
        if (reader->failed)
            return 0;
        value |= (uint64_t)(byte & 127) << shift;
    }
    return value;
}

static void get_column(struct reader *reader, struct tw_cusum *cusum, int column)
{
    unsigned char count;
    float *edges = cusum->grid.edges + column * TW_SKETCH_BINS;
    uint64_t rows = 0;
    get(reader, &count, 1);
    reader->failed = reader->failed || count >= TW_SKETCH_BINS;
    if (reader->failed)
        return;
    cusum->grid.count[column] = count;
    get(reader, edges, count * sizeof *edges);
    for (int i = 0; i < count; i++)
        reader->failed = reader->failed || isnan(edges[i]) || (i > 0 && !(edges[i] > edges[i - 1]));
    for (int i = 0; i < TW_SKETCH_CELLS; i++) {
        uint64_t rows_in = get_count(reader);
        reader->failed = reader->failed || rows_in > ROWS_MAX || (rows += rows_in) > ROWS_MAX;
        cusum->pool.counts[column * TW_SKETCH_CELLS + i] = rows_in;
    }
}

static void get_path(struct reader *reader, double *log_w, uint64_t *start)
{
    get(reader, log_w, sizeof *log_w);
    reader->failed = reader->failed || !isfinite(*log_w) || signbit(*log_w);
    if (*log_w > 0)
        *start = get_count(reader);
}

int tw_cusum_from_bytes(struct tw_cusum *cusum, const unsigned char *bytes, size_t size)
{
    struct reader reader = {bytes, size, false};
    char found[sizeof magic];
    unsigned char flags[2];
    uint32_t columns;
    uint64_t paused, windows;
    *cusum = (struct tw_cusum){0};
    get(&reader, found, sizeof found);
    get(&reader, &columns, sizeof columns);
    get(&reader, flags, sizeof flags);
    get(&reader, &paused, sizeof paused);
    get(&reader, &windows, sizeof windows);
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
