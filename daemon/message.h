/* One multipart message of the ROUTER socket: who sent it, and its frames without copying. */
#ifndef DAEMON_MESSAGE_H
#define DAEMON_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

#include <zmq.h>

#include "proto/wire.h"

struct message {
    unsigned char sender[256]; /* routing id */
    size_t sender_size;
    zmq_msg_t part[TWP_FRAMES_MAX];
    size_t count; /* parts that are kept */
    size_t bytes; /* of all frames, dropped ones included */
    int fd;       /* descriptor of its connection, -1: it has none */
    bool dropped; /* it had more frames or bytes than the wire allows: what is beyond was not kept */
};

/* Receives without waiting; false if there is none. An endless message is read to its end and not kept. */
bool message_receive(void *socket, struct message *out);
void message_fini(struct message *message);

size_t message_frames(struct message *message, struct twp_frame frames[TWP_FRAMES_MAX]);
bool message_same_sender(const struct message *a, const struct message *b);

/* Sends tag and JSON to the sender; takes and frees `json`; NULL (no memory) sends nothing: the feed asks again. */
void message_reply(void *socket, const struct message *to, const char *tag, char *json);

#endif
