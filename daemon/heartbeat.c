/* A table of slots, one a watched thread. Marks are single atomic stores, so that loops may mark as often as they like;
 * the lock is for taking and giving back slots. */
#include "daemon/heartbeat.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "daemon/clock.h"
#include "daemon/trouble.h"

enum { SLOTS = 320, STOOD_STILL_S = 10 }; /* query-threads goes up to 256 */

struct slot {
    bool used;
    bool raised; /* the trouble is on the list */
    char name[32];
    double limit;
    _Atomic int64_t mark; /* microseconds of the monotonic clock; 0: at rest */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all but the marks */
static struct slot slots[SLOTS];
static double checked; /* when main was here last; 0: never */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key; /* its destructor gives the slot of an ending thread back */
static _Thread_local struct slot *mine;

static int64_t microseconds(double seconds)
{
    return (int64_t)(seconds * 1e6);
}

static void give_back(void *argument)
{
    struct slot *slot = argument;
    pthread_mutex_lock(&lock);
    slot->used = false;
    bool raised = slot->raised;
    slot->raised = false;
    pthread_mutex_unlock(&lock);
    if (raised)
        trouble_clear("stalled", slot->name);
}

static void make_key(void)
{
    pthread_key_create(&key, give_back);
}

void heartbeat_start(const char *name, double limit)
{
    if (mine) { /* threads of the server say so at each request */
        heartbeat_mark();
        return;
    }
    pthread_once(&once, make_key);
    pthread_mutex_lock(&lock);
    for (int i = 0; i < SLOTS && !mine; i++) {
        if (slots[i].used)
            continue;
        mine = &slots[i];
        mine->used = true;
        mine->limit = limit;
        snprintf(mine->name, sizeof mine->name, "%s", name);
        pthread_setspecific(key, mine);
    }
    heartbeat_mark();
    pthread_mutex_unlock(&lock);
}

void heartbeat_mark(void)
{
    if (mine)
        atomic_store_explicit(&mine->mark, microseconds(clock_coarse()), memory_order_relaxed);
}

void heartbeat_rest(void)
{
    if (mine)
        atomic_store_explicit(&mine->mark, 0, memory_order_relaxed);
}

/* Seconds beyond the slot's limit; at most 0 while all is well. */
static double late(struct slot *slot, double now)
{
    int64_t mark = atomic_load_explicit(&slot->mark, memory_order_relaxed);
    return slot->used && mark ? now - (double)mark / 1e6 - slot->limit : 0;
}

/* The lateness of the worst thread of this name. */
static double worst(const char *name, double now)
{
    double most = 0;
    for (int i = 0; i < SLOTS; i++) {
        double seconds = slots[i].used && !strcmp(slots[i].name, name) ? late(&slots[i], now) : 0;
        most = seconds > most ? seconds : most;
    }
    return most;
}

static void start_anew(double now)
{
    for (int i = 0; i < SLOTS; i++) {
        int64_t mark = atomic_load_explicit(&slots[i].mark, memory_order_relaxed);
        if (slots[i].used && mark) /* else it came to rest by itself in between */
            atomic_compare_exchange_strong(&slots[i].mark, &mark, microseconds(now));
    }
}

bool heartbeat_check(double now)
{
    bool well = true;
    pthread_mutex_lock(&lock);
    if (checked > 0 && now - checked > STOOD_STILL_S) {
        start_anew(now);
        well = false;
    }
    checked = now;
    for (int i = 0; i < SLOTS; i++) {
        struct slot *slot = &slots[i];
        double seconds = slot->used ? worst(slot->name, now) : 0;
        well = well && seconds <= 0;
        if (seconds > 0)
            trouble_raise("stalled", slot->name, TROUBLE_UNREADY, "has not come round for %.0f s; its limit is %.0f s",
                          seconds + slot->limit, slot->limit);
        else if (slot->raised)
            trouble_clear("stalled", slot->name);
        slot->raised = seconds > 0;
    }
    pthread_mutex_unlock(&lock);
    return well;
}
