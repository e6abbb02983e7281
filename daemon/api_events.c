/* Server-sent events: what the PUB socket announces, for browsers and whoever has no ZeroMQ. */
#include "daemon/api.h"
#include "daemon/http_events.h"
#include "daemon/publish.h"

enum route_outcome api_events_get(struct http_request *request, struct http_response *response)
{
    const char *name = http_request_query(request, "twin");
    if (name != NULL) {
        struct twin *twin = registry_find(request->api->registry, name);
        if (twin == NULL) {
            http_response_problem(response, 404, "unknown_twin", "there is no twin \"%.64s\"", name);
            return ROUTE_DONE;
        }
        registry_twin_unref(twin);
    }
    int crowded;
    struct http_events *listener =
        http_events_new(publish_events(request->api->publisher), name, request->header[HTTP_LAST_EVENT_ID], &crowded);
    if (listener != NULL) {
        http_response_events(response, listener);
        return ROUTE_DONE;
    }
    http_response_problem(response, 503, crowded ? "overloaded" : "no_memory",
                          crowded ? "too many listen to events already; try again" : "memory is out; try again");
    http_response_header(response, "Retry-After", "5");
    return ROUTE_DONE;
}
