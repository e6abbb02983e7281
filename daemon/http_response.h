/* An answer in the making: status, headers, and a body that is whole or comes in chunks. */
#ifndef DAEMON_HTTP_RESPONSE_H
#define DAEMON_HTTP_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

enum { HTTP_RESPONSE_HEADERS_MAX = 12 };

/* A body that is computed in chunks on the query workers. `next` gives malloc'd bytes, NULL at the end; bytes of size 0
 * mean that nothing can be sent yet: it is called again, after others that wait for a worker. Non-zero breaks the
 * answer off. Calls never overlap. `release` is called once, on any thread. */
struct http_source {
    int64_t total; /* bytes, or -1 where that is not known beforehand */
    int (*next)(void *context, void **bytes, size_t *size);
    void (*release)(void *context);
    void *context;
};

struct http_events;

struct http_response {
    int status;
    const char *type; /* static */
    void *body;
    size_t size;
    bool borrowed;  /* the body is static */
    bool close;     /* end the connection after this answer */
    bool inference; /* problems have the form of the Open Inference Protocol: {"error": sentence} */
    int headers;
    struct {
        const char *name; /* static */
        char *value;
    } header[HTTP_RESPONSE_HEADERS_MAX];
    struct http_source source;  /* used if next is set */
    struct http_events *events; /* an event stream, owned; else NULL */
};

void http_response_fini(struct http_response *response); /* accepts a zeroed one; `inference` stays */

/* Values with line breaks are dropped: no input can add a header. */
void http_response_header(struct http_response *response, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Each sets status and body, replacing what was there. */
void http_response_json(struct http_response *response, int status, json_t *json); /* takes the reference; NULL: 500 */
void http_response_bytes(struct http_response *response, int status, const char *type, void *bytes, size_t size);
void http_response_static(struct http_response *response, int status, const char *type, const void *bytes, size_t size);
void http_response_stream(struct http_response *response, const char *type, const struct http_source *source);
/* An event stream of this listener, which it takes over. */
void http_response_events(struct http_response *response, struct http_events *events);
/* RFC 9457: {"type", "title", "status", "detail", "error"}; or {"error": detail} where `inference` is set. */
void http_response_problem(struct http_response *response, int status, const char *error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* "Not Found", ...; "Error" for what is not used here. */
const char *http_response_title(int status);

#endif
