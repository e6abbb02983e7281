#include "daemon/loop_past.h"

#include <stdio.h>
#include <stdlib.h>

#include "daemon/appeal.h"
#include "daemon/recall.h"
#include "daemon/weights.h"

/* Gains of the champion over `before` on the rows of the window, malloc'd. TW_NOT_FOUND: `before` cannot be read. */
static int window_gains(struct loop *loop, const struct window *window, struct snapshot *champion, int before,
                        double **gains, size_t *n, double *doubt, struct tw_error *error)
{
    struct loop_context *context = loop->context;
    struct snapshot *other = NULL;
    struct tw_data rows;
    double *scores = NULL;
    *gains = NULL;
    *doubt = 0;
    tw_data_init(&rows, loop->twin->definition->schema);
    int status = registry_snapshot(context->registry, loop->twin, before, &other, error);
    if (status == TW_OK)
        status = window_read(loop->twin, window, window_rows_compare(loop->twin), &rows, NULL, NULL, NULL, NULL, NULL,
                             error);
    if (status == TW_OK) {
        *gains = malloc((rows.rows + 1) * sizeof(**gains));
        scores = malloc((rows.rows + 1) * sizeof(*scores));
        status = *gains && scores ? TW_OK : TW_NO_MEMORY;
    }
    if (status == TW_OK)
        status = tw_model_proper_score(champion->model, context->kernels, context->pool, &rows, *gains);
    if (status == TW_OK)
        status = tw_model_proper_score(other->model, context->kernels, context->pool, &rows, scores);
    if (status == TW_OK) {
        *doubt = weights_doubt(champion->model, other->model);
        tw_gate_gains(*gains, scores, rows.weights, rows.rows, *gains);
    }
    *n = rows.rows;
    snapshot_unref(other);
    free(scores);
    tw_data_fini(&rows);
    return status == TW_CORRUPT ? (int)TW_NOT_FOUND : status;
}

int loop_past_regret(struct loop *loop, const struct comparison *comparison, const struct window *window,
                     struct snapshot *champion, const struct loop_policy *policy, struct past *past,
                     struct tw_error *error)
{
    struct trial *trial = &past->trial;
    *trial = loop->trial;
    past->state = TRIAL_SUPERSEDED;
    if (!trial->version || trial->version != champion->version)
        return TW_OK;
    double *gains = NULL, doubt;
    size_t n = 0;
    struct tw_regret_bounds bounds;
    int status = window_gains(loop, window, champion, trial->before, &gains, &n, &doubt, error);
    if (status == TW_OK)
        past->state = trial_follow(trial, window->first, window->last, gains, n, doubt, comparison->drift,
                                   policy->gate_level, &bounds);
    free(gains);
    if (status == TW_NOT_FOUND)
        return TW_OK;
    if (status == TW_OK && past->state == TRIAL_WORSE) {
        past->back_to = trial->before;
        snprintf(past->why, sizeof(past->why),
                 "version %d lost %.4f +- %.4f nats an event to version %d on the %llu events that came after it, "
                 "at least %.4f at level %g",
                 trial->version, -bounds.gain, bounds.error, past->back_to, (unsigned long long)trial->sums.events,
                 -bounds.upper, policy->gate_level);
    }
    return status;
}

int loop_past_record(struct past *past, bool moved, double level)
{
    if (!past->trial.version)
        return TW_OK;
    if (past->state == TRIAL_WORSE && moved)
        past->state = TRIAL_ROLLED_BACK;
    if (past->state == TRIAL_OPEN && moved) /* to a version that was there, as one on appeal */
        past->state = TRIAL_SUPERSEDED;
    past->regret = trial_record(&past->trial, past->state, level);
    if (!past->regret || json_object_set_new(past->regret, "version", json_integer(past->trial.version)) != 0)
        return TW_NO_MEMORY;
    return TW_OK;
}

static struct contest contest_of(struct loop *loop, struct snapshot *champion, const struct loop_policy *policy)
{
    return (struct contest){
        .registry = loop->context->registry,
        .kernels = loop->context->kernels,
        .pool = loop->context->pool,
        .twin = loop->twin,
        .champion = champion,
        .min_gain = policy->gate_min_gain,
        .max_distance = policy->max_distance,
        .reference = loop->reference_rows.rows ? &loop->reference_rows : NULL,
        .reference_version = loop->reference ? loop->reference->version : 0,
    };
}

int loop_past_recall(struct loop *loop, const struct window *window, struct snapshot *champion,
                     const struct loop_policy *policy, struct past *past, struct tw_error *error)
{
    struct recall_input input = {
        .contest = contest_of(loop, champion, policy),
        .store = loop->context->store,
        .window = {.first = loop->episode.change, .last = window->last},
        .level = episode_recall_level(policy->gate_level),
        .most = episode_recall(&loop->episode, policy->recall),
    };
    struct recall recall;
    /* what goes on is a test from the first row on, so that all of them must fit */
    if (loop->episode.asked_rows && loop->episode.rows > window_rows_compare(loop->twin))
        return TW_OK;
    int status = recall_try(&input, &recall, error);
    if (status != TW_OK)
        return status;
    if (recall.record)
        past->recall = json_incref(recall.record);
    past->recalled = recall.version;
    if (recall.version)
        past->beyond =
            contest_words(&input.contest, recall.version, &recall.gate, &recall.distance, past->why, sizeof(past->why));
    recall_fini(&recall);
    return TW_OK;
}

int loop_past_appeal(struct loop *loop, const struct window *window, struct snapshot *champion,
                     const struct loop_policy *policy, struct past *past, struct tw_error *error)
{
    struct appeal_input input = {
        .contest = contest_of(loop, champion, policy),
        .store = loop->context->store,
        .version = loop->episode.appeal,
        .level = policy->gate_level,
        .last = window->last,
    };
    struct appeal appeal;
    int status = appeal_try(&input, &appeal, error);
    if (status != TW_OK)
        return status;
    past->appeal_over = !appeal.open || appeal.gate.pass;
    if (appeal.record)
        past->appeal = json_incref(appeal.record);
    if (appeal.open && appeal.gate.pass) {
        past->appealed = input.version;
        past->beyond =
            contest_words(&input.contest, input.version, &appeal.gate, &appeal.distance, past->why, sizeof(past->why));
    }
    appeal_fini(&appeal);
    return TW_OK;
}

void loop_past_fini(struct past *past)
{
    json_decref(past->regret);
    json_decref(past->recall);
    json_decref(past->appeal);
}
