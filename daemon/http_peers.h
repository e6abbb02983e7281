/* The table of HTTP connections: who holds a place, and whether it does anything with it.
 *
 * A time-out of silence, which the server library has, is never met by a client that drips a byte now and then, and
 * costs each request several looks at a clock and a list under a lock. Here every connection has patience: a head must
 * begin before the silence is too long and be complete some seconds after its first byte, a body must come and an
 * answer must be taken at some least rate. Progress is what the kernel has counted for the socket (TCP_INFO), so bytes
 * that the server has not looked at yet count too. Time in which the daemon itself is at work costs a client nothing.
 * Of a second in which a request ended, what came counts for nothing: nobody knows whether it was of the next one.
 *
 * Close to the limit the connection that has been of least use for the longest time makes room for a new one: newcomers
 * always get in. To end a connection its socket is shut down; the server sees that and closes it.
 *
 * Any thread; http_peers_turn of one connection by one thread at a time.
 */
#ifndef DAEMON_HTTP_PEERS_H
#define DAEMON_HTTP_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_peers;
struct http_peer; /* one connection, from add to remove; NULL is accepted everywhere and is never ended */

/* Whose turn it is. */
enum http_peer_turn {
    HTTP_PEER_HEAD,   /* the client's: a request may come, or its head is on its way */
    HTTP_PEER_BODY,   /* the client's: the body of a request */
    HTTP_PEER_ANSWER, /* ours, as long as nothing is there that the client could take */
};

enum {
    HTTP_PEERS_SILENCE_S = 30,  /* in which no byte moves, between requests */
    HTTP_PEERS_HEAD_S = 10,     /* for a head, from when the first look finds that one has begun */
    HTTP_PEERS_PATIENCE_S = 10, /* how long a body or a reader may be below the least rate */
    HTTP_PEERS_FRESH_S = 1,     /* after which nothing speaks for a connection that has not asked for anything */
    HTTP_PEERS_RATE = 8192,     /* that rate, bytes a second */
};

struct http_peers *http_peers_new(size_t most); /* connections at once; NULL: memory is out */
void http_peers_free(struct http_peers *peers); /* accepts NULL */

/* A connection was accepted; another one may be ended to make room. NULL when memory is out. */
struct http_peer *http_peers_add(struct http_peers *peers, int fd);
/* Before the socket is closed: its number may be another connection's a moment later. */
void http_peers_remove(struct http_peers *peers, struct http_peer *peer);
/* `now`: a few milliseconds do not matter. */
void http_peers_turn(struct http_peer *peer, enum http_peer_turn turn, double now);
/* True once the connection was told to end: nobody waits for its answer. */
bool http_peers_ended(const struct http_peer *peer);

/* Looks after all of them; about once a second. `now` is clock_monotonic(). */
void http_peers_look(struct http_peers *peers, double now);

struct http_peers_counts {
    size_t open, most;
    uint64_t slow;    /* ended for want of progress */
    uint64_t crowded; /* ended to make room */
};
void http_peers_count(struct http_peers *peers, struct http_peers_counts *out);

#endif
