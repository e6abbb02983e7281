/* The HTTP door: libmicrohttpd, limits, Host and Origin checks, the admin token, routes.
 *
 * Threads of the server do bounded work; heavy answers (large samples, log_prob of many rows) are computed in chunks on
 * a pool of their own while the connection is suspended.
 */
#ifndef DAEMON_HTTP_H
#define DAEMON_HTTP_H

#include <stdint.h>

#include "base/status.h"
#include "daemon/config.h"
#include "daemon/ingest.h"
#include "daemon/pipeline.h"
#include "daemon/registry.h"
#include "daemon/store.h"

struct http;

/* What the routes work on; all borrowed, all outlive the server. */
struct api {
    const struct config *config;
    struct registry *registry;
    struct store *store;
    struct ingest *ingest;
    struct pipeline *pipeline;
    struct publisher *publisher;
    const struct tw_kernels *kernels;
    const char *token; /* of <state>/admin.token */
    int64_t started_ms;
};

int http_start(const struct api *api, struct http **out, struct tw_error *error); /* TW_BUSY: port in use */
void http_stop(struct http *http);
int http_port(const struct http *http); /* as bound */
/* Ends connections that make no progress, wakes listeners whose heartbeat is due; to be called about once a second.
 * Accepts NULL. */
void http_look(struct http *http);
/* Long work for an answer should end: the server stops. */
bool http_stopping(const struct http *http);
/* Answers so far by class of status: [1] 2xx ... [4] 5xx; [0] is not used. */
void http_counts(const struct http *http, uint64_t out[5]);
struct http_peers_counts;
void http_connections(const struct http *http, struct http_peers_counts *out);

#endif
