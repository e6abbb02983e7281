/* The other half of a loop: carrying out a task that was decided on, from its rows to its outcome. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/clock.h"
#include "daemon/commit.h"
#include "daemon/log.h"
#include "daemon/loop_settle.h"
#include "daemon/loop_state.h"
#include "daemon/operation.h"

enum { QUANTUM_MS = 100, TURN_S = 1 };

bool loop_take_operation(struct loop *loop)
{
    if (loop->broken || loop->has_task || loop_waits(loop))
        return false;
    struct loop_task task;
    struct tw_error error = {""};
    loop_state_begin(loop);
    int status = operation_next(loop->context->store, loop->twin, &loop->episode, &task, &error);
    if (status == TW_NOT_FOUND)
        return false;
    if (status != TW_OK) {
        loop_state_fail(loop, "operation", status, &error);
        return false;
    }
    loop->task = task;
    loop->has_task = true;

    char *state = loop_state_text(loop);
    struct commit commit = {.twin = loop->twin->id, .processed = loop->processed, .state = state};
    status = state ? commit_write(loop->context->store, &commit, &error) : TW_NO_MEMORY;
    free(state);
    if (status != TW_OK) {
        loop->has_task = false; /* it stands in the queue as before */
        loop_state_fail(loop, "operation", status, &error);
    } else {
        loop_state_end(loop);
    }
    loop_show_activity(loop);
    return true;
}

/* The same rows and the same seed give the same training later. */
static void begin_again(struct loop *loop, int status, const struct tw_error *error)
{
    training_free(loop->training);
    loop->training = NULL;
    loop_state_fail(loop, "training", status, error);
}

static void conclude(struct loop *loop)
{
    struct tw_error error = {""};
    int status = loop_state_reference(loop);
    if (status == TW_OK)
        status = training_finish(loop->training, loop->reference_rows.rows ? &loop->reference_rows : NULL,
                                 loop->reference ? loop->reference->version : 0, loop->context->pool, &loop->outcome,
                                 &error);
    if (loop_state_short(loop)) { /* whatever was concluded from half a document */
        if (status == TW_OK)
            training_outcome_fini(&loop->outcome);
        status = tw_error_set(&error, TW_NO_MEMORY, "no memory for the model's description or its metrics");
    }
    if (loop_state_passes(loop, status)) {
        begin_again(loop, status, &error);
        return;
    }
    if (status != TW_OK) {
        loop_settle_give_up(loop, "failed", error.text);
        return;
    }
    loop->concluded = true;
    loop_settle(loop);
}

/* Reads the rows of the task. False if that ended it. */
static bool begin_training(struct loop *loop)
{
    struct loop_task *task = &loop->task;
    struct training_input input = {.twin = loop->twin,
                                   .window = task->window,
                                   .seed = task->seed,
                                   .epochs = task->epochs,
                                   .reweight = task->reweight};
    struct tw_error error = {""};
    int status = TW_OK;
    int64_t move;
    bool hold;
    struct snapshot *champion = loop_state_champion(loop->twin, &input.policy, &move, &hold);
    if (champion)
        snapshot_unref(champion);
    input.level = task->iteration ? episode_level(&loop->episode, input.policy.gate_level) : input.policy.gate_level;
    input.sparing = task->iteration != 0;
    if (loop->task_began == 0)
        loop->task_began = clock_monotonic();
    if (task->parent)
        status = registry_snapshot(loop->context->registry, loop->twin, task->parent, &input.parent, &error);
    if (status == TW_OK && task->champion)
        status = registry_snapshot(loop->context->registry, loop->twin, task->champion, &input.champion, &error);
    struct tw_data old;
    tw_data_init(&old, loop->twin->definition->schema);
    if (status == TW_OK && task->replayed) {
        status = loop_state_acceptance(loop, task->replayed, &old, NULL, &error);
        input.replay = task->replay;
        input.old_version = task->replayed;
        input.old = &old;
    }
    if (status == TW_OK)
        status = training_begin(&input, loop->context->kernels, loop->context->pool, &loop->training, &error);
    tw_data_fini(&old);
    if (input.parent)
        snapshot_unref(input.parent);
    if (input.champion)
        snapshot_unref(input.champion);
    if (status == TW_OK)
        status = store_operation_set(loop->context->store, task->operation, "running", 0, NULL, NULL, &error);
    if (status == TW_CONFLICT) {
        loop_settle_give_up(loop, "cancelled", "cancelled by an operator");
        return false;
    }
    if (status == TW_BUSY) { /* trainings of other twins have the memory */
        loop->retry_s = TURN_S;
        loop->retry_at = clock_monotonic() + TURN_S;
        return false;
    }
    if (loop_state_passes(loop, status)) {
        begin_again(loop, status, &error);
        return false;
    }
    if (status != TW_OK) {
        loop_settle_give_up(loop, "failed", error.text[0] ? error.text : tw_status_name(status));
        return false;
    }
    log_info("training_started", "twin=%s operation=%lld parent=%d first=%llu last=%llu seed=%llu", loop->twin->name,
             (long long)task->operation, task->parent, (unsigned long long)task->window.first,
             (unsigned long long)task->window.last, (unsigned long long)task->seed);
    loop_state_announce(loop, task->operation);
    return true;
}

struct progress_note {
    int64_t operation;
    double progress;
};

static int write_progress(sqlite3 *db, void *context, struct tw_error *error)
{
    const struct progress_note *note = context;
    int status = store_operation_update(db, note->operation, NULL, note->progress, NULL, NULL, error);
    /* one that was cancelled meanwhile needs no progress */
    return status == TW_CONFLICT || status == TW_NOT_FOUND ? TW_OK : status;
}

/* At most twice a second, so that a training costs the disk nothing. */
static void note_progress(struct loop *loop)
{
    double now = clock_monotonic();
    if (now - loop->progress_noted < 0.5)
        return;
    loop->progress_noted = now;
    struct progress_note *note = malloc(sizeof(*note));
    if (!note)
        return;
    *note = (struct progress_note){loop->task.operation, training_progress(loop->training)};
    if (store_post(loop->context->store, write_progress, note, free) != TW_OK)
        free(note);
}

static double cpu_now(const struct loop *loop)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec + tw_pool_cpu_seconds(loop->context->pool);
}

bool loop_train(struct loop *loop)
{
    if (loop->broken || !loop->has_task || loop_waits(loop))
        return false;
    loop_state_begin(loop);
    if (loop->ending || loop->concluded) { /* what the disk had no room for */
        if (loop->ending)
            loop_settle_give_up(loop, loop->ending, loop->ending_reason);
        else
            loop_settle(loop);
        return true;
    }
    double start = cpu_now(loop);
    if (!loop->training && !begin_training(loop))
        return true;
    bool done = false;
    int status = training_step(loop->training, loop->context->pool, 1e-3 * QUANTUM_MS, &done);
    loop->cpu_seconds += cpu_now(loop) - start;
    if (loop_state_passes(loop, status))
        begin_again(loop, status, &(struct tw_error){"no memory for a step of the training"});
    else if (status != TW_OK)
        loop_settle_give_up(loop, "failed",
                            status == TW_NOT_FINITE ? "the loss did not stay finite, whatever the rate"
                                                    : tw_status_name(status));
    else if (done)
        conclude(loop);
    else
        note_progress(loop);
    return true;
}

void loop_cancel(struct loop *loop, int64_t operation)
{
    loop_state_begin(loop);
    if (loop->has_task && loop->task.operation == operation && !loop->broken)
        loop_settle_give_up(loop, "cancelled", "cancelled by an operator");
}
