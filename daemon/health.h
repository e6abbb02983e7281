/* GET /livez and /readyz. */
#ifndef DAEMON_HEALTH_H
#define DAEMON_HEALTH_H

#include "daemon/route.h"

enum route_outcome health_livez(struct http_request *request, struct http_response *response);
/* Could anything that is asked for be answered? */
bool health_ready(const struct api *api);
enum route_outcome health_readyz(struct http_request *request, struct http_response *response);

#endif
