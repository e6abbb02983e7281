/* Level 1 of zlib: the higher ones take three to seven times as long for a tenth less. */
#include "daemon/http_gzip.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <zlib.h>

#include "daemon/memory.h"

enum {
    LEVEL = 1,
    GZIP_WINDOW = 15 + 16, /* zlib's largest, with the header and trailer of gzip */
    WORK_LEVEL = 8,
    STATE_BYTES = 300 * 1024, /* of a stream: (1 << 17) + (1 << 17) and some */
    SMALLEST = 1024,          /* what fits a packet is sent as it is */
};

/* --- what is asked for --- */

/* Quality of a coding in thousandths, -1 where it is not named. */
static int quality(const char *accept, const char *coding)
{
    size_t length = strlen(coding);
    for (const char *p = accept; *p != '\0';) {
        p += strspn(p, " \t,");
        size_t size = strcspn(p, " \t,;");
        const char *end = p + strcspn(p, ",");
        if (size == length && strncasecmp(p, coding, length) == 0) {
            const char *q = memmem(p + size, (size_t)(end - p) - size, "q=", 2);
            double value = q != NULL ? strtod(q + 2, NULL) : 1;
            return value > 0 && value <= 1 ? (int)(value * 1000 + 0.5) : 0;
        }
        p = end;
    }
    return -1;
}

bool http_gzip_accepted(const char *accept)
{
    if (accept == NULL)
        return false;
    int gzip = quality(accept, "gzip"), any = quality(accept, "*");
    return gzip > 0 || (gzip < 0 && any > 0);
}

static bool is_text(const char *type)
{
    return type != NULL && (strncmp(type, "text/", 5) == 0 || strcmp(type, "application/json") == 0);
}

static bool begin(z_stream *stream)
{
    return deflateInit2(stream, LEVEL, Z_DEFLATED, GZIP_WINDOW, WORK_LEVEL, Z_DEFAULT_STRATEGY) == Z_OK;
}

/* --- an answer that is whole --- */

/* True if the body is gzip now. */
static bool pack(struct http_response *response)
{
    z_stream stream = {.next_in = response->body, .avail_in = (uInt)response->size};
    if (!begin(&stream))
        return false;
    unsigned char *packed = malloc(response->size);
    stream.next_out = packed;
    stream.avail_out = packed != NULL ? (uInt)response->size : 0;
    bool smaller = packed != NULL && deflate(&stream, Z_FINISH) == Z_STREAM_END;
    size_t size = (size_t)stream.total_out;
    deflateEnd(&stream);
    if (smaller)
        http_response_bytes(response, response->status, response->type, packed, size);
    else
        free(packed);
    return smaller;
}

/* --- an answer in chunks --- */

struct packed {
    z_stream stream;
    struct http_source inner;
    bool ended;
};

/* Packs `size` bytes, with `flush` Z_FINISH all that zlib still holds too, into one piece of memory that grows. */
static int deflate_chunk(z_stream *stream, void *bytes, size_t size, int flush, void **out, size_t *out_size)
{
    size_t room = 0, used = 0;
    stream->next_in = bytes;
    stream->avail_in = (uInt)size;
    do {
        room = room > 0 ? 2 * room : size / 2 + STATE_BYTES;
        unsigned char *grown = realloc(*out, room);
        if (grown == NULL)
            return -1;
        *out = grown;
        stream->next_out = grown + used;
        stream->avail_out = (uInt)(room - used);
        if (deflate(stream, flush) == Z_STREAM_ERROR)
            return -1;
        used = room - stream->avail_out;
    } while (stream->avail_out == 0);
    *out_size = used;
    return 0;
}

/* http_source.next: a chunk that gives no output yet is one of size 0, after which the next one is asked for. */
static int next(void *context, void **bytes, size_t *size)
{
    struct packed *self = context;
    void *plain = NULL;
    size_t plain_size = 0;
    *bytes = NULL;
    *size = 0;
    if (self->ended)
        return 0;
    int status = self->inner.next(self->inner.context, &plain, &plain_size);
    if (status == 0 && plain != NULL && plain_size == 0) {
        *bytes = plain;
        return 0;
    }
    self->ended = status == 0 && plain_size == 0;
    if (status == 0)
        status = deflate_chunk(&self->stream, plain, plain_size, self->ended ? Z_FINISH : Z_NO_FLUSH, bytes, size);
    free(plain);
    if (status != 0) {
        free(*bytes);
        *bytes = NULL;
    }
    return status;
}

static void release(void *context)
{
    struct packed *self = context;
    deflateEnd(&self->stream);
    if (self->inner.release != NULL)
        self->inner.release(self->inner.context);
    memory_give(MEMORY_ANSWERS, STATE_BYTES);
    free(self);
}

static bool pack_source(struct http_response *response)
{
    if (!memory_take(MEMORY_ANSWERS, STATE_BYTES))
        return false;
    struct packed *self = calloc(1, sizeof *self);
    if (self == NULL || !begin(&self->stream)) {
        free(self);
        memory_give(MEMORY_ANSWERS, STATE_BYTES);
        return false;
    }
    self->inner = response->source;
    response->source = (struct http_source){.total = -1, .next = next, .release = release, .context = self};
    return true;
}

/* An answer with a strong entity tag is these bytes and no others. */
static bool has_strong_tag(const struct http_response *response)
{
    for (int i = 0; i < response->headers; i++)
        if (strcmp(response->header[i].name, "ETag") == 0)
            return response->header[i].value[0] == '"';
    return false;
}

void http_gzip_answer(const char *accept, struct http_response *response)
{
    bool chunks = response->source.next != NULL;
    if (response->status != 200 || response->events != NULL || !is_text(response->type) || has_strong_tag(response) ||
        (!chunks && (response->size < SMALLEST || response->size > UINT32_MAX)))
        return;
    http_response_header(response, "Vary", "Accept-Encoding");
    if (http_gzip_accepted(accept) && (chunks ? pack_source(response) : pack(response)))
        http_response_header(response, "Content-Encoding", "gzip");
}
