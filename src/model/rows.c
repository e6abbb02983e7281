#include "model/rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "model/columns.h"

#define LINE 16 /* columns are a multiple of it */

void tw_rows_fini(struct tw_rows *rows)
{
    free(rows->features);
    free(rows->extra);
    free(rows->weights);
    free(rows->labels);
    memset(rows, 0, sizeof *rows);
}

static int reserve(struct tw_rows *rows, size_t count, bool labelled)
{
    size_t features, extra;

    if (!tw_size_mul(count ? count : 1, (size_t)rows->width, &features) ||
        !tw_size_mul(count ? count : 1, (size_t)rows->conditions, &extra))
        return TW_NO_MEMORY;
    rows->features = tw_size_alloc(features, sizeof *rows->features);
    rows->extra = extra ? tw_size_alloc(extra, sizeof *rows->extra) : NULL;
    rows->weights = tw_size_alloc(count ? count : 1, sizeof *rows->weights);
    rows->labels = labelled ? tw_size_alloc(count ? count : 1, sizeof *rows->labels) : NULL;
    return rows->features && (rows->extra || !extra) && rows->weights && (rows->labels || !labelled) ? TW_OK
                                                                                                     : TW_NO_MEMORY;
}

/* Appends event `c` of a prepared block, or leaves it out. */
static void take(struct tw_rows *rows, const tw_real *features, const tw_real *extra, int c, double weight,
                 const float *label)
{
    tw_real *to = rows->features + rows->count * (size_t)rows->width;

    for (int r = 0; r < rows->width; r++) {
        to[r] = features[r * TW_BLOCK + c];
        if (!(fabs((double)to[r]) <= TW_ROWS_FAR)) {
            rows->far++;
            return;
        }
    }
    for (int r = 0; r < rows->conditions; r++)
        rows->extra[rows->count * (size_t)rows->conditions + (size_t)r] = extra[r * TW_BLOCK + c];
    rows->weights[rows->count] = (tw_real)weight;
    rows->weight += weight;
    if (rows->labels)
        rows->labels[rows->count] = (tw_real)*label;
    rows->count++;
}

int tw_rows_init(struct tw_rows *rows, const struct tw_kind *kind, const struct tw_kind_state *state,
                 const struct tw_data *data)
{
    size_t d = (size_t)state->schema->features, c = (size_t)state->schema->conditions;

    *rows = (struct tw_rows){.width = kind->prepared_rows(state->config, state->schema), .conditions = (int)c};

    size_t prepared = (size_t)rows->width;
    tw_real *x = tw_size_alloc((prepared + c) * TW_BLOCK, sizeof *x);

    if (!x || reserve(rows, data->rows, kind->labelled)) {
        free(x);
        tw_rows_fini(rows);
        return TW_NO_MEMORY;
    }
    for (size_t at = 0; at < data->rows; at += TW_BLOCK) {
        int events = data->rows - at < TW_BLOCK ? (int)(data->rows - at) : TW_BLOCK;

        kind->prepare_block(state, data->features + at * d, events, TW_BLOCK, x, NULL);
        if (c)
            tw_columns_conditions(state->schema, state->statistics, data->conditions + at * c, events, TW_BLOCK,
                                  x + prepared * TW_BLOCK);
        for (int i = 0; i < events; i++)
            take(rows, x, x + prepared * TW_BLOCK, i, (double)data->weights[at + (size_t)i],
                 kind->labelled ? &data->labels[at + (size_t)i] : NULL);
    }
    free(x);
    return TW_OK;
}

void tw_rows_scale(struct tw_rows *rows, double factor)
{
    for (size_t i = 0; i < rows->count; i++)
        rows->weights[i] = (tw_real)((double)rows->weights[i] * factor);
    rows->weight *= factor;
}

/* LINE columns of (width, cols), from rows that lie anywhere: a line of a row of `to` at a time. */
static void gather(const tw_real *from, int width, const size_t *rows, int cols, tw_real *to)
{
    const tw_real *at[LINE];

    for (int c = 0; c < LINE; c++)
        at[c] = from + rows[c] * (size_t)width;
    for (int r = 0; r < width; r++)
        for (int c = 0; c < LINE; c++)
            to[r * cols + c] = at[c][r];
}

bool tw_rows_block(const struct tw_rows *rows, const uint32_t *order, size_t first, int events, int cols, uint64_t key,
                   struct tw_arena *arena, struct tw_block *block)
{
    size_t height = (size_t)(rows->width + rows->conditions + 2);
    tw_real *features = tw_arena_alloc(arena, height * (size_t)cols * sizeof *features);

    if (!features)
        return false;

    tw_real *extra = features + rows->width * cols, *weights = extra + rows->conditions * cols;
    tw_real *labels = weights + cols;

    for (int c = 0; c < cols; c += LINE) {
        size_t from[LINE];

        for (int i = 0; i < LINE; i++) {
            size_t at = first + (size_t)(c + i < events ? c + i : 0);

            from[i] = order ? order[at] : at;
            weights[c + i] = c + i < events ? rows->weights[from[i]] : 0;
            labels[c + i] = rows->labels ? rows->labels[from[i]] : 0;
        }
        gather(rows->features, rows->width, from, cols, features + c);
        if (rows->extra)
            gather(rows->extra, rows->conditions, from, cols, extra + c);
    }
    *block = (struct tw_block){.cols = cols,
                               .events = events,
                               .features = features,
                               .conditions = rows->extra ? extra : NULL,
                               .weights = weights,
                               .labels = rows->labels ? labels : NULL,
                               .key = key};
    return true;
}
