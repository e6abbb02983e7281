/* The queue: every unit is run or cancelled, exactly once; delayed ones wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "daemon/clock.h"
#include "daemon/http_work.h"

enum { UNITS = 500 };

struct unit {
    struct http_work work; /* first */
    double began;
    atomic_int runs, cancels;
};

static void run(struct http_work *work)
{
    struct unit *unit = (struct unit *)work;
    unit->began = clock_monotonic();
    atomic_fetch_add(&unit->runs, 1);
}

static void cancel(struct http_work *work)
{
    atomic_fetch_add(&((struct unit *)work)->cancels, 1);
}

static void await(atomic_int *value, int wanted)
{
    for (int i = 0; i < 20000 && atomic_load(value) != wanted; i++)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    assert_int_equal(atomic_load(value), wanted);
}

static void test_all_run_or_cancelled(void **state)
{
    static struct unit unit[UNITS];
    memset(unit, 0, sizeof unit);
    struct http_work_queue *queue = http_work_new(3);
    assert_non_null(queue);
    for (int i = 0; i < UNITS; i++) {
        unit[i].work = (struct http_work){.run = run, .cancel = cancel};
        if (i % 2 == 1)
            unit[i].work.due = clock_monotonic() + 3600;
        assert_true(http_work_submit(queue, &unit[i].work));
    }
    for (int i = 0; i < UNITS; i += 2)
        await(&unit[i].runs, 1);
    http_work_stop(queue);
    for (int i = 0; i < UNITS; i++) {
        assert_int_equal(unit[i].runs, i % 2 == 0);
        assert_int_equal(unit[i].cancels, i % 2 == 1);
    }
    struct unit late = {.work = {.run = run, .cancel = cancel}};
    assert_false(http_work_submit(queue, &late.work));
    assert_int_equal(late.runs + late.cancels, 0);
    http_work_free(queue);
}

static void test_delayed(void **state)
{
    struct http_work_queue *queue = http_work_new(1);
    double due = clock_monotonic() + 0.05;
    struct unit later = {.work = {.run = run, .cancel = cancel, .due = due}};
    struct unit now = {.work = {.run = run, .cancel = cancel}};
    assert_true(http_work_submit(queue, &later.work));
    assert_true(http_work_submit(queue, &now.work));
    await(&now.runs, 1);
    await(&later.runs, 1);
    assert_true(later.began >= due);
    http_work_stop(queue);
    http_work_free(queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_run_or_cancelled), cmocka_unit_test(test_delayed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
