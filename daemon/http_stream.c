/* Two chunks at most exist of a stream: the one being sent and the one computed ahead of it, so a slow client costs
 * memory for two chunks and no worker. While nothing is ready the connection is suspended. A client that left is
 * noticed when the next chunk is sent; the stream then ends with its response.
 *
 * The server (reader, release) and one worker (compute) share the stream under its lock; whoever is last frees it. */
#include "daemon/http_stream.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct chunk {
    char *bytes;
    size_t size, used;
};

struct stream {
    struct http_work work; /* first: the queue hands it back */
    struct MHD_Connection *connection;
    struct http_work_queue *queue;
    struct http_source source;
    pthread_mutex_t lock;
    struct chunk now, next;
    bool queued; /* a worker has it or will have it */
    bool suspended;
    bool ended, failed;
    bool released; /* the response is gone */
};

static void stream_free(struct stream *stream)
{
    if (stream->source.release != NULL)
        stream->source.release(stream->source.context);
    free(stream->now.bytes);
    free(stream->next.bytes);
    pthread_mutex_destroy(&stream->lock);
    free(stream);
}

/* What a worker or the stopped queue found; wakes the connection. */
static void deliver(struct stream *stream, int status, void *bytes, size_t size)
{
    pthread_mutex_lock(&stream->lock);
    bool again = status == 0 && size == 0 && bytes != NULL && !stream->released;
    stream->queued = again && http_work_submit(stream->queue, &stream->work);
    if (stream->queued) {
        free(bytes);
        pthread_mutex_unlock(&stream->lock);
        return;
    }
    if (status != 0 || again)
        stream->failed = true;
    else if (size == 0)
        stream->ended = true;
    if (status != 0 || size == 0)
        free(bytes);
    else
        stream->next = (struct chunk){bytes, size, 0};
    if (stream->suspended) {
        stream->suspended = false;
        MHD_resume_connection(stream->connection);
    }
    bool last = stream->released;
    pthread_mutex_unlock(&stream->lock);
    if (last)
        stream_free(stream);
}

static void compute(struct http_work *work)
{
    struct stream *stream = (struct stream *)work;
    pthread_mutex_lock(&stream->lock);
    bool released = stream->released;
    pthread_mutex_unlock(&stream->lock);
    void *bytes = NULL;
    size_t size = 0;
    int status = released ? 0 : stream->source.next(stream->source.context, &bytes, &size);
    deliver(stream, status, bytes, size);
}

static void cancel(struct http_work *work)
{
    deliver((struct stream *)work, 1, NULL, 0);
}

/* Lock held. */
static void request_chunk(struct stream *stream)
{
    if (stream->queued || stream->ended || stream->failed || stream->next.bytes != NULL)
        return;
    stream->queued = http_work_submit(stream->queue, &stream->work);
    stream->failed = !stream->queued;
}

static ssize_t reader(void *context, uint64_t position, char *out, size_t room)
{
    struct stream *stream = context;
    pthread_mutex_lock(&stream->lock);
    if (stream->now.used == stream->now.size) {
        free(stream->now.bytes);
        stream->now = stream->next;
        stream->next = (struct chunk){NULL, 0, 0};
    }
    request_chunk(stream);
    ssize_t sent = 0;
    if (stream->now.bytes != NULL) {
        size_t left = stream->now.size - stream->now.used;
        sent = (ssize_t)(left < room ? left : room);
        memcpy(out, stream->now.bytes + stream->now.used, (size_t)sent);
        stream->now.used += (size_t)sent;
    } else if (stream->failed) {
        sent = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (stream->ended) {
        sent = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        stream->suspended = true;
        MHD_suspend_connection(stream->connection);
    }
    pthread_mutex_unlock(&stream->lock);
    return sent;
}

static void release(void *context)
{
    struct stream *stream = context;
    pthread_mutex_lock(&stream->lock);
    stream->released = true;
    bool last = !stream->queued;
    pthread_mutex_unlock(&stream->lock);
    if (last)
        stream_free(stream);
}

struct MHD_Response *http_stream_response(struct MHD_Connection *connection, struct http_work_queue *queue,
                                          const struct http_source *source)
{
    struct stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL) {
        if (source->release != NULL)
            source->release(source->context);
        return NULL;
    }
    pthread_mutex_init(&stream->lock, NULL);
    stream->work.run = compute;
    stream->work.cancel = cancel;
    stream->connection = connection;
    stream->queue = queue;
    stream->source = *source;
    uint64_t total = source->total >= 0 ? (uint64_t)source->total : MHD_SIZE_UNKNOWN;
    struct MHD_Response *response = MHD_create_response_from_callback(total, 64 * 1024, reader, stream, release);
    if (response == NULL)
        stream_free(stream);
    return response;
}
