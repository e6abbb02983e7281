/* Everything is parsed and checked once, here; what is left for the handlers is which tensors make sense together. */
#include "daemon/inference.h"

#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "daemon/http_request.h"

static const struct {
    const char *name;
    size_t size;
} types[] = {
    [INFERENCE_FP32] = {"FP32", 4},
    [INFERENCE_FP64] = {"FP64", 8},
    [INFERENCE_INT32] = {"INT32", 4},
    [INFERENCE_INT64] = {"INT64", 8},
};

const char *inference_type_name(enum inference_type type)
{
    return types[type].name;
}

/* Are all members of `object` among `known` ("a,b,c")? What is not known is refused, never ignored. */
static bool members_known(const json_t *object, const char *known, const char *what, char detail[200])
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        if (!http_request_listed(key, known)) {
            snprintf(detail, 200, "unknown member \"%.40s\" of %s; known are %s", key, what, known);
            return false;
        }
    }
    return true;
}

/* The name of an input or output, and its parameters ({} where there are none). NULL with a sentence. */
static const char *read_name(const json_t *json, const char *known, const char *what, const json_t **parameters,
                             char detail[200])
{
    if (!json_is_object(json)) {
        snprintf(detail, 200, "%s must be an object", what);
        return NULL;
    }
    if (!members_known(json, known, what, detail))
        return NULL;
    const char *name = json_string_value(json_object_get(json, "name"));
    *parameters = json_object_get(json, "parameters");
    if (name == NULL || name[0] == '\0')
        snprintf(detail, 200, "%s needs a name", what);
    else if (*parameters != NULL && !json_is_object(*parameters))
        snprintf(detail, 200, "parameters of \"%.40s\" must be an object", name);
    else if (json_object_get(*parameters, "shared_memory_region") != NULL)
        snprintf(detail, 200, "\"%.40s\": shared memory is not offered here", name);
    else
        return name;
    return NULL;
}

static bool read_shape(const json_t *shape, struct inference_tensor *tensor, char detail[200])
{
    tensor->count = 1;
    tensor->dims = (int)json_array_size(shape);
    bool ok = json_is_array(shape) && tensor->dims >= 1 && tensor->dims <= INFERENCE_DIMS_MAX;
    for (int d = 0; ok && d < tensor->dims; d++) {
        const json_t *size = json_array_get(shape, (size_t)d);
        ok = json_is_integer(size) && json_integer_value(size) >= 0;
        tensor->shape[d] = ok ? (size_t)json_integer_value(size) : 0;
        ok = ok && tw_size_mul(tensor->count, tensor->shape[d], &tensor->count);
    }
    size_t bytes;
    ok = ok && tw_size_mul(tensor->count, types[tensor->type].size, &bytes);
    if (!ok)
        snprintf(detail, 200, "shape of \"%.40s\" must be a list of one or two sizes", tensor->name);
    return ok;
}

static bool read_type(const json_t *json, struct inference_tensor *tensor, char detail[200])
{
    const char *name = json_string_value(json_object_get(json, "datatype"));
    for (size_t i = 0; name != NULL && i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(name, types[i].name) == 0) {
            tensor->type = (enum inference_type)i;
            return true;
        }
    }
    snprintf(detail, 200, "datatype of \"%.40s\" must be FP32, FP64, INT32 or INT64", tensor->name);
    return false;
}

/* So that no tensor claims more values than came. */
static bool has_shape(const struct inference_tensor *tensor, char detail[200])
{
    bool nested = tensor->dims == 2 && json_is_array(json_array_get(tensor->values, 0));
    size_t size = json_array_size(tensor->values);
    bool ok = json_is_array(tensor->values) && size == (nested ? tensor->shape[0] : tensor->count);
    for (size_t i = 0; ok && nested && i < size; i++) {
        const json_t *row = json_array_get(tensor->values, i);
        ok = json_is_array(row) && json_array_size(row) == tensor->shape[1];
    }
    if (!ok)
        snprintf(detail, 200, "data of \"%.40s\" must have as many values as its shape, flat or nested", tensor->name);
    return ok;
}

/* An input takes its bytes from the front of what is left of the body. */
static bool read_input(const json_t *json, const unsigned char **at, size_t *left, struct inference_tensor *tensor,
                       char detail[200])
{
    const json_t *parameters;
    tensor->name = read_name(json, "name,shape,datatype,parameters,data", "an input", &parameters, detail);
    if (tensor->name == NULL || !read_type(json, tensor, detail) ||
        !read_shape(json_object_get(json, "shape"), tensor, detail))
        return false;
    const json_t *binary = json_object_get(parameters, "binary_data_size");
    tensor->values = json_object_get(json, "data");
    if ((binary == NULL) == (tensor->values == NULL)) {
        snprintf(detail, 200, "\"%.40s\" needs either data or the parameter binary_data_size", tensor->name);
        return false;
    }
    if (binary == NULL)
        return has_shape(tensor, detail);
    size_t need = tensor->count * types[tensor->type].size;
    if (!json_is_integer(binary) || json_integer_value(binary) < 0 || (size_t)json_integer_value(binary) != need) {
        snprintf(detail, 200, "binary_data_size of \"%.40s\" must be %zu, as its shape and datatype say", tensor->name,
                 need);
        return false;
    }
    if (need > *left) {
        snprintf(detail, 200, "the body ends before the %zu bytes of \"%.40s\"", need, tensor->name);
        return false;
    }
    tensor->bytes = *at;
    *at += need;
    *left -= need;
    return true;
}

static bool read_inputs(const json_t *inputs, const unsigned char *at, size_t left, struct inference_request *out,
                        char detail[200])
{
    size_t count = json_array_size(inputs);
    if (!json_is_array(inputs) || count < 1 || count > INFERENCE_TENSORS_MAX) {
        snprintf(detail, 200, "inputs must be a list of 1 to %d tensors", INFERENCE_TENSORS_MAX);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        struct inference_tensor tensor = {0};
        if (!read_input(json_array_get(inputs, i), &at, &left, &tensor, detail))
            return false;
        if (inference_input(out, tensor.name) != NULL) {
            snprintf(detail, 200, "input \"%.40s\" is there twice", tensor.name);
            return false;
        }
        out->input[out->inputs++] = tensor;
    }
    if (left > 0)
        snprintf(detail, 200, "%zu bytes of the body belong to no tensor", left);
    return left == 0;
}

/* A parameter that is a switch; absent leaves *value. */
static bool read_switch(const json_t *parameters, const char *name, bool *value, char detail[200])
{
    const json_t *given = json_object_get(parameters, name);
    if (given == NULL)
        return true;
    *value = json_is_true(given);
    if (!json_is_boolean(given))
        snprintf(detail, 200, "parameter %s must be true or false", name);
    return json_is_boolean(given);
}

static bool read_outputs(const json_t *outputs, struct inference_request *out, char detail[200])
{
    size_t count = json_array_size(outputs);
    if (outputs != NULL && (!json_is_array(outputs) || count > INFERENCE_TENSORS_MAX)) {
        snprintf(detail, 200, "outputs must be a list of at most %d names", INFERENCE_TENSORS_MAX);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *parameters;
        struct inference_output *output = &out->output[out->outputs];
        output->binary = out->binary;
        output->name = read_name(json_array_get(outputs, i), "name,parameters", "an output", &parameters, detail);
        if (output->name == NULL || !read_switch(parameters, "binary_data", &output->binary, detail))
            return false;
        const json_t *classes = json_object_get(parameters, "classification");
        if (classes != NULL && !(json_is_integer(classes) && json_integer_value(classes) == 0)) {
            snprintf(detail, 200, "output \"%.40s\": classification is not offered here", output->name);
            return false;
        }
        out->outputs++;
    }
    return true;
}

int inference_parse(const void *body, size_t size, const char *header_length, struct inference_request *out,
                    char detail[200])
{
    int64_t header = (int64_t)size;
    json_error_t error;
    memset(out, 0, sizeof *out);
    if (size == 0) {
        snprintf(detail, 200, "the body is empty: send a JSON object with \"inputs\"");
        return -1;
    }
    if (header_length != NULL && !http_request_int(header_length, 1, (int64_t)size, &header)) {
        snprintf(detail, 200, "Inference-Header-Content-Length must be the size of the JSON: from 1 to %zu", size);
        return -1;
    }
    out->json = json_loadb(body, (size_t)header, JSON_REJECT_DUPLICATES, &error);
    if (out->json == NULL || !json_is_object(out->json)) {
        snprintf(detail, 200, "%.150s", out->json == NULL ? error.text : "the request must be a JSON object");
        return -1;
    }
    const json_t *id = json_object_get(out->json, "id"), *parameters = json_object_get(out->json, "parameters");
    out->id = json_string_value(id);
    if (!members_known(out->json, "id,parameters,inputs,outputs", "the request", detail))
        return -1;
    if ((id != NULL && out->id == NULL) || (parameters != NULL && !json_is_object(parameters))) {
        snprintf(detail, 200, "id must be a string, and parameters an object");
        return -1;
    }
    bool ok = read_switch(parameters, "binary_data_output", &out->binary, detail) &&
              read_inputs(json_object_get(out->json, "inputs"), (const unsigned char *)body + header,
                          size - (size_t)header, out, detail) &&
              read_outputs(json_object_get(out->json, "outputs"), out, detail);
    return ok ? 0 : -1;
}

void inference_fini(struct inference_request *request)
{
    json_decref(request->json);
    memset(request, 0, sizeof *request);
}

const struct inference_tensor *inference_input(const struct inference_request *request, const char *name)
{
    for (int i = 0; i < request->inputs; i++)
        if (strcmp(request->input[i].name, name) == 0)
            return &request->input[i];
    return NULL;
}

/* --- values --- */

/* The value with this number, flat or nested as the shape is, which has been checked. */
static const json_t *value_at(const struct inference_tensor *tensor, size_t i)
{
    size_t row = tensor->dims == 2 ? tensor->shape[1] : 0;
    if (row > 0 && json_is_array(json_array_get(tensor->values, 0)))
        return json_array_get(json_array_get(tensor->values, i / row), i % row);
    return json_array_get(tensor->values, i);
}

bool inference_floats(const struct inference_tensor *tensor, float *out, char detail[200])
{
    if (tensor->type != INFERENCE_FP32 && tensor->type != INFERENCE_FP64) {
        snprintf(detail, 200, "\"%.40s\" must be FP32 or FP64", tensor->name);
        return false;
    }
    if (tensor->bytes != NULL && tensor->type == INFERENCE_FP32) {
        memcpy(out, tensor->bytes, tensor->count * sizeof *out);
        return true;
    }
    for (size_t i = 0; tensor->bytes != NULL && i < tensor->count; i++) {
        double value;
        memcpy(&value, (const unsigned char *)tensor->bytes + i * sizeof value, sizeof value);
        out[i] = (float)value;
    }
    if (tensor->bytes != NULL)
        return true;
    for (size_t i = 0; i < tensor->count; i++) {
        const json_t *value = value_at(tensor, i);
        if (!json_is_number(value) && !json_is_null(value)) {
            snprintf(detail, 200, "data of \"%.40s\": value %zu is no number", tensor->name, i);
            return false;
        }
        out[i] = json_is_null(value) ? __builtin_nanf("") : (float)json_number_value(value);
    }
    return true;
}

bool inference_integer(const struct inference_tensor *tensor, int64_t low, int64_t high, int64_t *out, char detail[200])
{
    bool ok = (tensor->type == INFERENCE_INT64 || tensor->type == INFERENCE_INT32) && tensor->count == 1;
    int32_t narrow = 0;
    if (ok && tensor->bytes != NULL && tensor->type == INFERENCE_INT64) {
        memcpy(out, tensor->bytes, sizeof *out);
    } else if (ok && tensor->bytes != NULL) {
        memcpy(&narrow, tensor->bytes, sizeof narrow);
        *out = narrow;
    } else if (ok) {
        const json_t *value = value_at(tensor, 0);
        ok = json_is_integer(value);
        *out = json_integer_value(value);
    }
    ok = ok && *out >= low && *out <= high;
    if (!ok)
        snprintf(detail, 200, "\"%.40s\" must be one INT64 from %lld to %lld", tensor->name, (long long)low,
                 (long long)high);
    return ok;
}
