/* Physics that returns: does a champion of the past describe the data since the change better than this one?
 *
 * The cheapest answer to drift is a version that was right about such data before. Champions of the past are scored on
 * the data of an episode, which nothing that is asked was trained on, beside the champion, and must pass the gate of a
 * retune, at a level that is divided by their number. The candidates are the same as long as episode and champion are,
 * and rows are read in their order: asked again with more data it is the same test, at a later look.
 */
#ifndef DAEMON_RECALL_H
#define DAEMON_RECALL_H

#include <jansson.h>

#include "daemon/contest.h"
#include "daemon/store.h"
#include "daemon/window.h"

struct recall_input {
    struct contest contest;
    struct store *store;
    struct window window; /* from the change on */
    double level;         /* of the gate */
    int most;             /* candidates */
};

struct recall {
    int version; /* the one that passed with the largest lower bound; 0: none did */
    struct tw_gate gate;
    struct distance distance; /* of the data from the version that people named as reference, where there is a limit */
    json_t *record; /* {"level", "candidates": [{"version", "events", "gain", "error", "bound", "pass"}]}; NULL: there
                       was no candidate */
};

/* Candidates are the newest champions before this one, but for those that people rolled back from, that were rejected,
 * that saw data of the window in their training, or that were rolled back from on them. Of the retunes of one episode,
 * which begin with one version at one change, the last champion alone is asked, and none where it serves: the others
 * are steps on the way to it, and would take the place of physics that was another. What cannot be read is left out. */
int recall_try(const struct recall_input *input, struct recall *out, struct tw_error *error);
void recall_fini(struct recall *recall);

#endif
