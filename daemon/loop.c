#include "daemon/loop.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/clock.h"
#include "daemon/compare.h"
#include "daemon/log.h"
#include "daemon/loop_decide.h"
#include "daemon/loop_state.h"
#include "daemon/spool.h"
#include "daemon/trouble.h"

int loop_open(struct loop_context *context, struct twin *twin, struct loop **out, struct tw_error *error)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    if (!loop)
        return tw_error_set(error, TW_NO_MEMORY, "no memory for the loop of twin %s", twin->name);
    loop->context = context;
    loop->twin = twin;
    loop_state_begin(loop);
    tw_data_init(&loop->acceptance, twin->definition->schema);
    tw_data_init(&loop->reference_rows, twin->definition->schema);
    json_t *state = NULL;
    int status = store_progress_get(context->store, twin->id, &loop->processed, &state);
    if (status != TW_OK) {
        tw_error_set(error, status, "the state of twin %s cannot be read", twin->name);
        free(loop);
        return status;
    }
    loop_state_restore(loop, state);
    json_decref(state);
    if (loop_state_short(loop)) { /* a task may have got lost */
        cusum_free(loop->cusum);
        free(loop);
        return tw_error_set(error, TW_NO_MEMORY, "no memory for the state of twin %s", twin->name);
    }
    if (loop->has_task)
        log_info("training_repeated", "twin=%s operation=%lld first=%llu last=%llu", twin->name,
                 (long long)loop->task.operation, (unsigned long long)loop->task.window.first,
                 (unsigned long long)loop->task.window.last);
    pthread_mutex_lock(&twin->lock);
    twin->record = loop->record;
    pthread_mutex_unlock(&twin->lock);
    *out = loop;
    return TW_OK;
}

void loop_close(struct loop *loop)
{
    if (!loop)
        return;
    if (loop->late)
        trouble_clear("lag", loop->twin->name);
    if (loop->concluded)
        training_outcome_fini(&loop->outcome);
    training_free(loop->training);
    tw_data_fini(&loop->acceptance);
    cusum_free(loop->cusum);
    tw_data_fini(&loop->reference_rows);
    if (loop->reference)
        snapshot_unref(loop->reference);
    registry_twin_unref(loop->twin);
    free(loop);
}

void loop_show_activity(struct loop *loop)
{
    struct twin *twin = loop->twin;
    pthread_mutex_lock(&twin->lock);
    if (loop->has_task && !loop->broken)
        twin->activity = ACTIVITY_RETUNING;
    else if (!twin->champion)
        twin->activity = ACTIVITY_UNTRAINED;
    else if (registry_lag(twin).windows > 0 && !loop->broken)
        twin->activity = ACTIVITY_COMPARING;
    else
        twin->activity = twin->hold ? ACTIVITY_HELD : ACTIVITY_IDLE;
    pthread_mutex_unlock(&twin->lock);
}

/* The store looks for space by itself, and cheaply: what the loop would repeat costs a comparison or a commit. */
bool loop_waits(const struct loop *loop)
{
    return loop->retry_s > 0 && (clock_monotonic() < loop->retry_at || store_full(loop->context->store));
}

/* --- comparing --- */

/* Loads what the champion was accepted on, when the champion has changed. */
static int load_acceptance(struct loop *loop, const struct snapshot *champion, struct tw_error *error)
{
    if (loop->acceptance_version == champion->version)
        return TW_OK;
    loop->acceptance_version = 0;
    int status = loop_state_acceptance(loop, champion->version, &loop->acceptance, &loop->accepted_last, error);
    if (status == TW_OK)
        loop->acceptance_version = champion->version;
    return status;
}

static uint64_t earliest_change(const struct loop *loop, const struct window *window)
{
    uint64_t earliest = loop->iteration > 0 ? loop->last_window.first : window->first;
    if (loop->acceptance_version > 0 && loop->accepted_last + 1 > earliest)
        earliest = loop->accepted_last + 1;
    return earliest < window->first ? earliest : window->first;
}

/* Where a comparison begins. Nothing was written if its commit fails: it must find the loop as it was. */
struct place {
    int64_t iteration;
    struct window last_window;
    struct episode episode;
    struct pace pace;
    struct trial trial;
    struct twin_record record;
    struct cusum *cusum;
};

static struct place place_of(const struct loop *loop)
{
    return (struct place){loop->iteration, loop->last_window, loop->episode, loop->pace,
                          loop->trial,     loop->record,      loop->cusum};
}

static void return_to(struct loop *loop, const struct place *place)
{
    loop->iteration = place->iteration;
    loop->last_window = place->last_window;
    loop->episode = place->episode;
    loop->pace = place->pace;
    loop->trial = place->trial;
    loop->record = place->record;
    loop->cusum = place->cusum;
    loop->has_task = false;
}

/* What the promise of `expected_run_time` is measured by: windows compared, and how many alarms began. */
static void note_window(struct loop *loop, int version, bool drift)
{
    struct twin_record *record = &loop->record;
    if (record->version != version) {
        record->version = version;
        record->windows = record->alarms = 0;
        record->alarmed = false;
    }
    bool begins = drift && !record->alarmed;
    record->windows++;
    record->all_windows++;
    record->alarms += begins;
    record->all_alarms += begins;
    record->alarmed = drift;
    if (begins)
        record->alarm_iteration = loop->iteration;
}

static int compare_next(struct loop *loop, const struct window *window, struct snapshot *champion,
                        const struct loop_policy *policy, int64_t move, bool hold, struct tw_error *error)
{
    struct loop_context *context = loop->context;
    int status = load_acceptance(loop, champion, error);
    if (status == TW_OK)
        status = loop_state_reference(loop);
    if (status != TW_OK)
        return status;
    struct compare_input input = {
        .twin = loop->twin,
        .champion = champion,
        .reference_version = loop->reference,
        .reference = loop->reference_rows.rows ? &loop->reference_rows : NULL,
        .acceptance = &loop->acceptance,
        .observables = registry_observables(loop->twin),
        .policy = *policy,
        .window = *window,
        .cusum = loop->cusum,
        .accepted_next = loop->acceptance_version > 0 ? loop->accepted_last + 1 : 0,
        .earliest_change = earliest_change(loop, window),
        .seed = loop_state_seed(loop->twin->name, window->first, (uint64_t)champion->version),
    };
    struct comparison comparison;
    status = compare_window(&input, context->kernels, context->pool, &comparison, error);
    tw_observables_unref(input.observables);
    if (status != TW_OK)
        return status;

    struct place before = place_of(loop);
    loop->iteration++;
    loop->last_window = *window;
    if (!comparison.skipped) {
        loop->cusum = comparison.cusum;
        note_window(loop, champion->version, comparison.drift);
    }
    struct turn turn = {&comparison, window, policy, champion, move, hold};
    int served;
    status = loop_decide(loop, &turn, &served, error);
    if (status == TW_OK) {
        loop_state_end(loop);
        if (!comparison.skipped) { /* it has moved into the loop */
            cusum_free(before.cusum);
            comparison.cusum = NULL;
        }
        loop_show_activity(loop);
        loop_state_show(loop, comparison.skipped ? LOOP_STATE_NOTHING : served,
                        comparison.drift && served == champion->version);
        if (!loop->has_task)
            registry_processed(loop->twin, window->last);
    } else {
        return_to(loop, &before);
        if (status == TW_CONFLICT) /* people moved the champion meanwhile: the window is compared with theirs */
            status = TW_OK;
    }
    compare_fini(&comparison);
    return status;
}

/* Which windows are left out when the loop cannot keep up is the definition's to say: the oldest of those that wait
 * beyond `loop.max_lag_windows`. Each gets an iteration of its own, so that the record has no hole. */
static int skip_window(struct loop *loop, const struct window *window, uint64_t rows, uint64_t waiting, long most,
                       int version, struct tw_error *error)
{
    struct twin *twin = loop->twin;
    struct comparison nothing = {.statistics = json_array(), .rows = rows};
    char reason[160];
    snprintf(reason, sizeof(reason), "%llu windows waited, more than loop.max_lag_windows %ld",
             (unsigned long long)waiting, most);
    json_t *policy = json_pack("{s:s}", "reason", reason);
    struct place before = place_of(loop);
    loop->iteration++;
    loop->last_window = *window;
    int status =
        nothing.statistics && policy ? loop_decide_skip(loop, &nothing, window, policy, version, error) : TW_NO_MEMORY;
    json_decref(nothing.statistics);
    json_decref(policy);
    if (status != TW_OK) {
        return_to(loop, &before);
        return status;
    }
    loop_state_end(loop);
    log_warning("window_skipped", "twin=%s iteration=%lld first=%llu last=%llu events=%llu waiting=%llu most=%ld",
                twin->name, (long long)loop->iteration, (unsigned long long)window->first,
                (unsigned long long)window->last, (unsigned long long)rows, (unsigned long long)waiting, most);
    pthread_mutex_lock(&twin->lock);
    twin->counters.windows_skipped++;
    pthread_mutex_unlock(&twin->lock);
    registry_processed(twin, window->last);
    loop_state_show(loop, LOOP_STATE_NOTHING, false);
    return TW_OK;
}

/* Being late is said while it lasts: by the verdict, and as a trouble. */
void loop_watch_lag(struct loop *loop)
{
    struct twin *twin = loop->twin;
    pthread_mutex_lock(&twin->lock);
    struct twin_lag lag = registry_lag(twin);
    double seconds = registry_lag_seconds(twin), most = twin->definition->loop.max_lag_s;
    bool late = twin->champion && seconds > most;
    pthread_mutex_unlock(&twin->lock);
    if (late)
        trouble_raise("lag", twin->name, TROUBLE_DEGRADED,
                      "%llu windows wait to be compared, the oldest for %.0f s (loop.max_lag_s is %g)",
                      (unsigned long long)lag.windows, seconds, most);
    else if (loop->late)
        trouble_clear("lag", twin->name);
    loop->late = late;
}

/* The champion's acceptance reference could not be read: the window is compared with the version that takes its place.
 */
static int fall_back(struct loop *loop, int version, int64_t move, int status, struct tw_error *error)
{
    struct loop_context *context = loop->context;
    struct tw_error why = *error;
    int outcome = registry_champion_broken(context->registry, loop->twin, version, move, error);
    if (outcome == TW_OK)
        publish_post(context->publisher, loop->twin->name, "alias",
                     store_alias_json(context->store, loop->twin->id, "champion"));
    if (outcome == TW_INVALID || outcome == TW_CONFLICT) /* whole; or people were quicker */
        *error = why;
    return outcome == TW_CONFLICT ? TW_OK : outcome == TW_INVALID ? status : outcome;
}

bool loop_compare(struct loop *loop)
{
    struct window window = {0};
    size_t batches;
    uint64_t rows;
    if (loop->broken || loop->has_task || loop_waits(loop))
        return false;
    struct loop_policy policy;
    int64_t move;
    bool hold;
    struct snapshot *champion = loop_state_champion(loop->twin, &policy, &move, &hold);
    if (!champion)
        return false;
    bool due = registry_window(loop->twin, false, &window.first, &window.last, &batches, &rows);
    if (due) {
        struct tw_error error = {""};
        loop_state_begin(loop);
        pthread_mutex_lock(&loop->twin->lock);
        uint64_t waiting = registry_lag(loop->twin).windows;
        pthread_mutex_unlock(&loop->twin->lock);
        bool skip = policy.max_lag_windows > 0 && waiting > (uint64_t)policy.max_lag_windows;
        int status = skip ? skip_window(loop, &window, rows, waiting, policy.max_lag_windows, champion->version, &error)
                          : compare_next(loop, &window, champion, &policy, move, hold, &error);
        if (!skip && (status == TW_CORRUPT || status == TW_NOT_FOUND))
            status = fall_back(loop, champion->version, move, status, &error);
        if (status != TW_OK)
            loop_state_fail(loop, skip ? "skip" : "compare", status, &error);
    }
    snapshot_unref(champion);
    return due;
}
