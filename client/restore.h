/* A state folder made from a backup. Nothing is there under the name twin.db before all is checked and on the disk;
 * what was written for a restore that is not committed is removed again. */
#ifndef CLIENT_RESTORE_H
#define CLIENT_RESTORE_H

#include "client/archive.h"

struct restore;

/* The folder must be empty or not be there. NULL with a sentence. */
struct restore *restore_begin(const char *folder, char problem[512]);
const struct archive_sink *restore_sink(struct restore *restore);
/* After archive_finish. */
bool restore_commit(struct restore *restore, char problem[512]);
void restore_free(struct restore *restore); /* accepts NULL */

#endif
