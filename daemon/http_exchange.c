/* The life of a request:
 *
 *   request line -> new; headers -> begin: checks, route, token, size; body -> take_body; end -> dispatch: the handler
 *   runs here, or on a worker while the connection is suspended; answer; completed -> free
 *
 * The server's threads never wait: not for the store, not for a model, not for a slow client.
 */
#include "daemon/http_exchange.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/slice.h"
#include "daemon/clock.h"
#include "daemon/heartbeat.h"
#include "daemon/http_check.h"
#include "daemon/http_events.h"
#include "daemon/http_gzip.h"
#include "daemon/http_head.h"
#include "daemon/http_request.h"
#include "daemon/http_response.h"
#include "daemon/http_stream.h"
#include "daemon/http_tag.h"
#include "daemon/log.h"
#include "daemon/memory.h"
#include "daemon/route.h"
#include "daemon/shortage.h"

enum {
    BODY_TIMEOUT_S = 600,           /* for a whole body */
    DISCARD_SMALL = 64 * 1024,      /* a refused body up to this size is read, so that the client sees the answer */
    DISCARD_MAX = 16 * 1024 * 1024, /* the same for one whose size was not known */
    BODY_FIRST = 64 * 1024,         /* first allocation for a body */
};
#define AGAIN_S   0.1   /* a long poll looks this often, */
#define AGAIN_ALL 500.0 /* all of them together at most so many times a second */

enum stage { STAGE_HEADERS, STAGE_BODY, STAGE_WAITING, STAGE_ANSWERED };

/* One request with its response. Owned by the server's thread, but by a worker from suspension to resumption. */
struct exchange {
    struct http_work work; /* first: queues hand it back */
    struct http *http;
    struct MHD_Connection *connection;
    struct http_peer *peer;
    struct http_request request;
    struct http_response response;
    enum stage stage;
    const char *target; /* where the target lay in what came */
    bool chunked;       /* the body is */
    bool polling;       /* counted in http->polling */
    bool refused;       /* the response is written; what is left of the body is discarded */
    size_t capacity;    /* of the body, taken from the share of bodies */
    size_t discarded;
    int64_t content_length;
    size_t limit; /* of the body */
};

static void run(struct http_work *work);
static void cancel(struct http_work *work);

static struct http_peer *peer_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info != NULL ? info->socket_context : NULL;
}

void *http_exchange_new(void *context, const char *uri, struct MHD_Connection *connection)
{
    struct http *http = context;
    struct exchange *exchange = malloc(sizeof *exchange);
    char *copy = http_request_uri(uri != NULL ? uri : "");
    if (exchange == NULL || copy == NULL) {
        free(exchange);
        free(copy);
        return NULL;
    }
    *exchange = (struct exchange){
        .work = {.run = run, .cancel = cancel},
        .http = http,
        .connection = connection,
        .peer = peer_of(connection),
        .request = {.api = &http->api, .http = http, .uri = copy, .received = clock_monotonic()},
        .response = {.inference = route_is_inference(copy)},
        .target = uri,
    };
    atomic_fetch_add(&http->active, 1);
    return exchange;
}

static void drop_request_body(struct exchange *exchange)
{
    if (exchange->capacity == 0)
        return;
    free(exchange->request.body);
    exchange->request.body = NULL;
    exchange->request.body_size = 0;
    memory_give(MEMORY_BODIES, exchange->capacity);
    exchange->capacity = 0;
}

void http_exchange_free(void *context, struct MHD_Connection *connection, void **slot,
                        enum MHD_RequestTerminationCode code)
{
    struct exchange *exchange = *slot;
    if (exchange == NULL)
        return;
    struct http *http = exchange->http;
    http_peers_turn(exchange->peer, HTTP_PEER_HEAD, clock_coarse());
    drop_request_body(exchange);
    if (exchange->polling)
        atomic_fetch_sub(&http->polling, 1);
    http_request_fini(&exchange->request);
    http_response_fini(&exchange->response);
    free(exchange);
    *slot = NULL;
    atomic_fetch_sub(&http->active, 1);
}

/* --- answering --- */

static struct MHD_Response *make_response(struct exchange *exchange)
{
    struct http_response *response = &exchange->response;
    if (response->source.next != NULL) {
        struct http_source source = response->source;
        memset(&response->source, 0, sizeof response->source);
        return http_stream_response(exchange->connection, exchange->http->queries, &source);
    }
    if (response->events != NULL) {
        struct http_events *events = response->events;
        response->events = NULL;
        return http_events_response(exchange->connection, events);
    }
    enum MHD_ResponseMemoryMode mode = response->borrowed ? MHD_RESPMEM_PERSISTENT : MHD_RESPMEM_MUST_FREE;
    struct MHD_Response *made = MHD_create_response_from_buffer(response->size, response->body, mode);
    if (made != NULL && !response->borrowed)
        response->body = NULL;
    return made;
}

/* The library's own refusals: no memory, and nothing to say. */
static bool add_header(struct MHD_Response *made, const char *name, const char *value)
{
    return value[0] == '\0' || MHD_add_response_header(made, name, value) == MHD_YES;
}

/* False: memory is out. An answer that lacks a header is none: without its type nobody can read it. */
static bool add_headers(struct MHD_Response *made, const struct http_response *response, bool close)
{
    bool cached = false, added = true;
    for (int i = 0; i < response->headers && added; i++) {
        cached = cached || strcmp(response->header[i].name, "Cache-Control") == 0;
        added = add_header(made, response->header[i].name, response->header[i].value);
    }
    return added && (response->type == NULL || add_header(made, "Content-Type", response->type)) &&
           (cached || add_header(made, "Cache-Control", "no-store")) &&
           add_header(made, "X-Content-Type-Options", "nosniff") && (!close || add_header(made, "Connection", "close"));
}

/* The library keeps both heads, and an entry for each header and parameter of the request, in one piece of memory.
 * Where an answer does not fit it ends the connection without a word. */
static bool head_fits(struct exchange *exchange)
{
    enum { ENTRY = 64, OUR_OWN = 512 }; /* sizeof (struct MHD_HTTP_Req_Header); status, date, type and the like */
    const struct http_response *response = &exchange->response;
    size_t size = OUR_OWN;
    for (int i = 0; i < response->headers; i++)
        size += strlen(response->header[i].name) + strlen(response->header[i].value) + sizeof ": \r\n" - 1;
    if (size < HTTP_CONNECTION_BYTES / 8)
        return true; /* the request left room for that, or the library has refused it */
    const union MHD_ConnectionInfo *head =
        MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    int entries = MHD_get_connection_values(exchange->connection, MHD_HEADER_KIND, NULL, NULL) +
                  MHD_get_connection_values(exchange->connection, MHD_GET_ARGUMENT_KIND, NULL, NULL);
    return head == NULL || head->header_size + (size_t)entries * ENTRY + size <= HTTP_CONNECTION_BYTES;
}

static enum MHD_Result answer(struct exchange *exchange)
{
    if (!head_fits(exchange)) {
        bool close = exchange->response.close;
        http_response_fini(&exchange->response);
        http_response_problem(&exchange->response, 431, "too_large",
                              "the heads of the request and of its answer, with the names of all columns, do not fit "
                              "%d KiB together; names in the order of the definition may be left out",
                              HTTP_CONNECTION_BYTES / 1024);
        exchange->response.close = close;
    }
    struct http_response *response = &exchange->response;
    struct http *http = exchange->http;
    http_peers_turn(exchange->peer, HTTP_PEER_ANSWER, clock_coarse());
    /* Of chunks the library takes what no other server would: after them the connection ends, so that it does not
     * matter where anybody thinks that they do. */
    bool close = response->close || exchange->chunked || atomic_load(&http->stopping);
    bool constant = response->borrowed && response->headers == 0 && !close;
    struct MHD_Response *made = constant ? http_kept_find(&http->kept, response) : NULL;
    bool kept = made != NULL;
    if (!kept) {
        made = make_response(exchange);
        if (made == NULL)
            return MHD_NO;
        if (!add_headers(made, response, close)) {
            MHD_destroy_response(made);
            return MHD_NO;
        }
        kept = constant && http_kept_add(&http->kept, response, made);
    }
    enum MHD_Result queued = MHD_queue_response(exchange->connection, (unsigned)response->status, made);
    if (!kept)
        MHD_destroy_response(made);
    if (response->status >= 200 && response->status < 600)
        atomic_fetch_add(&http->counts[response->status / 100 - 1], 1);
    log_debug("http", "method=%s status=%d seconds=%.4f", exchange->request.method, response->status,
              clock_monotonic() - exchange->request.received);
    return queued;
}

/* A handler need not look whether each piece of its JSON could be made: the answer as a whole is judged here. */
static enum route_outcome call_handler(struct exchange *exchange)
{
    struct http_response *response = &exchange->response;
    unsigned before = shortage_count();
    enum route_outcome outcome = exchange->request.route->handler(&exchange->request, response);
    if (outcome == ROUTE_DONE && shortage_count() != before) {
        http_response_fini(response);
        http_response_problem(response, 503, "no_memory", "memory is out; try again");
        http_response_header(response, "Retry-After", "1");
    } else if (outcome == ROUTE_DONE && response->status == 0) {
        http_response_problem(response, 500, "internal", "the request was not answered");
    }
    if (outcome == ROUTE_DONE) {
        http_tag_answer(&exchange->request, response);
        http_gzip_answer(exchange->request.header[HTTP_ACCEPT_ENCODING], response);
    }
    return outcome;
}

static void run(struct http_work *work)
{
    struct exchange *exchange = (struct exchange *)work;
    struct http_request *request = &exchange->request;
    request->on_worker = true;
    request->last_call = http_peers_ended(exchange->peer);
    enum route_outcome outcome = call_handler(exchange);
    if (outcome == ROUTE_LATER) {
        if (!exchange->polling)
            atomic_fetch_add(&exchange->http->polling, 1);
        exchange->polling = true;
        exchange->work.due = clock_monotonic() + fmax(AGAIN_S, atomic_load(&exchange->http->polling) / AGAIN_ALL);
        if (http_work_submit(exchange->http->calls, work))
            return;
        request->last_call = true;
        outcome = call_handler(exchange);
    }
    if (outcome != ROUTE_DONE)
        http_response_problem(&exchange->response, 500, "internal", "the request was not answered");
    exchange->stage = STAGE_ANSWERED;
    MHD_resume_connection(exchange->connection); /* from here on the exchange belongs to the server */
}

static void cancel(struct http_work *work)
{
    struct exchange *exchange = (struct exchange *)work;
    http_response_problem(&exchange->response, 503, "stopping", "the daemon is stopping");
    exchange->stage = STAGE_ANSWERED;
    MHD_resume_connection(exchange->connection);
}

static enum MHD_Result to_worker(struct exchange *exchange, struct http_work_queue *queue)
{
    exchange->stage = STAGE_WAITING;
    http_peers_turn(exchange->peer, HTTP_PEER_ANSWER, clock_coarse());
    MHD_suspend_connection(exchange->connection);
    if (!http_work_submit(queue, &exchange->work))
        cancel(&exchange->work);
    return MHD_YES;
}

/* The request is complete. */
static enum MHD_Result dispatch(struct exchange *exchange)
{
    struct http *http = exchange->http;
    const struct route *route = exchange->request.route;
    if (route->place == ROUTE_CALL)
        return to_worker(exchange, http->calls);
    if (call_handler(exchange) != ROUTE_DONE)
        return to_worker(exchange, route->place == ROUTE_QUERY ? http->queries : http->calls);
    return answer(exchange);
}

/* --- headers --- */

struct head {
    struct exchange *exchange;
    struct http_check check;
    struct http_head lines;
    bool no_memory;
};

static enum MHD_Result see_header(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct head *head = context;
    http_check_header(&head->check, name, value);
    http_head_field(&head->lines, name, value);
    if (value != NULL && !http_request_header(&head->exchange->request, name, value))
        head->no_memory = true;
    return MHD_YES;
}

/* What a body may have here, so that it and the table made of it fit the share of bodies. */
static size_t body_limit(const struct route *route)
{
    size_t most = memory_limit(MEMORY_BODIES) / 2;
    return route->body_limit < most ? route->body_limit : most;
}

/* Route, query, token, size: false with the response written. */
static bool admit(struct exchange *exchange)
{
    struct http_request *request = &exchange->request;
    struct http_response *response = &exchange->response;
    char allow[64];
    const struct route *route = route_find(request, allow);
    size_t limit = route != NULL ? body_limit(route) : 0;
    const char *encoding = request->header[HTTP_CONTENT_ENCODING];
    if (route == NULL && allow[0] == '\0') {
        http_response_problem(response, 404, "not_found", "there is nothing at this path");
    } else if (route == NULL) {
        http_response_problem(response, 405, "method_not_allowed", "allowed here: %s", allow);
        http_response_header(response, "Allow", "%s", allow);
    } else if (http_request_query_unknown(request, route->query) != NULL) {
        http_response_problem(response, 400, "bad_query", "unknown or repeated query parameter \"%.100s\"; known: %s",
                              http_request_query_unknown(request, route->query),
                              route->query[0] != '\0' ? route->query : "none");
    } else if (route->token && !http_request_bearer(request->header[HTTP_AUTHORIZATION], exchange->http->api.token)) {
        http_response_problem(
            response, 401, "unauthorized",
            "this needs Authorization: Bearer <token>; the token is in admin.token of the state folder");
        http_response_header(response, "WWW-Authenticate", "Bearer realm=\"twin\"%s",
                             request->header[HTTP_AUTHORIZATION] != NULL ? ", error=\"invalid_token\"" : "");
    } else if (exchange->content_length > (int64_t)limit) {
        http_response_problem(response, 413, "too_large", "the body may have at most %zu bytes here%s", limit,
                              limit < route->body_limit ? ", as memory-mb is" : "");
    } else if (encoding != NULL && strcasecmp(encoding, "identity") != 0) {
        http_response_problem(response, 415, "unsupported_media_type", "bodies are read as they are, not in %.40s",
                              encoding);
        http_response_header(response, "Accept-Encoding", "identity");
    } else if (atomic_load(&exchange->http->stopping)) {
        http_response_problem(response, 503, "stopping", "the daemon is stopping");
    } else {
        exchange->limit = limit;
        return true;
    }
    return false;
}

/* Checks the head; false with the response written. */
static bool check_head(struct exchange *exchange, const char *version)
{
    struct http *http = exchange->http;
    struct http_response *response = &exchange->response;
    char detail[200];
    int uri = http_request_parse_uri(&exchange->request, detail);
    struct head head = {.exchange = exchange};
    head.check.hosts = http->api.config->hosts;
    head.check.port = http->port;
    head.check.method = exchange->request.method;
    head.check.target = exchange->request.uri;
    head.check.version = version;
    http_head_begin(&head.lines, exchange->request.method, exchange->target, strlen(exchange->request.uri), version);
    MHD_get_connection_values(exchange->connection, MHD_HEADER_KIND, see_header, &head);
    if (http_head_known() && !http_head_end(&head.lines))
        head.check.bad_header = true;
    struct http_refusal refusal;
    bool ok = http_check_request(&head.check, exchange->request.authority, &refusal);
    exchange->content_length = head.check.content_length;
    exchange->chunked = head.check.encoding_count > 0;
    if (head.no_memory) {
        http_response_problem(response, 503, "no_memory", "memory is out; try again");
        response->close = true;
    } else if (!ok) {
        http_response_problem(response, refusal.status, refusal.error, "%s", refusal.detail);
        response->close = refusal.close;
    } else if (uri != 0) {
        http_response_problem(response, 400, "bad_uri", "%s", detail);
    } else {
        return admit(exchange);
    }
    return false;
}

static enum MHD_Result begin(struct exchange *exchange, const char *method, const char *version)
{
    exchange->request.method = method;
    exchange->stage = STAGE_BODY;
    http_peers_turn(exchange->peer, HTTP_PEER_BODY, clock_coarse());
    if (check_head(exchange, version))
        return MHD_YES;
    exchange->refused = true;
    if (!exchange->response.close && exchange->content_length <= DISCARD_SMALL)
        return MHD_YES; /* read the rest first: closing with unread bytes would take the answer from the client */
    exchange->response.close = true;
    exchange->stage = STAGE_ANSWERED;
    return answer(exchange);
}

/* --- body --- */

static void refuse_body(struct exchange *exchange, int status, const char *error, const char *detail)
{
    drop_request_body(exchange);
    http_response_problem(&exchange->response, status, error, "%s", detail);
    exchange->response.close = true;
    exchange->refused = true;
}

/* Room for `need` bytes: doubling, never more than the route's limit, within the share of bodies. */
static bool body_room(struct exchange *exchange, size_t need)
{
    size_t limit = exchange->limit;
    size_t capacity = exchange->capacity > 0 ? 2 * exchange->capacity : BODY_FIRST;
    if (capacity < need)
        capacity = need;
    if (capacity > limit)
        capacity = limit;
    size_t more = capacity - exchange->capacity;
    if (memory_take(MEMORY_BODIES, more)) {
        unsigned char *body = realloc(exchange->request.body, capacity);
        if (body != NULL) {
            exchange->request.body = body;
            exchange->capacity = capacity;
            return true;
        }
        memory_give(MEMORY_BODIES, more);
    }
    return false;
}

static enum MHD_Result take_body(struct exchange *exchange, const char *data, size_t size)
{
    struct http_request *request = &exchange->request;
    if (clock_monotonic() - request->received > BODY_TIMEOUT_S)
        return MHD_NO;
    if (exchange->refused) {
        exchange->discarded += size;
        return exchange->discarded <= DISCARD_MAX ? MHD_YES : MHD_NO;
    }
    if (size > exchange->limit - request->body_size) {
        refuse_body(exchange, 413, "too_large", "the body is larger than is allowed here");
    } else if (request->body_size + size > exchange->capacity && !body_room(exchange, request->body_size + size)) {
        refuse_body(exchange, 503, "overloaded", "too many large bodies at once for memory-mb; try again");
        http_response_header(&exchange->response, "Retry-After", "1");
    } else {
        memcpy(request->body + request->body_size, data, size);
        request->body_size += size;
    }
    return MHD_YES;
}

static enum MHD_Result handle(struct exchange *exchange, const char *method, const char *version, const char *data,
                              size_t *size)
{
    switch (exchange->stage) {
    case STAGE_HEADERS:
        return begin(exchange, method, version);
    case STAGE_BODY:
        if (*size > 0) {
            enum MHD_Result result = take_body(exchange, data, *size);
            *size = 0;
            return result;
        }
        return exchange->refused ? answer(exchange) : dispatch(exchange);
    case STAGE_WAITING:
        return MHD_YES;
    case STAGE_ANSWERED:
        return answer(exchange);
    }
    return MHD_NO;
}

/* The server's threads are not ours to start; each is made ready when it handles its first request. */
static void prepare_thread(void)
{
    static _Thread_local bool prepared;
    if (!prepared)
        tw_slice_shortest();
    prepared = true;
    heartbeat_start("http_server", HEARTBEAT_LIMIT_S);
}

/* A thread of the server may wait in epoll for as long as nobody calls, but not in here. */
enum MHD_Result http_exchange_handle(void *context, struct MHD_Connection *connection, const char *url,
                                     const char *method, const char *version, const char *data, size_t *size,
                                     void **slot)
{
    struct exchange *exchange = *slot;
    if (exchange == NULL)
        return MHD_NO;
    prepare_thread();
    enum MHD_Result result = handle(exchange, method, version, data, size);
    heartbeat_rest();
    return result;
}
