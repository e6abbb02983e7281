/* Liveness: the server answers. Readiness: what an answer needs is there. */
#include "daemon/health.h"

#include <stdio.h>
#include <string.h>

#include "daemon/api.h"
#include "daemon/trouble.h"

enum route_outcome health_livez(struct http_request *request, struct http_response *response)
{
    static const char ok[] = "ok\n";
    http_response_static(response, 200, "text/plain; charset=utf-8", ok, sizeof ok - 1);
    return ROUTE_DONE;
}

static json_t *check(const char *name, bool ok, const char *detail, bool *ready)
{
    *ready = *ready && ok;
    return json_pack("{s:s, s:b, s:s?}", "name", name, "ok", ok, "detail", ok ? NULL : detail);
}

/* Each trouble is a check of its own: one that only degrades is shown, but is ok. */
static void add_troubles(json_t *checks, bool *ready)
{
    json_t *troubles = trouble_json(), *trouble;
    size_t i;
    json_array_foreach(troubles, i, trouble)
    {
        const char *level = json_string_value(json_object_get(trouble, "level"));
        bool ok = level != NULL && strcmp(level, "unready") != 0;
        json_object_set_new(trouble, "ok", json_boolean(ok));
        *ready = *ready && ok;
        json_array_append(checks, trouble);
    }
    json_decref(troubles);
}

/* The registry holds every twin of the store before the server starts, so that twins are loaded is known already. */
static json_t *all_checks(const struct api *api, bool *ready)
{
    struct tw_error error = {""};
    json_t *checks = json_array();
    *ready = true;
    json_array_append_new(checks, check("store", !store_failed(api->store, &error), error.text, ready));
    json_array_append_new(checks, check("ingest", api->ingest != NULL, "not started", ready));
    json_array_append_new(checks, check("twins", api->registry != NULL, "not loaded", ready));
    json_array_append_new(checks, check("pipeline", api->pipeline != NULL, "not started", ready));
    add_troubles(checks, ready);
    return checks;
}

bool health_ready(const struct api *api)
{
    bool ready;
    json_decref(all_checks(api, &ready));
    return ready;
}

enum route_outcome health_readyz(struct http_request *request, struct http_response *response)
{
    const char *verbose = http_request_query(request, "verbose");
    bool ready;
    json_t *checks = all_checks(request->api, &ready);
    if (verbose != NULL && strcmp(verbose, "false") != 0 && strcmp(verbose, "0") != 0) {
        http_response_json(response, ready ? 200 : 503,
                           json_pack("{s:s, s:o}", "status", ready ? "ready" : "not ready", "checks", checks));
        return ROUTE_DONE;
    }
    json_decref(checks);
    const char *text = ready ? "ready\n" : "not ready\n";
    http_response_static(response, ready ? 200 : 503, "text/plain; charset=utf-8", text, strlen(text));
    return ROUTE_DONE;
}
