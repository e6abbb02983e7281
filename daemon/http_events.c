/* The library calls the reader whenever the socket takes more; a reader that returns nothing would be called again at
 * once, so it suspends the connection first, under the lock that a new event needs to resume it. A listener that left
 * while it slept is noticed when its heartbeat is sent. */
#include "daemon/http_events.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/events.h"

struct http_events {
    struct events_listener listener; /* first: the log hands it back */
    struct events *events;
    struct MHD_Connection *connection;
    char *twin;
    char *text; /* being sent */
    size_t size, used;
};

static void suspend(struct events_listener *listener)
{
    MHD_suspend_connection(((struct http_events *)listener)->connection);
}

static void resume(struct events_listener *listener)
{
    MHD_resume_connection(((struct http_events *)listener)->connection);
}

struct http_events *http_events_new(struct events *events, const char *twin, const char *last_id, int *crowded)
{
    *crowded = 0;
    struct http_events *self = calloc(1, sizeof *self);
    if (self == NULL || (twin != NULL && (self->twin = strdup(twin)) == NULL)) {
        free(self);
        return NULL;
    }
    self->events = events;
    self->listener.sleep = suspend;
    self->listener.wake = resume;
    self->listener.twin = self->twin;
    if (events_listen(events, &self->listener, last_id))
        return self;
    *crowded = 1;
    free(self->twin);
    free(self);
    return NULL;
}

void http_events_free(struct http_events *self)
{
    if (self == NULL)
        return;
    events_leave(self->events, &self->listener);
    free(self->twin);
    free(self->text);
    free(self);
}

static ssize_t reader(void *context, uint64_t position, char *out, size_t room)
{
    struct http_events *self = context;
    if (self->used == self->size) {
        free(self->text);
        self->used = self->size = 0;
        switch (events_take(self->events, &self->listener, &self->text, &self->size)) {
        case EVENTS_TEXT:
            break;
        case EVENTS_NOTHING:
            return 0; /* suspended */
        case EVENTS_OVER:
            return MHD_CONTENT_READER_END_OF_STREAM;
        case EVENTS_NO_MEMORY:
            return MHD_CONTENT_READER_END_WITH_ERROR;
        }
    }
    size_t left = self->size - self->used, sent = left < room ? left : room;
    memcpy(out, self->text + self->used, sent);
    self->used += sent;
    return (ssize_t)sent;
}

static void release(void *context)
{
    http_events_free(context);
}

struct MHD_Response *http_events_response(struct MHD_Connection *connection, struct http_events *self)
{
    self->connection = connection;
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16 * 1024, reader, self, release);
    if (response == NULL)
        http_events_free(self);
    return response;
}
