/* The state folder as the store uses it: the lock, twin.db, its settings and migrations. */
#ifndef DAEMON_STORE_FILES_H
#define DAEMON_STORE_FILES_H

#include <stdint.h>

#include <sqlite3.h>

#include "base/status.h"

#define STORE_APPLICATION_ID "0x7477696e" /* "twin" */

struct store_files {
    char *database; /* path of twin.db */
    int lock;       /* descriptor + 1; 0 while not held, so that zero is a valid start */
};

/* Makes the folder (mode 0700) if need be, takes its lock, opens the writer, migrates. A database without checksums of
 * pages (store_vfs.h) gets them; one that is damaged is salvaged (store_salvage.h). What was acquired before a failure
 * is released by store_files_close. */
int store_files_open(struct store_files *files, const char *state, sqlite3 **writer, struct tw_error *error);
/* Brings the log into the database first; says so if the disk failed at that. */
int store_files_close(struct store_files *files, sqlite3 *writer, struct tw_error *error);
/* For a salvage: the schema of a file that may be damaged (0: unknown), open for reading alone; and a new file of a
 * schema, with nothing in it. */
int64_t store_files_schema(const char *path, sqlite3 **db);
int store_files_create(const char *path, int64_t version, sqlite3 **out, struct tw_error *error);
/* The migrations that it has not seen. */
int store_files_migrate(sqlite3 *db, const char *path, struct tw_error *error);
/* The database failed, whatever the reason: the next start looks at all of its pages. */
void store_files_suspect(const struct store_files *files);
/* A read-only connection. */
int store_files_reader(const struct store_files *files, sqlite3 **out, struct tw_error *error);

#endif
