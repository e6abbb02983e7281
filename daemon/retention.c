#include "daemon/retention.h"

#include <pthread.h>
#include <stdlib.h>

#include "daemon/clock.h"
#include "daemon/config.h"
#include "daemon/feeds.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/spool.h"
#include "daemon/store_feeds.h"
#include "daemon/store_prune.h"

enum {
    STEP_S = 5,                /* between steps that found little to do */
    MORE_MS = 100,             /* after one that had more to do */
    CHECKPOINT_BATCHES = 2000, /* batches that a start may have to count */
    SEGMENTS = 4,              /* evicted in one step */
};
#define DAY_MS (24 * 3600 * INT64_C(1000))

/* The wall clock, unless it was set forward since the daemon started: ages are counted up to this, so that a clock gone
 * mad makes nothing old. */
static int64_t sober_now(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static int64_t start_ms;
    static double start;
    int64_t now = clock_ms();
    double monotonic = clock_monotonic();
    pthread_mutex_lock(&lock);
    if (!start_ms) {
        start_ms = now;
        start = monotonic;
    }
    int64_t passed = start_ms + (int64_t)(1000 * (monotonic - start));
    pthread_mutex_unlock(&lock);
    return now < passed ? now : passed;
}

static void complain(const struct loop *loop, const char *step, int status, const struct tw_error *error)
{
    char quoted[300];
    log_warning("retention_failed", "twin=%s step=%s status=%s error=%s", loop->twin->name, step,
                tw_status_name(status), log_quote(error->text, quoted, sizeof quoted));
}

/* --- what is known of the feeds --- */

static int checkpoint(struct loop *loop, struct tw_error *error)
{
    struct twin *twin = loop->twin;
    struct feeds_record *records = NULL;
    size_t count = 0;
    uint64_t mark = 0;
    pthread_mutex_lock(&twin->lock);
    uint64_t counted = twin->announced;
    bool deleted = twin->deleted;
    int status = deleted || counted == loop->retention.counted
                     ? TW_NOT_FOUND
                     : feeds_changes(twin->feeds, loop->retention.mark, &records, &count, &mark);
    pthread_mutex_unlock(&twin->lock);
    if (status == TW_NOT_FOUND)
        return 0;
    if (!status)
        status = store_barrier(loop->context->store); /* the rows first: a record promises that they were there */
    if (!status)
        status = store_feeds_put(loop->context->store, twin->id, counted, records, count, error);
    if (!status) {
        loop->retention.counted = counted;
        loop->retention.mark = mark;
    }
    feeds_records_free(records, count);
    return status;
}

void retention_checkpoint(struct loop *loop)
{
    struct tw_error error = {""};
    int status = checkpoint(loop, &error);
    if (status && status != TW_NOT_FOUND)
        complain(loop, "feeds", status, &error);
}

/* --- the spool --- */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Rows that people asked to be trained on, by operations that wait. */
static uint64_t first_wanted(const struct loop *loop)
{
    uint64_t first = UINT64_MAX;
    json_t *pending = store_operation_pending(loop->context->store, loop->twin->id), *operation;
    size_t i;
    json_array_foreach(pending, i, operation)
    {
        json_int_t ordinal;
        if (json_unpack(json_object_get(operation, "request"), "{s:{s:I}}", "ordinals", "first", &ordinal) == 0 &&
            ordinal >= 0)
            first = least(first, (uint64_t)ordinal);
    }
    first = pending ? first : 0;
    json_decref(pending);
    return first;
}

/* Ordinals from here on are still needed: by the next window, by the search for a change point and the histograms (the
 * last window), by a training that runs or waits. Not by an episode as such (see episode_trim): one that people hold
 * open would stop the feeds in the end. */
static uint64_t first_needed(const struct loop *loop)
{
    uint64_t first = loop->processed;
    if (loop->iteration > 0)
        first = least(first, loop->last_window.first);
    if (loop->has_task)
        first = least(first, loop->task.window.first);
    return first ? least(first, first_wanted(loop)) : 0;
}

static bool is_excess(struct loop *loop, const struct config *config, int64_t received_ms)
{
    uint64_t most = (uint64_t)config_live(&config->spool_mb) << 20;
    int64_t days = config_live(&config->spool_days), now = sober_now();
    pthread_mutex_lock(&loop->twin->lock);
    int64_t newest = loop->twin->counters.last_received_ms;
    pthread_mutex_unlock(&loop->twin->lock);
    if (most && spool_bytes(loop->twin->spool) > most)
        return true;
    return days && received_ms && received_ms < (newest < now ? newest : now) - days * DAY_MS;
}

/* True if there may be more to remove. */
static bool prune_spool(struct loop *loop, const struct config *config, struct tw_error *error)
{
    struct spool *spool = loop->twin->spool;
    uint64_t next, needed = 0;
    int64_t received_ms;
    int evicted = 0, status = 0;
    spool_limit(spool, (uint64_t)config_live(&config->spool_mb) << 20);
    while (evicted < SEGMENTS && spool_oldest(spool, &next, &received_ms) && is_excess(loop, config, received_ms)) {
        needed = needed ? needed : first_needed(loop);
        if (next > needed)
            break;
        if (next > loop->retention.counted)
            status = checkpoint(loop, error);
        if (status || next > loop->retention.counted)
            break;
        status = spool_evict(spool, needed, error);
        if (status)
            break;
        evicted++;
    }
    if (evicted)
        log_info("spool_pruned", "twin=%s segments=%d first=%llu bytes=%llu", loop->twin->name, evicted,
                 (unsigned long long)spool_first(spool), (unsigned long long)spool_bytes(spool));
    if (status && status != TW_BUSY && status != TW_NOT_FOUND)
        complain(loop, "spool", status, error);
    return evicted == SEGMENTS;
}

/* --- the rows --- */

static bool prune_store(struct loop *loop, const struct config *config, struct tw_error *error)
{
    struct store_prune prune = {
        .twin = loop->twin->id,
        .limits = {.now_ms = sober_now(),
                   .iterations = config_live(&config->iterations),
                   .iteration_days = config_live(&config->iteration_days),
                   .versions = config_live(&config->versions),
                   .history = config_live(&config->history),
                   .history_days = config_live(&config->history_days),
                   .metric_days = config_live(&config->metric_days)},
        .spool_first = spool_first(loop->twin->spool),
        .needed = {loop->has_task ? loop->task.parent : 0, loop->has_task ? loop->task.champion : 0,
                   loop->has_task ? loop->task.replayed : 0, loop->episode.active ? loop->episode.origin : 0,
                   loop->episode.active ? loop->episode.appeal : 0},
        .version_cursor = loop->retention.version_cursor,
    };
    int status = store_prune(loop->context->store, &prune, error);
    if (status) {
        complain(loop, "rows", status, error);
        return false;
    }
    loop->retention.version_cursor = prune.version_cursor;
    if (prune.removed)
        log_debug("rows_pruned", "twin=%s rows=%zu", loop->twin->name, prune.removed);
    return prune.more;
}

void retention_step(struct loop *loop, const struct config *config)
{
    struct tw_error error = {""};
    double now = clock_monotonic();
    if (!config || now < loop->retention.due)
        return;
    pthread_mutex_lock(&loop->twin->lock);
    uint64_t announced = loop->twin->announced;
    pthread_mutex_unlock(&loop->twin->lock);
    if (announced >= loop->retention.counted + CHECKPOINT_BATCHES)
        retention_checkpoint(loop);
    bool more = prune_spool(loop, config, &error);
    more |= prune_store(loop, config, &error);
    loop->retention.due = now + (more ? 1e-3 * MORE_MS : STEP_S);
}
