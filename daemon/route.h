/* The table of routes: what can be asked, by which method, with which query, how large, by whom. */
#ifndef DAEMON_ROUTE_H
#define DAEMON_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/http_request.h"
#include "daemon/http_response.h"

enum route_outcome {
    ROUTE_DONE,  /* the response is written */
    ROUTE_DEFER, /* too much for a thread of the server: call again on a worker */
    ROUTE_LATER, /* not yet (long polling): call again in a while */
};

typedef enum route_outcome (*route_handler)(struct http_request *request, struct http_response *response);

enum route_place {
    ROUTE_HERE,  /* on the server's thread: memory only */
    ROUTE_CALL,  /* on a worker for calls that wait for the store or for ingest */
    ROUTE_QUERY, /* starts on the server's thread; ROUTE_DEFER moves it to a worker for queries of models */
};

struct route {
    const char *method;
    const char *pattern; /* "/v1/twins/{twin}/sample" */
    route_handler handler;
    enum route_place place;
    bool token;        /* needs the bearer token */
    size_t body_limit; /* bytes */
    const char *query; /* parameters that are known, "a,b,c" */
};

/* The route of request->method and its path; fills request->route and param. HEAD is served as GET. NULL: nothing is
 * at this path (*allow is empty) or the method is not (allow lists those that are: "GET, POST"). */
const struct route *route_find(struct http_request *request, char allow[64]);
/* Does the path fit the pattern? Fills request->param. */
bool route_match(const char *pattern, struct http_request *request);
/* Does the target belong to the Open Inference Protocol (/v2...), so that its errors have that form? */
bool route_is_inference(const char *target);
/* The whole table, ending with a NULL method. */
const struct route *route_all(void);

#endif
