/* The API at a glance. */
#include "daemon/route.h"

#include <stdio.h>
#include <string.h>

#include "daemon/api.h"
#include "daemon/health.h"
#include "daemon/metrics.h"
#include "daemon/openapi.h"
#include "daemon/page.h"

#define KIB  1024u
#define MIB  (1024u * KIB)
#define ROWS (256u * MIB)

/* clang-format off */
static const struct route routes[] = {
    /* method   path                                handler                place        token  body    query */
    {"GET",    "/",                                 page_get,              ROUTE_HERE,  false, KIB,    ""},
    {"GET",    "/livez",                            health_livez,          ROUTE_HERE,  false, KIB,    ""},
    {"GET",    "/readyz",                           health_readyz,         ROUTE_HERE,  false, KIB,    "verbose"},
    {"GET",    "/metrics",                          metrics_get,           ROUTE_HERE,  false, KIB,    ""},

    {"GET",    "/openapi.json",                     openapi_get,           ROUTE_HERE,  false, KIB,    ""},

    {"GET",    "/v1/backup",                        api_backup_get,        ROUTE_CALL,  true,  KIB,    ""},
    {"GET",    "/v1/doctor",                        api_backup_doctor,     ROUTE_CALL,  true,  KIB,    "deep"},

    {"GET",    "/v1/events",                        api_events_get,        ROUTE_HERE,  false, KIB,    "twin"},

    {"GET",    "/v1/twins",                         api_twins_list,        ROUTE_HERE,  false, KIB,    "limit,cursor"},
    {"POST",   "/v1/twins",                         api_twins_create,      ROUTE_CALL,  true,  MIB,    ""},
    {"GET",    "/v1/twins/{twin}",                  api_twins_get,         ROUTE_HERE,  false, KIB,    ""},
    {"GET",    "/v1/twins/{twin}/definition",       api_twins_definition,  ROUTE_HERE,  false, KIB,    ""},
    {"PATCH",  "/v1/twins/{twin}",                  api_twins_patch,       ROUTE_CALL,  true,  MIB,    ""},
    {"DELETE", "/v1/twins/{twin}",                  api_twins_delete,      ROUTE_CALL,  true,  KIB,    ""},

    {"POST",   "/v1/twins/{twin}/train",            api_train_post,        ROUTE_CALL,  true,  ROWS,   "seed,epochs,columns,conditions"},
    {"POST",   "/v1/twins/{twin}/batches",          api_data_submit,       ROUTE_CALL,  true,  ROWS,   "feed,run,seq,columns,conditions,time"},
    {"GET",    "/v1/twins/{twin}/batches",          api_data_batches,      ROUTE_CALL,  false, KIB,    "limit,cursor"},
    {"GET",    "/v1/twins/{twin}/feeds",            api_data_feeds,        ROUTE_HERE,  false, KIB,    "feed,limit,cursor"},

    {"GET",    "/v1/twins/{twin}/sample",           api_sample_get,        ROUTE_QUERY, false, KIB,    "n,seed,version,member,conditions,reweight"},
    {"POST",   "/v1/twins/{twin}/sample",           api_sample_post,       ROUTE_QUERY, false, MIB,    ""},
    {"POST",   "/v1/twins/{twin}/log_prob",         api_log_prob_post,     ROUTE_QUERY, false, MIB,    "version,member,spread,columns,conditions"},

    {"GET",    "/v1/twins/{twin}/iterations",       api_loop_iterations,   ROUTE_CALL,  false, KIB,    "limit,cursor"},
    {"GET",    "/v1/twins/{twin}/drift",            api_loop_drift,        ROUTE_HERE,  false, KIB,    ""},
    {"GET",    "/v1/twins/{twin}/metrics",          api_metrics_get,       ROUTE_CALL,  false, KIB,    "name,verdict,feature,from,to,step,limit,cursor"},
    {"GET",    "/v1/twins/{twin}/histograms",       api_histograms_get,    ROUTE_QUERY, false, KIB,    "feature,bins,version"},
    {"GET",    "/v1/twins/{twin}/weights",          api_weights_get,       ROUTE_CALL,  false, KIB,    "version"},
    {"POST",   "/v1/twins/{twin}/retunes",          api_loop_retune,       ROUTE_CALL,  true,  MIB,    ""},

    {"GET",    "/v1/operations",                    api_operations_list,   ROUTE_CALL,  false, KIB,    "limit,cursor,twin"},
    {"GET",    "/v1/operations/{id}",               api_operations_get,    ROUTE_CALL,  false, KIB,    "wait"},
    {"DELETE", "/v1/operations/{id}",               api_operations_cancel, ROUTE_CALL,  true,  KIB,    ""},

    {"GET",    "/v1/twins/{twin}/versions",         api_versions_list,     ROUTE_CALL,  false, KIB,    "limit,cursor"},
    {"GET",    "/v1/twins/{twin}/versions/{n}",     api_versions_get,      ROUTE_CALL,  false, KIB,    ""},
    {"GET",    "/v1/twins/{twin}/versions/{n}/artifact", api_versions_artifact, ROUTE_CALL, false, KIB, ""},
    {"GET",    "/v1/twins/{twin}/versions/{n}/onnx", api_versions_onnx,    ROUTE_CALL,  false, KIB,    "output"},
    {"GET",    "/v1/twins/{twin}/aliases/{alias}",  api_aliases_get,       ROUTE_CALL,  false, KIB,    ""},
    {"PUT",    "/v1/twins/{twin}/aliases/{alias}",  api_aliases_put,       ROUTE_CALL,  true,  MIB,    ""},
    {"GET",    "/v1/twins/{twin}/history",          api_aliases_history,   ROUTE_CALL,  false, KIB,    "at,alias,limit,cursor"},

    {"GET",    "/v2",                               api_inference_server,  ROUTE_HERE,  false, KIB,    ""},
    {"GET",    "/v2/health/live",                   api_inference_live,    ROUTE_HERE,  false, KIB,    ""},
    {"GET",    "/v2/health/ready",                  api_inference_ready,   ROUTE_HERE,  false, KIB,    ""},
    {"POST",   "/v2/repository/index",              api_inference_index,   ROUTE_HERE,  false, KIB,    ""},
    {"GET",    "/v2/models/{twin}",                 api_inference_model,   ROUTE_CALL,  false, KIB,    ""},
    {"GET",    "/v2/models/{twin}/ready",           api_inference_model_ready, ROUTE_CALL, false, KIB, ""},
    {"POST",   "/v2/models/{twin}/infer",           api_infer_post,        ROUTE_QUERY, false, MIB,    ""},
    {"GET",    "/v2/models/{twin}/versions/{n}",    api_inference_model,   ROUTE_CALL,  false, KIB,    ""},
    {"GET",    "/v2/models/{twin}/versions/{n}/ready", api_inference_model_ready, ROUTE_CALL, false, KIB, ""},
    {"POST",   "/v2/models/{twin}/versions/{n}/infer", api_infer_post,     ROUTE_QUERY, false, MIB,    ""},
    {NULL, NULL, NULL, ROUTE_HERE, false, 0, NULL},
};
/* clang-format on */

const struct route *route_all(void)
{
    return routes;
}

bool route_is_inference(const char *target)
{
    return strncmp(target, "/v2", 3) == 0 && strchr("/?", target[3]) != NULL;
}

/* The whole table is gone through for a path near its end: byte by byte, to the first that differs. */
bool route_match(const char *pattern, struct http_request *request)
{
    int segment = 0, params = 0;
    for (const char *p = pattern; *p == '/' && p[1] != '\0';) {
        p++;
        if (segment >= request->segments)
            return false;
        const char *given = request->segment[segment++];
        if (*p == '{') {
            if (*given == '\0')
                return false;
            request->param[params++] = given;
            while (*p != '/' && *p != '\0')
                p++;
            continue;
        }
        while (*p != '/' && *p != '\0' && *p == *given)
            p++, given++;
        if ((*p != '/' && *p != '\0') || *given != '\0') /* a segment may have had its own, escaped slash */
            return false;
    }
    return segment == request->segments;
}

static void allow_method(char allow[64], const char *method)
{
    size_t used = strlen(allow);
    bool get = strcmp(method, "GET") == 0;
    snprintf(allow + used, 64 - used, "%s%s", used > 0 ? ", " : "", get ? "GET, HEAD" : method);
}

const struct route *route_find(struct http_request *request, char allow[64])
{
    const char *method = strcmp(request->method, "HEAD") == 0 ? "GET" : request->method;
    allow[0] = '\0';
    for (const struct route *route = routes; route->method != NULL; route++) {
        if (!route_match(route->pattern, request))
            continue;
        if (strcmp(route->method, method) == 0) {
            request->route = route;
            return route;
        }
        allow_method(allow, route->method);
    }
    return NULL;
}
