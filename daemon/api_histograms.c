/* The rows of the last compared window beside samples of the version that it was compared with, at the window's
 * conditions, scaled to its sum of weights. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "daemon/api.h"
#include "daemon/histograms.h"
#include "daemon/memory.h"
#include "daemon/window.h"

enum {
    BINS = 40,
    BINS_MAX = 200,
    CACHED = 8, /* answers that are kept */
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
    /* rows while they grow, and once more with observables */
    size_t row = window_row_bytes(twin), wider = row + (size_t)source->view.observables->count * sizeof(float);
    size_t most = memory_rows(MEMORY_ANSWERS, 0.25, row + wider, 2), all = source->events;
    size_t bytes =
        2 * (row + wider) * (all < most ? all : most) + histograms_bytes(snapshot->model, source->view.observables);
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
    else if ((items = histograms_make(&data, snapshot->model, request->api->kernels, source->view.observables,
                                      tw_rng_mix((uint64_t)source->view.iteration, 0x6869737473), source->view.bins)) ==
             NULL)
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
        !api_version(request, response, &version))
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
