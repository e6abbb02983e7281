/* The loop: sample -> compare -> update -> repeat. One thread takes the next complete window of each twin, compares,
 * decides, retunes, gates, promotes; trainings go on in quanta, so that other twins' comparisons come in between.
 */
#ifndef DAEMON_PIPELINE_H
#define DAEMON_PIPELINE_H

#include <stdint.h>

#include "base/pool.h"
#include "daemon/publish.h"
#include "daemon/registry.h"
#include "daemon/store.h"

struct config;
struct pipeline;

struct pipeline_options {
    struct registry *registry;
    struct store *store;
    struct publisher *publisher;
    const struct tw_kernels *kernels;
    const struct config *config; /* limits of what is kept; NULL: none */
    unsigned threads;            /* of the training pool, this thread included */
};

int pipeline_start(const struct pipeline_options *options, struct pipeline **out, struct tw_error *error);
/* Ends after the current quantum; whatever was interrupted is repeated at the next start. */
void pipeline_stop(struct pipeline *pipeline);

/* Something may be due: a batch, an operation, a changed policy. Any thread. */
void pipeline_wake(struct pipeline *pipeline);

/* Cancels a queued or running operation. TW_NOT_FOUND; TW_CONFLICT if it is finished. */
int pipeline_cancel(struct pipeline *pipeline, int64_t operation, struct tw_error *error);

/* CPU seconds of the training pool so far. */
double pipeline_cpu_seconds(const struct pipeline *pipeline);

#endif
