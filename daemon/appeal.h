/* A challenger on appeal: its gate could not show its gain, but may with more events.
 *
 * A retune is gated on a tenth of the data since the change. Where it gains more than the error of that and is rejected
 * all the same, its bet is not over: the gate's bound is valid at every look, so the rows of later windows, all of
 * them, as nothing was trained on them, are added to those that it was gated on. It is the same test of the same two
 * versions, at the level that its try had, and costs none of the episode's. It ends when it passes, when another retune
 * takes its place, and with the champion that it is against.
 */
#ifndef DAEMON_APPEAL_H
#define DAEMON_APPEAL_H

#include <jansson.h>

#include "daemon/contest.h"
#include "daemon/store.h"

struct appeal_input {
    struct contest contest;
    struct store *store;
    int version;   /* on appeal */
    double level;  /* of the loop's gate, for the distance */
    uint64_t last; /* ordinal up to which there are data */
};

struct appeal {
    bool open; /* false: it cannot go on, as the champion is another, people have moved it there or back,
                 or rows or version cannot be had */
    struct tw_gate gate;
    struct distance distance; /* where there is a limit, once it passes */
    json_t *record;           /* as contest_json, with "level"; NULL unless open */
};

int appeal_try(const struct appeal_input *input, struct appeal *out, struct tw_error *error);
void appeal_fini(struct appeal *appeal);

#endif
