/* Removing what the limits leave no room for: a bounded piece of work in one transaction, so that nobody waits long. */
#ifndef DAEMON_STORE_PRUNE_H
#define DAEMON_STORE_PRUNE_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/store.h"

/* Of each twin; 0: no limit. Ages are counted up to the newest row of a table or `now_ms`, whichever is earlier: a
 * clock that was set forward makes nothing old before new rows bear its time. */
struct store_limits {
    int64_t now_ms;
    int64_t iterations, iteration_days; /* of finished operations too */
    int64_t versions;
    int64_t history, history_days; /* moves of each alias */
    int64_t metric_days;           /* of hours; days are kept ten times as long */
};

enum { STORE_PRUNE_NEEDED = 5 };

struct store_prune {
    int64_t twin;
    struct store_limits limits;
    uint64_t spool_first; /* batches below it have left the spool: their rows go, once they are counted and processed */
    int needed[STORE_PRUNE_NEEDED]; /* versions that a task or an episode needs; 0: none */
    int version_cursor;             /* between calls, 0 at first: versions up to it were looked at */
    size_t removed;                 /* out: rows */
    bool more;                      /* out: there was more to remove than one transaction may */
};

/* Never removed: the last iteration, the champion, what an alias names or a kept move, the newest `versions` versions;
 * of the moves of an alias the last, the newest `history`, and those that were in force within `history_days`. */
int store_prune(struct store *store, struct store_prune *prune, struct tw_error *error);

#endif
