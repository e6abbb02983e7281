/* A window as the detector sees it, counted, added up and carried elsewhere. In bytes: "TWCUSUMW", u32 columns, then
 * all counts as LEB128. */
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/pack.h"
#include "base/size.h"
#include "stat/cusum.h"

enum { CHUNK = 256 }; /* rows at a time */

int tw_cusum_values_init(struct tw_cusum_values *values, const struct tw_cusum_sample *sample, int column)
{
    size_t features = (size_t)sample->data->schema->features, rows = sample->data->rows;
    *values = (struct tw_cusum_values){sample->data->features + column, features, NULL};
    if ((size_t)column < features)
        return TW_OK;
    values->own = tw_size_alloc(rows + 1, sizeof *values->own);
    if (!values->own)
        return TW_NO_MEMORY;
    for (size_t i = 0; i < rows; i++)
        values->own[i] = (float)sample->log_prob[i];
    values->at = values->own;
    values->stride = 1;
    return TW_OK;
}

void tw_cusum_values_fini(struct tw_cusum_values *values)
{
    free(values->own);
    values->own = NULL;
}

static size_t counts_of(const struct tw_cusum_window *window)
{
    return (size_t)window->columns * (size_t)window->blocks * TW_SKETCH_CELLS;
}

int tw_cusum_window_init(struct tw_cusum_window *window, int columns, int blocks)
{
    *window = (struct tw_cusum_window){.columns = columns, .blocks = blocks};
    window->counts = tw_size_alloc(counts_of(window), sizeof *window->counts);
    return window->counts ? TW_OK : TW_NO_MEMORY;
}

void tw_cusum_window_fini(struct tw_cusum_window *window)
{
    free(window->counts);
    *window = (struct tw_cusum_window){0};
}

struct counting {
    struct tw_cusum_window *window;
    const struct tw_cusum *cusum;
    const struct tw_cusum_sample *sample;
    unsigned char *block; /* (rows) which block a row belongs to; NULL: there is one */
    int *status;          /* (columns) */
};

static void count_column(void *context, size_t task, unsigned worker)
{
    const struct counting *counting = context;
    uint64_t *counts = counting->window->counts + task * (size_t)counting->window->blocks * TW_SKETCH_CELLS;
    struct tw_cusum_values values;
    counting->status[task] = tw_cusum_values_init(&values, counting->sample, (int)task);
    if (counting->status[task])
        return;
    unsigned char cells[CHUNK];
    for (size_t first = 0, rows = counting->sample->data->rows; first < rows; first += CHUNK) {
        size_t n = rows - first < CHUNK ? rows - first : CHUNK;
        tw_sketch_grid_cells(&counting->cusum->grid, (int)task, values.at + first * values.stride, n, values.stride,
                             cells);
        for (size_t i = 0; i < n; i++)
            counts[(counting->block ? counting->block[first + i] * TW_SKETCH_CELLS : 0) + cells[i]]++;
    }
    tw_cusum_values_fini(&values);
}

/* The block is a hash of the row's identity: nothing of its values, nor of its place. A batch may be sorted. */
int tw_cusum_window_count(struct tw_cusum_window *window, const struct tw_cusum *cusum,
                          const struct tw_cusum_sample *sample, struct tw_pool *pool)
{
    const struct tw_data *data = sample->data;
    struct counting counting = {.window = window, .cusum = cusum, .sample = sample};
    bool several = window->blocks > 1;
    counting.block = several ? tw_size_alloc(data->rows + 1, 1) : NULL;
    counting.status = tw_size_alloc((size_t)window->columns, sizeof *counting.status);
    int status = (counting.block || !several) && counting.status ? TW_OK : TW_NO_MEMORY;
    if (status == TW_OK) {
        for (size_t i = 0; i < data->rows && several; i++) {
            uint64_t hash = tw_rng_mix(data->keys[i], UINT64_C(0x626c6f636b)) % TW_CUSUM_BLOCKS;
            counting.block[i] = (unsigned char)(hash * (uint64_t)window->blocks / TW_CUSUM_BLOCKS);
        }
        tw_pool_run(pool, (size_t)window->columns, count_column, &counting);
        for (int c = 0; c < window->columns && status == TW_OK; c++)
            status = counting.status[c];
    }
    free(counting.block);
    free(counting.status);
    return status;
}

void tw_cusum_window_add(struct tw_cusum_window *window, const struct tw_cusum_window *other)
{
    for (size_t i = 0; i < counts_of(window); i++)
        window->counts[i] += other->counts[i];
}

static const char magic[8] = "TWCUSUMW";

int tw_cusum_window_to_bytes(const struct tw_cusum_window *window, unsigned char **bytes, size_t *size)
{
    uint32_t columns = (uint32_t)window->columns;
    size_t count = counts_of(window);
    *bytes = malloc(sizeof magic + sizeof columns + count * TW_PACK_NUMBER_MAX);
    if (!*bytes)
        return TW_NO_MEMORY;
    memcpy(*bytes, magic, sizeof magic);
    memcpy(*bytes + sizeof magic, &columns, sizeof columns);
    unsigned char *at = *bytes + sizeof magic + sizeof columns;
    for (size_t i = 0; i < count; i++)
        at = tw_pack_put_number(at, window->counts[i]);
    *size = (size_t)(at - *bytes);
    return TW_OK;
}

int tw_cusum_window_from_bytes(struct tw_cusum_window *window, const unsigned char *bytes, size_t size)
{
    struct tw_pack reader = {bytes, size, false};
    char found[sizeof magic];
    uint32_t columns;
    *window = (struct tw_cusum_window){0};
    tw_pack_get(&reader, found, sizeof found);
    tw_pack_get(&reader, &columns, sizeof columns);
    if (reader.failed || memcmp(found, magic, sizeof magic) || columns < 1 ||
        columns > reader.left / (TW_CUSUM_BLOCKS * TW_SKETCH_CELLS))
        return TW_CORRUPT;
    if (tw_cusum_window_init(window, (int)columns, TW_CUSUM_BLOCKS))
        return TW_NO_MEMORY;
    for (size_t i = 0; i < counts_of(window) && !reader.failed; i++) {
        window->counts[i] = tw_pack_get_number(&reader);
        reader.failed = reader.failed || window->counts[i] > TW_CUSUM_ROWS_MAX;
    }
    if (!reader.failed && reader.left == 0)
        return TW_OK;
    tw_cusum_window_fini(window);
    return TW_CORRUPT;
}
