/* Versions: lineage, metrics, the artifact itself. */
#include <stdlib.h>
#include <string.h>

#include "daemon/api.h"

enum route_outcome api_versions_list(struct http_request *request, struct http_response *response)
{
    return api_twin_list(request, response, store_list_versions);
}

/* The version of the path; NULL after a 404. */
static json_t *find(struct http_request *request, struct http_response *response, const struct twin *twin)
{
    int64_t version;
    json_t *json = NULL;
    if (http_request_int(request->param[1], 1, INT32_MAX, &version))
        json = store_version_json(request->api->store, twin->id, (int)version);
    if (json == NULL)
        http_response_problem(response, 404, "unknown_version", "twin %s has no version \"%.32s\"", twin->name,
                              request->param[1]);
    return json;
}

enum route_outcome api_versions_get(struct http_request *request, struct http_response *response)
{
    struct twin *twin = api_twin(request, response);
    if (twin == NULL)
        return ROUTE_DONE;
    json_t *version = find(request, response, twin);
    if (version != NULL)
        http_response_json(response, 200, version);
    registry_twin_unref(twin);
    return ROUTE_DONE;
}

/* Immutable bytes: their hash is the entity tag. */
static void send_artifact(struct http_request *request, struct http_response *response, struct twin *twin,
                          const json_t *version)
{
    const char *sha256 = json_string_value(json_object_get(version, "sha256"));
    int number = (int)json_integer_value(json_object_get(version, "version"));
    const char *known = request->header[HTTP_IF_NONE_MATCH];
    unsigned char *bytes = NULL;
    size_t size = 0;
    struct tw_error error = {""};
    if (sha256 == NULL) {
        http_response_problem(response, 404, "no_artifact", "version %d has no artifact", number);
        return;
    }
    if (known != NULL && http_request_etag(known, sha256, true)) {
        http_response_static(response, 304, NULL, "", 0);
    } else {
        int status = store_blob_get(request->api->store, sha256, &bytes, &size, &error);
        if (status == TW_CORRUPT || status == TW_NOT_FOUND)
            status = registry_check_version(request->api->store, twin, number, &error);
        if (status != TW_OK) {
            api_failed(response, status, &error, "bad_request");
            return;
        }
        http_response_bytes(response, 200, "application/octet-stream", bytes, size);
        http_response_header(response, "Content-Disposition", "attachment; filename=\"%s-v%d.safetensors\"", twin->name,
                             number);
        api_model_headers(response, twin, number);
    }
    http_response_header(response, "ETag", "\"%s\"", sha256);
    http_response_header(response, "Cache-Control", "private, max-age=31536000, immutable");
}

enum route_outcome api_versions_artifact(struct http_request *request, struct http_response *response)
{
    struct twin *twin = api_twin(request, response);
    if (twin == NULL)
        return ROUTE_DONE;
    json_t *version = find(request, response, twin);
    if (version != NULL)
        send_artifact(request, response, twin, version);
    json_decref(version);
    registry_twin_unref(twin);
    return ROUTE_DONE;
}
