/* From the body of a request to messages of the wire. */
#include "daemon/api_rows.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/api.h"
#include "daemon/memory.h"

/* ?columns=a,b,c, for formats that carry no names. */
static bool split_columns(struct http_request *request, struct http_response *response, struct api_rows *rows)
{
    const char *list = http_request_query(request, "columns");
    if (list == NULL)
        return true;
    if (rows->table.column != NULL) {
        http_response_problem(response, 400, "bad_query", "the body names its columns already");
        return false;
    }
    rows->split = strdup(list);
    rows->columns = calloc(rows->table.cols + 1, sizeof *rows->columns);
    if (rows->split == NULL || rows->columns == NULL) {
        http_response_problem(response, 500, "internal", "memory is out");
        return false;
    }
    char *rest = rows->split, *name;
    while ((name = strsep(&rest, ",")) != NULL && rows->n_columns <= rows->table.cols)
        rows->columns[rows->n_columns++] = name;
    if (rows->n_columns != rows->table.cols) {
        http_response_problem(response, 400, "bad_shape", "columns names %s columns than the body has",
                              rows->n_columns > rows->table.cols ? "more" : "fewer");
        return false;
    }
    return true;
}

static bool read_conditions(struct http_request *request, struct http_response *response, struct api_rows *rows)
{
    json_t *json;
    if (!api_query_object(request, "conditions", &json, response))
        return false;
    rows->conditions = calloc(json_object_size(json) + 1, sizeof *rows->conditions);
    bool ok = rows->conditions != NULL;
    const char *name;
    json_t *value;
    json_object_foreach(json, name, value)
    {
        if (!json_is_number(value) || strlen(name) > TWP_COLUMN_MAX)
            ok = false;
        if (!ok)
            break;
        struct twp_condition *condition = &rows->conditions[rows->n_conditions++];
        strncpy(condition->name, name, TWP_COLUMN_MAX);
        condition->value = json_number_value(value);
    }
    json_decref(json);
    if (!ok)
        http_response_problem(response, 400, "bad_conditions", "conditions must be an object of numbers");
    return ok;
}

/* Memory that the table will take while it is read: .npy says it, in text every number but the last of a line has its
 * comma, and the array grows by half. */
static bool take_memory(const struct http_request *request, struct http_response *response, struct api_rows *rows)
{
    size_t bytes = request->body_size, numbers = 1;
    if (rows->format != TWP_FORMAT_NPY) {
        for (size_t i = 0; i < bytes; i++)
            numbers += request->body[i] == ',' || request->body[i] == '\n';
        bytes = numbers * sizeof(float) * 3 / 2;
    }
    if (memory_take(MEMORY_BODIES, bytes)) {
        rows->held = bytes;
        return true;
    }
    http_response_problem(response, 503, "overloaded", "too many rows at once for memory-mb; try again or send fewer");
    http_response_header(response, "Retry-After", "1");
    return false;
}

bool api_rows_read(struct http_request *request, struct http_response *response, struct api_rows *rows)
{
    int format = api_rows_format(request);
    if (format < 0) {
        http_response_problem(response, 415, "unsupported_media_type",
                              "send rows as application/x-npy, text/csv or application/json");
        return false;
    }
    rows->format = (enum twp_format)format;
    if (!take_memory(request, response, rows))
        return false;
    char detail[200];
    int status = twp_table_parse(rows->format, request->body, request->body_size, &rows->table, detail);
    if (status == TWP_TABLE_NO_MEMORY) {
        http_response_problem(response, 503, "no_memory", "memory is out; try again");
        return false;
    }
    if (status != 0) {
        http_response_problem(response, 400, "bad_payload", "%s", detail);
        return false;
    }
    if (rows->table.rows == 0 || rows->table.cols == 0) {
        http_response_problem(response, 400, "bad_shape", "the body holds no rows");
        return false;
    }
    if (rows->format == TWP_FORMAT_NPY) {
        rows->npy = request->body;
        rows->npy_size = request->body_size;
    }
    if (!split_columns(request, response, rows))
        return false;
    if (rows->table.column != NULL) {
        rows->columns = calloc(rows->table.cols, sizeof *rows->columns);
        for (size_t c = 0; rows->columns != NULL && c < rows->table.cols; c++)
            rows->columns[rows->n_columns++] = rows->table.column[c];
    }
    return read_conditions(request, response, rows);
}

void api_rows_fini(struct api_rows *rows)
{
    twp_table_fini(&rows->table);
    free(rows->columns);
    free(rows->split);
    free(rows->conditions);
    memory_give(MEMORY_BODIES, rows->held);
    memset(rows, 0, sizeof *rows);
}

int api_rows_format(const struct http_request *request)
{
    const char *media = request->header[HTTP_CONTENT_TYPE];
    /* what curl and browsers say when nobody told them */
    static const char *const vague[] = {"application/x-www-form-urlencoded", "application/octet-stream"};
    for (size_t i = 0; media != NULL && i < sizeof vague / sizeof vague[0]; i++)
        if (strcasecmp(media, vague[i]) == 0)
            media = NULL;
    return twp_table_format_of_media(media, request->body, request->body_size);
}

struct twp_frame api_rows_frame(const struct api_rows *rows, size_t first, size_t count, void **memory)
{
    *memory = NULL;
    if (rows->npy != NULL && first == 0 && count == rows->table.rows)
        return (struct twp_frame){rows->npy, rows->npy_size};
    size_t cols = rows->table.cols, bytes = count * cols * sizeof(float);
    unsigned char *npy = malloc(TWP_NPY_HEADER + bytes);
    if (npy == NULL)
        return (struct twp_frame){NULL, 0};
    twp_npy_header(2, count, cols, sizeof(float), npy);
    memcpy(npy + TWP_NPY_HEADER, rows->table.values + first * cols, bytes);
    *memory = npy;
    return (struct twp_frame){npy, TWP_NPY_HEADER + bytes};
}

/* HTTP status for a NACK code. */
static int status_of(enum twp_code code)
{
    switch (code) {
    case TWP_OK:
        return 200;
    case TWP_UNKNOWN_TWIN:
        return 404;
    case TWP_CONFLICT:
        return 409;
    case TWP_NO_CREDIT:
        return 429;
    case TWP_FULL:
        return 507;
    case TWP_BAD_FRAME:
    case TWP_BAD_HEADER:
    case TWP_BAD_PAYLOAD:
    case TWP_BAD_SHAPE:
    case TWP_UNKNOWN_COLUMN:
        return 400;
    }
    return 500;
}

bool api_rows_spool(struct http_request *request, struct http_response *response, const struct twp_key *key,
                    const struct api_rows *rows, size_t first, size_t count, bool reserved,
                    struct ingest_result *result)
{
    void *npy = NULL;
    struct twp_frame payload = api_rows_frame(rows, first, count, &npy);
    char *header =
        twp_wire_batch_header(key, rows->columns, rows->n_columns, rows->conditions, rows->n_conditions, rows->time);
    int status = TW_NO_MEMORY;
    if (payload.data != NULL && header != NULL) {
        struct twp_frame frames[3] = {{TWP_BATCH, strlen(TWP_BATCH)}, {header, strlen(header)}, payload};
        status = ingest_submit(request->api->ingest, frames, 3, reserved, result);
    }
    free(npy);
    free(header);
    if (status == TW_BUSY) {
        http_response_problem(response, 503, "stopping", "the daemon is stopping");
    } else if (status != TW_OK) {
        http_response_problem(response, 500, "internal", "the batch could not be handed to ingest");
    } else if (result->code != TWP_OK) {
        http_response_problem(response, status_of(result->code), twp_wire_code(result->code), "%s", result->detail);
        if (result->code == TWP_NO_CREDIT)
            http_response_header(response, "Retry-After", "1");
    } else {
        return true;
    }
    return false;
}
