/* From a comparison to a decision, and the one commit that writes both. */
#include "daemon/loop_decide.h"

#include <stdio.h>
#include <stdlib.h>

#include "daemon/clock.h"
#include "daemon/commit.h"
#include "daemon/log.h"
#include "daemon/loop_past.h"
#include "daemon/loop_state.h"
#include "daemon/policy.h"
#include "daemon/spool.h"

/* The texts of an iteration's commit. They name the operation of the retune that begins with it, whose id is known
 * only inside the transaction. */
struct draft {
    struct loop *loop;
    json_t *policy;
    struct store_iteration iteration;
    char *policy_text, *state;
};

/* What a window says beside its comparison; NULL where nothing was compared. */
struct verdict {
    const struct past *past;
    const struct policy_choice *choice;
    int64_t move; /* of the champion: in, the last one; out, the new one */
};

static int draft_texts(struct draft *draft)
{
    free(draft->policy_text);
    free(draft->state);
    draft->policy_text = json_dumps(draft->policy, JSON_COMPACT);
    draft->state = loop_state_text(draft->loop);
    draft->iteration.policy = draft->policy_text;
    return draft->policy_text && draft->state ? TW_OK : TW_NO_MEMORY;
}

static int name_operation(void *context, int64_t operation, struct commit *commit)
{
    struct draft *draft = context;
    draft->loop->task.operation = operation;
    int status = json_object_set_new(draft->policy, "operation", json_integer(operation)) ? TW_NO_MEMORY : TW_OK;
    if (status == TW_OK)
        status = draft_texts(draft);
    commit->state = draft->state;
    return status;
}

/* Writes the iteration; with a task its decision is open ("retuning"), the window stays unprocessed, and the operation
 * of the retune begins with the same transaction. */
static int commit_iteration(struct loop *loop, const struct comparison *comparison, const struct window *window,
                            const char *decision, json_t *policy, int version, struct verdict *verdict,
                            struct tw_error *error)
{
    struct draft draft = {.loop = loop, .policy = policy};
    draft.iteration = (struct store_iteration){
        .twin = loop->twin->id,
        .iteration = loop->iteration,
        .first_ordinal = window->first,
        .last_ordinal = window->last,
        .events = comparison->rows,
        .version = version,
        .drift = comparison->drift,
        .decision = decision,
        .statistics = comparison->statistics,
    };
    char request[160];
    snprintf(request, sizeof(request), "{\"kind\":\"weights\",\"ordinals\":{\"first\":%llu,\"last\":%llu}}",
             (unsigned long long)loop->task.window.first, (unsigned long long)loop->task.window.last);
    struct store_operation operation = {.twin = loop->twin->id, .kind = "retune", .request = request};
    int status = draft_texts(&draft);
    const json_t *regret = verdict ? verdict->past->regret : NULL;
    const json_t *appeal = verdict && verdict->past->appealed ? verdict->past->appeal : NULL;
    char *regret_text = regret ? json_dumps(regret, JSON_COMPACT) : NULL;
    char *appeal_text = appeal ? json_dumps(appeal, JSON_COMPACT) : NULL;
    if ((regret && !regret_text) || (appeal && !appeal_text))
        status = TW_NO_MEMORY;
    struct commit commit = {
        .twin = loop->twin->id,
        .iteration = &draft.iteration,
        .processed = loop->has_task ? loop->processed : window->last + 1,
        .state = draft.state,
        .actor = "loop",
        .move_to = verdict ? verdict->choice->move_to : 0,
        .move_reason = verdict ? verdict->choice->reason : NULL,
        .move = verdict ? verdict->move : 0,
        .tried = regret ? verdict->past->trial.version : 0,
        .regret = regret_text,
        .appealed = appeal ? verdict->past->appealed : 0,
        .appeal = appeal_text,
        .appeal_reason = appeal ? verdict->choice->reason : NULL,
        .opens = loop->has_task ? &operation : NULL,
        .opened = name_operation,
        .context = &draft,
    };
    if (status == TW_OK && loop_state_short(loop)) /* a statistic may be missing */
        status = TW_NO_MEMORY;
    if (status == TW_OK)
        status = commit_write(loop->context->store, &commit, error);
    if (status == TW_OK) {
        loop->processed = commit.processed;
        if (verdict)
            verdict->move = commit.move;
    }
    free(draft.policy_text);
    free(draft.state);
    free(regret_text);
    free(appeal_text);
    return status;
}

/* The version that the drift met, while it can be read; else the champion. */
static int origin(struct loop *loop, const struct turn *turn)
{
    int version = loop->episode.origin, champion = turn->champion->version;
    struct snapshot *snapshot = NULL;
    struct tw_error error = {""};
    if (!version || version == champion)
        return champion;
    int status = registry_snapshot(loop->context->registry, loop->twin, version, &snapshot, &error);
    if (snapshot)
        snapshot_unref(snapshot);
    return status == TW_NOT_FOUND || status == TW_CORRUPT ? champion : version;
}

/* The retune that is due, as a task of the loop itself. */
static void schedule_retune(struct loop *loop, const struct turn *turn)
{
    loop->task = (struct loop_task){
        .iteration = loop->iteration,
        .window = {.first = loop->episode.change, .last = turn->window->last},
        .parent = origin(loop, turn),
        .champion = turn->champion->version,
        .move = turn->move,
        .seed = loop_state_seed(loop->twin->name, loop->episode.change, turn->window->last),
    };
    loop_state_replay(loop->context->store, loop->twin, turn->policy->replay, &loop->task);
    loop->has_task = true;
}

static void follow_episode(struct loop *loop, const struct comparison *comparison, int champion)
{
    episode_serves(&loop->episode, champion);
    episode_trim(&loop->episode, spool_first(loop->twin->spool));
    if (episode_begins(&loop->episode, comparison->drift))
        episode_begin(&loop->episode, comparison->change, comparison->rows_since_change, champion);
    else
        episode_window(&loop->episode, comparison->rows, comparison->drift);
}

int loop_decide_skip(struct loop *loop, const struct comparison *comparison, const struct window *window,
                     json_t *policy, int version, struct tw_error *error)
{
    return commit_iteration(loop, comparison, window, "skipped", policy, version, NULL, error);
}

/* A window of which too little is left: it says nothing about the twin, and the loop goes on behind it. */
static int skip(struct loop *loop, const struct comparison *comparison, const struct window *window, int version,
                struct tw_error *error)
{
    json_t *json = json_pack("{s:s, s:O}", "reason", comparison->reason, "lost", comparison->lost);
    int status = json ? loop_decide_skip(loop, comparison, window, json, version, error) : TW_NO_MEMORY;
    char quoted[300];
    if (status == TW_OK)
        log_warning("window_skipped", "twin=%s iteration=%lld first=%llu last=%llu reason=%s", loop->twin->name,
                    (long long)loop->iteration, (unsigned long long)window->first, (unsigned long long)window->last,
                    log_quote(comparison->reason, quoted, sizeof(quoted)));
    json_decref(json);
    return status;
}

/* Asks the versions that are there, and lets the episode follow. */
static int look_back(struct loop *loop, const struct turn *turn, struct past *past, struct tw_error *error)
{
    int status = loop_past_regret(loop, turn->comparison, turn->window, turn->champion, turn->policy, past, error);
    if (status != TW_OK || past->back_to) /* the alarm is about a version that should not be there */
        return status;
    follow_episode(loop, turn->comparison, turn->champion->version);
    if (turn->policy->recall > 0 && episode_asks(&loop->episode, turn->policy->growth))
        status = loop_past_recall(loop, turn->window, turn->champion, turn->policy, past, error);
    if (status == TW_OK && !past->recalled && episode_hears(&loop->episode) && !pace_cools(&loop->pace, turn->policy))
        status = loop_past_appeal(loop, turn->window, turn->champion, turn->policy, past, error);
    return status;
}

static void choose(const struct loop *loop, const struct turn *turn, const struct past *past, double now,
                   struct policy_choice *choice)
{
    char limit[120];
    bool limited = pace_limits(&loop->pace, turn->policy, now, limit, sizeof(limit));
    struct policy_case facts = {
        .drift = turn->comparison->drift,
        .due = episode_due(&loop->episode, turn->policy->growth),
        .hold = turn->hold,
        .mode = turn->policy->mode,
        .limit = limited ? limit : NULL,
        .back_to = past->back_to,
        .recalled = past->recalled,
        .appealed = past->appealed,
        .beyond = past->beyond,
        .why = past->why,
    };
    policy_choose(&facts, choice);
}

/* What the decision changes in the loop, before it is committed. */
static void carry_out(struct loop *loop, const struct turn *turn, const struct past *past,
                      const struct policy_choice *choice, double now)
{
    bool open = past->state == TRIAL_OPEN || past->state == TRIAL_WORSE;
    loop->trial = open && !choice->move_to ? past->trial : (struct trial){0};
    if (past->recall)
        episode_recalled(&loop->episode, past->recalled != 0, past->recalled && choice->move_to);
    if (past->appealed && choice->move_to && episode_due(&loop->episode, turn->policy->growth))
        episode_puts_off(&loop->episode);
    if (past->appeal_over)
        episode_appealed(&loop->episode, past->appealed && choice->move_to);
    if (choice->retune) {
        schedule_retune(loop, turn);
        pace_begin(&loop->pace, now);
    }
    if (!choice->move_to)
        return;
    loop->episode.active = past->appealed != 0;
    pace_decided(&loop->pace);
    if (!past->back_to)
        trial_begin(&loop->trial, choice->move_to, turn->champion->version);
}

static json_t *policy_json(const struct loop *loop, const struct comparison *comparison, const struct past *past,
                           const struct policy_choice *choice)
{
    json_t *json = json_pack("{s:s, s:O}", "reason", choice->reason, "alarms", comparison->alarms);
    if (comparison->lost)
        json_object_set(json, "lost", comparison->lost);
    if (comparison->drift)
        json_object_set_new(json, "since", json_integer((json_int_t)comparison->change));
    if (comparison->drifted)
        json_object_set(json, "drifted", comparison->drifted);
    if (json_array_size(comparison->no_judgement))
        json_object_set(json, "left_out", comparison->no_judgement);
    if (comparison->left_out)
        json_object_set_new(json, "rows_left_out", json_integer((json_int_t)comparison->left_out));
    if (loop->episode.active)
        json_object_set_new(json, "change", json_integer((json_int_t)loop->episode.change));
    if (comparison->distance.reference)
        json_object_set_new(json, "distance", distance_json(&comparison->distance));
    if (past->regret)
        json_object_set(json, "regret", past->regret);
    if (past->recall)
        json_object_set(json, "recall", past->recall);
    if (past->appeal)
        json_object_set(json, "appeal", past->appeal);
    if (choice->move_to)
        json_object_set_new(json, "version", json_integer(choice->move_to));
    return json;
}

static void log_decision(const struct loop *loop, const struct turn *turn, const char *decision)
{
    const struct comparison *comparison = turn->comparison;
    char alarms[200] = "", *text = json_dumps(comparison->alarms, JSON_COMPACT);
    log_info("window_compared",
             "twin=%s iteration=%lld first=%llu last=%llu events=%llu drift=%s decision=%s alarms=%s", loop->twin->name,
             (long long)loop->iteration, (unsigned long long)turn->window->first,
             (unsigned long long)turn->window->last, (unsigned long long)comparison->rows,
             comparison->drift ? "true" : "false", decision, text ? log_quote(text, alarms, sizeof(alarms)) : "");
    free(text);
}

/* A version that is rejected no more. */
static void show_appealed(struct loop *loop, int version, const char *decision)
{
    registry_appealed(loop->twin, decision);
    registry_aliases_read(loop->twin);
    publish_post(loop->context->publisher, loop->twin->name, "version",
                 store_version_json(loop->context->store, loop->twin->id, version));
}

/* What follows from the comparison: nothing, advice, a retune, or a move to a version that is there already; *served is
 * then that version, else the champion. */
int loop_decide(struct loop *loop, const struct turn *turn, int *served, struct tw_error *error)
{
    const struct comparison *comparison = turn->comparison;
    struct past past = {0};
    struct policy_choice choice;
    struct verdict verdict = {&past, &choice, turn->move};
    double now = clock_monotonic();
    *served = turn->champion->version;
    if (comparison->skipped)
        return skip(loop, comparison, turn->window, turn->champion->version, error);
    pace_window(&loop->pace);
    int status = look_back(loop, turn, &past, error);
    if (status == TW_OK) {
        choose(loop, turn, &past, now, &choice);
        carry_out(loop, turn, &past, &choice, now);
        status = loop_past_record(&past, choice.move_to != 0, turn->policy->gate_level);
    }
    if (status == TW_OK) {
        json_t *json = policy_json(loop, comparison, &past, &choice);
        status = json ? commit_iteration(loop, comparison, turn->window, choice.decision, json, turn->champion->version,
                                         &verdict, error)
                      : TW_NO_MEMORY;
        json_decref(json);
    }
    if (status == TW_OK)
        log_decision(loop, turn, choice.decision);
    if (status == TW_OK && past.appealed)
        show_appealed(loop, past.appealed, choice.decision);
    if (status == TW_OK && choice.move_to) {
        char quoted[400];
        log_info("champion_moved", "twin=%s version=%d from=%d move=%lld actor=loop reason=%s", loop->twin->name,
                 choice.move_to, *served, (long long)verdict.move, log_quote(choice.reason, quoted, sizeof(quoted)));
        *served = choice.move_to;
        loop_state_serve(loop, choice.move_to, verdict.move, error);
    }
    loop_past_fini(&past);
    return status;
}
