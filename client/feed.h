/* The sending end of the wire: batches in flight within the credit, resent until they are acknowledged.
 *
 * Everything that can go wrong between the two ends (a lost message, a daemon that died and came back, an answer that
 * never arrived) is mended in one way: when nothing was acknowledged for a while, say hello again, drop from the outbox
 * what the WELCOME says is durable, send the rest once more. Repeating is harmless, as the daemon counts a key once.
 *
 * A feed that goes on sends its first batch and the last durable one once more before anything new: the daemon answers
 * conflict if they hold other data, as when a new file comes under the run of an old one. */
#ifndef CLIENT_FEED_H
#define CLIENT_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/status.h"
#include "proto/wire.h"

struct feed_options {
    const char *endpoint;
    struct twp_key key; /* twin, feed, run; seq is that of the first batch */
    double rate;        /* events/s, 0: as fast as they are taken */
    int64_t in_flight;  /* bytes at most, 0: the credit */
    double patience;    /* seconds of silence before giving up */
    double stall;       /* seconds without an acknowledgement before giving up, 0: never */
    const struct twp_condition *condition;
    size_t conditions;
};

/* Where the batches come from. Batch k is the same whenever it is asked for; they are asked for in order. */
struct feed_source {
    void *context;
    /* Passes over `count` batches; how many there were, -1 on failure. */
    int64_t (*skip)(void *context, int64_t count, char problem[512]);
    /* The next batch: *rows rows of *cols values, valid until the next call, and names (NULL: none). 1: there is one,
     * 0: the end, -1: failure. */
    int (*next)(void *context, const float **values, size_t *rows, size_t *cols, const char *const **names,
                char problem[512]);
    /* Called now and then: 0..1 of the source is read, below 0 where its end is not known. NULL: none. */
    double (*fraction)(void *context);
};

struct feed_result {
    int64_t batches, events; /* new ones that were sent in this call, each once */
    int64_t acked;           /* batches of these that are durable */
    int64_t skipped;         /* batches that were there already */
    int64_t resumed_from;    /* first sequence number that was sent, or would have been */
    int64_t next_seq;        /* where to go on: every batch of this feed below it is durable or was given here */
    int64_t resent;          /* batches sent again */
    int64_t refused;         /* the batch that the daemon will not have, -1: none */
    double seconds;
    bool stopped; /* by a signal, before the end of the source */
    char problem[768];
};

/* Sends everything; returns when all is acknowledged, or when that is hopeless, or after a signal. A cli_status. */
int feed_run(const struct feed_options *options, const struct feed_source *source, bool quiet,
             struct feed_result *result);

#endif
