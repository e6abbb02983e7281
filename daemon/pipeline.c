#include "daemon/pipeline.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "daemon/heartbeat.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/trouble.h"

enum { CANCELS_MAX = 64 };

struct pipeline {
    struct loop_context context;
    const struct config *config;
    pthread_t thread;

    pthread_mutex_t lock;
    pthread_cond_t due;
    bool woken, stopping;
    int64_t cancelled[CANCELS_MAX];
    int cancels;

    /* the thread's own */
    uint64_t generation;
    bool followed; /* every twin of this generation has its loop */
    struct loop **loops;
    size_t count;
    size_t turn; /* whose quantum is next */
};

/* Queries and comparisons of others come first: a training takes what is left. */
static void lower_priority(void)
{
    struct sched_param none = {0};
    pthread_setschedparam(pthread_self(), SCHED_BATCH, &none);
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 10);
}

/* One loop for each twin that is there; what is gone is dropped. */
static void follow_registry(struct pipeline *pipeline)
{
    uint64_t generation = registry_generation(pipeline->context.registry);
    if (pipeline->followed && generation == pipeline->generation)
        return;
    struct twin **twins = NULL;
    size_t count = registry_list(pipeline->context.registry, &twins);
    struct loop **loops = twins ? calloc(count + 1, sizeof(*loops)) : NULL;
    size_t kept = 0;
    pipeline->followed = loops != NULL; /* else again in the next round */
    if (!loops) {
        for (size_t i = 0; i < count; i++)
            registry_twin_unref(twins[i]);
        free(twins);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct loop *loop = NULL;
        for (size_t j = 0; j < pipeline->count; j++) {
            if (pipeline->loops[j] && pipeline->loops[j]->twin == twins[i]) {
                loop = pipeline->loops[j];
                pipeline->loops[j] = NULL;
                registry_twin_unref(twins[i]); /* the loop has one already */
            }
        }
        struct tw_error error = {""};
        int status = loop ? TW_OK : loop_open(&pipeline->context, twins[i], &loop, &error);
        if (status == TW_NOT_FOUND) { /* deleted since the list was made */
            registry_twin_unref(twins[i]);
            continue;
        }
        if (status != TW_OK) {
            trouble_raise("loop_not_opened", twins[i]->name, TROUBLE_DEGRADED, "%s", error.text);
            registry_twin_unref(twins[i]);
            pipeline->followed = false;
            continue;
        }
        trouble_clear("loop_not_opened", twins[i]->name);
        loop_show_activity(loop);
        loops[kept++] = loop;
    }
    for (size_t j = 0; j < pipeline->count; j++)
        loop_close(pipeline->loops[j]);
    free(pipeline->loops);
    free(twins);
    pipeline->loops = loops;
    pipeline->count = kept;
    pipeline->generation = generation;
}

static void follow_cancels(struct pipeline *pipeline)
{
    int64_t cancelled[CANCELS_MAX];
    pthread_mutex_lock(&pipeline->lock);
    int n = pipeline->cancels;
    memcpy(cancelled, pipeline->cancelled, sizeof(cancelled));
    pipeline->cancels = 0;
    pthread_mutex_unlock(&pipeline->lock);
    for (int i = 0; i < n; i++)
        for (size_t j = 0; j < pipeline->count; j++)
            loop_cancel(pipeline->loops[j], cancelled[i]);
}

/* One round: what people asked for, then a comparison for every twin that has a window, then one quantum of training
 * for the twin whose turn it is. True if anything was done. */
static bool work_once(struct pipeline *pipeline)
{
    bool worked = false;
    for (size_t i = 0; i < pipeline->count; i++) {
        loop_watch_lag(pipeline->loops[i]);
        worked |= loop_take_operation(pipeline->loops[i]);
        worked |= loop_compare(pipeline->loops[i]);
    }
    for (size_t i = 0; i < pipeline->count; i++) {
        struct loop *loop = pipeline->loops[(pipeline->turn + i) % pipeline->count];
        if (loop_train(loop)) {
            pipeline->turn = (pipeline->turn + i + 1) % pipeline->count;
            return true;
        }
    }
    for (size_t i = 0; i < pipeline->count; i++)
        loop_show_activity(pipeline->loops[i]);
    return worked;
}

/* Waits for a wake; policies and holds that change without one are seen within a second. */
static void wait_for_work(struct pipeline *pipeline)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += 1;
    pthread_mutex_lock(&pipeline->lock);
    while (!pipeline->woken && !pipeline->stopping)
        if (pthread_cond_timedwait(&pipeline->due, &pipeline->lock, &until) != 0)
            break;
    pipeline->woken = false;
    pthread_mutex_unlock(&pipeline->lock);
}

static bool stopping(struct pipeline *pipeline)
{
    pthread_mutex_lock(&pipeline->lock);
    bool stop = pipeline->stopping;
    pthread_mutex_unlock(&pipeline->lock);
    return stop;
}

static void *run(void *argument)
{
    struct pipeline *pipeline = argument;
    pthread_setname_np(pthread_self(), "pipeline");
    lower_priority();
    heartbeat_start("pipeline", HEARTBEAT_PIPELINE_LIMIT_S);
    while (!stopping(pipeline)) {
        heartbeat_mark();
        follow_registry(pipeline);
        follow_cancels(pipeline);
        for (size_t i = 0; i < pipeline->count; i++)
            retention_step(pipeline->loops[i], pipeline->config);
        if (!work_once(pipeline))
            wait_for_work(pipeline);
    }
    for (size_t i = 0; i < pipeline->count; i++)
        retention_checkpoint(pipeline->loops[i]);
    for (size_t i = 0; i < pipeline->count; i++)
        loop_close(pipeline->loops[i]);
    free(pipeline->loops);
    return NULL;
}

int pipeline_start(const struct pipeline_options *options, struct pipeline **out, struct tw_error *error)
{
    struct pipeline *pipeline = calloc(1, sizeof(*pipeline));
    if (!pipeline)
        return TW_NO_MEMORY;
    pipeline->context = (struct loop_context){
        .registry = options->registry,
        .store = options->store,
        .publisher = options->publisher,
        .kernels = options->kernels,
        .pool = tw_pool_new(options->threads, true),
    };
    pipeline->config = options->config;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&pipeline->due, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&pipeline->lock, NULL);
    if (pipeline->context.pool) /* a comparison of a large window is one long step */
        tw_pool_each_run(pipeline->context.pool, heartbeat_mark);
    if (!pipeline->context.pool || pthread_create(&pipeline->thread, NULL, run, pipeline) != 0) {
        tw_pool_free(pipeline->context.pool);
        free(pipeline);
        return tw_error_set(error, TW_NO_MEMORY, "the pipeline's threads cannot be started");
    }
    *out = pipeline;
    return TW_OK;
}

void pipeline_stop(struct pipeline *pipeline)
{
    if (!pipeline)
        return;
    pthread_mutex_lock(&pipeline->lock);
    pipeline->stopping = true;
    pthread_cond_signal(&pipeline->due);
    pthread_mutex_unlock(&pipeline->lock);
    pthread_join(pipeline->thread, NULL);
    tw_pool_free(pipeline->context.pool);
    pthread_cond_destroy(&pipeline->due);
    pthread_mutex_destroy(&pipeline->lock);
    free(pipeline);
}

void pipeline_wake(struct pipeline *pipeline)
{
    pthread_mutex_lock(&pipeline->lock);
    pipeline->woken = true;
    pthread_cond_signal(&pipeline->due);
    pthread_mutex_unlock(&pipeline->lock);
}

int pipeline_cancel(struct pipeline *pipeline, int64_t operation, struct tw_error *error)
{
    json_t *row = store_operation_json(pipeline->context.store, operation);
    if (!row)
        return tw_error_set(error, TW_NOT_FOUND, "there is no operation %lld", (long long)operation);
    const char *state = json_string_value(json_object_get(row, "state"));
    bool running = state && strcmp(state, "running") == 0;
    bool queued = state && strcmp(state, "queued") == 0;
    json_decref(row);
    if (!running && !queued)
        return tw_error_set(error, TW_CONFLICT, "operation %lld is finished", (long long)operation);

    /* The mark in the store decides; the pipeline then drops the training, if it had begun. */
    int status = store_operation_set(pipeline->context.store, operation, "cancelled", 1, NULL,
                                     "{\"detail\":\"cancelled by an operator\"}", error);
    if (status != TW_OK)
        return status;
    pthread_mutex_lock(&pipeline->lock);
    if (pipeline->cancels < CANCELS_MAX)
        pipeline->cancelled[pipeline->cancels++] = operation;
    pipeline->woken = true;
    pthread_cond_signal(&pipeline->due);
    pthread_mutex_unlock(&pipeline->lock);
    return TW_OK;
}

double pipeline_cpu_seconds(const struct pipeline *pipeline)
{
    return tw_pool_cpu_seconds(pipeline->context.pool);
}
