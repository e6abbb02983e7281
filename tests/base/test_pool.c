/* Every task runs exactly once, on a worker that exists, and is over when run returns. */
#include "cm.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/pool.h"

enum { TASKS = 1000 };

struct job {
    unsigned workers;
    unsigned ran[TASKS]; /* plain numbers: each belongs to its task, as results do */
    atomic_uint bad_worker;
    atomic_int inside[64]; /* tasks that a worker is in: more than one would share its scratch */
};

static void count_task(void *context, size_t task, unsigned worker)
{
    struct job *job = context;
    if (worker >= job->workers || atomic_fetch_add(&job->inside[worker], 1) != 0)
        job->bad_worker++;
    job->ran[task]++;
    if (worker < job->workers)
        atomic_fetch_sub(&job->inside[worker], 1);
}

static void check_pool(struct tw_pool *pool, unsigned workers)
{
    static struct job job;
    job = (struct job){.workers = workers};
    assert_int_equal(tw_pool_workers(pool), workers);
    unsigned expected[TASKS] = {0};
    for (size_t round = 0; round < 200; round++) {
        size_t count = round * 37 % (TASKS + 1);
        tw_pool_run(pool, count, count_task, &job);
        for (size_t i = 0; i < TASKS; i++) {
            expected[i] += i < count;
            assert_int_equal(job.ran[i], expected[i]);
        }
    }
    assert_int_equal(job.bad_worker, 0);
}

static void every_task_runs_once(void **state)
{
    check_pool(NULL, 1);
    for (unsigned threads = 1; threads <= 5; threads++) {
        struct tw_pool *pool = tw_pool_new(threads, threads % 2 == 0);
        assert_non_null(pool);
        check_pool(pool, threads);
        tw_pool_free(pool);
    }
    tw_pool_free(NULL);
}

static void wait_for_the_other(void *context, size_t task, unsigned worker)
{
    atomic_uint *arrived = context;
    atomic_fetch_add(arrived, 1);
    while (atomic_load(arrived) < 2)
        ;
}

/* Two tasks that wait for each other end only if two threads run them. */
static void workers_run_at_the_same_time(void **state)
{
    struct tw_pool *pool = tw_pool_new(2, false);
    for (int round = 0; round < 50; round++) {
        atomic_uint arrived = 0;
        tw_pool_run(pool, 2, wait_for_the_other, &arrived);
        assert_int_equal(arrived, 2);
    }
    tw_pool_free(pool);
}

static void burn(void *context, size_t task, unsigned worker)
{
    volatile double x = 1;
    for (int i = 0; i < 300000; i++)
        x = x * 1.0000001;
}

static void cpu_time_counts_all_workers(void **state)
{
    struct tw_pool *pool = tw_pool_new(2, false);
    assert_true(tw_pool_cpu_seconds(NULL) == 0);
    assert_true(tw_pool_cpu_seconds(pool) == 0);
    tw_pool_run(pool, 8, burn, NULL);
    double first = tw_pool_cpu_seconds(pool);
    assert_true(first > 0);
    tw_pool_run(pool, 8, burn, NULL);
    assert_true(tw_pool_cpu_seconds(pool) > first);
    tw_pool_free(pool);
}

static void impossible_pools_are_refused(void **state)
{
    assert_null(tw_pool_new(0, false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_runs_once),
        cmocka_unit_test(workers_run_at_the_same_time),
        cmocka_unit_test(cpu_time_counts_all_workers),
        cmocka_unit_test(impossible_pools_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
