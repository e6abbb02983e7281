/* A promotion on trial: on data that came after it, is the new champion better than the version that it replaced?
 *
 * Begun by each promotion of the loop, followed window by window, and carried in the loop's state, so that it goes on
 * after a restart with the same bits. Nothing of these data was trained on when they are scored. This file is the trial
 * alone: it knows gains, not models.
 */
#ifndef DAEMON_TRIAL_H
#define DAEMON_TRIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "stat/regret.h"

struct trial {
    int version;          /* on trial; 0: none is */
    int before;           /* what it replaced */
    uint64_t first, last; /* ordinals of what it was tried on; first > last: nothing yet */
    struct tw_regret sums;
};

enum trial_state {
    TRIAL_OPEN,
    TRIAL_CONFIRMED,   /* it was better: the lower bound is above 0, beyond doubt */
    TRIAL_WORSE,       /* the upper bound is below 0, beyond doubt: to be rolled back, by the loop or by people */
    TRIAL_ROLLED_BACK, /* and it was, by the loop */
    TRIAL_SUPERSEDED,  /* the data drifted, or people moved the champion, before it was decided */
    TRIAL_UNDECIDED,   /* after TRIAL_EVENTS_MAX the two are as good as equal */
};
enum { TRIAL_EVENTS_MAX = 1000000 };

void trial_begin(struct trial *trial, int version, int before);
/* A window's gains of the version over the one before, which all may be off by `doubt` (weights_doubt); `drift`: it
 * raised an alarm. A decision counts for more than an
 * alarm: what was worse goes back, whether or not the data have changed. */
enum trial_state trial_follow(struct trial *trial, uint64_t first, uint64_t last, const double *gains, size_t n,
                              double doubt, bool drift, double level, struct tw_regret_bounds *bounds);

/* What stands in the version's metrics: {"state", "before", "events", "gain", "error", "lower", "upper", "level",
 * "ordinals"}. */
json_t *trial_record(const struct trial *trial, enum trial_state state, double level);

json_t *trial_json(const struct trial *trial);
void trial_from_json(struct trial *trial, const json_t *json); /* NULL or odd members: none */

#endif
