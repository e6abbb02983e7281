/* One request with its response, from the request line to the last byte; the server's callbacks.
 *
 * For http.c alone.
 */
#ifndef DAEMON_HTTP_EXCHANGE_H
#define DAEMON_HTTP_EXCHANGE_H

#include <stdatomic.h>
#include <stdint.h>

#include <microhttpd.h>

#include "daemon/http.h"
#include "daemon/http_kept.h"
#include "daemon/http_peers.h"
#include "daemon/http_work.h"

/* Heads of a request and of its answer together, which may hold the names of 1024 columns. */
enum { HTTP_CONNECTION_BYTES = 72 * 1024 };

struct http {
    struct api api;
    struct MHD_Daemon *daemon;
    struct http_work_queue *calls, *queries;
    struct http_peers *peers;
    struct http_kept kept;
    int listener;
    int port;
    atomic_bool stopping;
    atomic_int active;  /* exchanges */
    atomic_int polling; /* those that wait for something to happen */
    atomic_uint_fast64_t counts[5];
};

/* MHD_OPTION_URI_LOG_CALLBACK: called with the request line; what it returns is *slot of the other two. */
void *http_exchange_new(void *http, const char *uri, struct MHD_Connection *connection);
/* The access handler. */
enum MHD_Result http_exchange_handle(void *http, struct MHD_Connection *connection, const char *url, const char *method,
                                     const char *version, const char *data, size_t *size, void **slot);
/* MHD_OPTION_NOTIFY_COMPLETED. */
void http_exchange_free(void *http, struct MHD_Connection *connection, void **slot,
                        enum MHD_RequestTerminationCode code);

#endif
