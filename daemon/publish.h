/* Announcements: any thread posts, the ingest thread sends them on the PUB socket. The truth stays in SQLite; when the
 * queue is full the oldest announcement is dropped. */
#ifndef DAEMON_PUBLISH_H
#define DAEMON_PUBLISH_H

#include <stdbool.h>

#include <jansson.h>

struct events;
struct publisher;

struct publisher *publish_new(void);
void publish_free(struct publisher *publisher);

/* Topic twin/<twin>/<what>, what: iteration|drift|version|alias|operation. Takes the reference of `body`, an object,
 * and adds the member `twin`. NULL publisher: dropped. */
void publish_post(struct publisher *publisher, const char *twin, const char *what, json_t *body);

/* The same announcements, for HTTP. */
struct events *publish_events(const struct publisher *publisher);

/* For the ingest thread: a file descriptor that becomes readable, and the next announcement (malloc'd strings). */
int publish_fd(const struct publisher *publisher);
bool publish_take(struct publisher *publisher, char **topic, char **body);

#endif
