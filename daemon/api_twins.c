/* Twins: list, create, look at, change, delete. */
#include <stdlib.h>
#include <string.h>

#include "daemon/api.h"
#include "daemon/log.h"

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct twin *const *)a)->name, (*(struct twin *const *)b)->name);
}

/* The cursor is the name of the last twin that was given out. */
enum route_outcome api_twins_list(struct http_request *request, struct http_response *response)
{
    int limit;
    if (!api_limit(request, response, &limit))
        return ROUTE_DONE;
    const char *cursor = http_request_query(request, "cursor");
    struct twin **twins = NULL;
    size_t count = registry_list(request->api->registry, &twins);
    if (count > 0)
        qsort(twins, count, sizeof *twins, by_name);
    json_t *items = json_array(), *next = json_null();
    for (size_t i = 0; i < count; i++) {
        bool wanted = cursor == NULL || strcmp(twins[i]->name, cursor) > 0;
        if (wanted && json_array_size(items) < (size_t)limit)
            json_array_append_new(items, registry_twin_json(twins[i]));
        else if (wanted && json_is_null(next))
            next = json_string(twins[i - 1]->name);
        registry_twin_unref(twins[i]);
    }
    free(twins);
    http_response_json(response, 200, json_pack("{s:o, s:o}", "items", items, "next_cursor", next));
    return ROUTE_DONE;
}

static json_t *twin_json(struct twin *twin)
{
    char tag[DEFINITION_TAG_SIZE];
    json_t *json = registry_twin_json(twin);
    json_object_set_new(json, "definition", registry_definition_json(twin, tag));
    return json;
}

/* The definition alone; its entity tag is what PATCH takes in If-Match. */
enum route_outcome api_twins_definition(struct http_request *request, struct http_response *response)
{
    struct twin *twin = api_twin(request, response);
    if (twin == NULL)
        return ROUTE_DONE;
    char tag[DEFINITION_TAG_SIZE];
    json_t *definition = registry_definition_json(twin, tag);
    http_response_header(response, "ETag", "\"%s\"", tag);
    http_response_json(response, 200, definition);
    registry_twin_unref(twin);
    return ROUTE_DONE;
}

/* If-Match, where it was sent: *expected is the tag that holds now, else NULL. False after a 412. */
static bool precondition(const struct http_request *request, struct http_response *response, struct twin *twin,
                         char tag[DEFINITION_TAG_SIZE], const char **expected)
{
    const char *match = request->header[HTTP_IF_MATCH];
    *expected = NULL;
    if (match == NULL)
        return true;
    json_decref(registry_definition_json(twin, tag));
    *expected = tag;
    if (http_request_etag(match, tag, false))
        return true;
    http_response_problem(response, 412, "stale", "the definition is no longer %s; GET it again", match);
    return false;
}

enum route_outcome api_twins_get(struct http_request *request, struct http_response *response)
{
    struct twin *twin = api_twin(request, response);
    if (twin == NULL)
        return ROUTE_DONE;
    http_response_json(response, 200, twin_json(twin));
    registry_twin_unref(twin);
    return ROUTE_DONE;
}

enum route_outcome api_twins_create(struct http_request *request, struct http_response *response)
{
    json_t *definition = http_request_object(request, NULL, response);
    if (definition == NULL)
        return ROUTE_DONE;
    struct twin *twin = NULL;
    struct tw_error error = {""};
    int status = registry_create(request->api->registry, definition, &twin, &error);
    json_decref(definition);
    if (status != TW_OK) {
        api_failed(response, status, &error, "bad_definition");
        return ROUTE_DONE;
    }
    log_info("twin_created", "twin=%s features=%d", twin->name, twin->definition->schema->features);
    http_response_header(response, "Location", "/v1/twins/%s", twin->name);
    http_response_json(response, 201, twin_json(twin));
    registry_twin_unref(twin);
    return ROUTE_DONE;
}

/* A merge patch; its member "hold" sets or lifts the hold of the champion. If-Match makes it one of the definition that
 * was seen. */
enum route_outcome api_twins_patch(struct http_request *request, struct http_response *response)
{
    struct twin *twin = api_twin(request, response);
    if (twin == NULL)
        return ROUTE_DONE;
    char tag[DEFINITION_TAG_SIZE];
    const char *expected;
    json_t *patch = http_request_object(request, NULL, response);
    if (patch != NULL && precondition(request, response, twin, tag, &expected)) {
        struct tw_error error = {""};
        int status = registry_patch(request->api->registry, twin->name, patch, expected, &error);
        if (status == TW_OK) {
            log_info("twin_changed", "twin=%s", twin->name);
            http_response_json(response, 200, twin_json(twin));
            pipeline_wake(request->api->pipeline);
        } else if (status == TW_EXISTS) {
            http_response_problem(response, 412, "stale", "%s", error.text);
        } else {
            api_failed(response, status, &error, "bad_definition");
        }
    }
    json_decref(patch);
    registry_twin_unref(twin);
    return ROUTE_DONE;
}

enum route_outcome api_twins_delete(struct http_request *request, struct http_response *response)
{
    struct tw_error error = {""};
    int status = registry_delete(request->api->registry, request->param[0], &error);
    if (status == TW_NOT_FOUND) {
        http_response_problem(response, 404, "unknown_twin", "there is no twin \"%.64s\"", request->param[0]);
    } else if (status != TW_OK) {
        api_failed(response, status, &error, "bad_request");
    } else {
        log_info("twin_deleted", "twin=%s", request->param[0]);
        http_response_static(response, 204, NULL, "", 0);
        pipeline_wake(request->api->pipeline);
    }
    return ROUTE_DONE;
}
