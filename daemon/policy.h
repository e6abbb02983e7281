/* What follows from a window: the loop's policy as one table, without data, clocks or threads.
 */
#ifndef DAEMON_POLICY_H
#define DAEMON_POLICY_H

#include <stdbool.h>

#include "daemon/definition.h"

struct policy_case {
    bool drift; /* the window raised an alarm */
    bool due;   /* a retune is due on the data since the change */
    bool hold;  /* people hold the champion */
    enum loop_mode mode;
    const char *limit;               /* why no retune may begin now (pace_limits); NULL: it may */
    int back_to, recalled, appealed; /* versions that are better, as struct past says; 0: none */
    bool beyond;                     /* loop.max_distance forbids the recall, or the promotion */
    const char *why;                 /* with one of them: the figures */
};

struct policy_choice {
    bool retune;          /* a retune begins */
    int move_to;          /* the champion moves to this version; 0: it does not */
    const char *decision; /* of the iteration, as in store.h */
    char reason[500];
};

void policy_choose(const struct policy_case *facts, struct policy_choice *out);

/* Why the loop may not move the champion by itself, as a clause; NULL: it may. */
const char *policy_advises(enum loop_mode mode, bool hold);

#endif
