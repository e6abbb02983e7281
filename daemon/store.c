/* The store thread: a queue of closures, the one connection that writes, and a few that read.
 *
 * Calls are run one a transaction, as their callers wait for the commit. Posted closures that stand next to each other
 * share one, so that a burst of them costs one sync. Every closure has its own savepoint: one that fails takes nothing
 * else with it.
 *
 * A full disk is a state and not a failure. Posted closures stay where they are in the queue and are tried again, less
 * and less often; calls pass them by, and those that need space hear of it. Nothing that is posted depends on its order
 * with calls: it is derived from the spool, or news that get old.
 */
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/heartbeat.h"
#include "daemon/log.h"
#include "daemon/store.h"
#include "daemon/store_files.h"
#include "daemon/store_sql.h"
#include "daemon/trouble.h"

enum {
    QUEUE_MAX = 4096,     /* posted closures waiting */
    GROUP_MAX = 256,      /* posted closures in one transaction */
    IDLE_READERS = 2,     /* kept open; more are opened while needed */
    RETRY_FIRST_MS = 100, /* after a full disk */
    RETRY_MOST_MS = 2000,
};

struct outcome { /* of a call; lives on the caller's stack */
    bool done;
    int status;
    struct tw_error error;
};

struct job {
    struct job *next;
    store_closure closure; /* NULL: a barrier */
    void *context;
    void (*release)(void *context);
    struct outcome *outcome; /* NULL: posted, the job is on the heap */
};

struct store {
    struct store_files files;
    sqlite3 *db; /* of the store thread */
    pthread_t thread;

    pthread_mutex_t lock;
    pthread_cond_t wake; /* the queue is not empty, or stopping */
    pthread_cond_t done; /* some call has its outcome */
    struct job *head, **tail;
    size_t posted;
    bool stopping;
    bool full;                /* the last that needed space did not get it */
    int retry_ms;             /* how long to wait for the next try, */
    struct timespec retry_at; /* and until when (CLOCK_MONOTONIC) */

    pthread_mutex_t failure_lock; /* taken after `lock`, or alone */
    bool failed;
    struct tw_error why;
    void (*tell)(void *context); /* of the failure; NULL once it was told */
    void *tell_context;

    pthread_mutex_t readers_lock;
    sqlite3 *idle[IDLE_READERS];
    int idle_count;
};

/* --- failure: once and for all --- */

/* Failure lock held. */
static void tell_failure(struct store *store)
{
    if (store->failed && store->tell)
        store->tell(store->tell_context);
    if (store->failed)
        store->tell = NULL;
}

void store_fail(struct store *store, const char *why)
{
    pthread_mutex_lock(&store->failure_lock);
    if (!store->failed) {
        store->failed = true;
        tw_error_set(&store->why, TW_IO, "%s", why);
        store_files_suspect(&store->files);
    }
    tell_failure(store);
    pthread_mutex_unlock(&store->failure_lock);
}

void store_on_failure(struct store *store, void (*tell)(void *context), void *context)
{
    pthread_mutex_lock(&store->failure_lock);
    store->tell = tell;
    store->tell_context = context;
    tell_failure(store);
    pthread_mutex_unlock(&store->failure_lock);
}

bool store_failed(struct store *store, struct tw_error *error)
{
    pthread_mutex_lock(&store->failure_lock);
    bool failed = store->failed;
    if (failed && error)
        *error = store->why;
    pthread_mutex_unlock(&store->failure_lock);
    return failed;
}

/* --- the store thread --- */

/* One closure in its savepoint. *whole becomes false if what it did can be neither kept nor taken back by itself. */
static int run_job(struct store *store, struct job *job, bool *whole, struct tw_error *error)
{
    if (!job->closure)
        return 0;
    int status = store_sql_exec(store->db, "SAVEPOINT job", error);
    if (status)
        return status;
    status = job->closure(store->db, job->context, error);
    /* SQLite may have ended the whole transaction by itself (disk full, no memory): then there is no savepoint. */
    if (sqlite3_get_autocommit(store->db))
        return status ? status : tw_error_set(error, TW_IO, "a closure ended its transaction");
    int end = store_sql_exec(store->db, status ? "ROLLBACK TO job; RELEASE job" : "RELEASE job", status ? NULL : error);
    *whole = end == 0;
    return status ? status : end;
}

/* Without memory even this may fail; then the next transaction begins with it. */
static void roll_back(struct store *store)
{
    if (!sqlite3_get_autocommit(store->db))
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
}

/* Nobody waits for a posted closure: what will pass, it is tried again after. */
static bool passes(int status)
{
    return status == TW_FULL || status == TW_NO_MEMORY || status == TW_BUSY;
}

/* Does this outcome of a closure end its transaction? A caller hears of a full disk; a posted closure is tried again.
 */
static bool ends_transaction(const struct job *job, int status)
{
    if (job->outcome)
        return status == TW_IO || status == TW_CORRUPT;
    return status < 0 || status == TW_FULL || status == TW_BUSY;
}

/* Runs the jobs of one transaction; *results has one status each. Returns the transaction's status. */
static int run_transaction(struct store *store, struct job *jobs, int *results, struct tw_error *error)
{
    if (store_failed(store, error))
        return TW_IO;
    roll_back(store);
    if (!sqlite3_get_autocommit(store->db))
        return tw_error_set(error, TW_NO_MEMORY, "database: no memory to roll back");
    int status = store_sql_exec(store->db, "BEGIN IMMEDIATE", error);
    int64_t before = sqlite3_total_changes64(store->db);
    for (struct job *job = jobs; job && !status; job = job->next, results++) {
        bool whole = true;
        *results = run_job(store, job, &whole, error);
        if (!whole || ends_transaction(job, *results) || sqlite3_get_autocommit(store->db))
            status = *results;
    }
    /* Whatever is changed, page 1 is: by its counter a start knows who wrote the file last (store_vfs.h). */
    if (!status && sqlite3_total_changes64(store->db) != before)
        status = store_sql_exec(store->db, "PRAGMA application_id=" STORE_APPLICATION_ID, error);
    if (!status)
        status = store_sql_exec(store->db, "COMMIT", error);
    if (status)
        roll_back(store);
    if (status == TW_IO || status == TW_CORRUPT || (status && !passes(status) && !jobs->outcome))
        store_fail(store, error->text);
    return status;
}

/* Takes one call, or the posted jobs up to the next call, from *from on. Lock held. */
static struct job *take(struct store *store, struct job **from)
{
    struct job *jobs = *from, **end = &jobs;
    size_t count = 0;
    do {
        end = &(*end)->next;
        count++;
    } while (!jobs->outcome && *end && !(*end)->outcome && count < GROUP_MAX);
    *from = *end;
    *end = NULL;
    if (!*from)
        store->tail = from;
    if (!jobs->outcome)
        store->posted -= count;
    return jobs;
}

/* Posted jobs whose transaction found no space: to the front again. Lock held. */
static void put_back(struct store *store, struct job *jobs)
{
    struct job **end = &jobs;
    while (*end) {
        end = &(*end)->next;
        store->posted++;
    }
    *end = store->head;
    if (!store->head)
        store->tail = end;
    store->head = jobs;
}

/* --- a full disk --- */

/* Lock held. */
static void wait_longer(struct store *store)
{
    store->retry_ms = !store->full                          ? RETRY_FIRST_MS
                      : 2 * store->retry_ms < RETRY_MOST_MS ? 2 * store->retry_ms
                                                            : RETRY_MOST_MS;
    clock_gettime(CLOCK_MONOTONIC, &store->retry_at);
    store->retry_at.tv_nsec += store->retry_ms * 1000000l;
    store->retry_at.tv_sec += store->retry_at.tv_nsec / 1000000000l;
    store->retry_at.tv_nsec %= 1000000000l;
}

static bool is_due(const struct timespec *at)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec > at->tv_sec || (now.tv_sec == at->tv_sec && now.tv_nsec >= at->tv_nsec);
}

/* What a transaction says about the disk. A call that succeeds may have needed no space, so it is only a hint. Lock
 * held. */
static void note_space(struct store *store, bool posted, int status, const struct tw_error *error)
{
    if (status == TW_FULL || (posted && passes(status))) {
        wait_longer(store);
        store->full = true;
        trouble_raise(status == TW_FULL ? "disk_full" : "memory_short", "twin.db", TROUBLE_UNREADY, "%s", error->text);
    } else if (store->full && !status && posted) {
        store->full = false;
        trouble_clear("disk_full", "twin.db");
        trouble_clear("memory_short", "twin.db");
    }
}

/* Is there space again? Asked where nothing is queued that would show it: page 1 is written with what it holds. */
static void probe(struct store *store)
{
    struct tw_error error = {""};
    int status = store_sql_exec(store->db, "BEGIN IMMEDIATE", &error);
    if (!status)
        status = store_sql_touch(store->db, &error);
    if (!status)
        status = store_sql_exec(store->db, "COMMIT", &error);
    roll_back(store);
    if (status == TW_IO || status == TW_CORRUPT)
        store_fail(store, error.text);
    pthread_mutex_lock(&store->lock);
    note_space(store, true, status, &error);
    pthread_mutex_unlock(&store->lock);
}

/* The first job that may run now: with a full disk the first call, and what is posted only when it is time to try again
 * or to end. NULL: none. Lock held. */
static struct job **next_job(struct store *store)
{
    struct job **job = &store->head;
    while (store->full && !store->stopping && !is_due(&store->retry_at) && *job && !(*job)->outcome)
        job = &(*job)->next;
    return *job ? job : NULL;
}

/* Tells the caller of a call, frees posted jobs. */
static void settle(struct store *store, struct job *jobs, int status, const int *results, const struct tw_error *error)
{
    if (jobs->outcome) {
        pthread_mutex_lock(&store->lock);
        jobs->outcome->status = status ? status : results[0];
        jobs->outcome->error = *error;
        jobs->outcome->done = true;
        pthread_cond_broadcast(&store->done);
        pthread_mutex_unlock(&store->lock);
        return;
    }
    while (jobs) {
        struct job *job = jobs;
        jobs = job->next;
        char quoted[300];
        if (!status && *results)
            log_error("store_closure_failed", "status=%s why=%s", tw_status_name(*results),
                      log_quote(error->text, quoted, sizeof quoted));
        results++;
        if (job->release)
            job->release(job->context);
        free(job);
    }
}

/* One transaction. Lock held, but not while it runs. */
static void work(struct store *store, struct job **from)
{
    struct job *jobs = take(store, from);
    bool posted = !jobs->outcome, barrier = !posted && !jobs->closure;
    pthread_mutex_unlock(&store->lock);
    int results[GROUP_MAX] = {0};
    struct tw_error error = {""};
    int status = run_transaction(store, jobs, results, &error);
    pthread_mutex_lock(&store->lock);
    if (barrier && !status && store->full && store->posted) /* what was queued before it is not committed */
        status = tw_error_set(&error, TW_FULL, "some rows are not in the database yet");
    else
        note_space(store, posted, status ? status : results[0], &error);
    bool again = posted && passes(status) && !store->stopping;
    if (again)
        put_back(store, jobs);
    else if (posted && passes(status))
        log_warning("store_rows_dropped",
                    "reason=\"no room for them\" note=\"the next start reads them from the spool\"");
    pthread_mutex_unlock(&store->lock);
    if (!again)
        settle(store, jobs, status, results, &error);
    pthread_mutex_lock(&store->lock);
}

/* Comes round once a second. Lock held. */
static void wait_a_second(struct store *store)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += 1;
    pthread_cond_timedwait(&store->wake, &store->lock, &until);
}

static void *store_main(void *argument)
{
    struct store *store = argument;
    heartbeat_start("store", HEARTBEAT_LIMIT_S);
    pthread_mutex_lock(&store->lock);
    for (;;) {
        struct job **from = next_job(store);
        heartbeat_mark();
        if (from) {
            work(store, from);
        } else if (store->stopping) {
            break;
        } else if (!store->full) {
            wait_a_second(store);
        } else if (pthread_cond_timedwait(&store->wake, &store->lock, &store->retry_at) && !store->head) {
            pthread_mutex_unlock(&store->lock);
            probe(store);
            pthread_mutex_lock(&store->lock);
        }
    }
    pthread_mutex_unlock(&store->lock);
    return NULL;
}

/* Lock held. */
static void enqueue(struct store *store, struct job *job)
{
    *store->tail = job;
    store->tail = &job->next;
    pthread_cond_signal(&store->wake);
}

int store_call(struct store *store, store_closure closure, void *context, struct tw_error *error)
{
    assert(!pthread_equal(pthread_self(), store->thread));
    struct outcome outcome = {.done = false};
    struct job job = {.closure = closure, .context = context, .outcome = &outcome};
    pthread_mutex_lock(&store->lock);
    enqueue(store, &job);
    while (!outcome.done)
        pthread_cond_wait(&store->done, &store->lock);
    pthread_mutex_unlock(&store->lock);
    if (outcome.status && error)
        *error = outcome.error;
    return outcome.status;
}

int store_post(struct store *store, store_closure closure, void *context, void (*release)(void *context))
{
    struct job *job = malloc(sizeof *job);
    if (!job)
        return TW_NO_MEMORY;
    *job = (struct job){.closure = closure, .context = context, .release = release};
    pthread_mutex_lock(&store->lock);
    bool full = store->posted >= QUEUE_MAX || store->stopping;
    if (!full) {
        store->posted++;
        enqueue(store, job);
    }
    pthread_mutex_unlock(&store->lock);
    if (full)
        free(job);
    return full ? TW_BUSY : TW_OK;
}

int store_barrier(struct store *store)
{
    return store_call(store, NULL, NULL, NULL);
}

bool store_full(struct store *store)
{
    pthread_mutex_lock(&store->lock);
    bool full = store->full;
    pthread_mutex_unlock(&store->lock);
    return full;
}

/* --- readers --- */

sqlite3 *store_read_begin(struct store *store)
{
    sqlite3 *db = NULL;
    pthread_mutex_lock(&store->readers_lock);
    if (store->idle_count)
        db = store->idle[--store->idle_count];
    pthread_mutex_unlock(&store->readers_lock);
    struct tw_error error = {""};
    int status = db ? TW_OK : store_files_reader(&store->files, &db, &error);
    if (status == TW_CORRUPT) /* its schema cannot be read */
        store_fail(store, error.text);
    if (status)
        return NULL;
    if (sqlite3_exec(db, "BEGIN", NULL, NULL, NULL)) {
        sqlite3_close(db);
        return NULL;
    }
    return db;
}

void store_read_end(struct store *store, sqlite3 *db)
{
    if (!db)
        return;
    bool clean = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
    pthread_mutex_lock(&store->readers_lock);
    if (clean && store->idle_count < IDLE_READERS) {
        store->idle[store->idle_count++] = db;
        db = NULL;
    }
    pthread_mutex_unlock(&store->readers_lock);
    sqlite3_close(db);
}

/* --- life --- */

int store_open(const char *state, struct store **out, struct tw_error *error)
{
    struct store *store = calloc(1, sizeof *store);
    if (!store)
        return tw_error_set(error, TW_NO_MEMORY, "no memory for the store");
    store->tail = &store->head;
    pthread_mutex_init(&store->lock, NULL);
    pthread_mutex_init(&store->failure_lock, NULL);
    pthread_mutex_init(&store->readers_lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&store->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_cond_init(&store->done, NULL);
    int status = store_files_open(&store->files, state, &store->db, error);
    if (!status && pthread_create(&store->thread, NULL, store_main, store))
        status = tw_error_set(error, TW_NO_MEMORY, "cannot start the store thread");
    if (status) {
        store_files_close(&store->files, store->db, NULL);
        free(store);
        return status;
    }
    store_call(store, store_blob_collect, NULL, NULL); /* a failure shows in store_failed */
    *out = store;
    return 0;
}

int store_close(struct store *store)
{
    if (!store)
        return TW_OK;
    pthread_mutex_lock(&store->lock);
    store->stopping = true;
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->lock);
    pthread_join(store->thread, NULL);
    trouble_clear("disk_full", "twin.db");
    /* The writer goes last: it is the one that checkpoints. */
    while (store->idle_count)
        sqlite3_close(store->idle[--store->idle_count]);
    struct tw_error error = {""};
    int status = store_files_close(&store->files, store->db, &error);
    if (store_failed(store, &error))
        status = TW_IO;
    char quoted[300];
    if (status)
        log_error("store_failed", "error=%s", log_quote(error.text, quoted, sizeof quoted));
    pthread_cond_destroy(&store->done);
    pthread_cond_destroy(&store->wake);
    pthread_mutex_destroy(&store->readers_lock);
    pthread_mutex_destroy(&store->failure_lock);
    pthread_mutex_destroy(&store->lock);
    free(store);
    return status;
}
