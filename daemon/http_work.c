/* A queue of work with a few threads. */
#include "daemon/http_work.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/slice.h"
#include "daemon/clock.h"
#include "daemon/heartbeat.h"

enum { STACK_BYTES = 2 * 1024 * 1024 };

struct http_work_queue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct http_work *first, **last;
    bool stopped;
    int threads;
    pthread_t thread[];
};

/* Unlinks the first unit that is due; otherwise *wake is the time of the next one, 0 if there is none. */
static struct http_work *take_due(struct http_work_queue *queue, double *wake)
{
    double now = clock_monotonic();
    *wake = 0;
    for (struct http_work **link = &queue->first; *link != NULL; link = &(*link)->next) {
        struct http_work *work = *link;
        if (work->due <= now) {
            *link = work->next;
            if (queue->last == &work->next)
                queue->last = link;
            return work;
        }
        if (*wake == 0 || work->due < *wake)
            *wake = work->due;
    }
    return NULL;
}

static void *serve(void *context)
{
    struct http_work_queue *queue = context;
    heartbeat_start("http_worker", HEARTBEAT_LIMIT_S);
    tw_slice_shortest();
    pthread_mutex_lock(&queue->lock);
    while (!queue->stopped) {
        double wake, round = clock_monotonic() + 1;
        struct http_work *work = take_due(queue, &wake);
        heartbeat_mark();
        if (work != NULL) {
            pthread_mutex_unlock(&queue->lock);
            work->run(work);
            pthread_mutex_lock(&queue->lock);
        } else {
            wake = wake == 0 || wake > round ? round : wake;
            struct timespec until = {(time_t)wake, (long)((wake - (double)(time_t)wake) * 1e9)};
            pthread_cond_timedwait(&queue->changed, &queue->lock, &until);
        }
    }
    pthread_mutex_unlock(&queue->lock);
    return NULL;
}

struct http_work_queue *http_work_new(int threads)
{
    struct http_work_queue *queue = calloc(1, sizeof *queue + (size_t)threads * sizeof queue->thread[0]);
    if (queue == NULL)
        return NULL;
    pthread_mutex_init(&queue->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&queue->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    queue->last = &queue->first;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    while (queue->threads < threads && pthread_create(&queue->thread[queue->threads], &attributes, serve, queue) == 0)
        queue->threads++;
    pthread_attr_destroy(&attributes);
    if (queue->threads < threads) {
        http_work_stop(queue);
        http_work_free(queue);
        return NULL;
    }
    return queue;
}

bool http_work_submit(struct http_work_queue *queue, struct http_work *work)
{
    pthread_mutex_lock(&queue->lock);
    bool accepted = !queue->stopped;
    if (accepted) {
        work->next = NULL;
        *queue->last = work;
        queue->last = &work->next;
        pthread_cond_signal(&queue->changed);
    }
    pthread_mutex_unlock(&queue->lock);
    return accepted;
}

void http_work_stop(struct http_work_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->stopped = true;
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
    for (int i = 0; i < queue->threads; i++)
        pthread_join(queue->thread[i], NULL);
    queue->threads = 0;
    while (queue->first != NULL) { /* no other thread touches the list any more */
        struct http_work *work = queue->first;
        queue->first = work->next;
        work->cancel(work);
    }
    queue->last = &queue->first;
}

void http_work_free(struct http_work_queue *queue)
{
    if (queue == NULL)
        return;
    pthread_cond_destroy(&queue->changed);
    pthread_mutex_destroy(&queue->lock);
    free(queue);
}
