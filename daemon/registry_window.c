/* Batches that no iteration has taken, and the windows that they make up. */
#include <stdlib.h>
#include <string.h>

#include "daemon/clock.h"
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
    counters->heard_s = clock_monotonic();
    bool bad = rows > 0 && invalid_rows == rows;
    if (bad && counters->bad_batches == 0)
        counters->bad_since_ms = received_ms;
    counters->bad_batches = bad ? counters->bad_batches + 1 : 0;
    return 0;
}

/* Counts a batch at the end of what is pending into the window that it belongs to. */
static void count_in(struct twin *twin, const struct pending_batch *batch)
{
    twin->open.batches++;
    twin->open.rows += batch->rows;
    if (twin->open.rows < (uint64_t)twin->definition->loop.window)
        return;
    if (twin->lag.windows++ == 0)
        twin->lag.since_ms = batch->received_ms;
    twin->lag.batches += twin->open.batches;
    twin->open = (struct twin_open){0};
}

void registry_recount(struct twin *twin)
{
    twin->lag = (struct twin_lag){0};
    twin->open = (struct twin_open){0};
    for (size_t i = 0; i < twin->pending_count; i++)
        count_in(twin, &twin->pending[i]);
}

/* Room behind the last: what was processed in front is used again, once it is half of the memory. */
static int make_room(struct twin *twin)
{
    size_t used = (size_t)(twin->pending - twin->pending_memory);
    if (used + twin->pending_count < twin->pending_capacity)
        return 0;
    if (used > 0 && 2 * used >= twin->pending_capacity) {
        memmove(twin->pending_memory, twin->pending, twin->pending_count * sizeof *twin->pending);
        twin->pending = twin->pending_memory;
        return 0;
    }
    size_t capacity = twin->pending_capacity ? 2 * twin->pending_capacity : 64;
    struct pending_batch *grown = realloc(twin->pending_memory, capacity * sizeof *grown);
    if (!grown)
        return TW_NO_MEMORY;
    twin->pending_memory = grown;
    twin->pending = grown + used;
    twin->pending_capacity = capacity;
    return 0;
}

int registry_push(struct twin *twin, uint64_t ordinal, uint64_t rows, int64_t received_ms)
{
    if (make_room(twin))
        return TW_NO_MEMORY;
    struct pending_batch *batch = &twin->pending[twin->pending_count++];
    *batch = (struct pending_batch){ordinal, rows, received_ms};
    count_in(twin, batch);
    return 0;
}

int registry_arrived(struct twin *twin, uint64_t ordinal, const char *feed, int64_t run, int64_t seq, uint64_t rows,
                     uint64_t invalid_rows, int64_t received_ms)
{
    if (make_room(twin)) /* all or nothing: it is tried again */
        return TW_NO_MEMORY;
    int status = registry_count(twin, feed, run, seq, rows, invalid_rows, received_ms);
    if (status)
        return status;
    twin->counters.gaps = feeds_gaps(twin->feeds);
    return registry_push(twin, ordinal, rows, received_ms);
}

/* Batches of the first window; 0 if it is not complete. */
static size_t first_window(const struct twin *twin, uint64_t *rows)
{
    uint64_t wanted = (uint64_t)twin->definition->loop.window;
    *rows = 0;
    for (size_t i = 0; i < twin->pending_count; i++) {
        *rows += twin->pending[i].rows;
        if (*rows >= wanted)
            return i + 1;
    }
    return 0;
}

bool registry_window(struct twin *twin, bool all, uint64_t *first, uint64_t *last, size_t *batches, uint64_t *rows)
{
    pthread_mutex_lock(&twin->lock);
    size_t count = first_window(twin, rows);
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
        twin->pending += done;
        twin->pending_count -= done;
        registry_recount(twin);
    }
    pthread_mutex_unlock(&twin->lock);
}

struct twin_lag registry_lag(const struct twin *twin)
{
    return twin->lag;
}

double registry_lag_seconds(const struct twin *twin)
{
    int64_t waited = twin->lag.windows ? clock_ms() - twin->lag.since_ms : 0;
    return waited > 0 ? (double)waited / 1000 : 0; /* the clock may have been set back */
}
