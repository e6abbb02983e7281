/* A group of batches on its way to the disk:
 *
 *   check each against wire and schema, look for its key -> append -> one fdatasync a spool -> registry, store
 *
 * Answers come after all of it. A job refused on the way touches nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/batch.h"
#include "daemon/clock.h"
#include "daemon/feeds.h"
#include "daemon/group.h"
#include "daemon/space.h"
#include "daemon/spool.h"

enum { ATTEMPTS = 30 };

static void __attribute__((format(printf, 3, 4))) refuse(struct job *job, enum twp_code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    job->code = code;
    vsnprintf(job->detail, sizeof job->detail, format, args);
    va_end(args);
}

static bool is_train(const struct job *job)
{
    return strcmp(job->key.feed, GROUP_TRAIN_FEED) == 0;
}

static struct twin *find_twin(struct registry *registry, const char *name)
{
    struct twin *twin = registry_find(registry, name);
    if (!twin)
        return NULL;
    pthread_mutex_lock(&twin->lock);
    bool deleted = twin->deleted;
    pthread_mutex_unlock(&twin->lock);
    if (!deleted)
        return twin;
    registry_twin_unref(twin);
    return NULL;
}

/* Against the twin's schema; fills the row for the store. */
static void check_schema(struct job *job, const struct twp_batch *batch)
{
    const struct tw_schema *schema = job->twin->definition->schema;
    int *map = calloc((size_t)schema->features + 1, sizeof *map);
    if (!map) {
        refuse(job, TWP_FULL, "out of memory; send again");
        return;
    }
    job->code = batch_map(schema, batch, map, job->detail);
    free(map);
    if (job->code != TWP_OK)
        return;
    job->row = (struct store_batch){.twin = job->twin->id,
                                    .run = job->key.run,
                                    .seq = job->key.seq,
                                    .events = batch->payload.rows,
                                    .invalid_rows = batch_invalid_rows(schema, batch),
                                    .received_ms = clock_ms()};
    if (job->row.invalid_rows > 0 && job->row.invalid_rows == job->row.events)
        batch_fault(schema, batch, &job->fault);
    strcpy(job->row.feed, job->key.feed);
    batch_digest(batch, job->row.digest);
}

static void check(struct registry *registry, struct job *job)
{
    struct twp_batch batch;
    char detail[200];
    enum twp_code code = batch_decode(job->frames, job->count, &batch, detail);
    job->key = batch.key;
    if (job->code == TWP_OK && code != TWP_OK)
        refuse(job, code, "%s", detail);
    else if (job->code == TWP_OK && is_train(job) && !job->reserved)
        refuse(job, TWP_BAD_HEADER, "the feed name \"%s\" is reserved", GROUP_TRAIN_FEED);
    else if (job->code == TWP_OK && batch.stream == TWP_STREAM_SIMULATION)
        refuse(job, TWP_BAD_HEADER, "stream simulation is not supported yet");
    else if (job->code == TWP_OK && !(job->twin = find_twin(registry, job->key.twin)))
        refuse(job, TWP_UNKNOWN_TWIN, "there is no twin \"%s\"", job->key.twin);
    else if (job->code == TWP_OK)
        check_schema(job, &batch);
    if (code == TWP_OK)
        twp_wire_batch_fini(&batch);
}

/* --- keys that were seen before --- */

static bool same_key(const struct job *a, const struct job *b)
{
    return a->twin == b->twin && a->key.run == b->key.run && a->key.seq == b->key.seq &&
           strcmp(a->key.feed, b->key.feed) == 0;
}

static void compare(struct job *job, const struct store_batch *held)
{
    if (memcmp(job->row.digest, held->digest, sizeof held->digest) == 0)
        job->duplicate = true;
    else
        refuse(job, TWP_CONFLICT, "feed %s, run %lld, sequence %lld is held already with other content", job->key.feed,
               (long long)job->key.run, (long long)job->key.seq);
}

/* A key of this group that is not durable yet. */
static void look_back(struct job *jobs, struct job *job)
{
    for (const struct job *earlier = jobs; earlier < job && !job->same_as; earlier++) {
        if (earlier->appended && same_key(earlier, job)) {
            job->same_as = earlier;
            compare(job, &earlier->row);
        }
    }
}

static void look_up(struct store *store, struct job *job)
{
    struct store_batch held;
    pthread_mutex_lock(&job->twin->lock);
    bool known = feeds_has(job->twin->feeds, job->key.feed, job->key.run, job->key.seq);
    pthread_mutex_unlock(&job->twin->lock);
    if (!known)
        return;
    int status = store_batch_find(store, job->twin->id, job->key.feed, job->key.run, job->key.seq, &held);
    if (status == TW_NOT_FOUND) { /* its row was pruned: there is nothing left to compare with */
        job->duplicate = job->pruned = true;
        return;
    }
    if (status) { /* it is durable, so it is only the comparison that can't be done now */
        refuse(job, TWP_FULL, "what is held of this batch can't be read (%s); send again", tw_status_name(status));
        return;
    }
    job->ordinal = held.ordinal;
    compare(job, &held);
}

/* --- to the disk --- */

static int append(struct job *job, struct tw_error *error)
{
    int status = spool_append(job->twin->spool, job->row.received_ms, job->frames, job->count, &job->ordinal, error);
    if (status > 0 || status == TW_NO_MEMORY) { /* TW_FULL as a rule: nothing was written */
        refuse(job, TWP_FULL, "%s", error->text);
        job->no_space = status == TW_FULL;
        return 0;
    }
    job->row.ordinal = job->ordinal;
    job->appended = status == 0;
    return status;
}

bool group_behind(struct twin *twin, uint64_t spool_bytes)
{
    pthread_mutex_lock(&twin->lock);
    bool could = registry_lag(twin).windows > 0;
    uint64_t first = could ? twin->pending[0].ordinal : 0;
    pthread_mutex_unlock(&twin->lock);
    return spool_bytes > 0 && could && spool_bytes_from(twin->spool, first) >= spool_bytes;
}

/* A new batch needs space in the spool, and soon in the database; one that is held already needs none. */
static int accept(struct store *store, uint64_t spool_bytes, struct job *job, struct tw_error *error)
{
    job->behind = !is_train(job) && group_behind(job->twin, spool_bytes); /* those are what it waits for */
    if (job->behind) {
        refuse(job, TWP_NO_CREDIT, "%llu MiB wait to be compared, as much as may be kept; send again later",
               (unsigned long long)spool_bytes >> 20);
    } else if (!space_for(0)) {
        refuse(job, TWP_FULL, "%llu MiB are free on the disk, less than its reserve; send again later",
               (unsigned long long)space_free() >> 20);
        job->no_space = true;
    } else if (store_full(store)) {
        refuse(job, TWP_FULL, "the database finds no space on the disk; send again later");
    } else {
        return append(job, error);
    }
    return 0;
}

static int check_and_append(struct registry *registry, struct store *store, uint64_t spool_bytes, struct job *jobs,
                            struct job *job, struct tw_error *error)
{
    if (job->hello)
        return 0;
    check(registry, job);
    if (job->code != TWP_OK)
        return 0;
    look_back(jobs, job);
    if (!job->same_as)
        look_up(store, job);
    return job->code == TWP_OK && !job->duplicate ? accept(store, spool_bytes, job, error) : 0;
}

static int sync_spools(struct job *jobs, size_t count, struct tw_error *error)
{
    int status = 0;
    for (struct job *job = jobs; job < jobs + count && status == 0; job++) {
        bool synced = !job->appended;
        for (struct job *earlier = jobs; earlier < job && !synced; earlier++)
            synced = earlier->appended && earlier->twin == job->twin;
        if (!synced)
            status = spool_sync(job->twin->spool, error);
    }
    return status;
}

/* --- known to all --- */

static int announce(struct job *job)
{
    struct twin *twin = job->twin;
    const struct store_batch *row = &job->row;
    int status = 0;
    pthread_mutex_lock(&twin->lock);
    if (job->duplicate && !is_train(job)) {
        twin->counters.duplicates++;
        feeds_duplicate(twin->feeds, row->feed, row->run);
    } else if (job->appended && is_train(job)) {
        status =
            feeds_add(twin->feeds, row->feed, row->run, row->seq, row->events, row->invalid_rows, row->received_ms);
    } else if (job->appended) {
        status = registry_arrived(twin, row->ordinal, row->feed, row->run, row->seq, row->events, row->invalid_rows,
                                  row->received_ms);
        if (status == 0 && job->fault.column[0])
            feeds_invalid_why(twin->feeds, row->feed, row->run, job->fault.column, job->fault.rule);
    }
    if (job->appended)
        twin->announced = row->ordinal + 1;
    pthread_mutex_unlock(&twin->lock);
    return status;
}

/* What is durable must become known. If memory is out that is tried again for a while, and then the daemon ends: the
 * next start reads the batch from the spool. */
static bool patient(int status, int *attempts)
{
    const struct timespec pause = {.tv_nsec = 100000000};
    if (status != TW_NO_MEMORY || (*attempts)++ == ATTEMPTS)
        return false;
    nanosleep(&pause, NULL);
    return true;
}

/* A full queue is waited for: with a row missing, the next repeat of its key could not be judged. */
static int add_rows(struct store *store, const struct job *jobs, size_t count)
{
    struct store_batch *rows = calloc(count, sizeof *rows);
    size_t n = 0;
    int status = 0;
    if (!rows)
        return TW_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        if (jobs[i].appended)
            rows[n++] = jobs[i].row;
    }
    while (n > 0 && (status = store_batch_add(store, rows, n)) == TW_BUSY && !store_failed(store, NULL))
        store_barrier(store);
    free(rows);
    return status;
}

static int commit(struct registry *registry, struct store *store, uint64_t spool_bytes, struct job *jobs, size_t count,
                  struct tw_error *error)
{
    int status = 0, attempts = 0;
    for (size_t i = 0; i < count && status == 0; i++)
        status = check_and_append(registry, store, spool_bytes, jobs, &jobs[i], error);
    if (status == 0)
        status = sync_spools(jobs, count, error);
    if (status)
        return status;
    for (size_t i = 0; i < count && status == 0; i++) {
        if (jobs[i].code == TWP_OK && jobs[i].same_as)
            jobs[i].ordinal = jobs[i].same_as->ordinal;
        if (jobs[i].code == TWP_OK && !jobs[i].hello)
            while (patient(status = announce(&jobs[i]), &attempts))
                ;
    }
    if (status == 0)
        while (patient(status = add_rows(store, jobs, count), &attempts))
            ;
    return status ? tw_error_set(error, status, "a durable batch can't be recorded: %s", tw_status_name(status)) : 0;
}

int group_commit(struct registry *registry, struct store *store, uint64_t spool_bytes, struct job *jobs, size_t count,
                 struct tw_error *error)
{
    int status = commit(registry, store, spool_bytes, jobs, count, error);
    if (status == 0 && store_failed(store, error)) /* the daemon is about to end: nothing is acked any more */
        status = TW_IO;
    for (size_t i = 0; i < count; i++) {
        registry_twin_unref(jobs[i].twin);
        jobs[i].twin = NULL;
    }
    return status;
}
