/* The state folder as the store uses it: the lock, twin.db, its settings and migrations. */
#ifndef DAEMON_STORE_FILES_H
#define DAEMON_STORE_FILES_H

#include <sqlite3.h>

#include "base/status.h"

struct store_files {
    char *database; /* path of twin.db */
    int lock;       /* descriptor + 1; 0 while not held, so that zero is a valid start */
};

/* Makes the folder (mode 0700) if need be, takes its lock, opens the writer, migrates. What was acquired before a
 * failure is released by store_files_close. */
int store_files_open(struct store_files *files, const char *state, sqlite3 **writer, struct tw_error *error);
void store_files_close(struct store_files *files, sqlite3 *writer);
/* A read-only connection. */
int store_files_reader(const struct store_files *files, sqlite3 **out);

#endif
