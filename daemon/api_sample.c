/* Events of a model. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "daemon/api_stream.h"
#include "model/members.h"
#include "model/reweighting.h"

enum { ROWS = 1000 }; /* where n is not given */

/* How events of a version with weights come. */
enum reweight { REWEIGHT_DEFAULT, REWEIGHT_UNWEIGHTED, REWEIGHT_WEIGHTED };

struct wanted {
    int64_t n, seed, version, member; /* seed, member -1: not given; version 0: the champion */
    json_t *conditions;
    enum reweight reweight;
};

uint64_t api_stream_seed(void)
{
    uint64_t seed;
    randombytes_buf(&seed, sizeof seed);
    return seed >> 11;
}

/* Features, and behind them the weight where it is asked for. */
static size_t columns_of(const struct api_stream *stream)
{
    return (size_t)stream->twin->definition->schema->features + stream->weighted;
}

static void *head(struct api_stream *stream, size_t *size)
{
    const struct tw_schema *schema = stream->twin->definition->schema;
    const char **columns = calloc((size_t)schema->features + 1, sizeof *columns);
    if (columns == NULL)
        return NULL;
    for (int c = 0; c < schema->features; c++)
        columns[c] = schema->columns[c].name;
    columns[schema->features] = API_STREAM_WEIGHT;
    void *bytes = twp_table_encode_head(stream->format, columns, stream->rows, columns_of(stream), size);
    free(columns);
    return bytes;
}

static int draw(const struct api_stream *s, const struct tw_model *model, size_t first, size_t rows, float *values)
{
    return s->member < 0 ? tw_model_sample(model, s->kernels, NULL, s->seed, first, rows, s->conditions, values)
                         : tw_model_sample_member(model, s->member, s->kernels, NULL, s->seed, first, rows,
                                                  s->conditions, values);
}

/* Events of the base with their weights in a further column; `values` has room for both. */
static int draw_weighted(const struct api_stream *stream, size_t first, size_t rows, float *values)
{
    const struct tw_model *model = stream->snapshot->model;
    size_t d = (size_t)stream->twin->definition->schema->features;
    size_t c = (size_t)stream->twin->definition->schema->conditions;
    double *log_weights = malloc(rows * sizeof *log_weights);
    float *conditions = stream->conditions != NULL ? malloc(rows * c * sizeof *conditions) : NULL;
    int status = log_weights != NULL && (stream->conditions == NULL || conditions != NULL) ? TW_OK : TW_NO_MEMORY;
    for (size_t i = 0; status == TW_OK && conditions != NULL && i < rows * c; i++)
        conditions[i] = stream->conditions[i % c];
    if (status == TW_OK)
        status = draw(stream, tw_model_base(model), first, rows, values);
    if (status == TW_OK)
        status = tw_reweighting_log_weights(tw_model_reweighting(model), stream->kernels, NULL, rows, values,
                                            conditions, log_weights);
    for (size_t i = rows; status == TW_OK && i-- > 0;) { /* from the end, as rows grow in place */
        memmove(values + i * (d + 1), values + i * d, d * sizeof *values);
        values[i * (d + 1) + d] = (float)exp(log_weights[i]);
    }
    free(conditions);
    free(log_weights);
    return status;
}

static void *chunk(struct api_stream *stream, size_t first, size_t rows, size_t *size)
{
    size_t cols = columns_of(stream);
    float *values = malloc(rows * cols * sizeof *values);
    void *bytes = NULL;
    int status = values == NULL     ? (int)TW_NO_MEMORY
                 : stream->weighted ? draw_weighted(stream, first, rows, values)
                                    : draw(stream, stream->snapshot->model, first, rows, values);
    if (status == TW_OK)
        bytes = twp_table_encode_rows(stream->format, first, rows, cols, values, size);
    free(values);
    return bytes;
}

void api_stream_samples(struct api_stream *stream, size_t n, uint64_t seed)
{
    stream->rows = n;
    stream->seed = seed;
    stream->head = head;
    stream->chunk = chunk;
    stream->tail = twp_table_encode_tail(stream->format);
    stream->npy_row = columns_of(stream) * sizeof(float);
}

/* Can the version do what is asked? What its weights are like goes into headers. False after a 409. */
static bool reweight_headers(const struct api_stream *stream, enum reweight reweight, struct http_response *response)
{
    const struct tw_reweighting *reweighting = tw_model_reweighting(stream->snapshot->model);
    if (reweighting == NULL && reweight == REWEIGHT_DEFAULT)
        return true;
    if (reweighting == NULL) {
        http_response_problem(response, 409, "no_weights",
                              "version %d of twin %s has no weights; a retune of kind \"reweight\" makes one that has",
                              stream->snapshot->version, stream->twin->name);
        return false;
    }
    if (stream->weighted && tw_schema_find(stream->twin->definition->schema, API_STREAM_WEIGHT) >= 0) {
        http_response_problem(response, 409, "no_weights",
                              "twin %s has a column \"%s\" of its own, so that weights cannot stand beside it",
                              stream->twin->name, API_STREAM_WEIGHT);
        return false;
    }
    http_response_header(response, "Twin-Reweight", "%s", stream->weighted ? "weighted" : "unweighted");
    http_response_header(response, "Twin-Weight-Max", "%.6g", tw_reweighting_largest(reweighting));
    http_response_header(response, "Twin-Weight-ESS", "%.6g", reweighting->ess);
    http_response_header(response, "Twin-Weight-Overflow", "%.3g", reweighting->overflow);
    return true;
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
    stream->weighted = wanted->reweight == REWEIGHT_WEIGHTED;
    if (!api_stream_member(stream, wanted->member, response) || !reweight_headers(stream, wanted->reweight, response)) {
        api_stream_free(stream);
        return ROUTE_DONE;
    }
    api_stream_samples(stream, (size_t)wanted->n, wanted->seed >= 0 ? (uint64_t)wanted->seed : api_stream_seed());
    http_response_header(response, "Twin-Seed", "%llu", (unsigned long long)stream->seed);
    api_stream_answer(response, stream);
    return ROUTE_DONE;
}

/* NULL: not given. */
static bool read_reweight(const char *text, enum reweight *out, struct http_response *response)
{
    if (text == NULL)
        return true;
    if (strcmp(text, "weighted") == 0)
        *out = REWEIGHT_WEIGHTED;
    else if (strcmp(text, "unweighted") == 0)
        *out = REWEIGHT_UNWEIGHTED;
    else
        http_response_problem(response, 400, "bad_request", "reweight must be \"weighted\" or \"unweighted\"");
    return *out != REWEIGHT_DEFAULT;
}

static bool member_reweight(const json_t *json, enum reweight *out, struct http_response *response)
{
    const json_t *value = json_object_get(json, "reweight");
    return value == NULL || read_reweight(json_is_string(value) ? json_string_value(value) : "", out, response);
}

enum route_outcome api_sample_get(struct http_request *request, struct http_response *response)
{
    struct wanted wanted = {ROWS, -1, 0, -1, NULL, REWEIGHT_DEFAULT};
    enum route_outcome outcome = ROUTE_DONE;
    if (http_request_query_int(request, "n", 1, API_STREAM_ROWS_MAX, &wanted.n, response) &&
        http_request_query_int(request, "seed", 0, INT64_MAX, &wanted.seed, response) &&
        api_version(request, response, &wanted.version) &&
        http_request_query_int(request, "member", 0, TW_MEMBERS_MAX - 1, &wanted.member, response) &&
        read_reweight(http_request_query(request, "reweight"), &wanted.reweight, response) &&
        api_query_object(request, "conditions", &wanted.conditions, response))
        outcome = sample(request, response, &wanted);
    json_decref(wanted.conditions);
    return outcome;
}

enum route_outcome api_sample_post(struct http_request *request, struct http_response *response)
{
    struct wanted wanted = {ROWS, -1, 0, -1, NULL, REWEIGHT_DEFAULT};
    enum route_outcome outcome = ROUTE_DONE;
    json_t *json = request->body_size > 0
                       ? http_request_object(request, "n,seed,version,member,conditions,reweight", response)
                       : json_object();
    if (json != NULL && http_request_member_int(json, "n", 1, API_STREAM_ROWS_MAX, &wanted.n, response) &&
        http_request_member_int(json, "seed", 0, INT64_MAX, &wanted.seed, response) &&
        api_version_member(request, response, json, &wanted.version) &&
        http_request_member_int(json, "member", 0, TW_MEMBERS_MAX - 1, &wanted.member, response) &&
        member_reweight(json, &wanted.reweight, response)) {
        wanted.conditions = json_object_get(json, "conditions");
        outcome = sample(request, response, &wanted);
    }
    json_decref(json);
    return outcome;
}
