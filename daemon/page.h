/* GET /: one self-contained page, embedded at build. */
#ifndef DAEMON_PAGE_H
#define DAEMON_PAGE_H

#include "daemon/route.h"

enum route_outcome page_get(struct http_request *request, struct http_response *response);

#endif
