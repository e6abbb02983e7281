#include "daemon/pace.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void pace_init(struct pace *pace)
{
    *pace = (struct pace){.windows = -1};
}

void pace_window(struct pace *pace)
{
    if (pace->windows >= 0)
        pace->windows++;
}

void pace_begin(struct pace *pace, double now)
{
    if (pace->count == LOOP_RETUNES_MAX) {
        pace->count--;
        memmove(pace->begun, pace->begun + 1, (size_t)pace->count * sizeof(*pace->begun));
    }
    pace->begun[pace->count++] = now;
}

void pace_decided(struct pace *pace)
{
    pace->windows = 0;
}

bool pace_cools(const struct pace *pace, const struct loop_policy *policy)
{
    return pace->windows >= 0 && pace->windows <= policy->cooldown;
}

bool pace_limits(const struct pace *pace, const struct loop_policy *policy, double now, char *why, size_t size)
{
    if (pace_cools(pace, policy)) {
        snprintf(why, size, "loop.cooldown: window %ld of %ld after the last change", pace->windows, policy->cooldown);
        return true;
    }
    if (!policy->max_retunes || pace->count < policy->max_retunes)
        return false;
    /* The one that must leave the span before another may begin. */
    double span = 3600 * policy->max_retunes_hours;
    double rest = pace->begun[pace->count - policy->max_retunes] + span - now;
    if (rest <= 0)
        return false;
    snprintf(why, size, "loop.max_retunes: %d began within %g h; the next may in %.3g h", policy->max_retunes,
             policy->max_retunes_hours, rest / 3600);
    return true;
}

json_t *pace_json(const struct pace *pace, double now, int64_t wall_ms)
{
    json_t *begun = json_array();
    for (int i = 0; i < pace->count; i++)
        json_array_append_new(begun, json_integer(wall_ms - (json_int_t)llround(1000 * (now - pace->begun[i]))));
    return json_pack("{s:I, s:o}", "windows", (json_int_t)pace->windows, "begun", begun);
}

void pace_from_json(struct pace *pace, const json_t *json, double now, int64_t wall_ms)
{
    const json_t *windows = json_object_get(json, "windows"), *time;
    size_t i;
    pace_init(pace);
    if (json_is_integer(windows) && json_integer_value(windows) >= 0)
        pace->windows = (long)json_integer_value(windows);
    json_array_foreach(json_object_get(json, "begun"), i, time)
    {
        double age = fmax(0, 1e-3 * (double)(wall_ms - json_integer_value(time)));
        pace_begin(pace, now - age);
    }
}
