/* Shares of the memory, and who waits for room. */
#include <stdlib.h>
#include <string.h>

#include "daemon/clock.h"
#include "daemon/config.h"
#include "daemon/credit.h"
#include "daemon/group.h"
#include "daemon/peers.h"
#include "daemon/trouble.h"
#include "daemon/waiters.h"

/* Between two groups, too: room must not go to whoever sends again, always. */
enum { LOOK_MS = 5 };

struct credit {
    struct credit_options options;
    struct peers *peers;
    struct waiters *waiters;
    double look_at;
    int64_t share;
};

struct credit *credit_new(const struct credit_options *options)
{
    struct credit *credit = calloc(1, sizeof *credit);
    if (!credit)
        return NULL;
    credit->options = *options;
    credit->peers = peers_new();
    credit->waiters = waiters_new();
    if (credit->peers && credit->waiters)
        return credit;
    credit_free(credit);
    return NULL;
}

void credit_free(struct credit *credit)
{
    if (!credit)
        return;
    peers_free(credit->peers);
    waiters_free(credit->waiters);
    free(credit);
}

/* --- windows --- */

int64_t credit_most(const struct credit *credit)
{
    return (int64_t)config_live(credit->options.credit_mb) << 20;
}

/* What all feeds together may have in flight is the memory that they may take; each has a fair share, but no less than
 * one that did not say hello. */
void credit_share_out(struct credit *credit)
{
    const struct credit_options *options = &credit->options;
    struct guard_counts counts;
    credit->share = credit_most(credit);
    guard_counts(options->guard, &counts);
    if (options->memory_mb && counts.connections[GUARD_FEEDS] > 0) {
        int64_t fair = ((int64_t)config_live(options->memory_mb) << 18) / (int64_t)counts.connections[GUARD_FEEDS];
        fair = fair > TWP_FREE_CREDIT ? fair : TWP_FREE_CREDIT;
        credit->share = credit->share < fair ? credit->share : fair;
    }
}

int64_t credit_share(const struct credit *credit)
{
    return credit->share;
}

void credit_greet(struct credit *credit, const struct message *sender)
{
    peers_greet(credit->peers, sender);
}

bool credit_greeted(struct credit *credit, const struct message *sender)
{
    return peers_known(credit->peers, sender);
}

int64_t credit_window(struct credit *credit, const struct message *sender, int64_t held)
{
    if (!credit_greeted(credit, sender))
        return TWP_FREE_CREDIT;
    return held == 0 ? credit_most(credit) : credit->share;
}

uint64_t credit_spool(const struct credit *credit)
{
    return credit->options.spool_mb ? (uint64_t)config_live(credit->options.spool_mb) << 20 : 0;
}

/* --- waiting for room --- */

static void tell(struct credit *credit, const struct twp_key *key, const struct message *to, int64_t bytes)
{
    if (credit_greeted(credit, to))
        message_reply(credit->options.router, to, TWP_CREDIT, twp_wire_credit(key, bytes));
}

void credit_wait(struct credit *credit, const struct twp_key *key, const struct message *to)
{
    waiters_add(credit->waiters, key, to);
}

void credit_hold_back(struct credit *credit, const struct twp_key *key, const struct message *to, const char *detail)
{
    if (waiters_add(credit->waiters, key, to) && to)
        tell(credit, key, to, 0);
    if (waiters_has(credit->waiters, key->twin)) /* else nobody would clear it */
        trouble_raise("feeds_wait", key->twin, TROUBLE_DEGRADED, "%s", detail);
}

static void let_go(struct credit *credit, const char *name)
{
    struct twp_key key;
    struct message to;
    char twin[sizeof key.twin];
    strcpy(twin, name);
    while (waiters_take(credit->waiters, twin, &key, &to)) {
        if (to.sender_size > 0)
            tell(credit, &key, &to, credit->share);
    }
    trouble_clear("feeds_wait", twin);
}

void credit_look(struct credit *credit)
{
    const char *name;
    double now = clock_monotonic();
    if (now < credit->look_at)
        return;
    credit->look_at = now + 1e-3 * LOOK_MS;
    for (size_t i = 0; (name = waiters_twin(credit->waiters, i));) {
        struct twin *twin = registry_find(credit->options.registry, name);
        if (twin && group_behind(twin, credit_spool(credit)))
            i++;
        else
            let_go(credit, name);
        registry_twin_unref(twin);
    }
}

bool credit_awaited(const struct credit *credit)
{
    return waiters_any(credit->waiters);
}
