/* Log-likelihoods: one number an event, -inf for events outside the domain; with ?spread=true the standard deviation
 * over the members of an ensemble beside it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/api_rows.h"
#include "daemon/api_stream.h"
#include "model/members.h"
#include "proto/npy.h"

enum { SMALL_BYTES = 64 * 1024 }; /* of a body that is read without a worker */

static void *head(struct api_stream *stream, size_t *size)
{
    if (stream->format == TWP_FORMAT_NPY) {
        unsigned char *npy = malloc(TWP_NPY_HEADER);
        if (npy != NULL)
            twp_npy_header(stream->spread ? 2 : 1, stream->rows, stream->spread ? 2 : 1, sizeof(double), npy);
        *size = TWP_NPY_HEADER;
        return npy;
    }
    const char *text = stream->format != TWP_FORMAT_JSON ? stream->spread ? "log_prob,std\n" : "log_prob\n"
                       : stream->spread                  ? "{\"columns\":[\"log_prob\",\"std\"],\"items\":["
                                                         : "{\"items\":[";
    *size = strlen(text);
    return strdup(text);
}

/* The shortest of 9 digits; -inf is null in JSON and -inf in CSV. */
static char *number(char *at, bool json, double value)
{
    if (isfinite(value))
        return at + snprintf(at, 30, "%.9g", value);
    return stpcpy(at, json ? "null" : isnan(value) ? "nan" : "-inf");
}

/* Rows of `cols` numbers as text. */
static void *text_rows(const struct api_stream *stream, const double *numbers, size_t cols, size_t first, size_t rows,
                       size_t *size)
{
    bool json = stream->format == TWP_FORMAT_JSON, nested = json && cols > 1;
    char *text = malloc(rows * cols * 34 + 1), *at = text;
    for (size_t i = 0; text != NULL && i < rows; i++) {
        if (json && first + i > 0)
            *at++ = ',';
        if (nested)
            *at++ = '[';
        for (size_t c = 0; c < cols; c++) {
            if (c > 0)
                *at++ = ',';
            at = number(at, json, numbers[i * cols + c]);
        }
        if (nested)
            *at++ = ']';
        if (!json)
            *at++ = '\n';
    }
    *size = (size_t)(at - text);
    return text;
}

/* The answer for an event of what its members say: the one that is asked for or the mixture, and the standard deviation
 * over all, NaN where there is one member or where one of them excludes the event. */
static void combine(const struct api_stream *stream, const double *log_prob, int members, double *out)
{
    double mean = 0, squares = 0;
    out[0] = stream->member >= 0 ? log_prob[stream->member] : tw_model_mixture(log_prob, members);
    if (!stream->spread)
        return;
    for (int m = 0; m < members; m++)
        mean += log_prob[m] / members;
    for (int m = 0; m < members; m++)
        squares += (log_prob[m] - mean) * (log_prob[m] - mean);
    out[1] = members > 1 ? sqrt(squares / (members - 1)) : NAN;
}

/* (rows, 1 or 2 with the spread). */
static double *numbers(const struct api_stream *stream, size_t first, size_t rows)
{
    const struct tw_schema *schema = stream->twin->definition->schema;
    const struct tw_model *model = stream->snapshot->model;
    const float *values = stream->values + first * (size_t)schema->features;
    const float *conditions =
        stream->conditions != NULL ? stream->conditions + first * (size_t)schema->conditions : NULL;
    size_t members = (size_t)tw_model_members(model), cols = stream->spread ? 2 : 1;
    double *out = malloc(rows * cols * sizeof *out), *each = NULL;
    int status = out != NULL ? TW_OK : TW_NO_MEMORY;
    if (status == TW_OK && !stream->spread && stream->member < 0) {
        status = tw_model_log_prob(model, stream->kernels, NULL, rows, values, conditions, out);
    } else if (status == TW_OK) {
        each = malloc(rows * members * sizeof *each);
        status = each != NULL ? tw_model_log_prob_members(model, stream->kernels, NULL, rows, values, conditions, each)
                              : TW_NO_MEMORY;
        for (size_t i = 0; status == TW_OK && i < rows; i++)
            combine(stream, each + i * members, (int)members, out + i * cols);
        free(each);
    }
    if (status == TW_OK)
        return out;
    free(out);
    return NULL;
}

static void *chunk(struct api_stream *stream, size_t first, size_t rows, size_t *size)
{
    size_t cols = stream->spread ? 2 : 1;
    double *values = numbers(stream, first, rows);
    *size = rows * cols * sizeof *values;
    if (values == NULL || stream->format == TWP_FORMAT_NPY)
        return values;
    void *bytes = text_rows(stream, values, cols, first, rows, size);
    free(values);
    return bytes;
}

/* Which column of the body each column of the schema comes from; -1: a condition that is not there. */
static bool map_columns(const struct api_rows *rows, const struct tw_schema *schema, int *map,
                        struct http_response *response)
{
    int all = schema->features + schema->conditions;
    for (int c = 0; c < all; c++)
        map[c] = -1;
    if (rows->columns == NULL && rows->table.cols != (size_t)schema->features) {
        http_response_problem(response, 400, "bad_shape", "%zu columns, but the twin has %d features", rows->table.cols,
                              schema->features);
        return false;
    }
    for (size_t i = 0; i < rows->table.cols; i++) {
        int c = rows->columns != NULL ? tw_schema_find(schema, rows->columns[i]) : (int)i;
        if (c < 0 || map[c] >= 0) {
            http_response_problem(response, 400, "unknown_column", "column \"%.64s\" is %s", rows->columns[i],
                                  c < 0 ? "not one of this twin" : "there twice");
            return false;
        }
        map[c] = (int)i;
    }
    for (int c = 0; c < schema->features; c++) {
        if (map[c] >= 0)
            continue;
        http_response_problem(response, 400, "unknown_column", "column \"%.64s\" is missing", schema->columns[c].name);
        return false;
    }
    return true;
}

/* Copies the columns that `map` names; a row of `fallback` serves those that are not there. */
static float *gather(const struct api_rows *rows, const int *map, int count, const float *fallback)
{
    float *out = malloc((rows->table.rows * (size_t)count + 1) * sizeof *out);
    for (size_t r = 0; out != NULL && r < rows->table.rows; r++)
        for (int c = 0; c < count; c++)
            out[r * (size_t)count + (size_t)c] =
                map[c] >= 0 ? rows->table.values[r * rows->table.cols + (size_t)map[c]] : fallback[c];
    return out;
}

/* Values and conditions of the stream. False after a problem. */
static bool fill(struct http_request *request, struct http_response *response, struct api_stream *stream,
                 const struct api_rows *rows)
{
    const struct tw_schema *schema = stream->twin->definition->schema;
    int *map = calloc((size_t)(schema->features + schema->conditions), sizeof *map);
    json_t *json = NULL;
    float *row = NULL;
    bool ok = map != NULL && map_columns(rows, schema, map, response) &&
              api_query_object(request, "conditions", &json, response);
    if (ok && json == NULL)
        json = json_object();
    ok = ok && api_conditions(schema, json, &row, response);
    if (ok) {
        stream->rows = rows->table.rows;
        stream->values = gather(rows, map, schema->features, NULL);
        if (schema->conditions > 0)
            stream->conditions = gather(rows, map + schema->features, schema->conditions, row);
    }
    json_decref(json);
    free(row);
    free(map);
    if (ok && stream->values == NULL)
        http_response_problem(response, 500, "internal", "memory is out");
    return ok && stream->values != NULL;
}

static bool read_spread(struct http_request *request, struct http_response *response, bool *spread)
{
    const char *text = http_request_query(request, "spread");
    *spread = text != NULL && strcmp(text, "true") == 0;
    if (text == NULL || *spread || strcmp(text, "false") == 0)
        return true;
    http_response_problem(response, 400, "bad_query", "spread must be true or false");
    return false;
}

void api_stream_log_prob(struct api_stream *stream)
{
    stream->head = head;
    stream->chunk = chunk;
    stream->tail = stream->format == TWP_FORMAT_JSON ? "]}" : "";
    stream->npy_row = (stream->spread ? 2 : 1) * sizeof(double);
}

enum route_outcome api_log_prob_post(struct http_request *request, struct http_response *response)
{
    int64_t version = 0, member = -1;
    bool spread;
    enum twp_format format;
    if (!api_stream_negotiate(request, response, &format) || !api_version(request, response, &version) ||
        !http_request_query_int(request, "member", 0, TW_MEMBERS_MAX - 1, &member, response) ||
        !read_spread(request, response, &spread))
        return ROUTE_DONE;
    if (!request->on_worker && (version != 0 || request->body_size > SMALL_BYTES))
        return ROUTE_DEFER;
    struct twin *twin = api_twin(request, response);
    if (twin == NULL)
        return ROUTE_DONE;
    struct api_rows rows = {0};
    struct api_stream *stream = NULL;
    if (api_rows_read(request, response, &rows))
        stream = api_stream_new(request, response, twin, (int)version, TW_OUTPUT_LOG_PROB, format);
    else
        registry_twin_unref(twin);
    if (stream != NULL && api_stream_member(stream, member, response) && fill(request, response, stream, &rows)) {
        stream->spread = spread;
        api_stream_log_prob(stream);
        api_stream_answer(response, stream);
    } else {
        api_stream_free(stream);
    }
    api_rows_fini(&rows);
    return ROUTE_DONE;
}
