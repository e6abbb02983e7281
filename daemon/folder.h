/* Folders that survive a power cut. POSIX makes a name durable only once the folder that holds it was synced; syncing
 * the file behind the name does not do that. */
#ifndef DAEMON_FOLDER_H
#define DAEMON_FOLDER_H

#include "base/status.h"

/* Makes what is missing of the path, mode 0700; all of it is durable on return. TW_FULL, TW_IO. */
int folder_make(const char *path, struct tw_error *error);

/* The same for the last name of the path alone, where the folders above it are known to be durable. */
int folder_make_in(const char *path, struct tw_error *error);

/* Would folder_make leave a folder that may be written? Nothing is written to find out. TW_INVALID with a sentence. */
int folder_check(const char *path, struct tw_error *error);

/* Makes the names in a folder durable. A failure is never retried. TW_IO. */
int folder_sync(const char *path, struct tw_error *error);

/* Makes a name durable, or that it is gone: syncs the folder that holds it. TW_IO. */
int folder_sync_name(const char *path, struct tw_error *error);

#endif
