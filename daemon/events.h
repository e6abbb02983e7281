/* The last announcements, for those who listen over HTTP: a bounded log, and listeners that each have their place in
 * it.
 *
 * An event's id is "<life>-<number>": the number counts from 1 while the daemon lives, `life` is when that began. Who
 * comes back with the id of the last event that it saw gets those after it; where they are gone, or belong to another
 * life, it gets an event `missed` first, and what is left: the truth is in the store, to be asked again.
 *
 * Any thread.
 */
#ifndef DAEMON_EVENTS_H
#define DAEMON_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct events;

enum { EVENTS_LISTENERS_MAX = 64 };
#define EVENTS_HEARTBEAT_S 10.0 /* after which a listener without events gets a comment */

struct events *events_new(void);         /* NULL: memory is out */
void events_free(struct events *events); /* when nobody listens any more; accepts NULL */

/* Appends, and wakes those who wait. `twin` may be NULL; `data` is JSON in one line. */
void events_add(struct events *events, const char *twin, const char *what, const char *data);

/* --- listeners --- */

/* Owned by whoever listens; what is in it is guarded by the log. */
struct events_listener {
    struct events_listener *next, **link;
    void (*sleep)(struct events_listener *listener); /* nothing is there: called by _take, before it returns */
    void (*wake)(struct events_listener *listener);  /* _take again; called by _add, _look and _stop: must not wait */
    const char *twin;                                /* of this twin alone; NULL: of all. Owned by the caller */
    uint64_t seen;                                   /* number of the last event that was taken */
    bool missed;                                     /* to be said */
    bool greeted;
    bool asleep;
    double due; /* of the next heartbeat */
};

/* Listens from now on, or from after `last_id` (NULL or empty: none was sent). False: there are too many. */
bool events_listen(struct events *events, struct events_listener *listener, const char *last_id);
void events_leave(struct events *events, struct events_listener *listener);

enum events_taken { EVENTS_TEXT, EVENTS_NOTHING, EVENTS_OVER, EVENTS_NO_MEMORY };
/* What the listener is to be sent next, as a part of an event stream: malloc'd text, of at most some events. NOTHING:
 * it was put to sleep. OVER: the server stops. */
enum events_taken events_take(struct events *events, struct events_listener *listener, char **text, size_t *size);

/* Wakes those whose heartbeat is due; about once a second. `now` is clock_monotonic(). */
void events_look(struct events *events, double now);
/* Nobody sleeps any more: every listener is woken, and told that it is over. */
void events_stop(struct events *events);

size_t events_listeners(struct events *events);

#endif
