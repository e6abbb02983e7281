/* A list under a lock. Looking at a connection costs a system call or two, so that is done once a second; making room
 * goes by what was found then. */
#include "daemon/http_peers.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "daemon/clock.h"

enum { TURNS_STEP = 4 };

struct http_peer {
    struct http_peer *next, **link;
    int fd;
    /* Written by whoever serves the connection, without the lock, which all connections share. */
    atomic_uint turns;     /* changes of turn, times TURNS_STEP, plus whose turn it is */
    _Atomic double useful; /* when the connection was last of use, or could not have been: the order of eviction */
    atomic_bool ended;
    /* Of whoever has the lock. */
    unsigned settled; /* what `turns` was when it was last looked at */
    bool turned;      /* since the last look */
    bool head_begun;
    uint64_t received, taken; /* by us; by the client: the kernel's counts when last looked at */
    double head_end;          /* deadline, if head_begun */
    double moved;             /* when bytes last did */
    double patience;          /* seconds left, of HTTP_PEERS_PATIENCE_S */
};

struct http_peers {
    pthread_mutex_t lock;
    struct http_peer *first;
    size_t open, ended; /* ended ones are open until the server has closed them */
    size_t most;
    double looked; /* when */
    uint64_t slow, crowded;
};

struct http_peers *http_peers_new(size_t most)
{
    struct http_peers *peers = calloc(1, sizeof *peers);
    if (peers == NULL)
        return NULL;
    pthread_mutex_init(&peers->lock, NULL);
    peers->most = most;
    peers->looked = clock_monotonic();
    return peers;
}

void http_peers_free(struct http_peers *peers)
{
    if (peers == NULL)
        return;
    while (peers->first != NULL)
        http_peers_remove(peers, peers->first);
    pthread_mutex_destroy(&peers->lock);
    free(peers);
}

/* Lock held, so the descriptor is still this connection's. */
static void end(struct http_peers *peers, struct http_peer *peer)
{
    atomic_store(&peer->ended, true);
    peers->ended++;
    shutdown(peer->fd, SHUT_RDWR);
}

static enum http_peer_turn turn_of(const struct http_peer *peer)
{
    return peer->settled % TURNS_STEP;
}

/* Draws what follows from the turns since the last time. Lock held. */
static void settle(struct http_peer *peer)
{
    unsigned turns = atomic_load_explicit(&peer->turns, memory_order_acquire);
    unsigned changes = turns / TURNS_STEP - peer->settled / TURNS_STEP;
    if (changes == 0)
        return;
    peer->settled = turns;
    peer->turned = true;
    peer->head_begun = false;
    /* A reader that was slow stays so where all that happened is the end of an answer: of two changes one was another.
     */
    if (changes > 1 || turn_of(peer) != HTTP_PEER_HEAD)
        peer->patience = HTTP_PEERS_PATIENCE_S;
}

/* We are at work for it, and it takes what we make. */
static bool served(const struct http_peer *peer)
{
    return turn_of(peer) == HTTP_PEER_ANSWER && peer->patience >= HTTP_PEERS_PATIENCE_S;
}

static double useful(const struct http_peer *peer)
{
    return atomic_load_explicit(&((struct http_peer *)peer)->useful, memory_order_relaxed);
}

static void set_useful(struct http_peer *peer, double now)
{
    atomic_store_explicit(&peer->useful, now, memory_order_relaxed);
}

/* Ends the connection that was of use longest ago: one that is not being served, so that no flood of connections takes
 * anybody's answer away. Only where nearly all are being served, and the rest has just come in, one of the many goes.
 * Lock held. */
static void make_room(struct http_peers *peers, double now)
{
    struct http_peer *worst[2] = {NULL, NULL}; /* by served() */
    size_t idle = 0;
    for (struct http_peer *peer = peers->first; peer != NULL; peer = peer->next) {
        if (atomic_load(&peer->ended))
            continue;
        settle(peer);
        struct http_peer **place = &worst[served(peer)];
        if (*place == NULL || useful(peer) < useful(*place))
            *place = peer;
        idle += !served(peer);
    }
    bool from_idle =
        worst[0] != NULL && (worst[1] == NULL || 2 * idle > peers->most || now - useful(worst[0]) > HTTP_PEERS_FRESH_S);
    struct http_peer *peer = worst[!from_idle];
    if (peer == NULL)
        return;
    end(peers, peer);
    peers->crowded++;
}

struct http_peer *http_peers_add(struct http_peers *peers, int fd)
{
    struct http_peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL)
        return NULL;
    peer->fd = fd;
    peer->patience = HTTP_PEERS_PATIENCE_S;
    double now = clock_monotonic();
    set_useful(peer, now);
    peer->moved = now;
    pthread_mutex_lock(&peers->lock);
    if (peers->open - peers->ended >= peers->most)
        make_room(peers, now);
    peer->next = peers->first;
    peer->link = &peers->first;
    if (peer->next != NULL)
        peer->next->link = &peer->next;
    peers->first = peer;
    peers->open++;
    pthread_mutex_unlock(&peers->lock);
    return peer;
}

void http_peers_remove(struct http_peers *peers, struct http_peer *peer)
{
    if (peer == NULL)
        return;
    pthread_mutex_lock(&peers->lock);
    *peer->link = peer->next;
    if (peer->next != NULL)
        peer->next->link = peer->link;
    peers->open--;
    peers->ended -= atomic_load(&peer->ended);
    pthread_mutex_unlock(&peers->lock);
    free(peer);
}

/* What the kernel has counted: bytes that came, bytes that the other side has acknowledged, bytes that it has not. */
static bool count_bytes(int fd, uint64_t *received, uint64_t *taken, int *waiting)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    *waiting = 0;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 || ioctl(fd, SIOCOUTQ, waiting) != 0)
        return false;
    *received = info.tcpi_bytes_received;
    *taken = info.tcpi_bytes_acked;
    return true;
}

/* No system call here and no lock, as each request takes three turns. */
void http_peers_turn(struct http_peer *peer, enum http_peer_turn turn, double now)
{
    if (peer == NULL)
        return;
    unsigned turns = atomic_load_explicit(&peer->turns, memory_order_relaxed);
    if (turns % TURNS_STEP == turn)
        return;
    set_useful(peer, now);
    atomic_store_explicit(&peer->turns, turns - turns % TURNS_STEP + TURNS_STEP + turn, memory_order_release);
}

bool http_peers_ended(const struct http_peer *peer)
{
    return peer != NULL && atomic_load(&((struct http_peer *)peer)->ended);
}

/* `bytes` moved in `seconds` in which the client could have moved more. False when its patience is at an end. */
static bool be_patient(struct http_peer *peer, uint64_t bytes, double now, double seconds)
{
    peer->patience += (double)bytes / HTTP_PEERS_RATE - seconds;
    if (peer->patience >= HTTP_PEERS_PATIENCE_S) {
        peer->patience = HTTP_PEERS_PATIENCE_S;
        set_useful(peer, now);
    }
    return peer->patience > 0;
}

enum fate { STAYS, SILENT, SLOW };

static enum fate in_time(bool yes)
{
    return yes ? STAYS : SLOW;
}

static enum fate look(struct http_peer *peer, double now, double seconds)
{
    uint64_t received = peer->received, taken = peer->taken;
    int waiting = 0;
    if (!count_bytes(peer->fd, &received, &taken, &waiting))
        return STAYS;
    settle(peer);
    uint64_t came = received - peer->received, went = taken - peer->taken;
    if (came > 0 || went > 0)
        peer->moved = now;
    bool turned = peer->turned; /* what came may belong to what was before */
    peer->received = received;
    peer->taken = taken;
    peer->turned = false;
    if (waiting > 0) /* whatever else it does, it has an answer to take */
        return in_time(be_patient(peer, went, now, seconds));
    switch (turn_of(peer)) {
    case HTTP_PEER_HEAD:
        if (!peer->head_begun && came > 0 && !turned) {
            peer->head_begun = true;
            peer->head_end = now + HTTP_PEERS_HEAD_S;
        }
        if (peer->head_begun)
            return in_time(now < peer->head_end);
        return now - peer->moved < HTTP_PEERS_SILENCE_S ? STAYS : SILENT;
    case HTTP_PEER_BODY:
        return in_time(be_patient(peer, came, now, seconds));
    case HTTP_PEER_ANSWER:
        peer->patience = HTTP_PEERS_PATIENCE_S;
        set_useful(peer, now);
        return STAYS;
    }
    return STAYS;
}

void http_peers_look(struct http_peers *peers, double now)
{
    pthread_mutex_lock(&peers->lock);
    double seconds = now - peers->looked;
    peers->looked = now;
    for (struct http_peer *peer = peers->first; peer != NULL; peer = peer->next) {
        enum fate fate = atomic_load(&peer->ended) ? STAYS : look(peer, now, seconds);
        if (fate != STAYS)
            end(peers, peer);
        peers->slow += fate == SLOW;
    }
    pthread_mutex_unlock(&peers->lock);
}

void http_peers_count(struct http_peers *peers, struct http_peers_counts *out)
{
    pthread_mutex_lock(&peers->lock);
    *out = (struct http_peers_counts){peers->open, peers->most, peers->slow, peers->crowded};
    pthread_mutex_unlock(&peers->lock);
}
