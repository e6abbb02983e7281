/* Weights on top of a version: how good they are, and where they say that the twin is off. */
#include "daemon/api.h"

/* The row of the version asked for, or of the newest that was made by weights, accepted or not; NULL after a 404. */
static json_t *find(struct http_request *request, struct http_response *response, const struct twin *twin,
                    int64_t version)
{
    struct store *store = request->api->store;
    if (version == 0)
        version = store_version_newest(store, twin->id, "reweight");
    json_t *row = version > 0 ? store_version_json(store, twin->id, (int)version) : NULL;
    if (row == NULL && version > 0)
        http_response_problem(response, 404, "unknown_version", "twin %s has no version %lld", twin->name,
                              (long long)version);
    else if (json_object_get(json_object_get(row, "metrics"), "weights") == NULL) {
        json_decref(row);
        row = NULL;
        http_response_problem(response, 404, "no_weights",
                              "there are no weights to report on; a retune of kind \"reweight\" makes them");
    }
    return row;
}

enum route_outcome api_weights_get(struct http_request *request, struct http_response *response)
{
    static const char *const of_version[] = {"version", "parent", "created", "status", "reason", "ordinals"};
    int64_t version = 0;
    if (!api_version(request, response, &version))
        return ROUTE_DONE;
    struct twin *twin = api_twin(request, response);
    if (twin == NULL)
        return ROUTE_DONE;
    json_t *row = find(request, response, twin, version);
    if (row != NULL) {
        json_t *answer = json_pack("{s:s}", "twin", twin->name);
        for (size_t i = 0; i < sizeof of_version / sizeof of_version[0]; i++)
            json_object_set(answer, of_version[i], json_object_get(row, of_version[i]));
        json_object_update(answer, json_object_get(json_object_get(row, "metrics"), "weights"));
        json_object_set(answer, "gate", json_object_get(json_object_get(row, "metrics"), "gate"));
        http_response_json(response, 200, answer);
    }
    json_decref(row);
    registry_twin_unref(twin);
    return ROUTE_DONE;
}
