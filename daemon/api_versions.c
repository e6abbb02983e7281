/* Versions: lineage, metrics, the artifact itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/api.h"
#include "model/onnx.h"

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

static void send_version(struct http_request *request, struct http_response *response, struct twin *twin,
                         const json_t *version)
{
    http_response_json(response, 200, json_incref((json_t *)version));
}

/* The bytes of a version's artifact, allocated with malloc; false after an answer that says what is wrong. */
static bool artifact_of(struct http_request *request, struct http_response *response, struct twin *twin, int number,
                        const char *sha256, unsigned char **bytes, size_t *size)
{
    struct tw_error error = {""};
    int status = store_blob_get(request->api->store, sha256, bytes, size, &error);
    if (status == TW_CORRUPT || status == TW_NOT_FOUND)
        status = registry_check_version(request->api->store, twin, number, &error);
    if (status != TW_OK)
        api_failed(response, status, &error, "bad_request");
    return status == TW_OK;
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
    if (sha256 == NULL) {
        http_response_problem(response, 404, "no_artifact", "version %d has no artifact", number);
        return;
    }
    if (known != NULL && http_request_etag(known, sha256, true)) {
        http_response_static(response, 304, NULL, "", 0);
    } else {
        if (!artifact_of(request, response, twin, number, sha256, &bytes, &size))
            return;
        http_response_bytes(response, 200, "application/octet-stream", bytes, size);
        http_response_header(response, "Content-Disposition", "attachment; filename=\"%s-v%d.safetensors\"", twin->name,
                             number);
        api_model_headers(response, twin, number);
    }
    http_response_header(response, "ETag", "\"%s\"", sha256);
    http_response_header(response, "Cache-Control", "private, max-age=31536000, immutable");
}

/* The same for other frameworks: made anew each time, of the artifact alone, so that the bytes follow from its hash,
 * the output and the revision of the export. */
static void send_onnx(struct http_request *request, struct http_response *response, struct twin *twin,
                      const json_t *version)
{
    const char *sha256 = json_string_value(json_object_get(version, "sha256"));
    const char *name = http_request_query(request, "output"), *known = request->header[HTTP_IF_NONE_MATCH];
    int number = (int)json_integer_value(json_object_get(version, "version"));
    struct tw_onnx_record record = {.twin = twin->name, .sha256 = sha256, .version = number};
    struct tw_error error = {""};
    struct tw_model *model = NULL;
    enum tw_onnx_output output;
    unsigned char *artifact = NULL, *bytes = NULL;
    size_t size = 0;
    char tag[128];
    if (name == NULL)
        name = "log_prob";
    if (!tw_onnx_output_find(name, &output)) {
        http_response_problem(response, 400, "bad_request", "output is log_prob or sample, not \"%.32s\"", name);
        return;
    }
    if (sha256 == NULL) {
        http_response_problem(response, 404, "no_artifact", "version %d has no artifact", number);
        return;
    }
    snprintf(tag, sizeof tag, "%s.%s.%d", sha256, name, TW_ONNX_REVISION);
    if (known != NULL && http_request_etag(known, tag, true)) {
        http_response_static(response, 304, NULL, "", 0);
    } else {
        if (!artifact_of(request, response, twin, number, sha256, &artifact, &size))
            return;
        int status = tw_model_load(artifact, size, &model, NULL, &error);
        free(artifact);
        if (status == TW_OK)
            status = tw_onnx_export(model, output, &record, &bytes, &size, &error);
        bool weighted = model != NULL && tw_model_reweighting(model) != NULL;
        tw_model_unref(model);
        if (status != TW_OK) {
            if (weighted && status == TW_INVALID)
                http_response_problem(response, 400, "not_exportable", "%s, which is %lld", error.text,
                                      (long long)json_integer_value(json_object_get(version, "parent")));
            else
                api_failed(response, status, &error, "not_exportable");
            return;
        }
        http_response_bytes(response, 200, "application/octet-stream", bytes, size);
        http_response_header(response, "Content-Disposition", "attachment; filename=\"%s-v%d-%s.onnx\"", twin->name,
                             number, name);
        api_model_headers(response, twin, number);
    }
    http_response_header(response, "ETag", "\"%s\"", tag);
    http_response_header(response, "Cache-Control", "private, max-age=31536000, immutable");
}

/* Answers with a version of the path by one of the above. */
static enum route_outcome send_by(struct http_request *request, struct http_response *response,
                                  void (*send)(struct http_request *, struct http_response *, struct twin *,
                                               const json_t *))
{
    struct twin *twin = api_twin(request, response);
    if (twin == NULL)
        return ROUTE_DONE;
    json_t *version = find(request, response, twin);
    if (version != NULL)
        send(request, response, twin, version);
    json_decref(version);
    registry_twin_unref(twin);
    return ROUTE_DONE;
}

enum route_outcome api_versions_get(struct http_request *request, struct http_response *response)
{
    return send_by(request, response, send_version);
}

enum route_outcome api_versions_artifact(struct http_request *request, struct http_response *response)
{
    return send_by(request, response, send_artifact);
}

enum route_outcome api_versions_onnx(struct http_request *request, struct http_response *response)
{
    return send_by(request, response, send_onnx);
}
