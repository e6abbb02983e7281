/* Ingest: one thread that owns the ZeroMQ sockets (ROUTER for feeds, PUB for listeners) and all appending to spools.
 *
 *   receive -> decode and check -> append to the spool -> one fdatasync for the group -> ACK
 *
 * A bad message gets a NACK with a code and touches nothing. Batches that come over HTTP take the same way through
 * ingest_submit.
 */
#ifndef DAEMON_INGEST_H
#define DAEMON_INGEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "daemon/guard.h"
#include "daemon/registry.h"
#include "proto/wire.h"

struct ingest;
struct publisher;

struct ingest_options {
    const char *endpoint;
    const char *publish_endpoint;
    const long *credit_mb; /* a feed may have in flight after hello; see config_live for this and what follows */
    const long *spool_mb;  /* of a twin, unprocessed: feeds wait beyond it; NULL: no limit */
    const long *memory_mb, *connections; /* see guard.h; NULL: no limit */
    size_t segment_bytes; /* of the spools: what must be free after a full disk before all is well again */
    struct registry *registry;
    struct store *store;
    struct publisher *publisher;
    void (*arrived)(void *context); /* a batch became durable: wakes the pipeline; called on the ingest thread */
    /* A sync failed, or what is durable could not be made known: the daemon stops accepting and exits. */
    void (*failed)(void *context, int status, const char *why);
    void *context;
};

/* Binds and starts the thread. TW_BUSY: address in use; the sentence names it. */
int ingest_start(const struct ingest_options *options, struct ingest **out, struct tw_error *error);
/* Stops accepting, finishes the group at hand, joins. */
void ingest_stop(struct ingest *ingest);

const char *ingest_endpoint(const struct ingest *ingest);         /* as bound */
const char *ingest_publish_endpoint(const struct ingest *ingest); /* as bound */

/* Of the ZeroMQ ports. Any thread. */
void ingest_counts(struct ingest *ingest, struct guard_counts *out);

struct ingest_result {
    enum twp_code code; /* TWP_OK: durable */
    struct twp_key key;
    uint64_t ordinal;
    bool duplicate;
    bool pruned; /* a duplicate whose ordinal is not known any more */
    char detail[200];
};

/* Any thread but ingest's. Hands a message (frames as on the wire, TWB1 first) to the ingest thread and waits until it
 * is durable or refused. `reserved` allows the feed name "train". The frames must stay valid until it returns.
 * TW_BUSY: shutting down. */
int ingest_submit(struct ingest *ingest, const struct twp_frame *frames, size_t count, bool reserved,
                  struct ingest_result *result);

#endif
