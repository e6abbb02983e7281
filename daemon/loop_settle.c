/* A task that has come to its end: what it changes, and the one commit that writes it. */
#include "daemon/loop_settle.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/clock.h"
#include "daemon/commit.h"
#include "daemon/log.h"
#include "daemon/loop_state.h"
#include "daemon/policy.h"
#include "daemon/weights.h"

/* The decision of the iteration that a retune belongs to, in the words of the outcome. */
static json_t *final_policy(const json_t *iteration, const char *reason)
{
    json_t *policy = json_deep_copy(json_object_get(iteration, "policy"));
    if (!policy)
        policy = json_object();
    json_object_set_new(policy, "outcome", json_string(reason));
    return policy;
}

static double trial_level(const struct loop *loop)
{
    pthread_mutex_lock(&loop->twin->lock);
    double level = loop->twin->definition->loop.gate_level;
    pthread_mutex_unlock(&loop->twin->lock);
    return level;
}

/* What the loop promotes is on trial from the next window on; the trial before it ends. */
static int begin_trial(struct loop *loop, int before, struct commit *commit, char **record, double level)
{
    commit->tried = loop->trial.version;
    if (commit->tried) {
        json_t *json = trial_record(&loop->trial, TRIAL_SUPERSEDED, level);
        *record = json ? json_dumps(json, JSON_COMPACT) : NULL;
        json_decref(json);
        commit->regret = *record;
        if (!*record)
            return TW_NO_MEMORY;
    }
    trial_begin(&loop->trial, 0, before);
    return TW_OK;
}

/* What names the version that a retune of the loop made, once it has its number. */
struct naming {
    struct loop *loop;
    json_t *policy; /* of the iteration */
    bool appeals;   /* rejected, but promising */
};

static int name_version(void *context, struct commit *commit)
{
    struct naming *naming = context;
    struct loop *loop = naming->loop;
    int version = commit->version->version;
    if (commit->promote)
        loop->trial.version = loop->episode.champion = version;
    else if (naming->appeals)
        episode_appeals(&loop->episode, version);
    char *state = loop_state_text(loop);
    char *policy = json_object_set_new(naming->policy, "version", json_integer(version)) == 0
                       ? json_dumps(naming->policy, JSON_COMPACT)
                       : NULL;
    if (!state || !policy) {
        free(state);
        free(policy);
        return TW_NO_MEMORY;
    }
    free((char *)commit->state);
    free((char *)commit->iteration->policy);
    commit->state = state;
    commit->iteration->policy = policy;
    return TW_OK;
}

/* Everything that a decided task changes, in one transaction. version may be NULL (it failed or was cancelled). */
static int commit_task(struct loop *loop, struct store_version *version, bool promote, const char *decision,
                       const char *reason, const char *operation_state, const json_t *result, struct tw_error *error)
{
    struct loop_task task = loop->task;
    struct episode before = loop->episode;
    struct pace pace = loop->pace;
    struct trial trial = loop->trial;
    uint64_t processed = loop->processed;
    int64_t number = loop->iteration;
    struct window last = loop->last_window;

    json_t *row = task.iteration ? store_iteration_last(loop->context->store, loop->twin->id) : NULL;
    if (task.iteration && !row)
        return tw_error_set(error, TW_NO_MEMORY, "iteration %lld cannot be read", (long long)task.iteration);
    json_t *policy = final_policy(row, reason);
    json_t *ordinals = json_object_get(row, "ordinals");
    struct store_iteration iteration = {
        .twin = loop->twin->id,
        .iteration = task.iteration,
        .first_ordinal = (uint64_t)json_integer_value(json_object_get(ordinals, "first")),
        .last_ordinal = (uint64_t)json_integer_value(json_object_get(ordinals, "last")),
        .events = (uint64_t)json_integer_value(json_object_get(row, "events")),
        .version = task.champion,
        .drift = json_is_true(json_object_get(row, "drift")),
        .decision = decision,
        .policy = json_dumps(policy, JSON_COMPACT),
        .statistics = json_object_get(row, "statistics"),
    };
    bool has_iteration = row != NULL;
    if (task.initial && task.spooled && promote) {
        /* the batches that it was trained on are used up: an iteration of their own says so */
        loop->iteration++;
        iteration = (struct store_iteration){.twin = loop->twin->id,
                                             .iteration = loop->iteration,
                                             .first_ordinal = task.window.first,
                                             .last_ordinal = task.window.last,
                                             .decision = "trained",
                                             .policy = iteration.policy};
        loop->last_window = task.window;
        iteration.events = (uint64_t)json_integer_value(json_object_get(result, "rows"));
        has_iteration = true;
        loop->processed = task.window.last + 1;
    }
    struct naming naming = {.loop = loop, .policy = policy};
    if (task.iteration) {
        double gain = 0, error_of_gain = 0;
        int asked = 0;
        json_unpack((json_t *)result, "{s:{s:{s:b, s:F, s:F}}}", "metrics", "gate", "asked", &asked, "gain", &gain,
                    "error", &error_of_gain);
        bool promising = asked && gain > error_of_gain;
        naming.appeals = promising && version && strcmp(version->status, "rejected") == 0;
        episode_decided(&loop->episode, promote, promising, asked);
        pace_decided(&loop->pace);
        loop->processed = iteration.last_ordinal + 1;
    }
    if (promote && !task.iteration) /* people have answered what drifted: an alarm about their version begins anew */
        loop->episode = (struct episode){0};
    loop->has_task = false;
    char *record = NULL;
    char *result_text = result ? json_dumps(result, JSON_COMPACT) : NULL;
    json_t *failure = strcmp(operation_state, "succeeded") == 0 ? NULL : json_pack("{s:s}", "detail", reason);
    char *failure_text = failure ? json_dumps(failure, JSON_COMPACT) : NULL;

    struct commit commit = {
        .twin = loop->twin->id,
        .iteration = has_iteration ? &iteration : NULL,
        .version = version,
        .actor = task.iteration ? "loop" : "operator",
        .promote = promote,
        .set_reference = task.initial,
        .move = task.move,
        .processed = loop->processed,
        .operation = task.operation,
        .operation_state = operation_state,
        .operation_result = result_text,
        .operation_error = failure_text,
    };
    int status = TW_OK;
    if (promote && task.iteration)
        status = begin_trial(loop, task.champion, &commit, &record, trial_level(loop));
    if (version && task.iteration) {
        commit.numbered = name_version;
        commit.context = &naming;
    }
    commit.state = loop_state_text(loop);
    if (status == TW_OK)
        status = loop_state_short(loop) ? TW_NO_MEMORY : commit_write(loop->context->store, &commit, error);
    if (status == TW_OK) {
        loop->task.move = commit.move;
        loop_state_end(loop);
        training_free(loop->training);
        loop->training = NULL;
    } else { /* nothing was written: as before */
        loop->has_task = true;
        loop->episode = before;
        loop->pace = pace;
        loop->trial = trial;
        loop->processed = processed;
        loop->iteration = number;
        loop->last_window = last;
    }
    free((char *)iteration.policy);
    free((char *)commit.state);
    free(record);
    free(result_text);
    free(failure_text);
    json_decref(failure);
    json_decref(policy);
    json_decref(row);
    return status;
}

/* After the commit: swap in what is served, tell who listens, go on. */
static void show_task(struct loop *loop, const struct loop_task *task, const struct store_version *version,
                      const char *outcome, int64_t move)
{
    struct loop_context *context = loop->context;
    struct twin *twin = loop->twin;
    struct tw_error error = {""};
    bool promoted = strcmp(outcome, "promoted") == 0;
    if (version)
        publish_post(context->publisher, twin->name, "version",
                     store_version_json(context->store, twin->id, version->version));
    if (promoted)
        loop_state_serve(loop, version->version, move, &error);
    else
        registry_aliases_read(twin);
    if (task->iteration) {
        json_t *last = store_iteration_last(context->store, twin->id);
        bool drift = json_is_true(json_object_get(last, "drift"));
        json_decref(last);
        loop_state_show(loop, promoted ? version->version : task->champion, drift && !promoted);
    } else if (task->initial && promoted && task->spooled) {
        loop_state_show(loop, 0, false);
    }
    loop_show_activity(loop);
    if (task->iteration || (task->initial && task->spooled && promoted))
        registry_processed(twin, loop->processed - 1);
    if (task->parent)
        registry_retuned(twin, outcome, loop->task_began ? clock_monotonic() - loop->task_began : 0);
    loop_state_announce(loop, task->operation);
    loop->cpu_seconds = 0;
    loop->task_began = 0;
}

static void drop_outcome(struct loop *loop)
{
    if (loop->concluded)
        training_outcome_fini(&loop->outcome);
    loop->concluded = false;
}

void loop_settle_give_up(struct loop *loop, const char *operation_state, const char *reason)
{
    struct loop_task task = loop->task;
    struct tw_error error = {""};
    char quoted[300];
    const char *decision = strcmp(operation_state, "cancelled") == 0 ? "cancelled" : "rejected";
    if (!loop->ending) {
        log_warning("training_ended", "twin=%s operation=%lld state=%s reason=%s", loop->twin->name,
                    (long long)task.operation, operation_state, log_quote(reason, quoted, sizeof(quoted)));
        loop->ending = operation_state;
        snprintf(loop->ending_reason, sizeof(loop->ending_reason), "%s", reason);
    }
    int status = commit_task(loop, NULL, false, decision, loop->ending_reason, loop->ending, NULL, &error);
    if (status != TW_OK) {
        loop_state_fail(loop, "commit", status, &error);
        return;
    }
    const char *outcome = loop->ending;
    loop->ending = NULL;
    drop_outcome(loop);
    show_task(loop, &task, NULL, outcome, 0);
}

static json_t *task_result(const struct loop *loop, const struct training_outcome *outcome, const char *decision)
{
    return json_pack("{s:s, s:s, s:f, s:o, s:O, s:{s:I, s:I}}", "decision", decision, "reason", outcome->reason,
                     "cpu_seconds", round(loop->cpu_seconds * 1000) / 1000, "metrics", weights_brief(outcome->metrics),
                     "rows", json_object_get(outcome->metrics, "rows"), "ordinals", "first",
                     (json_int_t)loop->task.window.first, "last", (json_int_t)loop->task.window.last);
}

/* Whoever sees an operation succeed may ask for its version at once: until that is served it counts as running. */
static void set_settling(struct twin *twin, int64_t operation)
{
    pthread_mutex_lock(&twin->lock);
    twin->settling = operation;
    pthread_mutex_unlock(&twin->lock);
}

/* Does a version that passed its gate wait for people? `why` gets a clause that says so. The mode and the distance bind
 * what the loop does by itself, a hold whatever is not the first training. */
static bool is_advised(const struct loop *loop, const struct training_outcome *outcome, char *why, size_t size)
{
    struct twin *twin = loop->twin;
    bool by_loop = loop->task.iteration != 0;
    if (loop->task.initial)
        return false;
    pthread_mutex_lock(&twin->lock);
    const struct loop_policy *policy = &twin->definition->loop;
    double limit = policy->max_distance;
    const char *advises = loop->task.proposes ? "asked for as a proposal"
                                              : policy_advises(by_loop ? policy->mode : LOOP_AUTO, twin->hold);
    pthread_mutex_unlock(&twin->lock);
    if (advises)
        snprintf(why, size, "%s", advises);
    return advises || (by_loop && distance_exceeds(&outcome->distance, limit, why, size));
}

/* Stores the blobs (content-addressed, so again is harmless), then the one small transaction. */
static int accept_outcome(struct loop *loop, const struct training_outcome *outcome, struct tw_error *error)
{
    struct store *store = loop->context->store;
    struct loop_task task = loop->task;
    char sha256[65], reference[65];
    int status = store_blob_put(store, outcome->artifact, outcome->artifact_size, sha256, error);
    if (status == TW_OK)
        status = store_blob_put(store, outcome->reference, outcome->reference_size, reference, error);
    if (status != TW_OK)
        return status;

    bool pass = !outcome->gated || outcome->gate.pass;
    char why[200] = "";
    bool promote = pass && !is_advised(loop, outcome, why, sizeof(why));
    char *metrics = json_dumps(outcome->metrics, JSON_COMPACT);
    char reason[400];
    snprintf(reason, sizeof(reason), "%s%s%s", outcome->reason, why[0] ? "; " : "", why);
    struct store_version version = {
        .twin = loop->twin->id,
        .parent = task.parent,
        .cause = training_cause(task.initial, task.reweight),
        .status = pass ? "challenger" : "rejected",
        .reason = reason,
        .sha256 = sha256,
        .reference_sha256 = reference,
        .seed = task.seed,
        .first_ordinal = task.window.first,
        .last_ordinal = task.window.last,
        .kernels = loop->context->kernels->detail,
        .metrics = metrics,
    };
    set_settling(loop->twin, task.operation);
    const char *decision = "";
    for (int attempt = 0; attempt < 2; attempt++) {
        decision = promote ? "promoted" : pass ? "advised" : "rejected";
        json_t *result = task_result(loop, outcome, decision);
        status = result && metrics ? commit_task(loop, &version, promote, decision, reason, "succeeded", result, error)
                                   : TW_NO_MEMORY;
        json_decref(result);
        if (status != TW_CONFLICT || !promote)
            break;
        promote = false; /* people moved the champion meanwhile: theirs stands */
        snprintf(reason, sizeof(reason), "%s; champion was moved meanwhile", outcome->reason);
    }
    if (status == TW_OK) {
        char quoted[300];
        log_info("training_decided", "twin=%s operation=%lld version=%d decision=%s cpu_seconds=%.2f reason=%s",
                 loop->twin->name, (long long)task.operation, version.version, decision, loop->cpu_seconds,
                 log_quote(reason, quoted, sizeof(quoted)));
        show_task(loop, &task, &version, decision, loop->task.move);
    }
    set_settling(loop->twin, 0);
    free(metrics);
    return status;
}

void loop_settle(struct loop *loop)
{
    struct tw_error error = {""};
    int status = accept_outcome(loop, &loop->outcome, &error);
    if (loop_state_passes(loop, status)) {
        loop_state_fail(loop, "commit", status, &error);
        return;
    }
    drop_outcome(loop);
    if (status == TW_CANCELLED)
        loop_settle_give_up(loop, "cancelled", "cancelled by an operator");
    else if (status == TW_INVALID)
        loop_settle_give_up(loop, "failed", error.text);
    else if (status != TW_OK)
        loop_state_break(loop, "commit", &error);
}
