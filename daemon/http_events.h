/* A body that never ends by itself: server-sent events. While there are none the connection is suspended. */
#ifndef DAEMON_HTTP_EVENTS_H
#define DAEMON_HTTP_EVENTS_H

#include <microhttpd.h>

struct events;
struct http_events; /* one listener */

/* Listens to the events of one twin (NULL: of all) after `last_id` (NULL: from now on). *crowded says why it is NULL:
 * there are too many listeners, else memory is out. */
struct http_events *http_events_new(struct events *events, const char *twin, const char *last_id, int *crowded);
void http_events_free(struct http_events *listener); /* accepts NULL */

/* A response that sends what the listener takes, and that owns it (freed here when NULL is returned). */
struct MHD_Response *http_events_response(struct MHD_Connection *connection, struct http_events *listener);

#endif
