/* Answers to a group that is durable or refused: ACK, NACK, WELCOME and CREDIT to feeds, results to those who wait in
 * this process. Belongs to the ingest thread. */
#ifndef DAEMON_ANSWERS_H
#define DAEMON_ANSWERS_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/credit.h"
#include "daemon/group.h"
#include "daemon/guard.h"
#include "daemon/message.h"
#include "daemon/submissions.h"

/* Where a job of a group came from. */
struct source {
    struct message message;
    struct submission *submission; /* NULL: a message */
};

struct answers {
    void *router;
    struct guard *guard;
    struct registry *registry;
    struct credit *credit;
    struct submissions *submissions;
    /* its own */
    double refusal_logged_s; /* monotonic; 0: none yet */
    uint64_t refusals_unlogged;
};

/* Hellos among the jobs are read here: last_durable_seq then holds what came before them. */
void answers_send(struct answers *answers, struct job *jobs, const struct source *sources, size_t count);

#endif
