/* The loop of one twin: what it has processed, the episode it is in, and the training it is busy with.
 *
 * Belongs to the pipeline's thread. Each function does one step and leaves a state from which a killed daemon goes on:
 * nothing is remembered here that is not in the store too.
 */
#ifndef DAEMON_LOOP_H
#define DAEMON_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/pool.h"
#include "daemon/cusum.h"
#include "daemon/episode.h"
#include "daemon/pace.h"
#include "daemon/publish.h"
#include "daemon/registry.h"
#include "daemon/retention.h"
#include "daemon/store.h"
#include "daemon/training.h"
#include "daemon/trial.h"
#include "daemon/window.h"

/* What the loops of all twins share; borrowed. */
struct loop_context {
    struct registry *registry;
    struct store *store;
    struct publisher *publisher;
    const struct tw_kernels *kernels;
    struct tw_pool *pool;
};

/* A training that was decided on; stored before it begins, so that it can be repeated. */
struct loop_task {
    int64_t operation;
    int64_t iteration; /* whose decision it is; 0: asked for by people */
    bool initial;      /* first training */
    bool spooled;      /* initial: on data batches, which are then processed */
    struct window window;
    int parent;   /* version that the training starts from; 0: from scratch */
    int champion; /* version that it has to beat; 0: none */
    int64_t move; /* last move of champion when it was decided */
    uint64_t seed;
    int epochs;
    /* Rows of the past that are trained on too: what this version was accepted on, 0: none. It has seen nothing of the
     * window, since the gate's rows are of the window; after a promotion in the same episode it is not the parent. */
    int replayed;
    double replay; /* their share of the weight */
    bool reweight; /* weights on top of the parent, instead of another network */
    bool proposes; /* what passes its gate waits for people */
};

struct loop {
    struct loop_context *context;
    struct twin *twin;
    uint64_t processed;        /* data batches with a smaller ordinal are in iterations */
    int64_t iteration;         /* number of the last one */
    struct window last_window; /* of the last iteration */
    struct episode episode;
    struct pace pace;
    struct trial trial; /* of what the loop promoted last */
    struct twin_record record;
    struct cusum *cusum; /* the detector that accumulates, after the last window; NULL: none */

    int acceptance_version; /* whose acceptance reference is loaded; 0: none */
    struct tw_data acceptance;
    uint64_t accepted_last;        /* last ordinal of the data it was accepted on */
    struct snapshot *reference;    /* what alias `reference` names */
    struct tw_data reference_rows; /* its acceptance reference; without rows: not to be had */

    bool has_task;
    struct loop_task task;
    struct training *training; /* NULL until the task's rows are read */
    double cpu_seconds;        /* used by the task so far */
    double task_began;         /* monotonic time; 0: its rows were not read yet */
    double progress_noted;     /* monotonic time of the last note */
    bool broken;               /* an error that only people can mend; said once, no further work */

    bool late; /* trouble `lag` stands */

    double retry_at, retry_s; /* no space or memory: the same step again at this monotonic time; the wait before it */
    unsigned shortages;       /* shortage_count() when the step began */
    bool concluded;           /* the training is done, its outcome waits for the commit */
    struct training_outcome outcome;
    const char *ending; /* state of an operation that ends without a version, and could not be written yet; or NULL */
    char ending_reason[256];
    struct retention retention;
};

int loop_open(struct loop_context *context, struct twin *twin, struct loop **out, struct tw_error *error);
void loop_close(struct loop *loop); /* accepts NULL; gives the twin's reference back */

/* Takes the oldest waiting operation, if the loop is free. True if there was one. */
bool loop_take_operation(struct loop *loop);
/* Compares the next complete window, if there is one and no training is under way, or skips it if too many wait and the
 * policy says so. True if it did. */
bool loop_compare(struct loop *loop);
/* One quantum of the training under way; at its end gate and promotion. True if there was one. */
bool loop_train(struct loop *loop);
/* Drops the training of a cancelled operation. */
void loop_cancel(struct loop *loop, int64_t operation);
/* Says that the loop is late, or no more. */
void loop_watch_lag(struct loop *loop);
/* The loop met a full disk, or memory was out, and rests until it is time to repeat the step; nothing of it was kept.
 */
bool loop_waits(const struct loop *loop);
/* Sets what the twin says it is doing. */
void loop_show_activity(struct loop *loop);

#endif
