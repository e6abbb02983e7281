/* A feed's connection: one DEALER socket, and the news when it is connected again. */
#ifndef CLIENT_LINK_H
#define CLIENT_LINK_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/wire.h"

struct link {
    void *context, *socket, *monitor;
    const char *endpoint;
    bool connected;
    int connections; /* since it was opened */
};

/* Keeps `endpoint`. False: errno says why. To be closed in both cases. */
bool link_open(struct link *link, const char *endpoint);
void link_close(struct link *link);

/* All frames or none. False: not now. What waits in the socket when a connection is lost goes with it. */
bool link_send(struct link *link, const struct twp_frame *frames, size_t count);
/* The next message, if there is one. What is not a reply of the wire has an empty tag. */
bool link_receive(struct link *link, struct twp_reply *reply);
/* How often it was connected since the last call. Not to be called between the frames of a message. */
int link_news(struct link *link);

/* Waits for a message, for a connection, and if `blocked` until something can be sent; false: errno says why. */
bool link_wait(struct link *link, bool blocked, double seconds);

#endif
