/* statvfs, remembered for a moment: a batch must not cost a system call to learn what the one before it learnt. */
#include "daemon/space.h"

#include <pthread.h>
#include <stddef.h>
#include <sys/statvfs.h>

#include "daemon/clock.h"
#include "daemon/config.h"

static const double FRESH = 0.1; /* seconds */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *watched;
static const long *reserve;
static double looked_at;
static uint64_t available;

void space_watch(const char *folder, const long *reserve_mb)
{
    pthread_mutex_lock(&lock);
    watched = folder;
    reserve = reserve_mb;
    looked_at = 0;
    available = UINT64_MAX;
    pthread_mutex_unlock(&lock);
}

/* Lock held. */
static void look(void)
{
    struct statvfs disk;
    double now = clock_monotonic();
    if (!watched || (looked_at > 0 && now - looked_at < FRESH))
        return;
    looked_at = now;
    available = statvfs(watched, &disk) == 0 ? (uint64_t)disk.f_bavail * disk.f_frsize : UINT64_MAX;
}

uint64_t space_free(void)
{
    pthread_mutex_lock(&lock);
    look();
    uint64_t bytes = watched ? available : UINT64_MAX;
    pthread_mutex_unlock(&lock);
    return bytes;
}

bool space_for(uint64_t bytes)
{
    uint64_t there = space_free();
    uint64_t kept = reserve ? (uint64_t)config_live(reserve) << 20 : 0;
    return there >= kept && there - kept >= bytes;
}
