/* Credit: how many bytes a feed may have in flight, that is, sent and not answered. It is the free credit until the
 * feed says hello, then a share of what all feeds may have. A feed whose twin can keep no more, as its loop is behind,
 * has none until there is room: its batches are refused, and it is told when to send again.
 *
 * Belongs to the ingest thread. */
#ifndef DAEMON_CREDIT_H
#define DAEMON_CREDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/guard.h"
#include "daemon/message.h"
#include "daemon/registry.h"

struct credit;

struct credit_options {
    void *router; /* feeds are told through it */
    struct guard *guard;
    struct registry *registry;
    const long *credit_mb, *spool_mb, *memory_mb; /* as of ingest_options */
};

struct credit *credit_new(const struct credit_options *options); /* NULL: memory is out */
void credit_free(struct credit *credit);                         /* accepts NULL */

/* Before a group: what does each feed get, as they are connected now? */
void credit_share_out(struct credit *credit);
int64_t credit_share(const struct credit *credit);
/* The largest batch, which no share may shut out. */
int64_t credit_most(const struct credit *credit);

void credit_greet(struct credit *credit, const struct message *sender); /* it said hello */
bool credit_greeted(struct credit *credit, const struct message *sender);
/* What a connection may have in flight, if it has `held` bytes already. */
int64_t credit_window(struct credit *credit, const struct message *sender, int64_t held);

/* Bytes that a twin's loop may leave untaken; 0: no limit. */
uint64_t credit_spool(const struct credit *credit);

/* The loop of the key's twin is behind: `to` waits for room, and is told to stop if it is greeted; NULL: somebody who
 * can't be told. `detail` is for the operator. */
void credit_hold_back(struct credit *credit, const struct twp_key *key, const struct message *to, const char *detail);
/* Somebody shall be told when there is room. */
void credit_wait(struct credit *credit, const struct twp_key *key, const struct message *to);
/* Lets go whose twin has room again, or is no more. Looks at most every few milliseconds. */
void credit_look(struct credit *credit);
bool credit_awaited(const struct credit *credit); /* does anybody wait? */

#endif
