#include "daemon/trial.h"

#include <string.h>

#include "daemon/number.h"

void trial_begin(struct trial *trial, int version, int before)
{
    *trial = (struct trial){.version = version, .before = before, .first = 1, .last = 0};
}

enum trial_state trial_follow(struct trial *trial, uint64_t first, uint64_t last, const double *gains, size_t n,
                              double doubt, bool drift, double level, struct tw_regret_bounds *bounds)
{
    if (trial->first > trial->last)
        trial->first = first;
    trial->last = last;
    tw_regret_add(&trial->sums, gains, n);
    tw_regret_bounds(&trial->sums, level, bounds);
    if (bounds->upper < -doubt)
        return TRIAL_WORSE;
    if (bounds->lower > doubt)
        return TRIAL_CONFIRMED;
    if (drift)
        return TRIAL_SUPERSEDED;
    return trial->sums.events >= TRIAL_EVENTS_MAX ? TRIAL_UNDECIDED : TRIAL_OPEN;
}

static const char *state_name(enum trial_state state)
{
    switch (state) {
    case TRIAL_OPEN:
        return "open";
    case TRIAL_CONFIRMED:
        return "confirmed";
    case TRIAL_WORSE:
        return "worse";
    case TRIAL_ROLLED_BACK:
        return "rolled_back";
    case TRIAL_SUPERSEDED:
        return "superseded";
    case TRIAL_UNDECIDED:
        return "undecided";
    }
    return "open";
}

json_t *trial_record(const struct trial *trial, enum trial_state state, double level)
{
    struct tw_regret_bounds bounds;
    tw_regret_bounds(&trial->sums, level, &bounds);
    bool tried = trial->first <= trial->last;
    return json_pack("{s:s, s:i, s:I, s:o, s:o, s:f, s:f, s:f, s:o}", "state", state_name(state), "before",
                     trial->before, "events", (json_int_t)trial->sums.events, "gain", number_json(bounds.gain), "error",
                     number_json(bounds.error), "lower", bounds.lower, "upper", bounds.upper, "level", level,
                     "ordinals",
                     tried ? json_pack("{s:I, s:I}", "first", (json_int_t)trial->first, "last", (json_int_t)trial->last)
                           : json_null());
}

/* Reals keep their bits: jansson writes 17 digits. */
json_t *trial_json(const struct trial *trial)
{
    if (!trial->version)
        return json_null();
    return json_pack("{s:i, s:i, s:I, s:I, s:I, s:f, s:f}", "version", trial->version, "before", trial->before, "first",
                     (json_int_t)trial->first, "last", (json_int_t)trial->last, "events",
                     (json_int_t)trial->sums.events, "sum", trial->sums.sum, "square", trial->sums.square);
}

void trial_from_json(struct trial *trial, const json_t *json)
{
    json_int_t first, last, events;
    memset(trial, 0, sizeof(*trial));
    struct trial read = {0};
    if (json_unpack((json_t *)json, "{s:i, s:i, s:I, s:I, s:I, s:F, s:F}", "version", &read.version, "before",
                    &read.before, "first", &first, "last", &last, "events", &events, "sum", &read.sums.sum, "square",
                    &read.sums.square) != 0)
        return;
    read.first = (uint64_t)first;
    read.last = (uint64_t)last;
    read.sums.events = (uint64_t)events;
    *trial = read;
}
