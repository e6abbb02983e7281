/* Connections that said hello: a bounded table of routing ids. */
#ifndef DAEMON_PEERS_H
#define DAEMON_PEERS_H

#include <stdbool.h>

#include "daemon/message.h"

struct peers;

struct peers *peers_new(void);
void peers_free(struct peers *peers);

/* When the table is full the one that was silent for longest is forgotten: it falls back to the free credit. */
void peers_greet(struct peers *peers, const struct message *sender);
bool peers_known(struct peers *peers, const struct message *sender);

#endif
