/* The picture that twinctl watch draws of a twin: its state, how near each detector is to an alarm, fidelity, feeds and
 * decisions. It fits into any size: what matters less is left out first. */
#ifndef CLIENT_VIEW_H
#define CLIENT_VIEW_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "client/follow.h"
#include "client/frame.h"

struct view {
    const struct follow *follow;
    const json_t *twins; /* all there are: "name", "verdict" */
    double interval;     /* seconds between two looks */
    bool paused, help;
    char problem[512]; /* why the last look failed, "": it did not */
    double away;       /* seconds since the last answer */
};

void view_draw(const struct view *view, struct frame *frame);

#endif
