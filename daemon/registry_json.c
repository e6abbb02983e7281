/* What a twin says about itself. */
#include <string.h>

#include "daemon/clock.h"
#include "daemon/definition_policy.h"
#include "daemon/feeds.h"
#include "daemon/registry.h"

enum { BAD_BATCHES = 2 };

const char *registry_activity_name(enum activity activity)
{
    switch (activity) {
    case ACTIVITY_UNTRAINED:
        return "untrained";
    case ACTIVITY_IDLE:
        return "idle";
    case ACTIVITY_COMPARING:
        return "comparing";
    case ACTIVITY_RETUNING:
        return "retuning";
    case ACTIVITY_HELD:
        return "held";
    }
    return "unknown";
}

static json_t *time_json(int64_t ms)
{
    char text[32];
    return ms ? json_string(clock_rfc3339(ms, text)) : json_null();
}

/* Nothing is claimed about data that nobody has compared, or that stopped coming, or that nobody can use: of one batch
 * that is said elsewhere, several in a row are no accident. *reason: why it is unknown. */
static const char *verdict(const struct twin *twin, int64_t *since, const char **reason)
{
    const struct loop_policy *policy = &twin->definition->loop;
    double silent_s = clock_monotonic() - twin->counters.heard_s - policy->silence_s;
    int64_t late = twin->lag.since_ms + (int64_t)(1000 * policy->max_lag_s);
    *reason = NULL;
    *since = twin->champion ? twin->champion_since_ms : twin->created_ms;
    if (!twin->champion)
        *reason = "untrained";
    else if (twin->judged_version != twin->champion->version)
        *reason = "champion_moved";
    else if (registry_lag_seconds(twin) > policy->max_lag_s)
        *since = late, *reason = "lag";
    else if (silent_s > 0)
        *since = clock_ms() - (int64_t)(1000 * silent_s), *reason = "silence";
    else if (!twin->drifted && twin->counters.bad_batches >= BAD_BATCHES)
        *since = twin->counters.bad_since_ms, *reason = "invalid_rows";
    else
        *since = twin->verdict_since_ms;
    return *reason ? "unknown" : twin->drifted ? "drifted" : "true";
}

/* The pipeline sets the activity when it gets to it; a window that is due is never shown as idleness. */
static enum activity shown_activity(const struct twin *twin)
{
    if (twin->activity == ACTIVITY_IDLE && twin->lag.windows > 0)
        return ACTIVITY_COMPARING;
    return twin->activity;
}

static json_t *ingest_json(const struct twin *twin)
{
    const struct twin_counters *counters = &twin->counters;
    struct twin_lag lag = registry_lag(twin);
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:f,s:I,s:I,s:o,s:o}", "batches", (json_int_t)counters->batches,
                     "events", (json_int_t)counters->events, "duplicates", (json_int_t)counters->duplicates, "gaps",
                     (json_int_t)counters->gaps, "invalid_rows", (json_int_t)counters->invalid_rows, "lag_batches",
                     (json_int_t)lag.batches, "lag_windows", (json_int_t)lag.windows, "lag_s",
                     registry_lag_seconds(twin), "windows_skipped", (json_int_t)counters->windows_skipped, "lost",
                     (json_int_t)__atomic_load_n(&twin->lost, __ATOMIC_RELAXED), "last_received",
                     time_json(counters->last_received_ms), "all_invalid", feeds_invalid_json(twin->feeds));
}

static json_t *aliases_json(const struct twin *twin)
{
    json_t *json = json_object();
    for (int i = 0; i < REGISTRY_ALIASES; i++)
        json_object_set_new(json, registry_alias_name(i),
                            twin->aliases[i] ? json_integer(twin->aliases[i]) : json_null());
    return json;
}

static json_t *champion_json(const struct twin *twin)
{
    if (!twin->champion)
        return json_null();
    return json_pack("{s:i,s:o}", "version", twin->champion->version, "since", time_json(twin->champion_since_ms));
}

json_t *registry_twin_json(struct twin *twin)
{
    pthread_mutex_lock(&twin->lock);
    int64_t since;
    const char *reason, *words = verdict(twin, &since, &reason);
    json_t *json = json_pack("{s:s,s:s,s:o,s:s,s:s?,s:o,s:s,s:o,s:o,s:b,s:o,s:o,s:s}", "name", twin->name,
                             "description", twin->definition->description, "created", time_json(twin->created_ms),
                             "verdict", words, "verdict_reason", reason, "since", time_json(since), "activity",
                             registry_activity_name(shown_activity(twin)), "champion", champion_json(twin), "aliases",
                             aliases_json(twin), "hold", twin->hold, "ingest", ingest_json(twin), "last_iteration",
                             twin->last_iteration ? json_deep_copy(twin->last_iteration) : json_null(), "mode",
                             definition_policy_mode_name(twin->definition->loop.mode));
    if (json && twin->fault[0])
        json_object_set_new(json, "fault", json_string(twin->fault));
    pthread_mutex_unlock(&twin->lock);
    return json;
}
