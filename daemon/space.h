/* Room on the disk of the state folder. Data are accepted only as long as the reserve is free, so that the database has
 * room for what it must say about them.
 *
 * One answer for the process, like the log. Any thread.
 */
#ifndef DAEMON_SPACE_H
#define DAEMON_SPACE_H

#include <stdbool.h>
#include <stdint.h>

/* From now on it is about the file system of `folder`; *reserve_mb (see config_live) is to stay free. Both are
 * borrowed; NULL: no more questions are asked. Before any other thread uses it. */
void space_watch(const char *folder, const long *reserve_mb);

/* Is the reserve free, and `bytes` beyond it? Looks at most ten times a second. True where nothing is watched, or where
 * the file system does not tell. */
bool space_for(uint64_t bytes);
/* Bytes that are free, as last seen. */
uint64_t space_free(void);

#endif
