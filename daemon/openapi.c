/* The document is a constant of the program. */
#include "daemon/openapi.h"

#include "daemon/openapi_json.h" /* made from openapi.py */

enum route_outcome openapi_get(struct http_request *request, struct http_response *response)
{
    http_response_static(response, 200, "application/json", openapi_json, openapi_json_size);
    return ROUTE_DONE;
}
