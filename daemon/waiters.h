/* Feeds that were held back because a twin's loop is behind, until they are told that there is room again. Bounded:
 * whoever does not fit is not told, and finds out by sending again. Belongs to the ingest thread. */
#ifndef DAEMON_WAITERS_H
#define DAEMON_WAITERS_H

#include <stdbool.h>

#include "daemon/message.h"

struct waiters;

struct waiters *waiters_new(void);
void waiters_free(struct waiters *waiters);

/* `sender` waits for the twin of the key; NULL: somebody who can't be told. False: it waited already, or there is no
 * place. */
bool waiters_add(struct waiters *waiters, const struct twp_key *key, const struct message *sender);
bool waiters_any(const struct waiters *waiters);
bool waiters_has(const struct waiters *waiters, const char *twin); /* somebody waits for it */
/* The name of a twin that is waited for, by number; NULL behind the last. */
const char *waiters_twin(const struct waiters *waiters, size_t i);
/* Takes one of those who wait for the twin; sender->sender_size is 0 if it can't be told. False: there are no more. */
bool waiters_take(struct waiters *waiters, const char *twin, struct twp_key *key, struct message *sender);

#endif
