/* Events of a model. */
#include <stdlib.h>

#include <sodium.h>

#include "daemon/api_stream.h"
#include "model/members.h"

enum {
    ROWS_MAX = 1000000,
    ROWS = 1000, /* where n is not given */
};

struct wanted {
    int64_t n, seed, version, member; /* seed, member -1: not given; version 0: the champion */
    json_t *conditions;
};

/* 53 random bits: every reader of JSON keeps them. */
static int64_t random_seed(void)
{
    uint64_t seed;
    randombytes_buf(&seed, sizeof seed);
    return (int64_t)(seed >> 11);
}

static void *head(struct api_stream *stream, size_t *size)
{
    const struct tw_schema *schema = stream->twin->definition->schema;
    const char **columns = calloc((size_t)schema->features, sizeof *columns);
    if (columns == NULL)
        return NULL;
    for (int c = 0; c < schema->features; c++)
        columns[c] = schema->columns[c].name;
    void *bytes = twp_table_encode_head(stream->format, columns, stream->rows, (size_t)schema->features, size);
    free(columns);
    return bytes;
}

static int draw(const struct api_stream *s, size_t first, size_t rows, float *values)
{
    const struct tw_model *model = s->snapshot->model;
    return s->member < 0 ? tw_model_sample(model, s->kernels, NULL, s->seed, first, rows, s->conditions, values)
                         : tw_model_sample_member(model, s->member, s->kernels, NULL, s->seed, first, rows,
                                                  s->conditions, values);
}

static void *chunk(struct api_stream *stream, size_t first, size_t rows, size_t *size)
{
    size_t cols = (size_t)stream->twin->definition->schema->features;
    float *values = malloc(rows * cols * sizeof *values);
    void *bytes = NULL;
    if (values != NULL && draw(stream, first, rows, values) == TW_OK)
        bytes = twp_table_encode_rows(stream->format, first, rows, cols, values, size);
    free(values);
    return bytes;
}

static enum route_outcome sample(struct http_request *request, struct http_response *response,
                                 const struct wanted *wanted)
{
    enum twp_format format;
    if (!api_stream_negotiate(request, response, &format))
        return ROUTE_DONE;
    if (!request->on_worker && wanted->version != 0) /* it may have to be loaded */
        return ROUTE_DEFER;
    struct twin *twin = api_twin(request, response);
    if (twin == NULL)
        return ROUTE_DONE;
    float *conditions;
    if (!api_conditions(twin->definition->schema, wanted->conditions, &conditions, response)) {
        registry_twin_unref(twin);
        return ROUTE_DONE;
    }
    struct api_stream *stream = api_stream_new(request, response, twin, (int)wanted->version, TW_OUTPUT_SAMPLE, format);
    if (stream == NULL) {
        free(conditions);
        return ROUTE_DONE;
    }
    stream->conditions = conditions;
    if (!api_stream_member(stream, wanted->member, response)) {
        api_stream_free(stream);
        return ROUTE_DONE;
    }
    stream->rows = (size_t)wanted->n;
    stream->seed = (uint64_t)(wanted->seed >= 0 ? wanted->seed : random_seed());
    stream->head = head;
    stream->chunk = chunk;
    stream->tail = twp_table_encode_tail(format);
    stream->npy_row = (size_t)stream->twin->definition->schema->features * sizeof(float);
    http_response_header(response, "Twin-Seed", "%llu", (unsigned long long)stream->seed);
    api_stream_answer(response, stream);
    return ROUTE_DONE;
}

enum route_outcome api_sample_get(struct http_request *request, struct http_response *response)
{
    struct wanted wanted = {ROWS, -1, 0, -1, NULL};
    enum route_outcome outcome = ROUTE_DONE;
    if (http_request_query_int(request, "n", 1, ROWS_MAX, &wanted.n, response) &&
        http_request_query_int(request, "seed", 0, INT64_MAX, &wanted.seed, response) &&
        http_request_query_int(request, "version", 1, INT32_MAX, &wanted.version, response) &&
        http_request_query_int(request, "member", 0, TW_MEMBERS_MAX - 1, &wanted.member, response) &&
        api_query_object(request, "conditions", &wanted.conditions, response))
        outcome = sample(request, response, &wanted);
    json_decref(wanted.conditions);
    return outcome;
}

enum route_outcome api_sample_post(struct http_request *request, struct http_response *response)
{
    struct wanted wanted = {ROWS, -1, 0, -1, NULL};
    enum route_outcome outcome = ROUTE_DONE;
    json_t *json = request->body_size > 0 ? http_request_object(request, "n,seed,version,member,conditions", response)
                                          : json_object();
    if (json != NULL && http_request_member_int(json, "n", 1, ROWS_MAX, &wanted.n, response) &&
        http_request_member_int(json, "seed", 0, INT64_MAX, &wanted.seed, response) &&
        http_request_member_int(json, "version", 1, INT32_MAX, &wanted.version, response) &&
        http_request_member_int(json, "member", 0, TW_MEMBERS_MAX - 1, &wanted.member, response)) {
        wanted.conditions = json_object_get(json, "conditions");
        outcome = sample(request, response, &wanted);
    }
    json_decref(json);
    return outcome;
}
