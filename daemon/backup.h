/* A backup of everything while the daemon works: a tar archive, made piece by piece as it is sent.
 *
 *   twin.db                      one snapshot, through SQLite's backup API
 *   spool/<id>/<ordinal>.seg     each segment up to the watermark: what was durable once the database was copied
 *   manifest.json                last: versions, time, and of every file its size and SHA-256
 *
 * The watermark comes after the snapshot, so that the spool holds at least what the rows say; what it holds beyond is
 * read at the first start, as after a kill. Spools are pinned from before the snapshot until the backup is freed.
 * admin.token is not in it: whoever restores gets a new one.
 */
#ifndef DAEMON_BACKUP_H
#define DAEMON_BACKUP_H

#include <stddef.h>

#include "base/status.h"
#include "daemon/registry.h"
#include "daemon/store.h"

struct backup;

/* TW_BUSY: another one is running. TW_FULL: no room for the copy of the database. */
int backup_begin(struct store *store, struct registry *registry, const char *state, struct backup **out,
                 struct tw_error *error);
/* The next piece, malloc'd: as the `next` of an http_source. Each call does a bounded part of the work; one that has
 * nothing to send yet gives bytes of size 0. At the end *bytes is NULL. Calls may come from changing threads. */
int backup_next(void *backup, void **bytes, size_t *size);
void backup_free(void *backup); /* accepts NULL */

/* Before the first backup: removes what a killed daemon left of one. */
void backup_clean(const char *state);

#endif
