/* GET /openapi.json: what the routes take and answer, in OpenAPI 3.1. Made from openapi.py at build. */
#ifndef DAEMON_OPENAPI_H
#define DAEMON_OPENAPI_H

#include "daemon/route.h"

enum route_outcome openapi_get(struct http_request *request, struct http_response *response);

#endif
