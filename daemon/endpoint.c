/* Binding ZeroMQ sockets, with the limits that they need. */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <zmq.h>

#include "daemon/endpoint.h"
#include "proto/wire.h"

enum {
    RECEIVE_QUEUE = 64,   /* messages a connection may have waiting in libzmq */
    SEND_QUEUE = 1 << 16, /* answers waiting for a connection that does not read; beyond it they are lost */
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

/* A frame beyond MAXMSGSIZE costs the feed its connection without a word; up to it, it gets its NACK. */
static void set_limits(void *socket, int type, const char *endpoint)
{
    int64_t largest = 2 * (int64_t)TWP_BATCH_BYTES_MAX;
    zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &largest, sizeof largest);
    set_option(socket, ZMQ_LINGER, 0);
    set_option(socket, ZMQ_TCP_KEEPALIVE, 1);
    set_option(socket, ZMQ_IPV6, strchr(endpoint, '[') != NULL);
    set_option(socket, ZMQ_RCVHWM, RECEIVE_QUEUE);
    if (type == ZMQ_ROUTER) {
        set_option(socket, ZMQ_SNDHWM, SEND_QUEUE);
        set_option(socket, ZMQ_ROUTER_HANDOVER, 1); /* a feed with a name of its own comes back after a cut */
    }
}

int endpoint_bind(void *zmq, int type, const char *endpoint, void **out, char bound[ENDPOINT_MAX],
                  struct tw_error *error)
{
    void *socket = *out = zmq_socket(zmq, type);
    if (!socket)
        return tw_error_set(error, TW_NO_MEMORY, "no ZeroMQ socket: %s", zmq_strerror(zmq_errno()));
    set_limits(socket, type, endpoint);
    size_t size = ENDPOINT_MAX;
    if (zmq_bind(socket, endpoint) == 0 && zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, bound, &size) == 0)
        return 0;
    if (zmq_errno() == EADDRINUSE)
        return tw_error_set(error, TW_BUSY, "%.150s is in use by another program", endpoint);
    return tw_error_set(error, TW_INVALID, "can't bind %.150s: %s", endpoint, zmq_strerror(zmq_errno()));
}
