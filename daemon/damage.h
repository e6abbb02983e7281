/* Stored bytes that are not what was written: who finds some says so here, and goes on without them.
 *
 * A finding is logged, becomes the trouble `damaged` of its subject, and what was found is kept in <state>/quarantine
 * with a note beside it (<name>.txt: when, what, where), both durable. There are at most 64 files and 4 GiB in there;
 * beyond that findings are only said. Whoever has looked into one removes it.
 *
 * One folder for the process, like the log. Any thread.
 */
#ifndef DAEMON_DAMAGE_H
#define DAEMON_DAMAGE_H

#include <stdbool.h>
#include <stddef.h>

/* Names the state folder; without it nothing is kept. */
void damage_open(const char *state);

/* `path`: the file, kept as <name of its folder>-<its name> by a hard link, so that it stays also when the file is
 * removed as old; as a copy where `copy` says that the file will be written to. NULL: there is none. The rest is a
 * sentence for people. */
void damage_file(const char *subject, const char *path, bool copy, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The same for bytes that are not a file; `name` will be its name. */
void damage_bytes(const char *subject, const char *name, const void *bytes, size_t size, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

#endif
