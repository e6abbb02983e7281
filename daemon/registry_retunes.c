/* How retunes ended and how long they took, since the daemon started. */
#include <string.h>

#include "daemon/registry.h"

static const char *const outcomes[REGISTRY_OUTCOMES] = {"promoted", "advised", "rejected", "failed", "cancelled"};
static const double bounds[REGISTRY_BOUNDS] = {1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600};

const char *registry_outcome_name(int outcome)
{
    return outcomes[outcome];
}

double registry_duration_bound(int bucket)
{
    return bounds[bucket];
}

/* The lock is held. */
static void count(struct twin *twin, const char *outcome)
{
    for (int i = 0; i < REGISTRY_OUTCOMES; i++)
        twin->retunes.outcomes[i] += strcmp(outcome, outcomes[i]) == 0;
}

void registry_appealed(struct twin *twin, const char *outcome)
{
    pthread_mutex_lock(&twin->lock);
    count(twin, outcome);
    pthread_mutex_unlock(&twin->lock);
}

void registry_retuned(struct twin *twin, const char *outcome, double seconds)
{
    pthread_mutex_lock(&twin->lock);
    count(twin, outcome);
    for (int i = 0; i < REGISTRY_BOUNDS; i++)
        twin->retunes.within[i] += seconds <= bounds[i];
    twin->retunes.count++;
    twin->retunes.seconds += seconds;
    pthread_mutex_unlock(&twin->lock);
}
