/* Binding ZeroMQ sockets, with the limits that they need. */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <zmq.h>

#include "daemon/endpoint.h"

enum {
    /* messages of a connection that wait to be taken; beyond it TCP holds the rest back */
    BATCHES_QUEUE = 64,
    SUBSCRIPTIONS_QUEUE = 1000,
    /* what waits for a connection that does not read; beyond it, it is lost */
    ANSWERS_QUEUE = 1 << 12,
    ANNOUNCEMENTS_QUEUE = 256,
    HANDSHAKE_MS = 10000, /* a connection that says nothing for so long goes */
    HEARTBEAT_MS = 30000, /* one whose other end is gone without a word is noticed */
};

#ifdef __SANITIZE_THREAD__
/* libzmq is not instrumented: the sanitizer can't see how its threads agree on a message's memory. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:libzmq.so\n";
}
#endif

static void set_option(void *socket, int option, int value)
{
    zmq_setsockopt(socket, option, &value, sizeof value);
}

/* A frame beyond `largest` costs the feed its connection without a word; up to it, it gets its NACK. */
static void set_limits(void *socket, int type, int64_t largest)
{
    zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &largest, sizeof largest);
    set_option(socket, ZMQ_LINGER, 0);
    set_option(socket, ZMQ_TCP_KEEPALIVE, 1);
    set_option(socket, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS);
    set_option(socket, ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS);
    set_option(socket, ZMQ_HEARTBEAT_TIMEOUT, 2 * HEARTBEAT_MS);
    set_option(socket, ZMQ_RCVHWM, type == ZMQ_ROUTER ? BATCHES_QUEUE : SUBSCRIPTIONS_QUEUE);
    set_option(socket, ZMQ_SNDHWM, type == ZMQ_ROUTER ? ANSWERS_QUEUE : ANNOUNCEMENTS_QUEUE);
    if (type == ZMQ_ROUTER)
        set_option(socket, ZMQ_ROUTER_HANDOVER, 1); /* a feed with a name of its own comes back after a cut */
}

int endpoint_open(void *zmq, int type, int64_t largest, void **out, struct tw_error *error)
{
    *out = zmq_socket(zmq, type);
    if (!*out)
        return tw_error_set(error, TW_NO_MEMORY, "no ZeroMQ socket: %s", zmq_strerror(zmq_errno()));
    set_limits(*out, type, largest);
    return 0;
}

int endpoint_bind(void *socket, const char *endpoint, char bound[ENDPOINT_MAX], struct tw_error *error)
{
    size_t size = ENDPOINT_MAX;
    set_option(socket, ZMQ_IPV6, strchr(endpoint, '[') != NULL);
    if (zmq_bind(socket, endpoint) == 0 && zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, bound, &size) == 0)
        return 0;
    if (zmq_errno() == EADDRINUSE)
        return tw_error_set(error, TW_BUSY, "%.150s is in use by another program; --ingest and --publish take others",
                            endpoint);
    return tw_error_set(error, TW_INVALID, "can't bind %.150s: %s", endpoint, zmq_strerror(zmq_errno()));
}
