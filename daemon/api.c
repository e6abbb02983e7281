/* What the handlers share: finding the twin, mapping refusals, lists, conditions. */
#include "daemon/api.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/clock.h"

enum { KEY_MAX = 255 };

struct twin *api_twin(struct http_request *request, struct http_response *response)
{
    struct twin *twin = registry_find(request->api->registry, request->param[0]);
    if (twin == NULL)
        http_response_problem(response, 404, "unknown_twin", "there is no twin \"%.64s\"", request->param[0]);
    return twin;
}

void api_failed(struct http_response *response, int status, const struct tw_error *error, const char *what)
{
    const char *text = error->text[0] != '\0' ? error->text : tw_status_name(status);
    switch (status) {
    case TW_INVALID:
        http_response_problem(response, 400, what, "%s", text);
        return;
    case TW_NOT_FOUND:
        http_response_problem(response, 404, "not_found", "%s", text);
        return;
    case TW_EXISTS:
        http_response_problem(response, 409, "exists", "%s", text);
        return;
    case TW_CONFLICT:
        http_response_problem(response, 409, "conflict", "%s", text);
        return;
    case TW_BUSY:
        http_response_problem(response, 503, "busy", "%s", text);
        http_response_header(response, "Retry-After", "1");
        return;
    case TW_NO_MEMORY:
        http_response_problem(response, 503, "no_memory", "%s", text);
        http_response_header(response, "Retry-After", "1");
        return;
    case TW_FULL:
        http_response_problem(response, 507, "full", "%s", text);
        return;
    }
    http_response_problem(response, 500, status == TW_CORRUPT ? "corrupt" : "internal", "%s", text);
}

void api_list(struct http_response *response, json_t *list)
{
    if (list == NULL)
        http_response_problem(response, 400, "bad_cursor", "the cursor is not one that was given out");
    else
        http_response_json(response, 200, list);
}

bool api_limit(struct http_request *request, struct http_response *response, int *limit)
{
    int64_t value = 100;
    if (!http_request_query_int(request, "limit", 1, 1000, &value, response))
        return false;
    *limit = (int)value;
    return true;
}

bool api_time(struct http_request *request, struct http_response *response, const char *name, int64_t *ms)
{
    const char *text = http_request_query(request, name);
    if (text == NULL || clock_parse(text, ms))
        return true;
    http_response_problem(response, 400, "bad_query", "%s must be a time like 2026-03-01T12:00:00Z%s", name,
                          strchr(text, ' ') != NULL ? "; \"+\" is %2B in a query" : "");
    return false;
}

bool api_query_object(struct http_request *request, const char *name, json_t **json, struct http_response *response)
{
    const char *text = http_request_query(request, name);
    *json = NULL;
    if (text == NULL)
        return true;
    *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(*json))
        return true;
    json_decref(*json);
    *json = NULL;
    http_response_problem(response, 400, "bad_query", "%s must be a JSON object", name);
    return false;
}

bool api_conditions(const struct tw_schema *schema, const json_t *json, float **out, struct http_response *response)
{
    *out = NULL;
    if (json == NULL)
        return true;
    if (!json_is_object(json)) {
        http_response_problem(response, 400, "bad_conditions", "conditions must be an object of numbers");
        return false;
    }
    float *row = malloc(((size_t)schema->conditions + 1) * sizeof *row);
    if (row == NULL) {
        http_response_problem(response, 500, "internal", "memory is out");
        return false;
    }
    for (int c = 0; c < schema->conditions; c++)
        row[c] = (float)schema->columns[schema->features + c].value;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)json, name, value)
    {
        int column = tw_schema_find(schema, name);
        if (column < schema->features) {
            http_response_problem(response, 400, "unknown_column", "\"%.64s\" is not a condition of this twin", name);
            free(row);
            return false;
        }
        float number = (float)json_number_value(value);
        if (!json_is_number(value) || !tw_schema_value_ok(&schema->columns[column], number)) {
            http_response_problem(response, 400, "bad_conditions", "%.64s: not a number inside its range", name);
            free(row);
            return false;
        }
        row[column - schema->features] = number;
    }
    *out = row;
    return true;
}

bool api_key(const struct http_request *request, struct http_response *response, const char **key)
{
    *key = request->header[HTTP_IDEMPOTENCY_KEY];
    if (*key == NULL || ((*key)[0] != '\0' && strlen(*key) <= KEY_MAX))
        return true;
    http_response_problem(response, 400, "bad_request", "Idempotency-Key must have 1 to %d characters", KEY_MAX);
    return false;
}

void api_again(struct http_response *response, json_t *operation)
{
    http_response_header(response, "Location", "/v1/operations/%lld",
                         (long long)json_integer_value(json_object_get(operation, "id")));
    http_response_json(response, 202, operation);
}

void api_key_taken(struct http_response *response)
{
    http_response_problem(response, 409, "conflict", "this Idempotency-Key was used with another request");
}

void api_accepted(struct http_request *request, struct http_response *response, const struct twin *twin, int64_t id)
{
    json_t *operation = store_operation_json(request->api->store, id);
    http_response_header(response, "Location", "/v1/operations/%lld", (long long)id);
    publish_post(request->api->publisher, twin->name, "operation", json_incref(operation));
    http_response_json(response, 202, operation);
    pipeline_wake(request->api->pipeline);
}

void api_model_headers(struct http_response *response, const struct twin *twin, int version)
{
    http_response_header(response, "Twin-Version", "%d", version);
    http_response_header(response, "Twin-Columns", "%s", twin->columns);
}

/* `what`: the code where the text is neither a number nor an alias. */
static bool read_version(struct http_request *request, struct http_response *response, const char *text,
                         const char *what, int64_t *version)
{
    if (http_request_int(text, 1, INT32_MAX, version))
        return true;
    struct twin *twin = api_twin(request, response);
    if (twin == NULL)
        return false;
    int named = registry_alias_version(twin, text);
    if (named < 0)
        http_response_problem(response, 400, what,
                              "version must be an integer from 1 to %d, or champion, challenger or reference",
                              INT32_MAX);
    else if (named == 0)
        http_response_problem(response, 404, "unknown_alias", "alias %s of twin %s was never set", text, twin->name);
    else
        *version = named;
    registry_twin_unref(twin);
    return named > 0;
}

bool api_version(struct http_request *request, struct http_response *response, int64_t *version)
{
    const char *text = http_request_query(request, "version");
    return text == NULL || read_version(request, response, text, "bad_query", version);
}

bool api_version_member(struct http_request *request, struct http_response *response, const json_t *json,
                        int64_t *version)
{
    const json_t *member = json_object_get(json, "version");
    int64_t number;
    if (json_is_string(member) && !http_request_int(json_string_value(member), 1, INT32_MAX, &number))
        return read_version(request, response, json_string_value(member), "bad_request", version);
    return http_request_member_int(json, "version", 1, INT32_MAX, version, response);
}

struct snapshot *api_snapshot(struct http_request *request, struct http_response *response, struct twin *twin,
                              int version)
{
    struct snapshot *snapshot = NULL;
    struct tw_error error = {""};
    int status = registry_snapshot(request->api->registry, twin, version, &snapshot, &error);
    if (status == TW_OK)
        return snapshot;
    if (status == TW_NOT_FOUND && version == 0)
        http_response_problem(response, 409, "untrained", "twin %s is not trained yet", twin->name);
    else if (status == TW_NOT_FOUND)
        http_response_problem(response, 404, "unknown_version", "twin %s: %s", twin->name, error.text);
    else
        api_failed(response, status, &error, "bad_version");
    return NULL;
}

enum route_outcome api_twin_list(struct http_request *request, struct http_response *response,
                                 json_t *(*list)(struct store *store, int64_t twin, int limit, const char *cursor))
{
    int limit;
    struct twin *twin = api_twin(request, response);
    if (twin == NULL)
        return ROUTE_DONE;
    if (api_limit(request, response, &limit))
        api_list(response, list(request->api->store, twin->id, limit, http_request_query(request, "cursor")));
    registry_twin_unref(twin);
    return ROUTE_DONE;
}
