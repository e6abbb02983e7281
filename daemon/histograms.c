#include "daemon/histograms.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/memory.h"
#include "model/members.h"
#include "stat/band.h"
#include "stat/histogram.h"

enum {
    SAMPLES =
        20000,    /* of each member, whatever the size of the window: their noise is to stay below that of the data */
    CHUNK = 1024, /* events that are held at a time, or fewer where memory is small */
};

/* A feature or an observable. */
struct shown {
    const struct tw_column *column;
    struct tw_histogram data;
    struct tw_band samples;
};

struct drawing {
    const struct tw_model *model;
    const struct tw_kernels *kernels;
    const struct tw_observables *observables;
    uint64_t seed;
    int members, columns;
    struct shown *shown;         /* (columns) */
    size_t chunk;                /* events at a time; what comes out does not depend on it */
    float *values;               /* (chunk, features): of one member */
    float *wide[TW_MEMBERS_MAX]; /* (chunk, columns): of each */
};

/* --- samples, a chunk at a time --- */

/* An event of each member, and of one of them in all its forms; rows of tw_data grow by up to twice. */
static size_t event_bytes(const struct tw_model *model, const struct tw_observables *observables)
{
    size_t copies = (size_t)tw_model_members(model) + 5;
    const struct tw_schema *wide = observables->extended;
    return copies * (size_t)(wide->features + wide->conditions + 3) * sizeof(float);
}

/* A quarter of what answers may take: else a wide twin would never be shown where memory is small. Whole blocks where
 * they fit, as a cut block is computed twice. */
static size_t chunk_rows(const struct tw_model *model, const struct tw_observables *observables)
{
    size_t fits = memory_rows(MEMORY_ANSWERS, 0.25, event_bytes(model, observables), 1);
    if (fits >= CHUNK)
        return CHUNK;
    return fits < TW_BLOCK ? fits : fits / TW_BLOCK * TW_BLOCK;
}

/* Events first .. first+n-1 of a member, with observables; NaN where the model gave what its schema does not allow, so
 * that an event has the same row in all members. */
static int draw_member(struct drawing *d, int member, uint64_t first, size_t n, const float *conditions)
{
    struct tw_data rows, wide;
    size_t width = (size_t)d->columns * sizeof(float);
    int status = tw_model_sample_member(d->model, member, d->kernels, NULL, d->seed, first, n, conditions, d->values);
    tw_data_init(&rows, tw_model_schema(d->model));
    tw_data_init(&wide, d->observables->extended);
    if (status == TW_OK)
        status = tw_data_append(&rows, 0, first, n, d->values, conditions, NULL);
    if (status == TW_OK)
        status = tw_observables_extend(d->observables, &rows, &wide);
    for (size_t i = 0, at = 0; status == TW_OK && i < n; i++) {
        float *to = d->wide[member] + i * (size_t)d->columns;
        if (at < wide.rows && wide.keys[at] == tw_data_key(0, first + i))
            memcpy(to, wide.features + at++ * (size_t)d->columns, width);
        else
            for (int c = 0; c < d->columns; c++)
                to[c] = NAN;
    }
    tw_data_fini(&rows);
    tw_data_fini(&wide);
    return status;
}

static int draw_chunk(struct drawing *d, uint64_t first, size_t n, const float *conditions)
{
    int status = TW_OK;
    for (int m = 0; status == TW_OK && m < d->members; m++)
        status = draw_member(d, m, first, n, conditions);
    for (int c = 0; status == TW_OK && c < d->columns; c++) {
        const float *values[TW_MEMBERS_MAX];
        for (int m = 0; m < d->members; m++)
            values[m] = d->wide[m] + c;
        tw_band_fill(&d->shown[c].samples, values, n, (size_t)d->columns);
    }
    return status;
}

/* Samples, spread over the data's runs of equal conditions. */
static int draw(struct drawing *d, const struct tw_data *data)
{
    size_t conditions = (size_t)data->schema->conditions, done = 0;
    int status = TW_OK;
    for (size_t start = 0, end; status == TW_OK && start < data->rows; start = end) {
        const float *row = conditions > 0 ? data->conditions + start * conditions : NULL;
        end = conditions > 0 ? start + 1 : data->rows;
        while (end < data->rows && memcmp(data->conditions + end * conditions, row, conditions * sizeof *row) == 0)
            end++;
        size_t until = (size_t)((double)SAMPLES * (double)end / (double)data->rows);
        while (status == TW_OK && done < until) {
            size_t n = until - done < d->chunk ? until - done : d->chunk;
            status = draw_chunk(d, done, n, row);
            done += n;
        }
    }
    return status;
}

/* --- what is shown of a column --- */

/* What an observable's declaration says it wants to be shown of. */
static void narrow(const struct tw_observable *observable, double *low, double *high)
{
    if (observable->has_min)
        *low = observable->min;
    if (observable->has_max)
        *high = observable->max;
    if (!(*low < *high)) /* one bound, and no value on its side */
        *(observable->has_min ? high : low) = observable->has_min ? *low + 1 : *high - 1;
}

/* The histogram of the data, and an empty one of the samples beside it. */
static int shown_init(struct shown *shown, const struct tw_data *wide, int index,
                      const struct tw_observable *observable, int members, int wanted)
{
    const float *values = wide->features + index;
    size_t stride = (size_t)wide->schema->features;
    double low, high;
    shown->column = &wide->schema->columns[index];
    tw_histogram_range(shown->column, values, wide->rows, stride, &low, &high);
    if (observable != NULL)
        narrow(observable, &low, &high);
    int bins = tw_histogram_bins(shown->column, wanted);
    int status = tw_histogram_init(&shown->data, bins, low, high);
    if (status == TW_OK)
        status = tw_band_init(&shown->samples, members, bins, low, high);
    if (status == TW_OK)
        tw_histogram_fill(&shown->data, values, wide->weights, wide->rows, stride);
    return status;
}

static void shown_fini(struct shown *shown)
{
    tw_histogram_fini(&shown->data);
    tw_band_fini(&shown->samples);
}

static json_t *edges_json(const struct tw_histogram *h)
{
    json_t *json = json_array();
    for (int i = 0; i <= h->bins; i++)
        json_array_append_new(json, json_real(h->low + (h->high - h->low) * i / h->bins));
    return json;
}

static json_t *data_json(const struct tw_histogram *h)
{
    json_t *values = json_array(), *errors = json_array();
    for (int i = 0; i < h->bins; i++) {
        json_array_append_new(values, json_real(h->data[i]));
        json_array_append_new(errors, json_real(sqrt(h->data_variance[i])));
    }
    return json_pack("{s:o, s:o, s:f, s:f, s:f}", "values", values, "errors", errors, "under", h->under, "over",
                     h->over, "absent", h->absent);
}

static json_t *samples_json(const struct tw_band *band, double scale)
{
    json_t *values = json_array(), *statistical = json_array(), *model = band->members > 1 ? json_array() : json_null();
    for (int i = 0; i < band->bins; i++) {
        json_array_append_new(values, json_real(scale * tw_band_mean(band, i)));
        json_array_append_new(statistical, json_real(scale * tw_band_statistical_error(band, i)));
        if (band->members > 1)
            json_array_append_new(model, json_real(scale * tw_band_model_error(band, i)));
    }
    return json_pack("{s:o, s:O, s:o, s:o, s:f, s:f, s:f}", "values", values, "errors", statistical,
                     "statistical_error", statistical, "model_error", model, "under", band->under * scale, "over",
                     band->over * scale, "absent", band->absent * scale);
}

static json_t *items_json(const struct drawing *d, double weight)
{
    json_t *items = json_array();
    for (int c = 0; items != NULL && c < d->columns; c++) {
        const struct shown *shown = &d->shown[c];
        double scale = shown->samples.events > 0 ? weight / (double)shown->samples.events : 0;
        json_t *item = json_pack("{s:s, s:s, s:o, s:o, s:o}", "feature", shown->column->name, "unit",
                                 shown->column->unit, "edges", edges_json(&shown->data), "data",
                                 data_json(&shown->data), "samples", samples_json(&shown->samples, scale));
        if (json_array_append_new(items, item) != 0) {
            json_decref(items);
            items = NULL;
        }
    }
    return items;
}

/* --- the whole --- */

static bool drawing_memory(struct drawing *d)
{
    bool whole = true;
    d->shown = calloc((size_t)d->columns, sizeof *d->shown);
    d->values = malloc(d->chunk * (size_t)d->columns * sizeof(float));
    for (int m = 0; m < d->members; m++)
        whole = (d->wide[m] = malloc(d->chunk * (size_t)d->columns * sizeof(float))) != NULL && whole;
    return whole && d->shown != NULL && d->values != NULL;
}

static void drawing_fini(struct drawing *d)
{
    for (int c = 0; d->shown != NULL && c < d->columns; c++)
        shown_fini(&d->shown[c]);
    for (int m = 0; m < d->members; m++)
        free(d->wide[m]);
    free(d->shown);
    free(d->values);
}

json_t *histograms_make(struct tw_data *data, const struct tw_model *model, const struct tw_kernels *kernels,
                        const struct tw_observables *observables, uint64_t seed, int bins)
{
    struct drawing d = {
        model, kernels, observables, seed, tw_model_members(model), observables->extended->features, .shown = NULL};
    struct tw_data wide;
    json_t *items = NULL;
    double weight = 0;
    tw_data_init(&wide, observables->extended);
    int status = tw_observables_extend(observables, data, &wide);
    tw_data_fini(data);
    d.chunk = chunk_rows(model, observables);
    if (!drawing_memory(&d))
        status = TW_NO_MEMORY;
    for (int c = 0; status == TW_OK && c < d.columns; c++) {
        int behind = c - (d.columns - observables->count);
        status = shown_init(&d.shown[c], &wide, c, behind < 0 ? NULL : &observables->items[behind], d.members, bins);
    }
    if (status == TW_OK)
        status = draw(&d, &wide);
    for (size_t i = 0; i < wide.rows; i++)
        weight += (double)wide.weights[i];
    if (status == TW_OK)
        items = items_json(&d, weight);
    drawing_fini(&d);
    tw_data_fini(&wide);
    return items;
}

size_t histograms_bytes(const struct tw_model *model, const struct tw_observables *observables)
{
    return chunk_rows(model, observables) * event_bytes(model, observables);
}
