/* Operations: long work that can be polled, waited on and cancelled. */
#include <string.h>

#include "daemon/api.h"
#include "daemon/clock.h"
#include "daemon/log.h"

enum { WAIT_MAX_S = 60 };

static bool operation_id(struct http_request *request, struct http_response *response, int64_t *id)
{
    if (http_request_int(request->param[0], 1, INT64_MAX, id))
        return true;
    http_response_problem(response, 404, "unknown_operation", "there is no operation \"%.64s\"", request->param[0]);
    return false;
}

/* An operation is over for clients once what it made is served. The row is read before the mark, which is set before
 * the row and lifted after the champion: so none is missed. */
static void hold_back(struct registry *registry, json_t *operation)
{
    const char *name = json_string_value(json_object_get(operation, "twin"));
    struct twin *twin = name != NULL ? registry_find(registry, name) : NULL;
    if (twin == NULL)
        return;
    pthread_mutex_lock(&twin->lock);
    bool settling = twin->settling != 0 && twin->settling == json_integer_value(json_object_get(operation, "id"));
    pthread_mutex_unlock(&twin->lock);
    registry_twin_unref(twin);
    if (!settling)
        return;
    json_object_set_new(operation, "state", json_string("running"));
    json_object_set_new(operation, "finished", json_null());
    json_object_del(operation, "result");
}

static json_t *find(struct http_request *request, struct http_response *response, int64_t id)
{
    json_t *operation = store_operation_json(request->api->store, id);
    if (operation != NULL)
        hold_back(request->api->registry, operation);
    if (operation == NULL)
        http_response_problem(response, 404, "unknown_operation", "there is no operation %lld", (long long)id);
    return operation;
}

static bool finished(const json_t *operation)
{
    const char *state = json_string_value(json_object_get(operation, "state"));
    return state == NULL || (strcmp(state, "queued") != 0 && strcmp(state, "running") != 0);
}

/* ?wait=s is long polling: the request comes back here until the operation is finished or the time is over. */
enum route_outcome api_operations_get(struct http_request *request, struct http_response *response)
{
    int64_t id, wait = 0;
    if (!operation_id(request, response, &id) ||
        !http_request_query_int(request, "wait", 0, WAIT_MAX_S, &wait, response))
        return ROUTE_DONE;
    json_t *operation = find(request, response, id);
    if (operation == NULL)
        return ROUTE_DONE;
    bool over = request->last_call || clock_monotonic() - request->received >= (double)wait;
    if (!finished(operation) && !over) {
        json_decref(operation);
        return ROUTE_LATER;
    }
    http_response_json(response, 200, operation);
    return ROUTE_DONE;
}

enum route_outcome api_operations_list(struct http_request *request, struct http_response *response)
{
    int limit;
    if (!api_limit(request, response, &limit))
        return ROUTE_DONE;
    int64_t id = 0;
    const char *name = http_request_query(request, "twin");
    if (name != NULL) {
        struct twin *twin = registry_find(request->api->registry, name);
        if (twin == NULL) {
            http_response_problem(response, 404, "unknown_twin", "there is no twin \"%.64s\"", name);
            return ROUTE_DONE;
        }
        id = twin->id;
        registry_twin_unref(twin);
    }
    json_t *list = store_list_operations(request->api->store, id, limit, http_request_query(request, "cursor"));
    size_t i;
    json_t *operation;
    json_array_foreach(json_object_get(list, "items"), i, operation) hold_back(request->api->registry, operation);
    api_list(response, list);
    return ROUTE_DONE;
}

enum route_outcome api_operations_cancel(struct http_request *request, struct http_response *response)
{
    int64_t id;
    if (!operation_id(request, response, &id))
        return ROUTE_DONE;
    struct tw_error error = {""};
    int status = pipeline_cancel(request->api->pipeline, id, &error);
    if (status != TW_OK) {
        api_failed(response, status, &error, "bad_request");
        return ROUTE_DONE;
    }
    log_info("operation_cancelled", "operation=%lld", (long long)id);
    json_t *operation = find(request, response, id);
    if (operation != NULL) {
        const char *twin = json_string_value(json_object_get(operation, "twin"));
        if (twin != NULL)
            publish_post(request->api->publisher, twin, "operation", json_incref(operation));
        http_response_json(response, 200, operation);
    }
    return ROUTE_DONE;
}
