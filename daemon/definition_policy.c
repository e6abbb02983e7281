#include "daemon/definition_policy.h"

#include <string.h>

static const char *const modes[] = {[LOOP_AUTO] = "auto", [LOOP_ADVISE] = "advise", [LOOP_MANUAL] = "manual"};

static int read_count(const json_t *value, const char *path, long low, long high, long *out, struct tw_error *error)
{
    json_int_t count = json_integer_value(value);
    if (!json_is_integer(value) || count < low || count > high)
        return tw_error_set(error, TW_INVALID, "%s must be a whole number from %ld to %ld", path, low, high);
    *out = (long)count;
    return 0;
}

static int read_max_retunes(const json_t *value, struct loop_policy *loop, struct tw_error *error)
{
    const json_t *hours = json_object_get(value, "hours");
    double span = json_number_value(hours);
    long count = 0;
    if (json_is_null(value))
        return 0;
    if (!json_is_object(value) || json_object_size(value) != 2 || !hours)
        return tw_error_set(error, TW_INVALID,
                            "loop.max_retunes must be null (no limit) or {\"count\": n, \"hours\": h}");
    int status =
        read_count(json_object_get(value, "count"), "loop.max_retunes.count", 1, LOOP_RETUNES_MAX, &count, error);
    if (!status && (!json_is_number(hours) || !(span >= 1e-4 && span <= 8760)))
        status = tw_error_set(error, TW_INVALID, "loop.max_retunes.hours must be a number from 0.0001 to 8760");
    if (!status) {
        loop->max_retunes = (int)count;
        loop->max_retunes_hours = span;
    }
    return status;
}

static int read_max_distance(const json_t *value, double *out, struct tw_error *error)
{
    double distance = json_number_value(value);
    if (json_is_null(value))
        return 0;
    if (!json_is_number(value) || !(distance >= 0.01 && distance <= 100))
        return tw_error_set(error, TW_INVALID,
                            "loop.max_distance must be null (no limit) or a number from 0.01 to 100");
    *out = distance;
    return 0;
}

static int read_replay(const json_t *value, double *out, struct tw_error *error)
{
    double share = json_number_value(value);
    if (!json_is_number(value) || !(share >= 0 && share <= 0.9))
        return tw_error_set(error, TW_INVALID, "loop.replay must be a number from 0 to 0.9");
    *out = share;
    return 0;
}

static int read_growth(const json_t *value, double *out, struct tw_error *error)
{
    double share = json_number_value(value);
    if (!json_is_number(value) || !(share >= 0.05 && share <= 10))
        return tw_error_set(error, TW_INVALID, "loop.growth must be a number from 0.05 to 10");
    *out = share;
    return 0;
}

int definition_policy_read(const char *member, const json_t *value, struct loop_policy *loop, struct tw_error *error)
{
    if (!strcmp(member, "auto") || !strcmp(member, "mode"))
        return 0; /* definition_policy_mode */
    if (!strcmp(member, "cooldown"))
        return read_count(value, "loop.cooldown", 0, 1000000, &loop->cooldown, error);
    if (!strcmp(member, "max_distance"))
        return read_max_distance(value, &loop->max_distance, error);
    if (!strcmp(member, "growth"))
        return read_growth(value, &loop->growth, error);
    if (!strcmp(member, "replay"))
        return read_replay(value, &loop->replay, error);
    if (!strcmp(member, "recall"))
        return read_count(value, "loop.recall", 0, 16, &loop->recall, error);
    if (!strcmp(member, "max_retunes"))
        return read_max_retunes(value, loop, error);
    return TW_NOT_FOUND;
}

int definition_policy_mode(const json_t *loop_json, struct loop_policy *loop, struct tw_error *error)
{
    const json_t *mode = json_object_get(loop_json, "mode"), *automatic = json_object_get(loop_json, "auto");
    enum loop_mode m = LOOP_AUTO;
    if (automatic && !json_is_boolean(automatic))
        return tw_error_set(error, TW_INVALID, "loop.auto must be true or false");
    loop->mode = json_is_false(automatic) ? LOOP_MANUAL : LOOP_AUTO;
    if (!mode)
        return 0;
    while (m <= LOOP_MANUAL && (!json_is_string(mode) || strcmp(json_string_value(mode), modes[m])))
        m++;
    if (m > LOOP_MANUAL)
        return tw_error_set(error, TW_INVALID, "loop.mode must be \"auto\", \"advise\" or \"manual\"");
    if (automatic && json_is_true(automatic) != (m == LOOP_AUTO))
        return tw_error_set(error, TW_INVALID, "loop.auto and loop.mode contradict each other: leave loop.auto out");
    loop->mode = m;
    return 0;
}

const char *definition_policy_mode_name(enum loop_mode mode)
{
    return modes[mode];
}

void definition_policy_patch(json_t *loop, const json_t *patch)
{
    bool mode = json_object_get(patch, "mode"), automatic = json_object_get(patch, "auto");
    if (mode != automatic)
        json_object_del(loop, mode ? "auto" : "mode");
}

void definition_policy_json(const struct loop_policy *loop, json_t *out)
{
    json_object_set_new(out, "mode", json_string(modes[loop->mode]));
    json_object_set_new(out, "auto", json_boolean(loop->mode == LOOP_AUTO));
    json_object_set_new(out, "cooldown", json_integer(loop->cooldown));
    json_object_set_new(out, "max_distance", loop->max_distance > 0 ? json_real(loop->max_distance) : json_null());
    json_object_set_new(out, "growth", json_real(loop->growth));
    json_object_set_new(out, "replay", json_real(loop->replay));
    json_object_set_new(out, "recall", json_integer(loop->recall));
    json_object_set_new(out, "max_retunes",
                        loop->max_retunes
                            ? json_pack("{s:i, s:f}", "count", loop->max_retunes, "hours", loop->max_retunes_hours)
                            : json_null());
}
