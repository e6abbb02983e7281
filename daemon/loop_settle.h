/* The end of a loop's task. Internal to the loop. */
#ifndef DAEMON_LOOP_SETTLE_H
#define DAEMON_LOOP_SETTLE_H

#include "daemon/loop.h"

/* Commits the outcome of the training: the version, the decision of the iteration, the move of the champion if the
 * policy lets the loop make it. The outcome stays until it is committed: with a full disk nothing has to be trained
 * again. */
void loop_settle(struct loop *loop);
/* The task ends without a version: cancelled or failed. If that cannot be written now, `ending` says that it is to be
 * tried again. */
void loop_settle_give_up(struct loop *loop, const char *operation_state, const char *reason);

#endif
