/* The Open Inference Protocol v2: what is there. Each twin is one model; GET answers what a client has to know before
 * it asks for an inference (api_infer.c). */
#include <stdlib.h>
#include <string.h>

#include "daemon/api.h"
#include "daemon/health.h"

#define MODEL_PLATFORM "twin_safetensors"

enum route_outcome api_inference_server(struct http_request *request, struct http_response *response)
{
    http_response_json(response, 200,
                       json_pack("{s:s, s:s, s:[s, s]}", "name", "twin", "version", TWIN_VERSION, "extensions",
                                 "binary_tensor_data", "model_repository"));
    return ROUTE_DONE;
}

enum route_outcome api_inference_live(struct http_request *request, struct http_response *response)
{
    http_response_json(response, 200, json_pack("{s:b}", "live", true));
    return ROUTE_DONE;
}

enum route_outcome api_inference_ready(struct http_request *request, struct http_response *response)
{
    bool ready = health_ready(request->api);
    if (ready)
        http_response_json(response, 200, json_pack("{s:b}", "ready", true));
    else
        http_response_problem(response, 503, "not_ready", "not ready; GET /readyz?verbose says why");
    return ROUTE_DONE;
}

/* --- models --- */

/* The twin of "/models/{twin}" and of "/models/{twin}/versions/{n}", referenced, and the number of the latter, 0 for
 * the former. NULL after a 404. */
static struct twin *path_twin(struct http_request *request, struct http_response *response, int *version)
{
    int64_t number = 0;
    if (request->param[1] != NULL && !http_request_int(request->param[1], 1, INT32_MAX, &number)) {
        http_response_problem(response, 404, "unknown_version", "there is no version \"%.32s\"", request->param[1]);
        return NULL;
    }
    *version = (int)number;
    return api_twin(request, response);
}

static json_t *tensor(const char *name, const char *type, json_t *shape)
{
    return json_pack("{s:s, s:s, s:o}", "name", name, "datatype", type, "shape", shape);
}

static json_t *model_json(const struct twin *twin, json_t *versions)
{
    const struct tw_schema *schema = twin->definition->schema;
    json_t *inputs = json_array(), *outputs = json_array();
    unsigned offers = twin->definition->kind->outputs;
    if (offers & 1u << TW_OUTPUT_LOG_PROB) {
        json_array_append_new(inputs, tensor("x", "FP32", json_pack("[i, i]", -1, schema->features)));
        json_array_append_new(outputs, tensor("log_prob", "FP64", json_pack("[i]", -1)));
    }
    if (offers & 1u << TW_OUTPUT_SAMPLE) {
        json_array_append_new(inputs, tensor("n", "INT64", json_pack("[i]", 1)));
        json_array_append_new(inputs, tensor("seed", "INT64", json_pack("[i]", 1)));
        json_array_append_new(outputs, tensor("x", "FP32", json_pack("[i, i]", -1, schema->features)));
    }
    if (schema->conditions > 0)
        json_array_append_new(inputs, tensor("conditions", "FP32", json_pack("[i, i]", -1, schema->conditions)));
    return json_pack("{s:s, s:o, s:s, s:o, s:o}", "name", twin->name, "versions", versions, "platform", MODEL_PLATFORM,
                     "inputs", inputs, "outputs", outputs);
}

/* One version is described as the model is, but for the list of versions: what a twin takes and gives never changes. */
enum route_outcome api_inference_model(struct http_request *request, struct http_response *response)
{
    int version;
    struct twin *twin = path_twin(request, response, &version);
    if (twin == NULL)
        return ROUTE_DONE;
    json_t *row = version > 0 ? store_version_json(request->api->store, twin->id, version) : NULL;
    if (version > 0 && row == NULL)
        http_response_problem(response, 404, "unknown_version", "twin %s has no version %d", twin->name, version);
    else
        http_response_json(response, 200,
                           model_json(twin, version > 0 ? json_pack("[s]", request->param[1])
                                                        : store_version_names(request->api->store, twin->id)));
    json_decref(row);
    registry_twin_unref(twin);
    return ROUTE_DONE;
}

/* Ready means that an inference would be answered: the version is there, and can be loaded. */
enum route_outcome api_inference_model_ready(struct http_request *request, struct http_response *response)
{
    int version;
    struct twin *twin = path_twin(request, response, &version);
    if (twin == NULL)
        return ROUTE_DONE;
    struct snapshot *snapshot = api_snapshot(request, response, twin, version);
    if (snapshot != NULL)
        http_response_json(response, 200, json_pack("{s:s, s:b}", "name", twin->name, "ready", true));
    snapshot_unref(snapshot);
    registry_twin_unref(twin);
    return ROUTE_DONE;
}

/* --- the repository --- */

/* {"ready": true} leaves out what is not; an empty body asks for all. False after a 400. */
static bool read_filter(struct http_request *request, struct http_response *response, bool *ready_only)
{
    *ready_only = false;
    if (request->body_size == 0)
        return true;
    json_t *json = http_request_object(request, "ready", response);
    const json_t *ready = json_object_get(json, "ready");
    bool ok = json != NULL && (ready == NULL || json_is_boolean(ready));
    if (json != NULL && !ok)
        http_response_problem(response, 400, "bad_request", "ready must be true or false");
    *ready_only = json_is_true(ready);
    json_decref(json);
    return ok;
}

static json_t *index_entry(struct twin *twin)
{
    pthread_mutex_lock(&twin->lock);
    int version = twin->champion != NULL ? twin->champion->version : 0;
    pthread_mutex_unlock(&twin->lock);
    char number[16] = "";
    if (version > 0)
        snprintf(number, sizeof number, "%d", version);
    return json_pack("{s:s, s:s, s:s, s:s}", "name", twin->name, "version", number, "state",
                     version > 0 ? "READY" : "UNAVAILABLE", "reason", version > 0 ? "" : "not trained yet");
}

enum route_outcome api_inference_index(struct http_request *request, struct http_response *response)
{
    bool ready_only;
    if (!read_filter(request, response, &ready_only))
        return ROUTE_DONE;
    struct twin **twins = NULL;
    size_t count = registry_list(request->api->registry, &twins);
    json_t *index = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *entry = index_entry(twins[i]);
        bool ready = json_string_length(json_object_get(entry, "version")) > 0;
        if (ready || !ready_only)
            json_array_append(index, entry);
        json_decref(entry);
        registry_twin_unref(twins[i]);
    }
    free(twins);
    http_response_json(response, 200, index);
    return ROUTE_DONE;
}
