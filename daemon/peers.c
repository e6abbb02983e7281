/* ZeroMQ does not tell when a connection ends, so the table forgets by age. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/peers.h"

enum { PEERS_MAX = 1024 };

struct peer {
    unsigned char id[256];
    size_t size;
    uint64_t used; /* by the table's own clock, which ticks with each question */
};

struct peers {
    struct peer peer[PEERS_MAX];
    size_t count;
    uint64_t clock;
};

struct peers *peers_new(void)
{
    return calloc(1, sizeof(struct peers));
}

void peers_free(struct peers *peers)
{
    free(peers);
}

bool peers_known(struct peers *peers, const struct message *sender)
{
    for (size_t i = 0; i < peers->count; i++) {
        struct peer *peer = &peers->peer[i];
        if (peer->size == sender->sender_size && memcmp(peer->id, sender->sender, peer->size) == 0) {
            peer->used = ++peers->clock;
            return true;
        }
    }
    return false;
}

void peers_greet(struct peers *peers, const struct message *sender)
{
    if (peers_known(peers, sender))
        return;
    struct peer *place = &peers->peer[0];
    if (peers->count < PEERS_MAX)
        place = &peers->peer[peers->count++];
    for (size_t i = 0; peers->count == PEERS_MAX && i < PEERS_MAX; i++)
        place = peers->peer[i].used < place->used ? &peers->peer[i] : place;
    memcpy(place->id, sender->sender, sender->sender_size);
    place->size = sender->sender_size;
    place->used = ++peers->clock;
}
