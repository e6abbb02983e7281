/* Workers sleep on one condition until a job is open, take task numbers from an atomic counter, and report back.
 *
 * The caller works too and closes the job when the numbers are out; it waits only for workers that have joined, so one
 * that wakes up late costs nothing. Everything but the counter is guarded by the mutex.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "base/pool.h"
#include "base/size.h"

struct worker {
    struct tw_pool *pool;
    pthread_t thread;
    unsigned number;
};

struct tw_pool {
    pthread_mutex_t mutex;
    pthread_cond_t open;     /* a job is there, or the pool stops */
    pthread_cond_t finished; /* the last joined worker has left */
    bool low_priority, stop;
    void (*round)(void);
    bool job_open;
    unsigned long job;  /* counts jobs, so that a worker joins each at most once */
    unsigned joined;    /* workers inside the job */
    unsigned started;   /* threads in `workers` */
    double cpu_seconds; /* of finished shares */
    tw_pool_task task;
    void *context;
    size_t count;
    atomic_size_t next;
    struct worker workers[];
};

static double thread_cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Runs tasks until the numbers are out; returns the CPU seconds of this thread's share. */
static double take_tasks(struct tw_pool *pool, unsigned worker)
{
    double start = thread_cpu_seconds();
    for (;;) {
        size_t task = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
        if (task >= pool->count)
            return thread_cpu_seconds() - start;
        pool->task(pool->context, task, worker);
    }
}

static void *worker_main(void *arg)
{
    struct worker *worker = arg;
    struct tw_pool *pool = worker->pool;
    unsigned long last = 0;
    if (pool->low_priority) { /* best effort: without it the work is merely less polite */
        (void)sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0});
        (void)setpriority(PRIO_PROCESS, 0, 10);
    }
    pthread_mutex_lock(&pool->mutex);
    for (;;) {
        while (!pool->stop && !(pool->job_open && pool->job != last))
            pthread_cond_wait(&pool->open, &pool->mutex);
        if (pool->stop)
            break;
        last = pool->job;
        pool->joined++;
        pthread_mutex_unlock(&pool->mutex);
        double seconds = take_tasks(pool, worker->number);
        pthread_mutex_lock(&pool->mutex);
        pool->cpu_seconds += seconds;
        if (--pool->joined == 0)
            pthread_cond_signal(&pool->finished);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

struct tw_pool *tw_pool_new(unsigned threads, bool low_priority)
{
    size_t bytes;
    if (threads < 1 || !tw_size_mul(threads - 1, sizeof(struct worker), &bytes) ||
        !tw_size_add(bytes, sizeof(struct tw_pool), &bytes))
        return NULL;
    struct tw_pool *pool = tw_size_alloc(1, bytes);
    if (!pool)
        return NULL;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->open, NULL);
    pthread_cond_init(&pool->finished, NULL);
    pool->low_priority = low_priority;
    for (unsigned i = 0; i + 1 < threads; i++) {
        struct worker *worker = &pool->workers[i];
        worker->pool = pool;
        worker->number = i + 1;
        if (pthread_create(&worker->thread, NULL, worker_main, worker) != 0) {
            tw_pool_free(pool);
            return NULL;
        }
        pool->started++;
    }
    return pool;
}

void tw_pool_free(struct tw_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->mutex);
    pool->stop = true;
    pthread_cond_broadcast(&pool->open);
    pthread_mutex_unlock(&pool->mutex);
    for (unsigned i = 0; i < pool->started; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->finished);
    pthread_cond_destroy(&pool->open);
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
}

void tw_pool_each_run(struct tw_pool *pool, void (*round)(void))
{
    pool->round = round;
}

unsigned tw_pool_workers(const struct tw_pool *pool)
{
    return pool ? pool->started + 1 : 1;
}

void tw_pool_run(struct tw_pool *pool, size_t count, tw_pool_task task, void *context)
{
    if (!pool) {
        for (size_t i = 0; i < count; i++)
            task(context, i, 0);
        return;
    }
    if (pool->round)
        pool->round();
    pthread_mutex_lock(&pool->mutex);
    pool->task = task;
    pool->context = context;
    pool->count = count;
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    pool->job++;
    pool->job_open = true;
    if (count > 1)
        pthread_cond_broadcast(&pool->open);
    pthread_mutex_unlock(&pool->mutex);

    double seconds = take_tasks(pool, 0);

    pthread_mutex_lock(&pool->mutex);
    pool->job_open = false;
    while (pool->joined > 0)
        pthread_cond_wait(&pool->finished, &pool->mutex);
    pool->cpu_seconds += seconds;
    pthread_mutex_unlock(&pool->mutex);
}

double tw_pool_cpu_seconds(const struct tw_pool *pool)
{
    if (!pool)
        return 0;
    struct tw_pool *locked = (struct tw_pool *)pool; /* only the mutex is touched */
    pthread_mutex_lock(&locked->mutex);
    double seconds = locked->cpu_seconds;
    pthread_mutex_unlock(&locked->mutex);
    return seconds;
}
