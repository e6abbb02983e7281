/* Guard of the ZeroMQ ports. libzmq counts whole messages and nothing else: a multipart message that never ends, a
 * thousand connections that say nothing, subscriptions without end all cost memory that no option of a socket bounds.
 *
 * The guard learns from socket monitors which connections there are, and from the kernel how many bytes each has sent.
 * What came since the last whole message was taken from it is what libzmq holds of it. Beyond a share of the memory
 * that the daemon may have, the connection that holds most is shut down; so is one too many. That costs a good feed
 * nothing but a reconnect: what was not acknowledged it sends again.
 *
 * A thread of its own, as ingest may wait for a disk. */
#ifndef DAEMON_GUARD_H
#define DAEMON_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct guard;

enum guard_port { GUARD_FEEDS, GUARD_LISTENERS, GUARD_PORTS };
/* Why a connection was ended. */
enum guard_reason { GUARD_HELD, GUARD_MEMORY, GUARD_TOO_MANY, GUARD_SUBSCRIPTIONS, GUARD_REASONS };
const char *guard_reason_name(enum guard_reason reason);
const char *guard_port_name(enum guard_port port);

struct guard_options {
    void *zmq, *router, *pub;
    /* see config_live; NULL: no limit. memory_mb: of the process; a quarter of it is for what libzmq holds */
    const long *memory_mb, *connections;
};

/* Before the sockets are bound, so that no connection is missed. They must not be closed before guard_stop. */
int guard_start(const struct guard_options *options, struct guard **out, struct tw_error *error);
void guard_stop(struct guard *guard); /* accepts NULL */

/* A whole message was taken from this connection of the feeds' port; it made sense, so that the connection is among the
 * last to go. Any thread; cheap. */
void guard_delivered(struct guard *guard, int fd);
void guard_valid(struct guard *guard, int fd);

struct guard_counts {
    uint64_t connections[GUARD_PORTS]; /* now */
    uint64_t ended[GUARD_REASONS];     /* since the start */
};
void guard_counts(struct guard *guard, struct guard_counts *out);

#endif
