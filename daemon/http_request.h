/* A request as the handlers see it: decoded path and query, the headers that matter, the whole body.
 *
 * Decoding is strict: a bad percent escape, an encoded zero byte, a control character or bytes that are not UTF-8 are
 * refused, so that no two readers of the same URI can disagree about it.
 */
#ifndef DAEMON_HTTP_REQUEST_H
#define DAEMON_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct api;
struct http;
struct route;
struct http_response;

enum {
    HTTP_SEGMENTS_MAX = 8,
    HTTP_QUERY_MAX = 16,
    HTTP_PARAMS_MAX = 3,
};

enum http_header_id {
    HTTP_ACCEPT,
    HTTP_ACCEPT_ENCODING,
    HTTP_AUTHORIZATION,
    HTTP_CONTENT_ENCODING,
    HTTP_CONTENT_TYPE,
    HTTP_IDEMPOTENCY_KEY,
    HTTP_IF_MATCH,
    HTTP_IF_NONE_MATCH,
    HTTP_INFERENCE_HEADER_LENGTH,
    HTTP_LAST_EVENT_ID,
    HTTP_HEADERS_KNOWN
};

struct http_pair {
    const char *name, *value;
};

struct http_request {
    const struct api *api;
    const struct http *http;
    const char *method;
    char *uri;             /* as sent; of http_request_uri, which has memory for what follows */
    const char *authority; /* of an absolute URI (http://authority/...), else NULL */
    int segments;          /* -1: more than fit, so no route matches */
    const char *segment[HTTP_SEGMENTS_MAX];
    int queries;
    struct http_pair query[HTTP_QUERY_MAX];
    const char *header[HTTP_HEADERS_KNOWN]; /* NULL where absent; repeated ones joined by commas */
    char *joined[HTTP_HEADERS_KNOWN];       /* memory of those */

    const struct route *route;
    const char *param[HTTP_PARAMS_MAX]; /* values of {...} in the route's pattern, in order */

    unsigned char *body;
    size_t body_size;

    bool on_worker;  /* false: on a thread of the server, which must not wait */
    bool last_call;  /* the server stops, or nobody listens any more: answer with what there is */
    double received; /* clock_monotonic() */
};

/* A copy of a request target, with room behind it for its pieces; http_request_fini frees it. NULL: memory is out. */
char *http_request_uri(const char *target);
/* Splits and decodes request->uri. 0, or -1 with a sentence. */
int http_request_parse_uri(struct http_request *request, char detail[200]);
void http_request_fini(struct http_request *request); /* accepts a zeroed one */

/* Decodes [in, in+size) into out (size + 1 bytes suffice); `plus`: '+' is a space, as in queries. False if the
 * escapes are malformed or the result holds a control character or is not UTF-8. */
bool http_request_decode(const char *in, size_t size, bool plus, char *out);

/* Remembers a header of the list above; others are ignored. The value is borrowed: it stays as long as the request.
 * False when memory is out. */
bool http_request_header(struct http_request *request, const char *name, const char *value);

/* Value of a query parameter, or NULL. */
const char *http_request_query(const struct http_request *request, const char *name);
/* The first query parameter that is repeated or not in `allowed` ("a,b,c"), or NULL. */
const char *http_request_query_unknown(const struct http_request *request, const char *allowed);
/* A decimal integer in [low, high]; absent leaves *value. Otherwise writes a 400 and returns false. */
bool http_request_query_int(const struct http_request *request, const char *name, int64_t low, int64_t high,
                            int64_t *value, struct http_response *response);
/* The same for a text of digits. False if it is none. */
bool http_request_int(const char *text, int64_t low, int64_t high, int64_t *value);

/* Content negotiation (RFC 9110, 12.5.1): index of the offer that `accept` (NULL: anything) likes best, the earlier
 * one of equals; -1 if it accepts none. */
int http_request_negotiate(const char *accept, const char *const *offers, int count);

/* Is `name` one of the words of "a,b,c"? */
bool http_request_listed(const char *name, const char *list);

/* The body as a JSON object whose members are all in `allowed` ("a,b,c"; NULL: any). NULL after writing a 400 or 415.
 */
json_t *http_request_object(const struct http_request *request, const char *allowed, struct http_response *response);
/* True if every member of `object` is in `allowed`; otherwise writes a 400 that names it. */
bool http_request_members(const json_t *object, const char *allowed, struct http_response *response);

/* A member that is an integer in [low, high]; absent or null leaves *value. Otherwise writes a 400 and returns false.
 */
bool http_request_member_int(const json_t *object, const char *name, int64_t low, int64_t high, int64_t *value,
                             struct http_response *response);

/* True if an entity tag in the list `header` (If-Match, If-None-Match) is the given one, or if it is "*". Strong
 * comparison: weak tags never match unless `weak`. */
bool http_request_etag(const char *header, const char *tag, bool weak);

/* True if "Bearer <token>" carries the token; the comparison takes the same time wherever they differ. */
bool http_request_bearer(const char *authorization, const char *token);

#endif
