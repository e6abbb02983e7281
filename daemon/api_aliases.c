/* Aliases: promote, roll back, and what was in production when.
 *
 * A move is a compare-and-swap on the id of the last move, which is the entity tag: If-Match is required, so that
 * nobody overwrites a move that they have not seen. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/api.h"
#include "daemon/log.h"

enum { REASON_MAX = 500 };

static bool known_alias(const char *alias)
{
    return strcmp(alias, "champion") == 0 || strcmp(alias, "challenger") == 0 || strcmp(alias, "reference") == 0;
}

static void not_set(struct http_response *response, const char *twin, const char *alias)
{
    if (known_alias(alias))
        http_response_problem(response, 404, "unknown_alias", "alias %s of twin %s was never set", alias, twin);
    else
        http_response_problem(response, 404, "unknown_alias",
                              "an alias is champion, challenger or reference, not \"%.32s\"", alias);
}

static void send_alias(struct http_response *response, json_t *alias)
{
    json_int_t move = json_integer_value(json_object_get(alias, "move"));
    http_response_header(response, "ETag", "\"%lld\"", (long long)move);
    http_response_json(response, 200, alias);
}

enum route_outcome api_aliases_get(struct http_request *request, struct http_response *response)
{
    struct twin *twin = api_twin(request, response);
    if (twin == NULL)
        return ROUTE_DONE;
    const char *name = request->param[1];
    json_t *alias = known_alias(name) ? store_alias_json(request->api->store, twin->id, name) : NULL;
    if (alias == NULL)
        not_set(response, twin->name, name);
    else
        send_alias(response, alias);
    registry_twin_unref(twin);
    return ROUTE_DONE;
}

/* The move that the request expects to be the last one: 0 for none yet. False after a 428 or 412. */
static bool precondition(const struct http_request *request, struct http_response *response, const json_t *alias,
                         int64_t *expected)
{
    const char *match = request->header[HTTP_IF_MATCH];
    const char *none = request->header[HTTP_IF_NONE_MATCH];
    char tag[24];
    *expected = json_integer_value(json_object_get(alias, "move"));
    snprintf(tag, sizeof tag, "%" PRId64, *expected);
    if (match == NULL && none == NULL) {
        http_response_problem(response, 428, "precondition_required",
                              "send If-Match with the ETag of GET (or If-None-Match: * if the alias was never set)");
        return false;
    }
    bool holds =
        match != NULL ? alias != NULL && http_request_etag(match, tag, false) : alias == NULL && strcmp(none, "*") == 0;
    if (!holds)
        http_response_problem(response, 412, "stale",
                              "the alias has moved since, or the entity tag is not \"n\"; GET it again");
    return holds;
}

struct change {
    int64_t version; /* 0: only the hold */
    const char *reason;
    int hold; /* 1, 0, or -1: not given */
};

static bool read_change(const json_t *json, const char *alias, struct change *change, struct http_response *response)
{
    const json_t *version = json_object_get(json, "version"), *reason = json_object_get(json, "reason"),
                 *hold = json_object_get(json, "hold");
    *change = (struct change){json_integer_value(version), reason != NULL ? json_string_value(reason) : "", -1};
    if (hold != NULL)
        change->hold = json_is_true(hold);
    const char *wrong = NULL;
    if (version == NULL && hold == NULL)
        wrong = "version is required";
    else if (version != NULL && (!json_is_integer(version) || change->version < 1 || change->version > INT32_MAX))
        wrong = "version must be a positive integer";
    else if (change->reason == NULL || strlen(change->reason) > REASON_MAX)
        wrong = "reason must be a string of at most 500 bytes";
    else if (hold != NULL && (!json_is_boolean(hold) || strcmp(alias, "champion") != 0))
        wrong = "hold must be true or false, and belongs to champion";
    if (wrong != NULL)
        http_response_problem(response, 400, "bad_request", "%s", wrong);
    return wrong == NULL;
}

/* Moves the alias in the store; an operator's move of champion holds the loop unless it says otherwise. */
static bool move_alias(struct http_request *request, struct http_response *response, struct twin *twin,
                       const char *alias, const struct change *change, int64_t expected)
{
    bool champion = strcmp(alias, "champion") == 0;
    struct store_move move = {.twin = twin->id,
                              .alias = alias,
                              .version = (int)change->version,
                              .expected_move = expected,
                              .actor = "operator",
                              .reason = change->reason,
                              .hold = !champion ? -1 : change->hold != 0};
    struct tw_error error = {""};
    struct snapshot *snapshot = NULL; /* what cannot be served is not promoted */
    if (champion && (snapshot = api_snapshot(request, response, twin, move.version)) == NULL)
        return false;
    int status = store_alias_put(request->api->store, &move, &error);
    if (status == TW_OK && champion)
        status = registry_serve(request->api->registry, twin, move.version, move.move, move.hold == 1, &error);
    snapshot_unref(snapshot);
    if (status == TW_OK) {
        if (!champion) /* else they were read when it was served */
            registry_aliases_read(twin);
        char quoted[600];
        log_info("alias_moved", "twin=%s alias=%s version=%d move=%lld actor=operator reason=%s", twin->name, alias,
                 move.version, (long long)move.move, log_quote(change->reason, quoted, sizeof quoted));
        return true;
    }
    if (status == TW_CONFLICT)
        http_response_problem(response, 412, "stale", "%s", error.text);
    else if (status == TW_INVALID)
        http_response_problem(response, 409, "rejected", "%s", error.text);
    else if (status == TW_NOT_FOUND)
        http_response_problem(response, 404, "unknown_version", "twin %s: %s", twin->name, error.text);
    else
        api_failed(response, status, &error, "bad_request");
    return false;
}

static bool set_hold(struct http_request *request, struct http_response *response, struct twin *twin, bool hold)
{
    struct tw_error error = {""};
    json_t *patch = json_pack("{s:b}", "hold", hold);
    int status = registry_patch(request->api->registry, twin->name, patch, NULL, &error);
    json_decref(patch);
    if (status != TW_OK)
        api_failed(response, status, &error, "bad_request");
    else
        log_info("hold", "twin=%s hold=%s", twin->name, hold ? "true" : "false");
    return status == TW_OK;
}

static void put(struct http_request *request, struct http_response *response, struct twin *twin, const json_t *json)
{
    const char *name = request->param[1];
    struct change change;
    int64_t expected;
    if (!read_change(json, name, &change, response))
        return;
    json_t *alias = store_alias_json(request->api->store, twin->id, name);
    bool done = precondition(request, response, alias, &expected);
    json_decref(alias);
    if (done && change.version == 0)
        done = set_hold(request, response, twin, change.hold == 1);
    else if (done)
        done = move_alias(request, response, twin, name, &change, expected);
    if (!done)
        return;
    alias = store_alias_json(request->api->store, twin->id, name);
    publish_post(request->api->publisher, twin->name, "alias", json_incref(alias));
    send_alias(response, alias);
    pipeline_wake(request->api->pipeline);
}

enum route_outcome api_aliases_put(struct http_request *request, struct http_response *response)
{
    struct twin *twin = api_twin(request, response);
    if (twin == NULL)
        return ROUTE_DONE;
    const char *name = request->param[1];
    if (!known_alias(name)) {
        not_set(response, twin->name, name);
    } else if (strcmp(name, "challenger") == 0) {
        http_response_problem(response, 409, "conflict", "challenger is moved by the loop alone");
    } else {
        json_t *json = http_request_object(request, "version,reason,hold", response);
        if (json != NULL)
            put(request, response, twin, json);
        json_decref(json);
    }
    registry_twin_unref(twin);
    return ROUTE_DONE;
}

enum route_outcome api_aliases_history(struct http_request *request, struct http_response *response)
{
    const char *alias = http_request_query(request, "alias");
    int64_t at_ms = 0;
    int limit;
    struct twin *twin = api_twin(request, response);
    if (twin == NULL)
        return ROUTE_DONE;
    if (alias != NULL && !known_alias(alias))
        not_set(response, twin->name, alias);
    else if (api_time(request, response, "at", &at_ms) && api_limit(request, response, &limit))
        api_list(response, store_list_moves(request->api->store, twin->id, alias, at_ms, limit,
                                            http_request_query(request, "cursor")));
    registry_twin_unref(twin);
    return ROUTE_DONE;
}
