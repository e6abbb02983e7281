/* Messages that other threads hand to the ingest thread, and wait for: the way of batches that come over HTTP. */
#ifndef DAEMON_SUBMISSIONS_H
#define DAEMON_SUBMISSIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/wire.h"

struct ingest_result;
struct submissions;

struct submission {
    const struct twp_frame *frames;
    size_t count;
    bool reserved;                /* may use the feed name "train" */
    struct ingest_result *result; /* the taker's until it is finished */
    /* the queue's own */
    int status;
    bool done;
    struct submission *next;
};

struct submissions *submissions_new(void); /* NULL: memory is out, or descriptors */
void submissions_free(struct submissions *submissions);

/* An eventfd, readable when there is something to take, or the end; to be read by the taker. */
int submissions_bell(const struct submissions *submissions);

/* Any thread but the taker's: queues it and waits until it is finished; its status. TW_BUSY: stopped before. */
int submissions_put(struct submissions *submissions, struct submission *submission);

/* The taker's: the next, or NULL; each is to be finished, after which it is not there any more. */
struct submission *submissions_take(struct submissions *submissions);
void submissions_finish(struct submissions *submissions, struct submission *submission, int status);

/* Any thread: nothing more is accepted, the bell rings. */
void submissions_stop(struct submissions *submissions);
bool submissions_stopped(struct submissions *submissions);

#endif
