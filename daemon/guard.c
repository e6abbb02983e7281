/* A table of connections by descriptor, swept many times a second.
 *
 * The descriptors are libzmq's: it closes them when it likes, and the kernel gives their numbers out again. A socket's
 * cookie never comes twice, so it is asked for before anything is done to a descriptor. */
#include "daemon/guard.h"

#include <arpa/inet.h>
#include <linux/tcp.h>
#include <malloc.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <zmq.h>

#include "daemon/clock.h"
#include "daemon/config.h"
#include "daemon/log.h"
#include "daemon/memory.h"

enum {
    SWEEP_MS = 20,         /* between two looks, */
    SWEEP_MOST_MS = 250,   /* or more, so that looking takes a fiftieth of a core at most */
    SMALL = 64 * 1024,     /* whoever holds less is not ended for want of memory */
    HANDSHAKE_BYTES = 112, /* a listener that sent more has subscribed to something */
    SUBSCRIPTIONS_BYTES = 1 << 20,
    SUBSCRIPTIONS_RATE = 16, /* bytes/s beside them: heartbeats */
    DESCRIPTORS_KEPT = 256,  /* for files, HTTP and the rest */
};

struct connection {
    bool open, valid, delivered; /* delivered: since the last sweep */
    enum guard_port port;
    uint64_t cookie;
    double since;            /* accepted */
    uint64_t received, base; /* bytes from the network; those that were accounted for by whole messages */
};

struct guard {
    struct guard_options options;
    void *monitor[GUARD_PORTS]; /* the reading ends; the thread's */
    pthread_t thread;
    int bell; /* eventfd: the end */

    pthread_mutex_t lock;          /* guards what follows */
    struct connection *connection; /* by descriptor */
    int room;
    struct guard_counts counts;

    /* the thread's own */
    double logged;
    uint64_t unlogged;
    uint64_t resident; /* bytes, at the last sweep */
};

const char *guard_reason_name(enum guard_reason reason)
{
    static const char *const names[] = {"held", "memory", "too_many", "subscriptions"};
    return names[reason];
}

const char *guard_port_name(enum guard_port port)
{
    static const char *const names[] = {"feeds", "listeners"};
    return names[port];
}

/* --- one connection --- */

/* 0: this is no socket. */
static uint64_t cookie_of(int fd)
{
    uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

static void describe_peer(int fd, char text[80])
{
    struct sockaddr_storage peer;
    socklen_t size = sizeof peer;
    char address[INET6_ADDRSTRLEN] = "";
    strcpy(text, "unknown");
    if (getpeername(fd, (struct sockaddr *)&peer, &size) != 0)
        return;
    if (peer.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&peer;
        inet_ntop(AF_INET, &in->sin_addr, address, sizeof address);
        snprintf(text, 80, "%s:%d", address, ntohs(in->sin_port));
    } else if (peer.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)&peer;
        inet_ntop(AF_INET6, &in->sin6_addr, address, sizeof address);
        snprintf(text, 80, "[%s]:%d", address, ntohs(in->sin6_port));
    }
}

static uint64_t held(const struct connection *connection)
{
    return connection->received - connection->base;
}

/* At most one line a second: those who come in thousands go in thousands. */
static void log_end(struct guard *guard, int fd, const struct connection *connection, enum guard_reason reason)
{
    char peer[80];
    double now = clock_monotonic();
    if (guard->logged > 0 && now - guard->logged < 1) {
        guard->unlogged++;
        return;
    }
    describe_peer(fd, peer);
    log_warning("connection_ended", "port=%s peer=%s reason=%s held_bytes=%llu seconds=%.1f unlogged=%llu",
                guard_port_name(connection->port), peer, guard_reason_name(reason),
                (unsigned long long)held(connection), now - connection->since, (unsigned long long)guard->unlogged);
    guard->logged = now;
    guard->unlogged = 0;
}

/* libzmq sees the end of the connection and drops what it holds of it. Lock held. */
static void end(struct guard *guard, int fd, enum guard_reason reason)
{
    struct connection *connection = &guard->connection[fd];
    if (cookie_of(fd) == connection->cookie) {
        log_end(guard, fd, connection, reason);
        shutdown(fd, SHUT_RDWR);
        guard->counts.ended[reason]++;
    }
    guard->counts.connections[connection->port]--;
    connection->open = false;
}

/* Bytes that the kernel took in for this connection; false if it is no more. */
static bool look_at(int fd, struct connection *connection)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    memset(&info, 0, sizeof info);
    if (cookie_of(fd) != connection->cookie)
        return false;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
        return true; /* no TCP: nothing is known of its bytes */
    connection->received = info.tcpi_bytes_received;
    if (connection->port == GUARD_LISTENERS) /* it has subscribed to something: that makes sense */
        connection->valid = connection->received > HANDSHAKE_BYTES;
    if (connection->delivered)
        connection->base = connection->received;
    connection->delivered = false;
    return true;
}

/* --- those that come --- */

static bool make_room(struct guard *guard, int fd)
{
    if (fd < guard->room)
        return true;
    int room = fd < 128 ? 256 : 2 * fd;
    struct connection *grown = realloc(guard->connection, (size_t)room * sizeof *grown);
    if (!grown)
        return false;
    memset(grown + guard->room, 0, (size_t)(room - guard->room) * sizeof *grown);
    guard->connection = grown;
    guard->room = room;
    return true;
}

/* Descriptors that are used up make libzmq's accept spin, so they count too. */
static uint64_t most_connections(const struct guard *guard)
{
    struct rlimit files;
    uint64_t most = guard->options.connections ? (uint64_t)config_live(guard->options.connections) : UINT64_MAX;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur != RLIM_INFINITY) {
        uint64_t there = files.rlim_cur > 2 * DESCRIPTORS_KEPT ? (files.rlim_cur - DESCRIPTORS_KEPT) / 4 : 64;
        most = most < there ? most : there;
    }
    return most;
}

/* Those that said nothing go before those that said nothing sensible, and the oldest of them first. */
static int rank(const struct connection *connection)
{
    return connection->valid ? 2 : connection->received > HANDSHAKE_BYTES;
}

static int first_to_go(const struct guard *guard, enum guard_port port)
{
    const struct connection *first = NULL;
    for (int fd = 0; fd < guard->room; fd++) {
        const struct connection *at = &guard->connection[fd];
        if (at->open && at->port == port &&
            (!first || rank(at) < rank(first) || (rank(at) == rank(first) && at->since < first->since)))
            first = at;
    }
    return (int)(first - guard->connection);
}

/* Who goes when there is one too many; if all that were there make sense, the newcomer. What was known of the one that
 * is chosen is looked up again: it may have spoken meanwhile. */
static int one_too_many(struct guard *guard, enum guard_port port, int newcomer)
{
    for (;;) {
        int fd = first_to_go(guard, port);
        struct connection *first = &guard->connection[fd];
        int before = rank(first);
        if (before == 2)
            return newcomer;
        if (!look_at(fd, first) || rank(first) == before)
            return fd;
    }
}

static void accept_connection(struct guard *guard, enum guard_port port, int fd)
{
    uint64_t cookie = cookie_of(fd);
    if (!cookie) /* it has gone already */
        return;
    pthread_mutex_lock(&guard->lock);
    if (make_room(guard, fd)) {
        struct connection *connection = &guard->connection[fd];
        if (connection->open) /* an earlier one of this number, whose end was not told */
            guard->counts.connections[connection->port]--;
        *connection = (struct connection){.open = true, .port = port, .cookie = cookie, .since = clock_monotonic()};
        if (++guard->counts.connections[port] > most_connections(guard))
            end(guard, one_too_many(guard, port, fd), GUARD_TOO_MANY);
    }
    pthread_mutex_unlock(&guard->lock);
}

static void close_connection(struct guard *guard, int fd)
{
    pthread_mutex_lock(&guard->lock);
    if (fd >= 0 && fd < guard->room && guard->connection[fd].open && cookie_of(fd) != guard->connection[fd].cookie) {
        guard->connection[fd].open = false;
        guard->counts.connections[guard->connection[fd].port]--;
    }
    pthread_mutex_unlock(&guard->lock);
}

/* Reads what the monitor of a port has to tell. An event is two frames: its number and value, and the endpoint. */
static void hear(struct guard *guard, enum guard_port port)
{
    zmq_msg_t part;
    zmq_msg_init(&part);
    while (zmq_msg_recv(&part, guard->monitor[port], ZMQ_DONTWAIT) >= 0) {
        uint16_t event = 0;
        uint32_t value = 0;
        if (zmq_msg_more(&part) && zmq_msg_size(&part) == sizeof event + sizeof value) {
            memcpy(&event, zmq_msg_data(&part), sizeof event);
            memcpy(&value, (const char *)zmq_msg_data(&part) + sizeof event, sizeof value);
        }
        if (event == ZMQ_EVENT_ACCEPTED)
            accept_connection(guard, port, (int)value);
        else if (event == ZMQ_EVENT_DISCONNECTED || event == ZMQ_EVENT_CLOSED)
            close_connection(guard, (int)value);
    }
    zmq_msg_close(&part);
}

/* --- those that are there --- */

/* Of messages that came another way (inproc, ipc) there is no descriptor. */
void guard_delivered(struct guard *guard, int fd)
{
    pthread_mutex_lock(&guard->lock);
    if (fd >= 0 && fd < guard->room)
        guard->connection[fd].delivered = true;
    pthread_mutex_unlock(&guard->lock);
}

void guard_valid(struct guard *guard, int fd)
{
    pthread_mutex_lock(&guard->lock);
    if (fd >= 0 && fd < guard->room)
        guard->connection[fd].valid = true;
    pthread_mutex_unlock(&guard->lock);
}

/* Looks at all; ends listeners whose subscriptions have no end. *most: who holds most, or -1; returns the sum of what
 * all hold. Lock held. */
static uint64_t look_at_all(struct guard *guard, int *most)
{
    uint64_t sum = 0;
    double now = clock_monotonic();
    *most = -1;
    for (int fd = 0; fd < guard->room; fd++) {
        struct connection *at = &guard->connection[fd];
        if (!at->open)
            continue;
        if (!look_at(fd, at)) {
            at->open = false;
            guard->counts.connections[at->port]--;
        } else if (at->port == GUARD_LISTENERS) {
            if (at->received > SUBSCRIPTIONS_BYTES + SUBSCRIPTIONS_RATE * (uint64_t)(now - at->since))
                end(guard, fd, GUARD_SUBSCRIPTIONS);
        } else {
            sum += held(at);
            if (*most < 0 || held(at) > held(&guard->connection[*most]))
                *most = fd;
        }
    }
    return sum;
}

/* One connection a sweep: what it held is gone before the next look, or the next one goes then. The memory that would
 * be in use two looks on counts, as on a busy machine the next look may be late. */
static void sweep(struct guard *guard)
{
    int most;
    uint64_t memory = guard->options.memory_mb ? (uint64_t)config_live(guard->options.memory_mb) << 20 : UINT64_MAX;
    uint64_t resident = memory_resident();
    uint64_t growth = resident > guard->resident && guard->resident > 0 ? resident - guard->resident : 0;
    bool short_of_memory = memory < UINT64_MAX && resident + 2 * growth > memory / 8 * 7, ended = false;
    guard->resident = resident;
    pthread_mutex_lock(&guard->lock);
    uint64_t sum = look_at_all(guard, &most);
    if (most >= 0 && sum > memory / 4) {
        end(guard, most, GUARD_HELD);
        ended = true;
    } else if (most >= 0 && short_of_memory && held(&guard->connection[most]) > SMALL) {
        end(guard, most, GUARD_MEMORY);
        ended = true;
    }
    pthread_mutex_unlock(&guard->lock);
    if (ended || short_of_memory)
        malloc_trim(0); /* what the last ones held goes back, or the next look would find it still */
}

void guard_counts(struct guard *guard, struct guard_counts *out)
{
    pthread_mutex_lock(&guard->lock);
    *out = guard->counts;
    pthread_mutex_unlock(&guard->lock);
}

/* --- the thread --- */

static void *run(void *context)
{
    struct guard *guard = context;
    long wait = SWEEP_MS;
    pthread_setname_np(pthread_self(), "guard");
    for (;;) {
        zmq_pollitem_t items[] = {
            {.socket = guard->monitor[GUARD_FEEDS], .events = ZMQ_POLLIN},
            {.socket = guard->monitor[GUARD_LISTENERS], .events = ZMQ_POLLIN},
            {.fd = guard->bell, .events = ZMQ_POLLIN},
        };
        struct guard_counts counts;
        guard_counts(guard, &counts);
        zmq_poll(items, 3, counts.connections[GUARD_FEEDS] + counts.connections[GUARD_LISTENERS] > 0 ? wait : -1);
        if (items[2].revents)
            return NULL;
        hear(guard, GUARD_FEEDS);
        hear(guard, GUARD_LISTENERS);
        double before = clock_monotonic();
        sweep(guard);
        long cost = (long)(50 * 1000 * (clock_monotonic() - before));
        wait = cost < SWEEP_MS ? SWEEP_MS : cost > SWEEP_MOST_MS ? SWEEP_MOST_MS : cost;
    }
}

/* The monitor of a socket and its reading end, which takes whatever comes: libzmq would wait for room, with all its
 * connections. */
static int watch(struct guard *guard, enum guard_port port, void *socket, struct tw_error *error)
{
    char address[64];
    int none = 0;
    snprintf(address, sizeof address, "inproc://guard.%s", guard_port_name(port));
    if (zmq_socket_monitor(socket, address, ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_CLOSED | ZMQ_EVENT_DISCONNECTED) != 0)
        return tw_error_set(error, TW_NO_MEMORY, "no monitor for %s: %s", guard_port_name(port),
                            zmq_strerror(zmq_errno()));
    void *monitor = guard->monitor[port] = zmq_socket(guard->options.zmq, ZMQ_PAIR);
    if (!monitor || zmq_setsockopt(monitor, ZMQ_RCVHWM, &none, sizeof none) != 0 ||
        zmq_setsockopt(monitor, ZMQ_LINGER, &none, sizeof none) != 0 || zmq_connect(monitor, address) != 0)
        return tw_error_set(error, TW_NO_MEMORY, "no monitor for %s: %s", guard_port_name(port),
                            zmq_strerror(zmq_errno()));
    return 0;
}

static void release(struct guard *guard)
{
    zmq_socket_monitor(guard->options.router, NULL, 0);
    zmq_socket_monitor(guard->options.pub, NULL, 0);
    for (int port = 0; port < GUARD_PORTS; port++)
        if (guard->monitor[port])
            zmq_close(guard->monitor[port]);
    if (guard->bell >= 0)
        close(guard->bell);
    pthread_mutex_destroy(&guard->lock);
    free(guard->connection);
    free(guard);
}

int guard_start(const struct guard_options *options, struct guard **out, struct tw_error *error)
{
    *out = NULL;
    struct guard *guard = calloc(1, sizeof *guard);
    if (!guard)
        return tw_error_set(error, TW_NO_MEMORY, "out of memory");
    guard->options = *options;
    pthread_mutex_init(&guard->lock, NULL);
    guard->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int status = guard->bell < 0 ? tw_error_set(error, TW_NO_MEMORY, "out of files") : 0;
    if (status == 0)
        status = watch(guard, GUARD_FEEDS, options->router, error);
    if (status == 0)
        status = watch(guard, GUARD_LISTENERS, options->pub, error);
    if (status == 0) {
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        if (pthread_create(&guard->thread, NULL, run, guard) != 0)
            status = tw_error_set(error, TW_NO_MEMORY, "no thread for the guard");
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    if (status)
        release(guard);
    else
        *out = guard;
    return status;
}

void guard_stop(struct guard *guard)
{
    if (!guard)
        return;
    eventfd_write(guard->bell, 1);
    pthread_join(guard->thread, NULL);
    release(guard);
}
