/* What a loop makes of a comparison. Internal to the loop. */
#ifndef DAEMON_LOOP_DECIDE_H
#define DAEMON_LOOP_DECIDE_H

#include "daemon/compare.h"
#include "daemon/loop.h"

/* A window that was compared, with what held at that moment. */
struct turn {
    const struct comparison *comparison;
    const struct window *window;
    const struct loop_policy *policy;
    struct snapshot *champion;
    int64_t move;
    bool hold;
};

/* What follows from the comparison: nothing, advice, a retune as the loop's task, or a move to a version that is there
 * already; committed with the iteration. *served is the version that is then served. TW_CONFLICT: people moved the
 * champion meanwhile, and nothing was written. Unless it returns 0 the loop has to be put back where it was. */
int loop_decide(struct loop *loop, const struct turn *turn, int *served, struct tw_error *error);
/* Commits a window that was not compared; `policy` has the reason. */
int loop_decide_skip(struct loop *loop, const struct comparison *comparison, const struct window *window,
                     json_t *policy, int version, struct tw_error *error);

#endif
