/* Data over samples, feature by feature and observable by observable: the rows of the last compared window beside
 * samples of the version that it was compared with, at the window's conditions, scaled to its sum of weights. */
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
    struct tw_observables *observables; /* people may declare others */
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
    return a->twin == b->twin && a->iteration == b->iteration && a->version == b->version && a->bins == b->bins &&
           a->observables == b->observables;
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
    tw_observables_unref(cache.view[cache.next].observables);
    cache.items[cache.next] = json_incref(items);
    cache.view[cache.next] = *view;
    tw_observables_ref(view->observables);
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

/* Appends samples to `to`, spread over the data's runs of equal conditions. */
static int draw(const struct tw_model *model, const struct tw_kernels *kernels, const struct tw_data *data,
                uint64_t seed, struct tw_data *to)
{
    size_t features = (size_t)data->schema->features, conditions = (size_t)data->schema->conditions;
    size_t most = samples_most(data->schema), done = 0;
    float *values = malloc(most * features * sizeof *values);
    int status = values != NULL ? TW_OK : TW_NO_MEMORY;
    for (size_t start = 0, end; status == TW_OK && start < data->rows; start = end) {
        const float *row = conditions > 0 ? data->conditions + start * conditions : NULL;
        end = conditions > 0 ? start + 1 : data->rows;
        while (end < data->rows && memcmp(data->conditions + end * conditions, row, conditions * sizeof *row) == 0)
            end++;
        size_t until = (size_t)((double)most * (double)end / (double)data->rows);
        if (until <= done)
            continue;
        status = tw_model_sample(model, kernels, NULL, seed, done, until - done, row, values);
        if (status == TW_OK)
            status = tw_data_append(to, 0, done, until - done, values, row, NULL);
        done = until;
    }
    free(values);
    return status;
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

static json_t *side_json(const struct tw_histogram *h, double scale)
{
    return json_pack("{s:o, s:o, s:f, s:f, s:f}", "values", array(h->data, h->bins, scale, false), "errors",
                     array(h->data_variance, h->bins, scale, true), "under", h->under * scale, "over", h->over * scale,
                     "absent", h->absent * scale);
}

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

static json_t *column_json(const struct tw_data *data, const struct tw_data *samples, int index,
                           const struct tw_observable *observable, int wanted)
{
    const struct tw_column *column = &data->schema->columns[index];
    size_t stride = (size_t)data->schema->features, count = samples->rows + samples->invalid;
    int bins = tw_histogram_bins(column, wanted);
    struct tw_histogram of_data = {0}, of_samples = {0};
    double low, high, sum = 0;
    json_t *json = NULL;
    tw_histogram_range(column, data->features + index, data->rows, stride, &low, &high);
    if (observable != NULL)
        narrow(observable, &low, &high);
    if (tw_histogram_init(&of_data, bins, low, high) == TW_OK &&
        tw_histogram_init(&of_samples, bins, low, high) == TW_OK) {
        tw_histogram_fill(&of_data, data->features + index, data->weights, data->rows, stride);
        tw_histogram_fill(&of_samples, samples->features + index, NULL, samples->rows, stride);
        for (size_t i = 0; i < data->rows; i++)
            sum += data->weights[i];
        json = json_pack("{s:s, s:s, s:o, s:o, s:o}", "feature", column->name, "unit", column->unit, "edges",
                         edges(&of_data), "data", side_json(&of_data, 1), "samples",
                         side_json(&of_samples, count > 0 ? sum / (double)count : 0));
    }
    tw_histogram_fini(&of_data);
    tw_histogram_fini(&of_samples);
    return json;
}

/* `wide` and `wide_samples` have the observables behind the features. */
static json_t *all_columns(const struct tw_data *wide, const struct tw_data *wide_samples,
                           const struct tw_observables *observables, int bins)
{
    int features = wide->schema->features - observables->count;
    json_t *items = json_array();
    for (int i = 0; items != NULL && i < wide->schema->features; i++) {
        const struct tw_observable *observable = i < features ? NULL : &observables->items[i - features];
        if (json_array_append_new(items, column_json(wide, wide_samples, i, observable, bins)) != 0) {
            json_decref(items);
            items = NULL;
        }
    }
    return items;
}

/* Rows in the twin's schema give way to the same with observables. */
static int widen(const struct tw_observables *observables, struct tw_data *rows, struct tw_data *wide)
{
    tw_data_init(wide, observables->extended);
    int status = tw_observables_extend(observables, rows, wide);
    tw_data_fini(rows);
    return status;
}

static json_t *histograms(struct tw_data *data, const struct snapshot *snapshot, const struct tw_kernels *kernels,
                          const struct view *view)
{
    struct tw_data samples, wide = {0}, wide_samples = {0};
    json_t *items = NULL;
    tw_data_init(&samples, data->schema);
    int status = draw(snapshot->model, kernels, data, tw_rng_mix((uint64_t)view->iteration, 0x6869737473), &samples);
    if (status == TW_OK)
        status = widen(view->observables, data, &wide);
    if (status == TW_OK)
        status = widen(view->observables, &samples, &wide_samples);
    if (status == TW_OK)
        items = all_columns(&wide, &wide_samples, view->observables, view->bins);
    tw_data_fini(&samples);
    tw_data_fini(&wide);
    tw_data_fini(&wide_samples);
    return items;
}

/* --- the request --- */

struct source {
    struct view view;
    struct window window;
    size_t events;
};

/* The last iteration and the version asked for (0: the champion at the moment). False: nothing was compared yet. */
static bool find_source(struct twin *twin, int64_t version, int bins, struct tw_observables *observables,
                        struct source *source)
{
    json_int_t iteration, first, last, events = 0;
    const char *decision = NULL;
    pthread_mutex_lock(&twin->lock);
    bool found = twin->last_iteration != NULL &&
                 json_unpack(twin->last_iteration, "{s:I, s:{s:I, s:I}, s?:s, s?:I}", "iteration", &iteration,
                             "ordinals", "first", &first, "last", &last, "decision", &decision, "events", &events) == 0;
    if (found) {
        *source = (struct source){
            .view = {twin->id, iteration, version, bins, observables},
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
    /* rows while they grow, and once more with observables; samples alike */
    size_t row = window_row_bytes(twin), wider = row + (size_t)source->view.observables->count * sizeof(float);
    size_t most = memory_rows(MEMORY_ANSWERS, 0.25, row + wider, 2), all = source->events;
    size_t bytes =
        2 * (row + wider) * (all < most ? all : most) + (row + 2 * wider) * samples_most(twin->definition->schema);
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
    else if ((items = histograms(&data, snapshot, request->api->kernels, &source->view)) == NULL)
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
                              int64_t version, int bins, struct tw_observables *observables)
{
    struct source source;
    if (!find_source(twin, version, bins, observables, &source)) {
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
    struct tw_observables *observables = registry_observables(twin);
    int column = feature != NULL ? tw_schema_find(observables->extended, feature) : 0;
    if (column < 0 || column >= observables->extended->features)
        http_response_problem(response, 404, "unknown_feature", "twin %s has no feature or observable \"%.64s\"",
                              twin->name, feature);
    else
        outcome = get(request, response, twin, version, (int)bins, observables);
    tw_observables_unref(observables);
    registry_twin_unref(twin);
    return outcome;
}
