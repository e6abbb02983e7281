/* A ring of events that is bounded in number and in bytes; the oldest go first. Text is made when it is taken, so an
 * event costs its memory once, however many listen. */
#include "daemon/events.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/clock.h"

enum {
    KEPT = 1024,
    KEPT_BYTES = 4 << 20,
    TAKEN_BYTES = 64 * 1024, /* of text at once, unless one event has more */
};

struct event {
    uint64_t number;
    char *twin, *what, *data; /* one allocation, beginning at data */
    size_t size;
};

struct events {
    pthread_mutex_t lock;
    int64_t life;
    uint64_t last; /* number of the newest event; 0: there was none */
    struct event ring[KEPT];
    size_t first, count, bytes;
    struct events_listener *listeners;
    size_t listening;
    bool stopped;
};

struct events *events_new(void)
{
    struct events *events = calloc(1, sizeof *events);
    if (events == NULL)
        return NULL;
    pthread_mutex_init(&events->lock, NULL);
    events->life = clock_ms();
    return events;
}

static void drop_oldest(struct events *events)
{
    struct event *oldest = &events->ring[events->first];
    events->bytes -= oldest->size;
    free(oldest->data);
    *oldest = (struct event){0};
    events->first = (events->first + 1) % KEPT;
    events->count--;
}

void events_free(struct events *events)
{
    if (events == NULL)
        return;
    while (events->count > 0)
        drop_oldest(events);
    pthread_mutex_destroy(&events->lock);
    free(events);
}

/* --- listeners; the lock is held in each but the exported ones --- */

static void wake(struct events_listener *listener)
{
    if (!listener->asleep)
        return;
    listener->asleep = false;
    listener->wake(listener);
}

/* "<life>-<number>" of this life. */
static bool parse_id(const struct events *events, const char *id, uint64_t *number)
{
    char *end;
    if (strtoll(id, &end, 10) != events->life || *end != '-' || end[1] < '0' || end[1] > '9')
        return false;
    *number = strtoull(end + 1, &end, 10);
    return *end == '\0' && *number <= events->last;
}

/* The place after the event with this id: what is still to come, or, where that is not known, all that there is. */
static void place(const struct events *events, struct events_listener *listener, const char *last_id)
{
    uint64_t number = 0, oldest = events->last + 1 - events->count;
    listener->seen = events->last;
    if (last_id == NULL || last_id[0] == '\0')
        return;
    listener->missed = !parse_id(events, last_id, &number) || number + 1 < oldest;
    listener->seen = listener->missed ? oldest - 1 : number;
}

bool events_listen(struct events *events, struct events_listener *listener, const char *last_id)
{
    pthread_mutex_lock(&events->lock);
    bool room = events->listening < EVENTS_LISTENERS_MAX;
    if (room) {
        events->listening++;
        listener->next = events->listeners;
        listener->link = &events->listeners;
        if (listener->next != NULL)
            listener->next->link = &listener->next;
        events->listeners = listener;
        place(events, listener, last_id);
    }
    pthread_mutex_unlock(&events->lock);
    return room;
}

void events_leave(struct events *events, struct events_listener *listener)
{
    pthread_mutex_lock(&events->lock);
    *listener->link = listener->next;
    if (listener->next != NULL)
        listener->next->link = listener->link;
    events->listening--;
    pthread_mutex_unlock(&events->lock);
}

/* --- adding --- */

void events_add(struct events *events, const char *twin, const char *what, const char *data)
{
    size_t text = strlen(data) + 1, word = strlen(what) + 1, name = twin != NULL ? strlen(twin) + 1 : 0;
    struct event event = {.size = text + word + name, .data = malloc(text + word + name)};
    if (event.data == NULL)
        return; /* as a slow subscriber, the listener asks the store */
    memcpy(event.data, data, text);
    event.what = memcpy(event.data + text, what, word);
    event.twin = twin != NULL ? memcpy(event.what + word, twin, name) : NULL;
    pthread_mutex_lock(&events->lock);
    while (events->count == KEPT || (events->count > 0 && events->bytes + event.size > KEPT_BYTES))
        drop_oldest(events);
    event.number = ++events->last;
    events->bytes += event.size;
    events->ring[(events->first + events->count++) % KEPT] = event;
    for (struct events_listener *listener = events->listeners; listener != NULL; listener = listener->next)
        wake(listener);
    pthread_mutex_unlock(&events->lock);
}

/* --- taking --- */

static const struct event *event_after(const struct events *events, uint64_t seen)
{
    uint64_t oldest = events->last + 1 - events->count;
    if (seen >= events->last)
        return NULL;
    return &events->ring[(events->first + (size_t)(seen + 1 - oldest)) % KEPT];
}

/* What there is for the listener: a greeting that says when to come back, what was missed, events. */
static void write_text(struct events *events, struct events_listener *listener, FILE *out)
{
    uint64_t oldest = events->last + 1 - events->count;
    if (!listener->greeted)
        fputs("retry: 2000\n\n", out);
    listener->greeted = true;
    if (listener->seen + 1 < oldest) { /* it took so long that they are gone */
        listener->missed = true;
        listener->seen = oldest - 1;
    }
    if (listener->missed)
        fprintf(out, "id: %" PRId64 "-%" PRIu64 "\nevent: missed\ndata: {}\n\n", events->life, listener->seen);
    listener->missed = false;
    const struct event *event;
    while (ftell(out) < TAKEN_BYTES && (event = event_after(events, listener->seen)) != NULL) {
        listener->seen = event->number;
        if (listener->twin == NULL || (event->twin != NULL && strcmp(event->twin, listener->twin) == 0))
            fprintf(out, "id: %" PRId64 "-%" PRIu64 "\nevent: %s\ndata: %s\n\n", events->life, event->number,
                    event->what, event->data);
    }
}

static enum events_taken take(struct events *events, struct events_listener *listener, char **text, size_t *size)
{
    double now = clock_monotonic();
    if (events->stopped)
        return EVENTS_OVER;
    FILE *out = open_memstream(text, size);
    if (out == NULL)
        return EVENTS_NO_MEMORY;
    write_text(events, listener, out);
    if (ftell(out) == 0 && now >= listener->due)
        fputs(": heartbeat\n\n", out);
    bool written = ftell(out) > 0;
    if (fclose(out) != 0 || !written) {
        free(*text);
        *text = NULL;
        if (written)
            return EVENTS_NO_MEMORY;
        listener->asleep = true;
        listener->sleep(listener);
        return EVENTS_NOTHING;
    }
    listener->due = now + EVENTS_HEARTBEAT_S;
    return EVENTS_TEXT;
}

enum events_taken events_take(struct events *events, struct events_listener *listener, char **text, size_t *size)
{
    *text = NULL;
    *size = 0;
    pthread_mutex_lock(&events->lock);
    enum events_taken taken = take(events, listener, text, size);
    pthread_mutex_unlock(&events->lock);
    return taken;
}

void events_look(struct events *events, double now)
{
    pthread_mutex_lock(&events->lock);
    for (struct events_listener *listener = events->listeners; listener != NULL; listener = listener->next)
        if (now >= listener->due)
            wake(listener);
    pthread_mutex_unlock(&events->lock);
}

void events_stop(struct events *events)
{
    pthread_mutex_lock(&events->lock);
    events->stopped = true;
    for (struct events_listener *listener = events->listeners; listener != NULL; listener = listener->next)
        wake(listener);
    pthread_mutex_unlock(&events->lock);
}

size_t events_listeners(struct events *events)
{
    pthread_mutex_lock(&events->lock);
    size_t count = events->listening;
    pthread_mutex_unlock(&events->lock);
    return count;
}
