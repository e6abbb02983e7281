/* Do the daemon's loops still come round? Each thread that serves a loop says so here; main looks once a second, and
 * feeds the service manager's watchdog only while all of them do.
 *
 * A thread is watched from heartbeat_start until it ends. It marks when it comes round, at least once a second while it
 * waits, and inside of steps that may take long; a thread that is not watched may mark too, and nothing happens. One
 * that waits where it cannot mark (a server's threads in epoll) rests instead, and counts as well until its next mark.
 *
 * One list for the process, like the log.
 */
#ifndef DAEMON_HEARTBEAT_H
#define DAEMON_HEARTBEAT_H

#include <stdbool.h>

enum { HEARTBEAT_LIMIT_S = 60, HEARTBEAT_PIPELINE_LIMIT_S = 180 };

/* Watches the calling thread: it is stalled when its last mark is older than `limit` seconds. Several threads may have
 * one name. Called again, it marks. */
void heartbeat_start(const char *name, double limit);
void heartbeat_mark(void);
void heartbeat_rest(void);

/* True if every watched thread is younger than its limit at time `now` (clock_monotonic). Raises the trouble `stalled`
 * (unready) for each name that is not, and clears it when it is again. When the caller itself has not been here for
 * long, the whole process stood still (a suspended machine, SIGSTOP): then nobody is to blame, every age starts anew,
 * and the answer is false. */
bool heartbeat_check(double now);

#endif
