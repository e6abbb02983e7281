/* Batches over HTTP: the body takes the same way as a message on the wire, with the same meaning. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/api.h"
#include "daemon/api_rows.h"
#include "daemon/feeds.h"

/* The key in the query: feed, run and seq, each required. */
static bool read_key(struct http_request *request, struct http_response *response, const char *twin,
                     struct twp_key *key)
{
    memset(key, 0, sizeof *key);
    key->run = key->seq = -1;
    const char *feed = http_request_query(request, "feed");
    if (!http_request_query_int(request, "run", 0, INT64_MAX, &key->run, response) ||
        !http_request_query_int(request, "seq", 0, INT64_MAX, &key->seq, response))
        return false;
    if (feed == NULL || !twp_wire_name_ok(feed) || key->run < 0 || key->seq < 0) {
        http_response_problem(response, 400, "bad_query",
                              "feed (a name), run and seq (integers from 0) are required: they are the batch's key");
        return false;
    }
    snprintf(key->twin, sizeof key->twin, "%s", twin);
    snprintf(key->feed, sizeof key->feed, "%s", feed);
    return true;
}

enum route_outcome api_data_submit(struct http_request *request, struct http_response *response)
{
    struct twin *twin = api_twin(request, response);
    if (twin == NULL)
        return ROUTE_DONE;
    struct twp_key key;
    struct api_rows rows = {0};
    struct ingest_result result = {0};
    if (read_key(request, response, twin->name, &key) && api_rows_read(request, response, &rows)) {
        rows.time = http_request_query(request, "time");
        if (api_rows_spool(request, response, &key, &rows, 0, rows.table.rows, false, &result))
            http_response_json(response, 200,
                               json_pack("{s:s, s:s, s:I, s:I, s:o, s:b}", "twin", key.twin, "feed", key.feed, "run",
                                         (json_int_t)key.run, "seq", (json_int_t)key.seq, "ordinal",
                                         result.pruned ? json_null() : json_integer((json_int_t)result.ordinal),
                                         "duplicate", result.duplicate));
    }
    api_rows_fini(&rows);
    registry_twin_unref(twin);
    return ROUTE_DONE;
}

enum route_outcome api_data_batches(struct http_request *request, struct http_response *response)
{
    return api_twin_list(request, response, store_list_batches);
}

enum route_outcome api_data_feeds(struct http_request *request, struct http_response *response)
{
    int limit;
    const char *feed = http_request_query(request, "feed");
    if (!api_limit(request, response, &limit))
        return ROUTE_DONE;
    if (feed != NULL && !twp_wire_name_ok(feed)) {
        http_response_problem(response, 400, "bad_query", "feed must be the name of a feed");
        return ROUTE_DONE;
    }
    struct twin *twin = api_twin(request, response);
    if (twin == NULL)
        return ROUTE_DONE;
    json_t *next = NULL, *answer = NULL;
    pthread_mutex_lock(&twin->lock);
    json_t *items = feeds_json(twin->feeds, feed, http_request_query(request, "cursor"), (size_t)limit, &next);
    if (items != NULL)
        answer = json_pack("{s:o, s:o, s:I, s:I}", "items", items, "next_cursor", next, "gaps",
                           (json_int_t)twin->counters.gaps, "lag_batches", (json_int_t)registry_lag(twin).batches);
    pthread_mutex_unlock(&twin->lock);
    api_list(response, answer);
    registry_twin_unref(twin);
    return ROUTE_DONE;
}
