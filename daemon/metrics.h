/* GET /metrics: what Prometheus scrapes. */
#ifndef DAEMON_METRICS_H
#define DAEMON_METRICS_H

#include "daemon/route.h"

enum route_outcome metrics_get(struct http_request *request, struct http_response *response);

#endif
