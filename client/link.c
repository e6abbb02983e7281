/* A feed's connection. */
#include "client/link.h"

#include <errno.h>
#include <string.h>

#include <zmq.h>

enum { FRAMES_MAX = 4, HEARTBEAT = 5000 }; /* ms */

bool link_open(struct link *link, const char *endpoint)
{
    const char *monitor = "inproc://monitor";
    int none = 0, beat = HEARTBEAT;
    memset(link, 0, sizeof *link);
    link->endpoint = endpoint;
    link->context = zmq_ctx_new();
    link->socket = link->context ? zmq_socket(link->context, ZMQ_DEALER) : NULL;
    if (!link->socket)
        return false;
    zmq_setsockopt(link->socket, ZMQ_LINGER, &none, sizeof none);
    zmq_setsockopt(link->socket, ZMQ_SNDHWM, &none, sizeof none); /* the credit is the limit */
    zmq_setsockopt(link->socket, ZMQ_RCVHWM, &none, sizeof none);
    zmq_setsockopt(link->socket, ZMQ_HEARTBEAT_IVL, &beat, sizeof beat);
    if (zmq_socket_monitor(link->socket, monitor, ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED))
        return false;
    link->monitor = zmq_socket(link->context, ZMQ_PAIR);
    if (!link->monitor)
        return false;
    zmq_setsockopt(link->monitor, ZMQ_LINGER, &none, sizeof none);
    return !zmq_connect(link->monitor, monitor) && !zmq_connect(link->socket, endpoint);
}

void link_close(struct link *link)
{
    if (link->socket) {
        zmq_socket_monitor(link->socket, NULL, 0);
        zmq_close(link->socket);
    }
    if (link->monitor)
        zmq_close(link->monitor);
    if (link->context)
        zmq_ctx_term(link->context);
    memset(link, 0, sizeof *link);
}

bool link_send(struct link *link, const struct twp_frame *frames, size_t count)
{
    if (!link->connected)
        return false;
    for (size_t i = 0; i < count; i++) {
        int flags = ZMQ_DONTWAIT | (i + 1 < count ? ZMQ_SNDMORE : 0);
        if (zmq_send(link->socket, frames[i].data, frames[i].size, flags) < 0)
            return false;
    }
    return true;
}

bool link_receive(struct link *link, struct twp_reply *reply)
{
    zmq_msg_t message[FRAMES_MAX], spare;
    struct twp_frame frames[FRAMES_MAX];
    size_t count = 0;
    bool got = false, more = true;
    while (more) {
        zmq_msg_t *part = count < FRAMES_MAX ? &message[count] : &spare;
        zmq_msg_init(part);
        more = zmq_msg_recv(part, link->socket, ZMQ_DONTWAIT) >= 0;
        got |= more;
        if (!more || part == &spare) {
            more = more && zmq_msg_more(part);
            zmq_msg_close(part);
            continue;
        }
        more = zmq_msg_more(part);
        frames[count] = (struct twp_frame){zmq_msg_data(part), zmq_msg_size(part)};
        count++;
    }
    if (got && twp_wire_reply(frames, count, reply) != TWP_OK)
        *reply->tag = 0;
    for (size_t i = 0; i < count; i++)
        zmq_msg_close(&message[i]);
    return got;
}

/* Nothing is queued for a daemon that is not there, and what a lost connection left in the socket is not sent before
 * the next hello: what the daemon missed, WELCOME tells. ZMQ_IMMEDIATE would do that, but libzmq 4.3.4 then takes the
 * pipe away between two frames of a message that is being received, and aborts ("Assertion failed: !_more"). */
int link_news(struct link *link)
{
    zmq_msg_t message;
    int made = 0;
    bool lost = false;
    zmq_msg_init(&message);
    while (zmq_msg_recv(&message, link->monitor, ZMQ_DONTWAIT) >= 0) {
        uint16_t event = 0;
        if (!zmq_msg_more(&message)) /* the address, after the event's number and value */
            continue;
        memcpy(&event, zmq_msg_data(&message), sizeof event);
        if (event == ZMQ_EVENT_DISCONNECTED)
            lost = true;
        else
            made++;
    }
    zmq_msg_close(&message);
    if (lost) { /* one that was made since goes too: it has the old messages before it */
        zmq_disconnect(link->socket, link->endpoint);
        zmq_connect(link->socket, link->endpoint);
        made = 0;
    }
    link->connected = !lost && (link->connected || made);
    link->connections += made;
    return made;
}

bool link_wait(struct link *link, bool blocked, double seconds)
{
    zmq_pollitem_t items[] = {
        {link->socket, 0, (short)(ZMQ_POLLIN | (blocked && link->connected ? ZMQ_POLLOUT : 0)), 0},
        {link->monitor, 0, ZMQ_POLLIN, 0}};
    return zmq_poll(items, 2, (long)(seconds * 1e3) + 1) >= 0 || errno == EINTR;
}
