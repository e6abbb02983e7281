/* What the versions that are there say about a window: was the champion's promotion right, does one of the past know
 * these data, and is the challenger on appeal better? Internal to the loop. */
#ifndef DAEMON_LOOP_PAST_H
#define DAEMON_LOOP_PAST_H

#include "daemon/compare.h"
#include "daemon/loop.h"

struct past {
    int back_to;        /* the champion was worse than this version, which it replaced; 0: not shown */
    int recalled;       /* this champion of the past describes the data since the change better; 0: none does */
    int appealed;       /* this challenger, rejected before, is shown to be better; 0: none is */
    bool appeal_over;   /* or the appeal cannot go on */
    bool beyond;        /* the loop may not recall or promote by itself: loop.max_distance */
    char why[400];      /* the figures of any */
    struct trial trial; /* after this window; version 0: none was on */
    enum trial_state state;
    json_t *regret; /* of the trial, once loop_past_record made it */
    json_t *recall; /* as recall.record; NULL: nothing was tried */
    json_t *appeal; /* as appeal.record; NULL: nothing was tried */
};

/* Follows the trial of the champion with the window. */
int loop_past_regret(struct loop *loop, const struct comparison *comparison, const struct window *window,
                     struct snapshot *champion, const struct loop_policy *policy, struct past *past,
                     struct tw_error *error);
/* When the episode asks for it: tries champions of the past on the data since the change. */
int loop_past_recall(struct loop *loop, const struct window *window, struct snapshot *champion,
                     const struct loop_policy *policy, struct past *past, struct tw_error *error);
/* Goes on with the gate of the challenger that is on appeal, if one is. */
int loop_past_appeal(struct loop *loop, const struct window *window, struct snapshot *champion,
                     const struct loop_policy *policy, struct past *past, struct tw_error *error);
/* Makes the record of the trial. `moved`: the champion does, back or on. */
int loop_past_record(struct past *past, bool moved, double level);
void loop_past_fini(struct past *past);

#endif
