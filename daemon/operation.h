/* From an operation that people asked for to a task of the loop: which rows, which parent, which seed.
 */
#ifndef DAEMON_OPERATION_H
#define DAEMON_OPERATION_H

#include "daemon/loop.h"

/* The oldest unfinished operation of the twin as a task. Operations that cannot be carried out (no rows, not trained
 * yet, trained already) are closed as failed on the way. TW_NOT_FOUND: nothing waits. */
int operation_next(struct store *store, struct twin *twin, const struct episode *episode, struct loop_task *task,
                   struct tw_error *error);

#endif
