/* How fast retunes may follow each other: a cool-down in windows after each, and so many in so many hours at most.
 *
 * Limits decide only whether a retune begins, or an appeal is heard, never on what: that is a function of ordinals.
 * Time is passed in, in seconds that no step of the wall clock reaches; over a restart ages come from the wall clock,
 * and what would lie in the future began just now. So a clock that was set back makes the loop wait for `hours` at
 * most.
 */
#ifndef DAEMON_PACE_H
#define DAEMON_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "daemon/definition.h"

struct pace {
    long windows; /* compared since the loop last changed or tried to change the champion; -1: it never did */
    int count;
    double begun[LOOP_RETUNES_MAX]; /* when its last retunes began, oldest first */
};

void pace_init(struct pace *pace);
void pace_window(struct pace *pace);            /* another window was compared */
void pace_begin(struct pace *pace, double now); /* a retune of the loop begins */
void pace_decided(struct pace *pace);           /* a retune, recall or roll-back of the loop was decided */
/* The cool-down lasts. It binds an appeal (appeal.h) too: that loses nothing, as it is heard on more data then. */
bool pace_cools(const struct pace *pace, const struct loop_policy *policy);
/* False: a retune may begin. True: `why` says which limit is in the way, and for how long. */
bool pace_limits(const struct pace *pace, const struct loop_policy *policy, double now, char *why, size_t size);

/* Through the store: `now` on the clock of `begun`, `wall_ms` the wall clock at the same moment. */
json_t *pace_json(const struct pace *pace, double now, int64_t wall_ms);
void pace_from_json(struct pace *pace, const json_t *json, double now, int64_t wall_ms); /* NULL: as pace_init */

#endif
