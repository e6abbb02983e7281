/* Data over samples, feature by feature: the rows of the last compared window beside samples of the version that it was
 * compared with, at the window's conditions, scaled to its sum of weights. */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "daemon/api.h"
#include "daemon/memory.h"
#include "daemon/window.h"
#include "stat/histogram.h"

enum {
    BINS = 40,
    BINS_MAX = 200,
    SAMPLES = 20000, /* whatever the size of the window: their own noise is to stay below that of the data */
    CACHED = 8,      /* answers that are kept */
};

struct view {
    int64_t twin, iteration, version;
    int bins;
};

/* Pages ask for the same view every few seconds: the last ones are kept, the oldest goes. */
static struct {
    pthread_mutex_t lock;
    struct view view[CACHED];
    json_t *items[CACHED];
    int next;
} cache = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool same_view(const struct view *a, const struct view *b)
{
    return a->twin == b->twin && a->iteration == b->iteration && a->version == b->version && a->bins == b->bins;
}

static json_t *cache_get(const struct view *view)
{
    json_t *found = NULL;
    pthread_mutex_lock(&cache.lock);
    for (int i = 0; i < CACHED && found == NULL; i++)
        if (cache.items[i] != NULL && same_view(&cache.view[i], view))
            found = json_incref(cache.items[i]);
    pthread_mutex_unlock(&cache.lock);
    return found;
}

static void cache_put(const struct view *view, json_t *items)
{
    pthread_mutex_lock(&cache.lock);
    json_decref(cache.items[cache.next]);
    cache.items[cache.next] = json_incref(items);
    cache.view[cache.next] = *view;
    cache.next = (cache.next + 1) % CACHED;
    pthread_mutex_unlock(&cache.lock);
}

/* --- computing --- */

/* SAMPLES, or what a quarter of the share of answers can hold. */
static size_t samples_most(const struct tw_schema *schema)
{
    size_t most = memory_rows(MEMORY_ANSWERS, 0.25, (size_t)schema->features * sizeof(float), 1);
    return most < SAMPLES ? most : SAMPLES;
}

/* Samples, spread over the data's runs of equal conditions. *count gets their number; NULL when memory is out or the
 * model fails. */
static float *draw(const struct tw_model *model, const struct tw_kernels *kernels, const struct tw_data *data,
                   uint64_t seed, size_t *count)
{
    size_t features = (size_t)data->schema->features, conditions = (size_t)data->schema->conditions;
    size_t most = samples_most(data->schema);
    float *values = malloc(most * features * sizeof *values);
    size_t done = 0;
    for (size_t start = 0, end; values != NULL && start < data->rows; start = end) {
        const float *row = conditions > 0 ? data->conditions + start * conditions : NULL;
        end = conditions > 0 ? start + 1 : data->rows;
        while (end < data->rows && memcmp(data->conditions + end * conditions, row, conditions * sizeof *row) == 0)
            end++;
        size_t until = (size_t)((double)most * (double)end / (double)data->rows);
        if (until <= done)
            continue;
        if (tw_model_sample(model, kernels, NULL, seed, done, until - done, row, values + done * features) != TW_OK) {
            free(values);
            return NULL;
        }
        done = until;
    }
    *count = done;
    return values;
}

static json_t *array(const double *values, int count, double scale, bool root)
{
    json_t *json = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(json, json_real(scale * (root ? sqrt(values[i]) : values[i])));
    return json;
}

static json_t *edges(const struct tw_histogram *histogram)
{
    json_t *json = json_array();
    for (int i = 0; i <= histogram->bins; i++)
        json_array_append_new(json,
                              json_real(histogram->low + (histogram->high - histogram->low) * i / histogram->bins));
    return json;
}

static json_t *feature_json(const struct tw_data *data, int feature, const float *samples, size_t count, int bins)
{
    const struct tw_column *column = &data->schema->columns[feature];
    size_t stride = (size_t)data->schema->features;
    struct tw_histogram of_data = {0}, of_samples = {0};
    double low, high, sum = 0;
    json_t *json = NULL;
    tw_histogram_range(column, data->features + feature, data->rows, stride, &low, &high);
    if (tw_histogram_init(&of_data, bins, low, high) == TW_OK &&
        tw_histogram_init(&of_samples, bins, low, high) == TW_OK) {
        tw_histogram_fill(&of_data, data->features + feature, data->weights, data->rows, stride);
        tw_histogram_fill(&of_samples, samples + feature, NULL, count, stride);
        for (size_t i = 0; i < data->rows; i++)
            sum += data->weights[i];
        double scale = count > 0 ? sum / (double)count : 0;
        json = json_pack("{s:s, s:s, s:o, s:{s:o, s:o, s:f, s:f}, s:{s:o, s:o, s:f, s:f}}", "feature", column->name,
                         "unit", column->unit, "edges", edges(&of_data), "data", "values",
                         array(of_data.data, bins, 1, false), "errors", array(of_data.data_variance, bins, 1, true),
                         "under", of_data.under, "over", of_data.over, "samples", "values",
                         array(of_samples.data, bins, scale, false), "errors",
                         array(of_samples.data_variance, bins, scale, true), "under", of_samples.under * scale, "over",
                         of_samples.over * scale);
    }
    tw_histogram_fini(&of_data);
    tw_histogram_fini(&of_samples);
    return json;
}

static json_t *all_features(const struct tw_data *data, const struct snapshot *snapshot,
                            const struct tw_kernels *kernels, const struct view *view)
{
    size_t count = 0;
    float *samples = draw(snapshot->model, kernels, data, tw_rng_mix((uint64_t)view->iteration, 0x6869737473), &count);
    json_t *items = samples != NULL ? json_array() : NULL;
    for (int f = 0; items != NULL && f < data->schema->features; f++) {
        if (json_array_append_new(items, feature_json(data, f, samples, count, view->bins)) != 0) {
            json_decref(items);
            items = NULL;
        }
    }
    free(samples);
    return items;
}

/* --- the request --- */

struct source {
    struct view view;
    struct window window;
    size_t events;
};

/* The last iteration and the version asked for (0: the champion at the moment). False: nothing was compared yet. */
static bool find_source(struct twin *twin, int64_t version, int bins, struct source *source)
{
    json_int_t iteration, first, last, events = 0;
    const char *decision = NULL;
    pthread_mutex_lock(&twin->lock);
    bool found = twin->last_iteration != NULL &&
                 json_unpack(twin->last_iteration, "{s:I, s:{s:I, s:I}, s?:s, s?:I}", "iteration", &iteration,
                             "ordinals", "first", &first, "last", &last, "decision", &decision, "events", &events) == 0;
    if (found) {
        *source = (struct source){
            .view = {twin->id, iteration, version, bins},
            .window = {(uint64_t)first, (uint64_t)last, false},
            .events = (size_t)events,
        };
        if (version == 0 && twin->champion != NULL)
            source->view.version = twin->champion->version;
    }
    pthread_mutex_unlock(&twin->lock);
    return found;
}

static json_t *compute(struct http_request *request, struct http_response *response, struct twin *twin,
                       const struct source *source, const struct snapshot *snapshot)
{
    struct tw_error error = {""};
    struct tw_data data;
    json_t *items = NULL;
    /* the rows while they grow, and the samples */
    size_t most = memory_rows(MEMORY_ANSWERS, 0.25, window_row_bytes(twin), 2), all = source->events;
    size_t bytes = 2 * window_row_bytes(twin) * (all < most ? all : most) +
                   samples_most(twin->definition->schema) * (size_t)twin->definition->schema->features * sizeof(float);
    if (!memory_take(MEMORY_ANSWERS, bytes)) {
        http_response_problem(response, 503, "overloaded", "too many large answers at once for memory-mb; try again");
        http_response_header(response, "Retry-After", "1");
        return NULL;
    }
    tw_data_init(&data, twin->definition->schema);
    int status = window_read(twin, &source->window, most, &data, NULL, NULL, NULL, NULL, NULL, &error);
    if (status != TW_OK)
        api_failed(response, status, &error, "bad_request");
    else if (data.rows == 0)
        items = json_array();
    else if ((items = all_features(&data, snapshot, request->api->kernels, &source->view)) == NULL)
        http_response_problem(response, 500, "internal", "the histograms could not be made");
    tw_data_fini(&data);
    memory_give(MEMORY_ANSWERS, bytes);
    if (items != NULL)
        cache_put(&source->view, items);
    return items;
}

/* Only the feature that was asked for. */
static json_t *select_feature(json_t *items, const char *feature)
{
    json_t *kept = json_array(), *item;
    size_t i;
    json_array_foreach(items, i, item)
    {
        const char *name = json_string_value(json_object_get(item, "feature"));
        if (name != NULL && strcmp(name, feature) == 0)
            json_array_append(kept, item);
    }
    json_decref(items);
    return kept;
}

static void send(struct http_request *request, struct http_response *response, const struct twin *twin,
                 const struct source *source, json_t *items)
{
    const char *feature = http_request_query(request, "feature");
    if (feature != NULL)
        items = select_feature(items, feature);
    json_t *answer =
        json_pack("{s:o, s:n, s:s, s:I, s:I, s:{s:I, s:I}}", "items", items, "next_cursor", "twin", twin->name,
                  "iteration", (json_int_t)source->view.iteration, "version", (json_int_t)source->view.version,
                  "ordinals", "first", (json_int_t)source->window.first, "last", (json_int_t)source->window.last);
    api_model_headers(response, twin, (int)source->view.version);
    http_response_json(response, 200, answer);
}

static enum route_outcome get(struct http_request *request, struct http_response *response, struct twin *twin,
                              int64_t version, int bins)
{
    struct source source;
    if (!find_source(twin, version, bins, &source)) {
        http_response_json(response, 200,
                           json_pack("{s:[], s:n, s:s, s:n}", "items", "next_cursor", "twin", twin->name, "iteration"));
        return ROUTE_DONE;
    }
    json_t *items = cache_get(&source.view);
    if (items == NULL && !request->on_worker)
        return ROUTE_DEFER;
    if (items == NULL) {
        struct snapshot *snapshot = api_snapshot(request, response, twin, (int)source.view.version);
        if (snapshot == NULL)
            return ROUTE_DONE;
        source.view.version = snapshot->version;
        items = compute(request, response, twin, &source, snapshot);
        snapshot_unref(snapshot);
    }
    if (items != NULL)
        send(request, response, twin, &source, items);
    return ROUTE_DONE;
}

enum route_outcome api_histograms_get(struct http_request *request, struct http_response *response)
{
    int64_t version = 0, bins = BINS;
    if (!http_request_query_int(request, "bins", 2, BINS_MAX, &bins, response) ||
        !http_request_query_int(request, "version", 1, INT32_MAX, &version, response))
        return ROUTE_DONE;
    struct twin *twin = api_twin(request, response);
    if (twin == NULL)
        return ROUTE_DONE;
    const char *feature = http_request_query(request, "feature");
    enum route_outcome outcome = ROUTE_DONE;
    int column = feature != NULL ? tw_schema_find(twin->definition->schema, feature) : 0;
    if (column < 0 || column >= twin->definition->schema->features)
        http_response_problem(response, 404, "unknown_feature", "twin %s has no feature \"%.64s\"", twin->name,
                              feature);
    else
        outcome = get(request, response, twin, version, (int)bins);
    registry_twin_unref(twin);
    return outcome;
}
