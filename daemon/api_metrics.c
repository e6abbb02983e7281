/* Statistics over time, flat enough for a dashboard. */
#include "daemon/api.h"
#include "daemon/clock.h"
#include "daemon/store_metrics.h"

#define DAY_MS (24 * 3600 * INT64_C(1000))

/* What shows a range in some hundred points. */
static int64_t usual_step(int64_t from_ms, int64_t to_ms)
{
    int64_t range = to_ms - from_ms;
    return range <= 2 * DAY_MS ? 0 : range <= 60 * DAY_MS ? 3600 : 86400;
}

enum route_outcome api_metrics_get(struct http_request *request, struct http_response *response)
{
    struct twin *twin = api_twin(request, response);
    if (twin == NULL)
        return ROUTE_DONE;
    int64_t now = clock_ms(), step = -1;
    struct store_metrics query = {
        .twin = twin->id,
        .name = http_request_query(request, "name"),
        .verdict = http_request_query(request, "verdict"),
        .feature = http_request_query(request, "feature"),
        .from_ms = now - DAY_MS,
        .to_ms = INT64_MAX,
        .cursor = http_request_query(request, "cursor"),
    };
    if (api_time(request, response, "from", &query.from_ms) && api_time(request, response, "to", &query.to_ms) &&
        http_request_query_int(request, "step", 0, INT32_MAX, &step, response) &&
        api_limit(request, response, &query.limit)) {
        query.step_s = step >= 0 ? step : usual_step(query.from_ms, query.to_ms < now ? query.to_ms : now);
        api_list(response, store_metrics(request->api->store, &query));
    }
    registry_twin_unref(twin);
    return ROUTE_DONE;
}
