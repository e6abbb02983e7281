/* Receiving and answering multipart messages, see message.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/message.h"

/* zmq calls return early when a signal comes in between. */
static bool receive_part(zmq_msg_t *part, void *socket)
{
    int got;
    while ((got = zmq_msg_recv(part, socket, ZMQ_DONTWAIT)) < 0 && errno == EINTR)
        ;
    return got >= 0;
}

static bool receive_sender(void *socket, struct message *out, bool *more)
{
    zmq_msg_t part;
    zmq_msg_init(&part);
    bool any = receive_part(&part, socket);
    if (any) {
        size_t size = zmq_msg_size(&part);
        out->sender_size = size < sizeof out->sender ? size : sizeof out->sender;
        memcpy(out->sender, zmq_msg_data(&part), out->sender_size);
        *more = zmq_msg_more(&part);
    }
    zmq_msg_close(&part);
    return any;
}

bool message_receive(void *socket, struct message *out)
{
    bool more = false;
    out->count = out->bytes = 0;
    out->dropped = false;
    out->fd = -1;
    if (!receive_sender(socket, out, &more))
        return false;
    while (more) {
        zmq_msg_t part;
        zmq_msg_init(&part);
        if (!receive_part(&part, socket)) { /* the parts of a message come all or none: not met */
            zmq_msg_close(&part);
            break;
        }
        more = zmq_msg_more(&part);
        if (out->fd < 0)
            out->fd = zmq_msg_get(&part, ZMQ_SRCFD);
        out->bytes += zmq_msg_size(&part);
        if (out->count < TWP_FRAMES_MAX && out->bytes <= TWP_BATCH_BYTES_MAX) {
            zmq_msg_init(&out->part[out->count]);
            zmq_msg_move(&out->part[out->count++], &part);
        } else {
            out->dropped = true;
        }
        zmq_msg_close(&part);
    }
    return true;
}

void message_fini(struct message *message)
{
    for (size_t i = 0; i < message->count; i++)
        zmq_msg_close(&message->part[i]);
    message->count = 0;
}

size_t message_frames(struct message *message, struct twp_frame frames[TWP_FRAMES_MAX])
{
    for (size_t i = 0; i < message->count; i++)
        frames[i] = (struct twp_frame){zmq_msg_data(&message->part[i]), zmq_msg_size(&message->part[i])};
    return message->count;
}

bool message_same_sender(const struct message *a, const struct message *b)
{
    return a->sender_size == b->sender_size && memcmp(a->sender, b->sender, a->sender_size) == 0;
}

/* A peer that left or does not read loses its answers; it sends again what was not acked. */
void message_reply(void *socket, const struct message *to, const char *tag, char *json)
{
    if (json && zmq_send(socket, to->sender, to->sender_size, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0 &&
        zmq_send(socket, tag, strlen(tag), ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0)
        zmq_send(socket, json, strlen(json), ZMQ_DONTWAIT);
    free(json);
}
