/* Group commit: the batches that came in together are appended, synced once, and only then made known and answered.
 */
#ifndef DAEMON_GROUP_H
#define DAEMON_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "daemon/batch.h"
#include "daemon/registry.h"
#include "daemon/store.h"
#include "proto/wire.h"

/* The feed under which rows posted to `train` are spooled. */
#define GROUP_TRAIN_FEED "train"

struct job {
    /* in */
    struct twp_frame frames[TWP_FRAMES_MAX];
    size_t count;
    bool hello;    /* no batch: left alone */
    bool reserved; /* may use the feed name "train" */
    /* in: a refusal that is certain already, else TWP_OK; out: the answer */
    enum twp_code code;
    char detail[200];
    /* out */
    struct twp_key key;
    uint64_t ordinal;
    bool duplicate;
    bool pruned;   /* a duplicate of a batch whose row is gone: ordinal means nothing */
    bool no_space; /* TWP_FULL, and it is the disk of the spool */
    bool behind;   /* TWP_NO_CREDIT, as the loop is behind: see group_behind */
    /* between the steps */
    struct twin *twin;
    bool appended;
    const struct job *same_as; /* an earlier job of the group with the same key and content */
    struct store_batch row;
    struct batch_fault fault; /* of a batch without a valid row; an empty column: there is none */
};

/* Does the spool hold `spool_bytes` or more (0: no limit) that the loop has not taken, though it could? Nothing new is
 * accepted then: what is not processed is never removed. An incomplete window is no reason, as only more data end it.
 */
bool group_behind(struct twin *twin, uint64_t spool_bytes);

/* Takes all jobs from frames to answers. 0: every job has its code, and what has TWP_OK is durable and known to
 * registry and store. Otherwise the disk or memory failed: nothing may be answered, and nothing more be accepted. */
int group_commit(struct registry *registry, struct store *store, uint64_t spool_bytes, struct job *jobs, size_t count,
                 struct tw_error *error);

#endif
