#include "daemon/loop_state.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rng.h"
#include "daemon/clock.h"
#include "daemon/log.h"
#include "daemon/shortage.h"
#include "daemon/trouble.h"

enum { SERVE_ATTEMPTS = 30 };
static const double RETRY_FIRST_S = 0.5, RETRY_MOST_S = 10;

static json_t *task_json(const struct loop_task *task)
{
    return json_pack("{s:I, s:I, s:b, s:b, s:I, s:I, s:i, s:I, s:I, s:i, s:f, s:b, s:b, s:i, s:i}", "operation",
                     (json_int_t)task->operation, "iteration", (json_int_t)task->iteration, "initial", task->initial,
                     "spooled", task->spooled, "first", (json_int_t)task->window.first, "last",
                     (json_int_t)task->window.last, "parent", task->parent, "move", (json_int_t)task->move, "seed",
                     (json_int_t)task->seed, "epochs", task->epochs, "replay", task->replay, "reweight", task->reweight,
                     "proposes", task->proposes, "replayed", task->replayed, "champion", task->champion);
}

static bool task_from_json(struct loop_task *task, const json_t *json)
{
    json_int_t operation, iteration, first, last, move, seed;
    int initial, spooled, parent, epochs, reweight = 0, proposes = 0, replayed = 0, champion = -1;
    double replay = 0; /* states from before they were built have none of the last five */
    if (json_unpack((json_t *)json, "{s:I, s:I, s:b, s:b, s:I, s:I, s:i, s:I, s:I, s:i, s?F, s?b, s?b, s?i, s?i}",
                    "operation", &operation, "iteration", &iteration, "initial", &initial, "spooled", &spooled, "first",
                    &first, "last", &last, "parent", &parent, "move", &move, "seed", &seed, "epochs", &epochs, "replay",
                    &replay, "reweight", &reweight, "proposes", &proposes, "replayed", &replayed, "champion",
                    &champion) != 0)
        return false;
    *task = (struct loop_task){
        .operation = operation,
        .iteration = iteration,
        .initial = initial != 0,
        .spooled = spooled != 0,
        .window = {.first = (uint64_t)first, .last = (uint64_t)last, .posted = initial && !spooled},
        .parent = parent,
        .champion = champion >= 0 ? champion : parent,
        .move = move,
        .seed = (uint64_t)seed,
        .epochs = epochs,
        .replay = replay,
        .replayed = replayed,
        .reweight = reweight != 0,
        .proposes = proposes != 0,
    };
    return true;
}

static json_t *record_json(const struct twin_record *record)
{
    return json_pack("{s:i, s:I, s:I, s:I, s:I, s:b, s:I}", "version", record->version, "windows",
                     (json_int_t)record->windows, "alarms", (json_int_t)record->alarms, "all_windows",
                     (json_int_t)record->all_windows, "all_alarms", (json_int_t)record->all_alarms, "alarmed",
                     record->alarmed, "alarm_iteration", (json_int_t)record->alarm_iteration);
}

/* A state from before there was a record has none: counting begins. */
static void record_from_json(struct twin_record *record, const json_t *json)
{
    json_int_t windows, alarms, all_windows, all_alarms, iteration;
    int version, alarmed;
    *record = (struct twin_record){0};
    if (json_unpack((json_t *)json, "{s:i, s:I, s:I, s:I, s:I, s:b, s:I}", "version", &version, "windows", &windows,
                    "alarms", &alarms, "all_windows", &all_windows, "all_alarms", &all_alarms, "alarmed", &alarmed,
                    "alarm_iteration", &iteration) != 0)
        return;
    *record = (struct twin_record){
        .version = version,
        .windows = (uint64_t)windows,
        .alarms = (uint64_t)alarms,
        .all_windows = (uint64_t)all_windows,
        .all_alarms = (uint64_t)all_alarms,
        .alarmed = alarmed != 0,
        .alarm_iteration = iteration,
    };
}

char *loop_state_text(const struct loop *loop)
{
    unsigned before = shortage_count();
    json_t *json = json_pack(
        "{s:I, s:{s:I, s:I}, s:o, s:o, s:o, s:o, s:o?, s:o?}", "iteration", (json_int_t)loop->iteration, "last",
        "first", (json_int_t)loop->last_window.first, "last", (json_int_t)loop->last_window.last, "episode",
        episode_json(&loop->episode), "pace", pace_json(&loop->pace, clock_monotonic(), clock_ms()), "trial",
        trial_json(&loop->trial), "record", record_json(&loop->record), "cusum",
        loop->cusum ? cusum_json(loop->cusum) : NULL, "task", loop->has_task ? task_json(&loop->task) : NULL);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (shortage_count() == before)
        return text;
    free(text); /* it may lack the task */
    return NULL;
}

void loop_state_replay(struct store *store, const struct twin *twin, double share, struct loop_task *task)
{
    if (share <= 0 || task->reweight)
        return;
    task->replay = share;
    task->replayed = store_version_before(store, twin->id, task->parent, task->window.first);
}

void loop_state_restore(struct loop *loop, const json_t *state)
{
    json_int_t iteration = 0, first = 0, last = 0;
    pace_from_json(&loop->pace, json_object_get(state, "pace"), clock_monotonic(), clock_ms());
    if (!state)
        return;
    if (json_unpack((json_t *)state, "{s:I, s:{s:I, s:I}}", "iteration", &iteration, "last", "first", &first, "last",
                    &last) == 0) {
        loop->iteration = iteration;
        loop->last_window = (struct window){.first = (uint64_t)first, .last = (uint64_t)last};
    }
    trial_from_json(&loop->trial, json_object_get(state, "trial"));
    episode_from_json(&loop->episode, json_object_get(state, "episode"));
    record_from_json(&loop->record, json_object_get(state, "record"));
    loop->cusum = cusum_from_json(json_object_get(state, "cusum"));
    loop->has_task = task_from_json(&loop->task, json_object_get(state, "task"));
}

void loop_state_break(struct loop *loop, const char *where, const struct tw_error *error)
{
    char quoted[300];
    loop->broken = true;
    log_error("loop_stopped", "twin=%s where=%s error=%s", loop->twin->name, where,
              log_quote(error->text, quoted, sizeof(quoted)));
    trouble_raise("loop_stopped", loop->twin->name, TROUBLE_DEGRADED, "%s: %.200s; data are kept, nothing is compared",
                  where, error->text);
    pthread_mutex_lock(&loop->twin->lock);
    snprintf(loop->twin->fault, sizeof(loop->twin->fault), "the loop stopped (%s): %.180s", where, error->text);
    pthread_mutex_unlock(&loop->twin->lock);
}

void loop_state_begin(struct loop *loop)
{
    loop->shortages = shortage_count();
}

void loop_state_end(struct loop *loop)
{
    if (loop->retry_s > 0)
        trouble_clear("loop_waits", loop->twin->name);
    loop->retry_s = 0;
}

bool loop_state_short(const struct loop *loop)
{
    return shortage_count() != loop->shortages;
}

bool loop_state_passes(const struct loop *loop, int status)
{
    return status == TW_FULL || status == TW_NO_MEMORY || status == TW_BUSY ||
           (status != TW_OK && loop_state_short(loop));
}

void loop_state_fail(struct loop *loop, const char *where, int status, const struct tw_error *error)
{
    const char *text = error->text[0] ? error->text : tw_status_name(status);
    if (!loop_state_passes(loop, status)) {
        loop_state_break(loop, where, error);
        return;
    }
    trouble_raise("loop_waits", loop->twin->name, TROUBLE_DEGRADED, "%s is tried again: %.200s", where, text);
    loop->retry_s = loop->retry_s == 0 ? RETRY_FIRST_S : fmin(2 * loop->retry_s, RETRY_MOST_S);
    loop->retry_at = clock_monotonic() + loop->retry_s;
}

struct snapshot *loop_state_champion(struct twin *twin, struct loop_policy *policy, int64_t *move, bool *hold)
{
    pthread_mutex_lock(&twin->lock);
    struct snapshot *champion = twin->champion ? snapshot_ref(twin->champion) : NULL;
    *policy = twin->definition->loop;
    *move = twin->champion_move;
    *hold = twin->hold;
    pthread_mutex_unlock(&twin->lock);
    return champion;
}

uint64_t loop_state_seed(const char *twin, uint64_t a, uint64_t b)
{
    uint64_t key = 0;
    for (const char *c = twin; *c; c++)
        key = tw_rng_mix(key, (uint64_t)(unsigned char)*c);
    return tw_rng_mix(tw_rng_mix(key, a), b) >> 11;
}

int loop_state_acceptance(struct loop *loop, int version, struct tw_data *rows, uint64_t *last, struct tw_error *error)
{
    struct store *store = loop->context->store;
    const struct tw_schema *schema = loop->twin->definition->schema;
    json_t *row = store_version_json(store, loop->twin->id, version);
    const char *sha256 = json_string_value(json_object_get(row, "reference_sha256"));
    unsigned char *blob = NULL;
    size_t size;
    int status = sha256 ? store_blob_get(store, sha256, &blob, &size, error)
                        : tw_error_set(error, TW_CORRUPT, "version %d has no acceptance reference", version);
    if (status == TW_OK) {
        tw_data_fini(rows);
        tw_data_init(rows, schema);
        status = tw_data_from_blob(rows, schema, blob, size);
        if (status != TW_OK)
            tw_error_set(error, status, "the acceptance reference of version %d does not decode", version);
    }
    if (status == TW_OK && last)
        *last = (uint64_t)json_integer_value(json_object_get(json_object_get(row, "ordinals"), "last"));
    free(blob);
    json_decref(row);
    return status;
}

int loop_state_reference(struct loop *loop)
{
    json_t *alias = store_alias_json(loop->context->store, loop->twin->id, "reference");
    int version = (int)json_integer_value(json_object_get(alias, "version"));
    struct tw_error error = {""};
    json_decref(alias);
    if (loop->reference && loop->reference->version == version)
        return TW_OK;
    snapshot_unref(loop->reference);
    loop->reference = NULL;
    tw_data_fini(&loop->reference_rows);
    tw_data_init(&loop->reference_rows, loop->twin->definition->schema);
    if (version > 0 &&
        registry_snapshot(loop->context->registry, loop->twin, version, &loop->reference, &error) == TW_OK &&
        loop_state_acceptance(loop, version, &loop->reference_rows, NULL, &error) != TW_OK)
        tw_data_fini(&loop->reference_rows);
    if (!loop_state_short(loop))
        return TW_OK;
    snapshot_unref(loop->reference); /* nothing is known of what could not be read: again next time */
    loop->reference = NULL;
    return TW_NO_MEMORY;
}

int loop_state_serve(struct loop *loop, int version, int64_t move, struct tw_error *error)
{
    const struct timespec pause = {.tv_nsec = 100000000};
    int status = TW_OK;
    pthread_mutex_lock(&loop->twin->lock);
    bool hold = loop->twin->hold;
    pthread_mutex_unlock(&loop->twin->lock);
    for (int attempt = 0; attempt < SERVE_ATTEMPTS; attempt++) {
        loop_state_begin(loop);
        status = registry_serve(loop->context->registry, loop->twin, version, move, hold, error);
        if (!loop_state_passes(loop, status))
            break;
        nanosleep(&pause, NULL);
    }
    if (status != TW_OK)
        loop_state_break(loop, "serve", error);
    publish_post(loop->context->publisher, loop->twin->name, "alias",
                 store_alias_json(loop->context->store, loop->twin->id, "champion"));
    return status;
}

void loop_state_announce(struct loop *loop, int64_t operation)
{
    if (operation)
        publish_post(loop->context->publisher, loop->twin->name, "operation",
                     store_operation_json(loop->context->store, operation));
}

void loop_state_show(struct loop *loop, int version, bool drifted)
{
    struct twin *twin = loop->twin;
    json_t *last = store_iteration_last(loop->context->store, twin->id);
    publish_post(loop->context->publisher, twin->name, "iteration", json_incref(last));
    pthread_mutex_lock(&twin->lock);
    if (last) { /* else memory is short; the verdict is known all the same */
        json_decref(twin->last_iteration);
        twin->last_iteration = last;
    }
    if (version == LOOP_STATE_NOTHING) {
        pthread_mutex_unlock(&twin->lock);
        return;
    }
    if (version && (twin->judged_version != version || twin->drifted != drifted)) {
        twin->verdict_since_ms = clock_ms();
        if (drifted || twin->drifted)
            publish_post(loop->context->publisher, twin->name, "drift",
                         json_pack("{s:s, s:b, s:O}", "twin", twin->name, "drift", drifted, "iteration",
                                   json_object_get(last, "iteration")));
    }
    twin->judged_version = version;
    twin->drifted = drifted;
    twin->record = loop->record;
    pthread_mutex_unlock(&twin->lock);
}
