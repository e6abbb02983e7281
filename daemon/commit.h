/* The transactions of the loop. Each of them is all or nothing: a window, its batches and the processed ordinal; a
 * version, the move of the alias, the decision of the iteration and the processed ordinal.
 */
#ifndef DAEMON_COMMIT_H
#define DAEMON_COMMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/store.h"

struct commit {
    int64_t twin;
    struct store_iteration *iteration; /* NULL: none */
    struct store_version *version;     /* NULL: none; gets its number */
    const char *actor;                 /* of the alias moves */
    bool promote;                      /* champion moves to the version, if its last move is still `move` */
    bool set_reference;                /* first training: `reference` moves too */
    int move_to; /* champion moves to this version, which is there already, if its last move is still `move`; 0: no */
    const char *move_reason;
    int64_t move;       /* in: expected; out: the new one */
    int tried;          /* a version whose metrics get `regret`; 0: none */
    const char *regret; /* JSON */
    int appealed; /* a version that was rejected and passed its gate since: a challenger, or champion with move_to */
    const char *appeal; /* JSON for its metrics, and a sentence for its reason */
    const char *appeal_reason;
    uint64_t processed; /* ordinals below are in iterations */
    const char *state;  /* of the loop, JSON */
    /* An operation that begins with this commit: inserted first, then `opened` renews the texts that name it (iteration
     * and state). On the store thread, while the caller waits. */
    struct store_operation *opens;
    int (*opened)(void *context, int64_t operation, struct commit *commit);
    /* NULL, or called once the version has its number, to renew the state that names it. As `opened`. */
    int (*numbered)(void *context, struct commit *commit);
    void *context;
    int64_t operation; /* one that ends with it; 0: none */
    const char *operation_state;
    const char *operation_result, *operation_error; /* JSON or NULL */
};

/* Nothing was written if it does not return 0. TW_CONFLICT: the champion moved meanwhile. TW_CANCELLED: the operation
 * that was to end with a version has been cancelled. */
int commit_write(struct store *store, struct commit *commit, struct tw_error *error);

#endif
