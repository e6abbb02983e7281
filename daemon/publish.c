/* A bounded queue of announcements with an eventfd as its bell. Bodies are turned into text by whoever posts, so that
 * the ingest thread only sends. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "daemon/events.h"
#include "daemon/publish.h"

enum { QUEUE_MAX = 1024, BODY_MAX = 64 * 1024 };

struct announcement {
    char *topic, *body;
};

struct publisher {
    pthread_mutex_t lock;
    struct announcement queue[QUEUE_MAX]; /* a ring */
    size_t first, count;
    int fd;
    struct events *events;
};

struct publisher *publish_new(void)
{
    struct publisher *publisher = calloc(1, sizeof *publisher);
    if (!publisher)
        return NULL;
    publisher->events = events_new();
    publisher->fd = publisher->events ? eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) : -1;
    if (publisher->fd < 0) {
        events_free(publisher->events);
        free(publisher);
        return NULL;
    }
    pthread_mutex_init(&publisher->lock, NULL);
    return publisher;
}

static struct announcement pop(struct publisher *publisher)
{
    struct announcement oldest = publisher->queue[publisher->first];
    publisher->first = (publisher->first + 1) % QUEUE_MAX;
    publisher->count--;
    return oldest;
}

static void release(struct announcement *announcement)
{
    free(announcement->topic);
    free(announcement->body);
}

void publish_free(struct publisher *publisher)
{
    if (!publisher)
        return;
    while (publisher->count > 0) {
        struct announcement oldest = pop(publisher);
        release(&oldest);
    }
    close(publisher->fd);
    events_free(publisher->events);
    pthread_mutex_destroy(&publisher->lock);
    free(publisher);
}

/* A listener that does not read costs the same memory however many features a twin has: an announcement that would be
 * too large says what happened, without what was measured. */
static char *body_text(json_t *body)
{
    static const char *const large[] = {"statistics", "metrics", "result", "policy"};
    char *text = json_dumps(body, JSON_COMPACT);
    if (!text || strlen(text) <= BODY_MAX)
        return text;
    json_t *rest = json_copy(body);
    for (size_t i = 0; i < sizeof large / sizeof *large; i++)
        json_object_del(rest, large[i]);
    json_object_set_new(rest, "shortened", json_true());
    free(text);
    text = json_dumps(rest, JSON_COMPACT);
    json_decref(rest);
    return text;
}

void publish_post(struct publisher *publisher, const char *twin, const char *what, json_t *body)
{
    struct announcement new = {0}, dropped = {0};
    json_t *told = publisher && body ? json_copy(body) : NULL; /* others may hold the body */
    if (told && !json_object_set_new(told, "twin", json_string(twin)))
        new.body = body_text(told);
    json_decref(told);
    json_decref(body);
    if (!new.body)
        return;
    events_add(publisher->events, twin, what, new.body);
    if (asprintf(&new.topic, "twin/%s/%s", twin, what) < 0) {
        free(new.body);
        return;
    }
    pthread_mutex_lock(&publisher->lock);
    if (publisher->count == QUEUE_MAX)
        dropped = pop(publisher);
    publisher->queue[(publisher->first + publisher->count++) % QUEUE_MAX] = new;
    pthread_mutex_unlock(&publisher->lock);
    release(&dropped);
    eventfd_write(publisher->fd, 1);
}

struct events *publish_events(const struct publisher *publisher)
{
    return publisher->events;
}

int publish_fd(const struct publisher *publisher)
{
    return publisher ? publisher->fd : -1;
}

bool publish_take(struct publisher *publisher, char **topic, char **body)
{
    if (!publisher)
        return false;
    pthread_mutex_lock(&publisher->lock);
    bool any = publisher->count > 0;
    if (any) {
        struct announcement oldest = pop(publisher);
        *topic = oldest.topic;
        *body = oldest.body;
    } else {
        eventfd_t rung; /* under the lock: a post that comes now rings again */
        eventfd_read(publisher->fd, &rung);
    }
    pthread_mutex_unlock(&publisher->lock);
    return any;
}
