/* Batches that no iteration has taken, and the windows that they make up. */
#include <stdlib.h>
#include <string.h>

#include "daemon/feeds.h"
#include "daemon/registry.h"

int registry_count(struct twin *twin, const char *feed, int64_t run, int64_t seq, uint64_t rows, uint64_t invalid_rows,
                   int64_t received_ms)
{
    int status = feeds_add(twin->feeds, feed, run, seq, rows, invalid_rows, received_ms);
    if (status)
        return status;
    struct twin_counters *counters = &twin->counters;
    counters->batches++;
    counters->events += rows;
    counters->invalid_rows += invalid_rows;
    if (received_ms > counters->last_received_ms)
        counters->last_received_ms = received_ms;
    return 0;
}

int registry_push(struct twin *twin, uint64_t ordinal, uint64_t rows)
{
    if (twin->pending_count == twin->pending_capacity) {
        size_t capacity = twin->pending_capacity ? 2 * twin->pending_capacity : 64;
        struct pending_batch *grown = realloc(twin->pending, capacity * sizeof *grown);
        if (!grown)
            return TW_NO_MEMORY;
        twin->pending = grown;
        twin->pending_capacity = capacity;
    }
    twin->pending[twin->pending_count++] = (struct pending_batch){ordinal, rows};
    return 0;
}

int registry_arrived(struct twin *twin, uint64_t ordinal, const char *feed, int64_t run, int64_t seq, uint64_t rows,
                     uint64_t invalid_rows, int64_t received_ms)
{
    int status = registry_count(twin, feed, run, seq, rows, invalid_rows, received_ms);
    if (status)
        return status;
    twin->counters.gaps = feeds_gaps(twin->feeds);
    return registry_push(twin, ordinal, rows);
}

/* Batches of the window that begins at pending batch `from`; 0 if it is not complete. */
static size_t window_at(const struct twin *twin, size_t from, uint64_t *rows)
{
    uint64_t wanted = (uint64_t)twin->definition->loop.window;
    *rows = 0;
    for (size_t i = from; i < twin->pending_count; i++) {
        *rows += twin->pending[i].rows;
        if (*rows >= wanted)
            return i + 1 - from;
    }
    return 0;
}

bool registry_window(struct twin *twin, bool all, uint64_t *first, uint64_t *last, size_t *batches, uint64_t *rows)
{
    pthread_mutex_lock(&twin->lock);
    size_t count = window_at(twin, 0, rows);
    if (!count && all)
        count = twin->pending_count;
    if (count) {
        *first = twin->pending[0].ordinal;
        *last = twin->pending[count - 1].ordinal;
        *batches = count;
    }
    pthread_mutex_unlock(&twin->lock);
    return count > 0;
}

void registry_processed(struct twin *twin, uint64_t last)
{
    pthread_mutex_lock(&twin->lock);
    size_t done = 0;
    while (done < twin->pending_count && twin->pending[done].ordinal <= last)
        done++;
    if (done) {
        twin->pending_count -= done;
        memmove(twin->pending, twin->pending + done, twin->pending_count * sizeof *twin->pending);
    }
    pthread_mutex_unlock(&twin->lock);
}

uint64_t registry_lag(const struct twin *twin)
{
    uint64_t rows;
    size_t lag = 0;
    for (size_t count; (count = window_at(twin, lag, &rows)) > 0;)
        lag += count;
    return lag;
}
