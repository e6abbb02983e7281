/* A version that can answer: immutable and reference-counted, so that a query in flight keeps what it began with while
 * another version is promoted.
 */
#ifndef DAEMON_SNAPSHOT_H
#define DAEMON_SNAPSHOT_H

#include <stdint.h>

#include "base/status.h"
#include "model/model.h"

struct store;

struct snapshot {
    int references; /* atomic */
    int version;
    char sha256[65];
    struct tw_model *model;
};

struct snapshot *snapshot_ref(struct snapshot *snapshot);
void snapshot_unref(struct snapshot *snapshot); /* accepts NULL */

/* Reads a version's artifact from the store. TW_NOT_FOUND, TW_CORRUPT. */
int snapshot_load(struct store *store, int64_t twin, int version, struct snapshot **out, struct tw_error *error);

#endif
