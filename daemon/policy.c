#include "daemon/policy.h"

#include <stdio.h>

static void choose(struct policy_choice *out, const char *decision, const char *reason, const char *clause)
{
    *out = (struct policy_choice){.decision = decision};
    snprintf(out->reason, sizeof(out->reason), "%s%s%s", reason, clause ? "; " : "", clause ? clause : "");
}

/* A better version is there already: the champion goes to it, or people are told. */
static void choose_move(const struct policy_case *facts, struct policy_choice *out)
{
    const char *advises = policy_advises(facts->mode, facts->hold);
    int version = facts->back_to ? facts->back_to : facts->recalled ? facts->recalled : facts->appealed;
    const char *moves = facts->back_to ? "rolled_back" : facts->recalled ? "recalled" : "promoted";
    bool forbidden = advises || facts->beyond;
    choose(out, forbidden ? "advised" : moves, facts->why, advises);
    out->move_to = forbidden ? 0 : version;
}

void policy_choose(const struct policy_case *facts, struct policy_choice *out)
{
    if (facts->back_to || facts->recalled || facts->appealed)
        choose_move(facts, out);
    else if (!facts->due && facts->drift)
        choose(out, "drift", "drift found; the next retune waits for more data", NULL);
    else if (!facts->due)
        choose(out, "none", "no drift", NULL);
    else if (facts->hold || facts->mode == LOOP_MANUAL)
        choose(out, "advised", "a retune is due", policy_advises(facts->mode, facts->hold));
    else if (facts->limit)
        choose(out, "limited", "a retune is due", facts->limit);
    else {
        choose(out, "retuning", facts->drift ? "drift found" : "the data since the change have grown enough", NULL);
        out->retune = true;
    }
}

const char *policy_advises(enum loop_mode mode, bool hold)
{
    if (hold)
        return "the champion is held by an operator";
    switch (mode) {
    case LOOP_AUTO:
        return NULL;
    case LOOP_ADVISE:
        return "loop.mode is advise";
    case LOOP_MANUAL:
        return "loop.mode is manual";
    }
    return NULL;
}
