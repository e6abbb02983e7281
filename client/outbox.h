/* Batches in flight: sent, not yet acknowledged, kept whole so that they can be sent again. In order of sequence. */
#ifndef CLIENT_OUTBOX_H
#define CLIENT_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct outbox_batch {
    int64_t seq;
    size_t rows;
    char *header;
    unsigned char *payload;
    size_t header_size, payload_size;
    bool waiting; /* to be sent (again) */
    bool sent;    /* at least once */
    bool acked;
    bool check;     /* there already; sent to learn whether it is the same, so that only its own answer settles it */
    double sent_at; /* the last time */
    struct outbox_batch *next;
};

struct outbox {
    struct outbox_batch *first, *last;
    int64_t bytes;   /* of those that were sent and not acknowledged */
    int64_t acked;   /* batches so far, without checks */
    int64_t waiting; /* batches that wait to be sent */
};

/* What a batch takes of the credit: all its frames. */
int64_t outbox_cost(const struct outbox_batch *batch);

/* Takes header and payload (malloc'd). False when memory is out. */
bool outbox_add(struct outbox *outbox, int64_t seq, size_t rows, char *header, unsigned char *payload,
                size_t payload_size);
/* The first that waits, NULL: none. */
struct outbox_batch *outbox_next(struct outbox *outbox);
void outbox_mark_sent(struct outbox *outbox, struct outbox_batch *batch, double now);

/* Acknowledged; true if it was in the outbox and is news. */
bool outbox_ack(struct outbox *outbox, int64_t seq);
/* All up to `seq` are durable, which settles all but the checks; true if that is news. */
bool outbox_ack_through(struct outbox *outbox, int64_t seq);
/* Refused for now, or lost: to be sent again. Returns how many that were not waiting already. */
int64_t outbox_retry(struct outbox *outbox, int64_t seq);
int64_t outbox_retry_all(struct outbox *outbox);

/* Forgets those that were never sent: they are the last ones. Returns how many. */
int64_t outbox_drop_unsent(struct outbox *outbox);
bool outbox_empty(const struct outbox *outbox);
int64_t outbox_first_seq(const struct outbox *outbox, int64_t otherwise);
void outbox_fini(struct outbox *outbox);

#endif
