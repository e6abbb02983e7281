/* A short array: looked through by hand. */
#include <stdlib.h>
#include <string.h>

#include "daemon/waiters.h"

enum { WAITERS_MAX = 256 };

struct waiter {
    struct twp_key key;
    unsigned char sender[sizeof((struct message *)0)->sender];
    size_t sender_size;
};

struct waiters {
    struct waiter waiter[WAITERS_MAX];
    size_t count;
};

struct waiters *waiters_new(void)
{
    return calloc(1, sizeof(struct waiters));
}

void waiters_free(struct waiters *waiters)
{
    free(waiters);
}

bool waiters_add(struct waiters *waiters, const struct twp_key *key, const struct message *sender)
{
    size_t size = sender ? sender->sender_size : 0;
    for (size_t i = 0; i < waiters->count; i++) {
        const struct waiter *at = &waiters->waiter[i];
        if (at->sender_size == size && strcmp(at->key.twin, key->twin) == 0 &&
            (size == 0 || memcmp(at->sender, sender->sender, size) == 0))
            return false;
    }
    if (waiters->count == WAITERS_MAX)
        return false;
    struct waiter *added = &waiters->waiter[waiters->count++];
    *added = (struct waiter){.key = *key, .sender_size = size};
    if (size)
        memcpy(added->sender, sender->sender, size);
    return true;
}

bool waiters_has(const struct waiters *waiters, const char *twin)
{
    for (size_t i = 0; i < waiters->count; i++)
        if (strcmp(waiters->waiter[i].key.twin, twin) == 0)
            return true;
    return false;
}

bool waiters_any(const struct waiters *waiters)
{
    return waiters->count > 0;
}

const char *waiters_twin(const struct waiters *waiters, size_t i)
{
    return i < waiters->count ? waiters->waiter[i].key.twin : NULL;
}

bool waiters_take(struct waiters *waiters, const char *twin, struct twp_key *key, struct message *sender)
{
    for (size_t i = 0; i < waiters->count; i++) {
        struct waiter *at = &waiters->waiter[i];
        if (strcmp(at->key.twin, twin) != 0)
            continue;
        *key = at->key;
        memcpy(sender->sender, at->sender, at->sender_size);
        sender->sender_size = at->sender_size;
        *at = waiters->waiter[--waiters->count];
        return true;
    }
    return false;
}
