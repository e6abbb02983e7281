/* The Open Inference Protocol v2: an inference. A twin is one model of two uses, and the inputs say which: `x` is
 * answered with `log_prob`, `n` and `seed` with `x`. Numbers are those of /v1, and come the same way: in chunks, behind
 * an envelope that is made beforehand. */
#include <stdlib.h>
#include <string.h>

#include "daemon/api_stream.h"
#include "daemon/inference.h"

enum { SMALL_BYTES = 64 * 1024 }; /* of a body that is read without a worker */

/* --- from tensors to a stream; each false after a problem --- */

static bool refuse(struct http_response *response, const char *detail)
{
    http_response_problem(response, 400, "bad_request", "%s", detail);
    return false;
}

/* The tensor as floats, (rows, columns); *rows from its shape, a single row may have one dimension. */
static bool read_matrix(struct http_response *response, const struct inference_tensor *tensor, size_t columns,
                        size_t *rows, float **out)
{
    char detail[200];
    *rows = tensor->dims == 2 ? tensor->shape[0] : 1;
    if (tensor->shape[tensor->dims - 1] != columns || *rows == 0) {
        snprintf(detail, sizeof detail, "shape of \"%s\" must be (rows, %zu), of one row at least", tensor->name,
                 columns);
        return refuse(response, detail);
    }
    *out = malloc(tensor->count * sizeof **out);
    if (*out == NULL) {
        http_response_problem(response, 503, "no_memory", "memory is out; try again");
        return false;
    }
    return inference_floats(tensor, *out, detail) || refuse(response, detail);
}

/* `conditions`, of all events in one row or of each in its own; none: the defaults. `rows` 0: of all in one row. */
static bool read_conditions(struct http_response *response, const struct inference_request *infer,
                            struct api_stream *stream, size_t rows)
{
    const struct tw_schema *schema = stream->twin->definition->schema;
    const struct inference_tensor *tensor = inference_input(infer, "conditions");
    size_t given, count = (size_t)schema->conditions;
    if (tensor == NULL)
        return true;
    if (count == 0)
        return refuse(response, "this twin has no conditions");
    if (!read_matrix(response, tensor, count, &given, &stream->conditions))
        return false;
    for (size_t i = 0; i < given * count; i++)
        if (!tw_schema_value_ok(&schema->columns[(size_t)schema->features + i % count], stream->conditions[i]))
            return refuse(response, "conditions: a value is outside its range");
    if (given == rows || (rows == 0 && given == 1))
        return true;
    if (given != 1)
        return refuse(response, "conditions must have one row, or one for each event");
    float *each = malloc(rows * count * sizeof *each);
    if (each == NULL) {
        http_response_problem(response, 503, "no_memory", "memory is out; try again");
        return false;
    }
    for (size_t i = 0; i < rows * count; i++)
        each[i] = stream->conditions[i % count];
    free(stream->conditions);
    stream->conditions = each;
    return true;
}

static bool prepare_log_prob(struct http_response *response, const struct inference_request *infer,
                             struct api_stream *stream)
{
    size_t features = (size_t)stream->twin->definition->schema->features;
    if (!read_matrix(response, inference_input(infer, "x"), features, &stream->rows, &stream->values) ||
        !read_conditions(response, infer, stream, stream->rows))
        return false;
    api_stream_log_prob(stream);
    return true;
}

static bool prepare_samples(struct http_response *response, const struct inference_request *infer,
                            struct api_stream *stream)
{
    const struct inference_tensor *n = inference_input(infer, "n"), *seed = inference_input(infer, "seed");
    int64_t rows, number = (int64_t)api_stream_seed();
    char detail[200];
    if (n == NULL)
        return refuse(response, "samples need the input \"n\": how many");
    if (!inference_integer(n, 1, API_STREAM_ROWS_MAX, &rows, detail) ||
        (seed != NULL && !inference_integer(seed, 0, INT64_MAX, &number, detail)))
        return refuse(response, detail);
    if (!read_conditions(response, infer, stream, 0))
        return false;
    api_stream_samples(stream, (size_t)rows, (uint64_t)number);
    http_response_header(response, "Twin-Seed", "%llu", (unsigned long long)stream->seed);
    return true;
}

/* --- the envelope --- */

/* The answer's JSON up to its values, or with their size where they follow as bytes. The text of values goes on where
 * `data` opens, so that member comes last. */
static char *make_envelope(const struct inference_request *infer, const struct api_stream *stream, bool samples)
{
    bool binary = stream->format == TWP_FORMAT_NPY;
    char version[16];
    snprintf(version, sizeof version, "%d", stream->snapshot->version);
    json_t *shape = json_pack("[I]", (json_int_t)stream->rows);
    if (samples)
        json_array_append_new(shape, json_integer(stream->twin->definition->schema->features));
    json_t *output = json_pack("{s:s, s:s, s:o}", "name", samples ? "x" : "log_prob", "datatype",
                               inference_type_name(samples ? INFERENCE_FP32 : INFERENCE_FP64), "shape", shape);
    if (binary)
        json_object_set_new(output, "parameters",
                            json_pack("{s:I}", "binary_data_size", (json_int_t)(stream->rows * stream->npy_row)));
    json_t *answer = json_pack("{s:s, s:s}", "model_name", stream->twin->name, "model_version", version);
    if (infer->id != NULL)
        json_object_set_new(answer, "id", json_string(infer->id));
    if (samples)
        json_object_set_new(answer, "parameters", json_pack("{s:I}", "seed", (json_int_t)stream->seed));
    json_object_set_new(answer, "outputs", json_pack("[o]", output));
    char *text = json_dumps(answer, JSON_COMPACT), *open = NULL;
    json_decref(answer);
    if (text == NULL || binary)
        return text;
    int used = asprintf(&open, "%.*s,\"data\":[", (int)strlen(text) - 3, text); /* without "}]}" */
    free(text);
    return used >= 0 ? open : NULL;
}

static bool seal(struct http_response *response, const struct inference_request *infer, struct api_stream *stream,
                 bool samples)
{
    stream->envelope = make_envelope(infer, stream, samples);
    if (stream->envelope == NULL) {
        http_response_problem(response, 503, "no_memory", "memory is out; try again");
        return false;
    }
    stream->npy_head = strlen(stream->envelope);
    stream->tail = stream->format == TWP_FORMAT_JSON ? "]}]}" : "";
    if (stream->format == TWP_FORMAT_NPY) {
        stream->media = "application/octet-stream";
        http_response_header(response, "Inference-Header-Content-Length", "%zu", stream->npy_head);
    }
    return true;
}

/* --- the request --- */

/* Which of the two is asked for, and whether all inputs and outputs belong to it. False after a 400. */
static bool choose(struct http_response *response, const struct inference_request *infer, bool *samples, bool *binary)
{
    char detail[200] = "";
    *samples = inference_input(infer, "x") == NULL;
    *binary = infer->binary;
    const char *inputs = *samples ? "n,seed,conditions" : "x,conditions", *output = *samples ? "x" : "log_prob";
    for (int i = 0; i < infer->inputs && detail[0] == '\0'; i++)
        if (!http_request_listed(infer->input[i].name, inputs))
            snprintf(detail, sizeof detail, "input \"%.40s\": give either x or n and seed, and conditions with either",
                     infer->input[i].name);
    for (int i = 0; i < infer->outputs && detail[0] == '\0'; i++) {
        *binary = infer->output[i].binary;
        if (i > 0 || strcmp(infer->output[i].name, output) != 0)
            snprintf(detail, sizeof detail, "output \"%.40s\": these inputs are answered with %s alone",
                     infer->output[i].name, output);
    }
    return detail[0] == '\0' || refuse(response, detail);
}

static void infer_version(struct http_request *request, struct http_response *response,
                          const struct inference_request *infer, int version)
{
    bool samples, binary;
    if (!choose(response, infer, &samples, &binary))
        return;
    struct twin *twin = api_twin(request, response);
    if (twin == NULL)
        return;
    struct api_stream *stream =
        api_stream_new(request, response, twin, version, samples ? TW_OUTPUT_SAMPLE : TW_OUTPUT_LOG_PROB,
                       binary ? TWP_FORMAT_NPY : TWP_FORMAT_JSON);
    if (stream == NULL)
        return;
    stream->member = -1;
    if ((samples ? prepare_samples : prepare_log_prob)(response, infer, stream) &&
        seal(response, infer, stream, samples))
        api_stream_answer(response, stream);
    else
        api_stream_free(stream);
}

enum route_outcome api_infer_post(struct http_request *request, struct http_response *response)
{
    int64_t version = 0;
    if (request->param[1] != NULL && !http_request_int(request->param[1], 1, INT32_MAX, &version)) {
        http_response_problem(response, 404, "unknown_version", "there is no version \"%.32s\"", request->param[1]);
        return ROUTE_DONE;
    }
    if (!request->on_worker && (version != 0 || request->body_size > SMALL_BYTES))
        return ROUTE_DEFER;
    struct inference_request infer;
    char detail[200];
    const char *header = request->header[HTTP_INFERENCE_HEADER_LENGTH];
    if (inference_parse(request->body, request->body_size, header, &infer, detail) == 0)
        infer_version(request, response, &infer, (int)version);
    else
        refuse(response, detail);
    inference_fini(&infer);
    return ROUTE_DONE;
}
