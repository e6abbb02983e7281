/* A body that query workers compute chunk by chunk while the server sends what is ready. */
#ifndef DAEMON_HTTP_STREAM_H
#define DAEMON_HTTP_STREAM_H

#include <microhttpd.h>

#include "daemon/http_response.h"
#include "daemon/http_work.h"

/* A response that draws on `source`, which it takes over (source->release runs when the response is gone, or here when
 * NULL is returned: memory is out). */
struct MHD_Response *http_stream_response(struct MHD_Connection *connection, struct http_work_queue *queue,
                                          const struct http_source *source);

#endif
