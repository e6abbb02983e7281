/* A pool of workers that runs numbered tasks and waits for all of them.
 *
 * Which worker runs which task is a matter of timing; results must not depend on it: a task writes only what belongs
 * to its number, and sums over tasks are made by the caller in task order.
 */
#ifndef TW_BASE_POOL_H
#define TW_BASE_POOL_H

#include <stdbool.h>
#include <stddef.h>

struct tw_pool;

/* A task gets its number and the worker that runs it, 0 <= worker < tw_pool_workers(): scratch is indexed by worker. */
typedef void (*tw_pool_task)(void *context, size_t task, unsigned worker);

/* `threads` >= 1 counts the caller of tw_pool_run, so threads - 1 are started. `low_priority` puts the started threads
 * into the batch class with nice 10. NULL when memory or threads are out. */
struct tw_pool *tw_pool_new(unsigned threads, bool low_priority);
void tw_pool_free(struct tw_pool *pool); /* accepts NULL */

/* `round` is called by each later tw_pool_run, on its caller's thread, before the tasks: whoever must say that a long
 * computation still moves says it there. To be set before the pool is used. */
void tw_pool_each_run(struct tw_pool *pool, void (*round)(void));

unsigned tw_pool_workers(const struct tw_pool *pool); /* 1 for NULL */

/* Runs tasks 0..count-1 and returns when all are done. A NULL pool runs them on the calling thread. One caller at a
 * time. */
void tw_pool_run(struct tw_pool *pool, size_t count, tw_pool_task task, void *context);

/* CPU seconds that tasks of this pool have used so far, over all workers, the callers' share included. */
double tw_pool_cpu_seconds(const struct tw_pool *pool);

#endif
