/* Answers in chunks: head, rows, tail, each made when the one before is on its way. */
#include "daemon/api_stream.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/memory.h"
#include "proto/npy.h"

enum {
    CHUNK_ROWS = 16 * TW_BLOCK,
    CHUNK_BYTES = 512 * 1024, /* of values, where a block has fewer */
    TEXT_BYTES = 16,          /* of a number */
};

static const char *const media[] = {"application/json", "application/x-npy", "text/csv"};
static const enum twp_format formats[] = {TWP_FORMAT_JSON, TWP_FORMAT_NPY, TWP_FORMAT_CSV};

bool api_stream_negotiate(const struct http_request *request, struct http_response *response, enum twp_format *format)
{
    int index = http_request_negotiate(request->header[HTTP_ACCEPT], media, 3);
    if (index < 0)
        http_response_problem(response, 406, "not_acceptable", "rows come as %s, %s or %s", media[0], media[1],
                              media[2]);
    else
        *format = formats[index];
    return index >= 0;
}

static const char *media_of(enum twp_format format)
{
    int index = 0;
    while (formats[index] != format)
        index++;
    return media[index];
}

struct api_stream *api_stream_new(struct http_request *request, struct http_response *response, struct twin *twin,
                                  int version, enum tw_output output, enum twp_format format)
{
    struct snapshot *snapshot = api_snapshot(request, response, twin, version);
    struct api_stream *stream = NULL;
    if (snapshot == NULL)
        goto failed;
    const struct tw_kind *kind = tw_model_kind(snapshot->model);
    if ((kind->outputs & 1u << output) == 0) {
        http_response_problem(response, 409, "no_such_output", "a model of kind %s does not offer this", kind->name);
        goto failed;
    }
    stream = calloc(1, sizeof *stream);
    if (stream == NULL) {
        http_response_problem(response, 500, "internal", "memory is out");
        goto failed;
    }
    stream->kernels = request->api->kernels;
    stream->twin = twin;
    stream->snapshot = snapshot;
    stream->format = format;
    stream->media = media_of(format);
    stream->npy_head = TWP_NPY_HEADER;
    return stream;

failed:
    snapshot_unref(snapshot);
    registry_twin_unref(twin);
    return NULL;
}

bool api_stream_member(struct api_stream *stream, int64_t member, struct http_response *response)
{
    int members = tw_model_members(stream->snapshot->model);
    stream->member = (int)member;
    if (member < members)
        return true;
    http_response_problem(response, 400, "bad_query", "version %d has %d member%s, numbered from 0",
                          stream->snapshot->version, members, members == 1 ? "" : "s");
    return false;
}

void api_stream_free(struct api_stream *stream)
{
    if (stream == NULL)
        return;
    snapshot_unref(stream->snapshot);
    registry_twin_unref(stream->twin);
    free(stream->conditions);
    free(stream->values);
    free(stream->envelope);
    memory_give(MEMORY_ANSWERS, stream->held);
    free(stream);
}

static void release(void *context)
{
    api_stream_free(context);
}

/* The envelope is sent, and given away, once. */
static void *envelope(struct api_stream *stream, size_t *size)
{
    char *text = stream->envelope;
    stream->envelope = NULL;
    *size = strlen(text);
    return text;
}

/* Head, chunks of rows, tail, end: http_source.next. */
static int next(void *context, void **bytes, size_t *size)
{
    struct api_stream *stream = context;
    *size = 0;
    *bytes = NULL;
    if (!stream->head_sent) {
        stream->head_sent = true;
        *bytes = stream->envelope != NULL ? envelope(stream, size) : stream->head(stream, size);
    } else if (stream->done < stream->rows) {
        size_t left = stream->rows - stream->done, rows = left < stream->chunk_rows ? left : stream->chunk_rows;
        *bytes = stream->chunk(stream, stream->done, rows, size);
        stream->done += rows;
    } else if (!stream->tail_sent) {
        stream->tail_sent = true;
        *bytes = strdup(stream->tail);
        *size = strlen(stream->tail);
    } else {
        return 0;
    }
    return *bytes != NULL ? 0 : -1;
}

/* The whole answer in one piece. */
static void answer_now(struct http_response *response, struct api_stream *stream)
{
    char *whole = NULL;
    size_t used = 0;
    while (!stream->tail_sent) {
        void *bytes;
        size_t size;
        char *grown = NULL;
        if (next(stream, &bytes, &size) == 0 && (grown = realloc(whole, used + size + 1)) != NULL) {
            whole = grown;
            memcpy(whole + used, bytes, size);
            used += size;
        }
        free(bytes);
        if (grown == NULL) {
            free(whole);
            http_response_problem(response, 500, "internal", "the model could not answer");
            return;
        }
    }
    http_response_bytes(response, 200, stream->media, whole, used);
}

/* Cuts the rows into chunks and takes what they need: two exist at a time; with them what the stream was given. Answers
 * of many chunks, which slow readers hold for long, leave half of the share to the others. */
static bool take_memory(struct api_stream *stream)
{
    const struct tw_schema *schema = stream->twin->definition->schema;
    size_t cols = (size_t)(schema->features + schema->conditions);
    size_t blocks = CHUNK_BYTES / (cols * sizeof(float)) / TW_BLOCK;
    stream->chunk_rows = blocks < 1 ? TW_BLOCK : blocks * TW_BLOCK < CHUNK_ROWS ? blocks * TW_BLOCK : CHUNK_ROWS;
    size_t rows = stream->rows < stream->chunk_rows ? stream->rows : stream->chunk_rows;
    size_t row = stream->format == TWP_FORMAT_NPY ? stream->npy_row
                 : stream->values != NULL         ? 2 * TEXT_BYTES
                                                  : ((size_t)schema->features + stream->weighted) * TEXT_BYTES;
    size_t bytes = 2 * rows * row + (stream->values != NULL ? stream->rows * cols * sizeof(float) : 0);
    if (stream->rows > rows && memory_held(MEMORY_ANSWERS) + bytes > memory_limit(MEMORY_ANSWERS) / 2)
        return false;
    if (!memory_take(MEMORY_ANSWERS, bytes))
        return false;
    stream->held = bytes;
    return true;
}

void api_stream_answer(struct http_response *response, struct api_stream *stream)
{
    if (!take_memory(stream)) {
        api_stream_free(stream);
        http_response_problem(response, 503, "overloaded", "too many large answers at once for memory-mb; try again");
        http_response_header(response, "Retry-After", "1");
        return;
    }
    http_response_header(response, "Twin-Version", "%d", stream->snapshot->version);
    http_response_header(response, "Twin-Columns", "%s%s", stream->twin->columns,
                         stream->weighted ? "," API_STREAM_WEIGHT : "");
    if (stream->rows <= API_STREAM_SMALL) {
        answer_now(response, stream);
        api_stream_free(stream);
        return;
    }
    /* the bytes of a .npy are known beforehand, those of text are not */
    int64_t total =
        stream->format == TWP_FORMAT_NPY ? (int64_t)(stream->npy_head + stream->rows * stream->npy_row) : -1;
    struct http_source source = {total, next, release, stream};
    http_response_stream(response, stream->media, &source);
}
