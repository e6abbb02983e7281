#include "stat/embed.h"

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "base/size.h"
#include "stat/sort.h"

#define FAR 10.0 /* widths: what lies beyond stands there */

enum { PAIRS = 1000 };

static double coordinate_of(const struct tw_column *column, float value)
{
    return column->transform == TW_LOG ? log((double)value - column->min) : (double)value;
}

/* The finite values of a column in both samples, sorted; how many there are. */
static size_t collect(const struct tw_data *a, const struct tw_data *b, int feature, float *values, float *scratch)
{
    const struct tw_data *both[2] = {a, b};
    size_t features = (size_t)a->schema->features, count = 0;
    for (int k = 0; k < 2; k++) {
        for (size_t i = 0; i < both[k]->rows; i++) {
            double at = coordinate_of(&a->schema->columns[feature], both[k]->features[i * features + (size_t)feature]);
            if (isfinite(at))
                values[count++] = (float)at;
        }
    }
    tw_sort_floats(values, count, scratch);
    return count;
}

/* Half the distance between the quantiles that hold the middle 68 %, which one event far out does not move; the
 * standard deviation where these fall together. */
static double width_of(const float *sorted, size_t n)
{
    double half =
        n ? ((double)sorted[(size_t)(0.84 * (double)(n - 1))] - sorted[(size_t)(0.16 * (double)(n - 1))]) / 2 : 0;
    if (half > 0)
        return half;
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        double d = (double)sorted[i] - sorted[0];
        sum += d;
        squares += d * d;
    }
    return n ? sqrt(fmax(0, squares / (double)n - sum * sum / ((double)n * (double)n))) : 0;
}

int tw_embed_init(struct tw_embed *embed, const struct tw_data *a, const struct tw_data *b)
{
    const struct tw_schema *schema = a->schema;
    size_t features = (size_t)schema->features, rows;
    *embed = (struct tw_embed){.schema = schema};
    embed->centre = tw_size_alloc(2 * features, sizeof *embed->centre);
    float *values = tw_size_add(a->rows, b->rows, &rows) ? tw_size_alloc(rows + 1, 2 * sizeof *values) : NULL;
    if (!embed->centre || !values) {
        free(values);
        tw_embed_fini(embed);
        return TW_NO_MEMORY;
    }
    embed->scale = embed->centre + features;
    for (int d = 0; d < schema->features; d++) {
        bool angle = schema->columns[d].kind == TW_PERIODIC;
        embed->width += angle ? 2 : 1;
        if (angle)
            continue;
        size_t count = collect(a, b, d, values, values + rows);
        embed->centre[d] = count ? values[count / 2] : 0;
        embed->scale[d] = width_of(values, count);
    }
    free(values);
    return TW_OK;
}

void tw_embed_fini(struct tw_embed *embed)
{
    free(embed->centre);
    *embed = (struct tw_embed){0};
}

void tw_embed_row(const struct tw_embed *embed, const float *features, size_t stride, tw_real *out)
{
    for (int d = 0; d < embed->schema->features; d++) {
        const struct tw_column *column = &embed->schema->columns[d];
        double value = coordinate_of(column, features[d]);
        if (column->kind == TW_PERIODIC) {
            double angle = 2 * M_PI * (value - column->min) / (column->max - column->min);
            bool there = isfinite(angle);
            *out = there ? (tw_real)(M_SQRT2 * cos(angle)) : 0; /* sqrt 2: uniform angles have unit width */
            out += stride;
            *out = there ? (tw_real)(M_SQRT2 * sin(angle)) : 0;
        } else {
            double at = embed->scale[d] > 0 ? (value - embed->centre[d]) / embed->scale[d] : 0;
            *out = isfinite(at) ? (tw_real)fmin(fmax(at, -FAR), FAR) : 0;
        }
        out += stride;
    }
}

static const float *row_of(const struct tw_data *a, const struct tw_data *b, double uniform)
{
    size_t at = (size_t)(uniform * (double)(a->rows + b->rows)), features = (size_t)a->schema->features;
    return at < a->rows ? a->features + at * features : b->features + (at - a->rows) * features;
}

int tw_embed_median(const struct tw_embed *embed, const struct tw_data *a, const struct tw_data *b, uint64_t key,
                    double *median)
{
    *median = 1;
    if (a->rows + b->rows == 0)
        return TW_OK;
    size_t width = (size_t)embed->width;
    float *distances = tw_size_alloc(PAIRS, 2 * sizeof *distances);
    tw_real *points = tw_size_alloc(2 * width, sizeof *points);
    int status = distances && points ? TW_OK : TW_NO_MEMORY;
    for (uint64_t k = 0; status == TW_OK && k < PAIRS; k++) {
        tw_embed_row(embed, row_of(a, b, tw_rng_uniform(key, k, 0)), 1, points);
        tw_embed_row(embed, row_of(a, b, tw_rng_uniform(key, k, 1)), 1, points + width);
        double squares = 0;
        for (size_t e = 0; e < width; e++) {
            double d = (double)points[e] - (double)points[width + e];
            squares += d * d;
        }
        distances[k] = (float)sqrt(squares);
    }
    if (status == TW_OK) {
        tw_sort_floats(distances, PAIRS, distances + PAIRS);
        *median = distances[PAIRS / 2] > 0 ? distances[PAIRS / 2] : 1;
    }
    free(distances);
    free(points);
    return status;
}
