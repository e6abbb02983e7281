/* Stalled loops are found and named; those that wait, rest or have ended are not; nor is anybody after the whole
 * process stood still. The time is the test's, so that nothing is waited for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "daemon/clock.h"
#include "daemon/heartbeat.h"
#include "daemon/log.h"
#include "daemon/trouble.h"

enum command { WAIT, MARK, REST, END };

/* A loop that does as it is told. */
struct loop {
    const char *name;
    double limit;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum command command;
};

static void *loop_main(void *argument)
{
    struct loop *loop = argument;
    pthread_mutex_lock(&loop->lock);
    heartbeat_start(loop->name, loop->limit);
    enum command last = MARK;
    loop->command = WAIT;
    pthread_cond_broadcast(&loop->changed);
    while (last != END) {
        while (loop->command == WAIT)
            pthread_cond_wait(&loop->changed, &loop->lock);
        last = loop->command;
        if (last == MARK)
            heartbeat_mark();
        if (last == REST)
            heartbeat_rest();
        loop->command = WAIT;
        pthread_cond_broadcast(&loop->changed);
    }
    pthread_mutex_unlock(&loop->lock);
    return NULL;
}

static void tell(struct loop *loop, enum command command)
{
    pthread_mutex_lock(&loop->lock);
    loop->command = command;
    pthread_cond_broadcast(&loop->changed);
    while (loop->command != WAIT)
        pthread_cond_wait(&loop->changed, &loop->lock);
    pthread_mutex_unlock(&loop->lock);
    if (command == END)
        pthread_join(loop->thread, NULL);
}

static void loop_begin(struct loop *loop, const char *name, double limit)
{
    *loop = (struct loop){.name = name, .limit = limit, .command = MARK};
    pthread_mutex_init(&loop->lock, NULL);
    pthread_cond_init(&loop->changed, NULL);
    assert_int_equal(pthread_create(&loop->thread, NULL, loop_main, loop), 0);
    pthread_mutex_lock(&loop->lock);
    while (loop->command != WAIT)
        pthread_cond_wait(&loop->changed, &loop->lock);
    pthread_mutex_unlock(&loop->lock);
}

/* The subject of the only trouble, "" if there is none. */
static const char *stalled(void)
{
    static char subject[128];
    json_t *troubles = trouble_json();
    assert_true(json_array_size(troubles) <= 1);
    json_t *first = json_array_get(troubles, 0);
    const char *text = json_string_value(json_object_get(first, "subject"));
    assert_true(!first || !strcmp(json_string_value(json_object_get(first, "name")), "stalled"));
    strcpy(subject, text ? text : "");
    json_decref(troubles);
    return subject;
}

/* Looks each second from `from` to `to`, as main does; the last answer. */
static bool watch(double from, double to)
{
    bool well = false;
    for (double now = from; now <= to; now += 1)
        well = heartbeat_check(now);
    return well;
}

static void test_a_stalled_loop_is_named(void **state)
{
    struct loop quick, slow;
    loop_begin(&quick, "quick", 20);
    loop_begin(&slow, "slow", 100);
    double now = clock_monotonic();
    assert_true(watch(now, now + 19));
    assert_string_equal(stalled(), "");
    assert_false(watch(now + 20, now + 22));
    assert_string_equal(stalled(), "quick");
    assert_true(trouble_unready());
    heartbeat_mark(); /* of a thread that nobody watches */
    assert_false(heartbeat_check(now + 23));
    tell(&quick, MARK);
    assert_true(heartbeat_check(clock_monotonic()));
    assert_string_equal(stalled(), "");
    tell(&quick, END);
    tell(&slow, END);
}

static void test_rest_and_end(void **state)
{
    struct loop loop, twin;
    loop_begin(&loop, "server", 5);
    loop_begin(&twin, "server", 5);
    double now = clock_monotonic();
    tell(&loop, REST);
    assert_false(watch(now, now + 7)); /* its twin of the same name */
    assert_string_equal(stalled(), "server");
    tell(&twin, REST);
    assert_true(watch(now + 8, now + 50));
    assert_string_equal(stalled(), "");
    tell(&twin, MARK);
    now = clock_monotonic();
    heartbeat_check(now);
    assert_false(watch(now, now + 7));
    tell(&twin, END); /* takes its trouble along */
    assert_string_equal(stalled(), "");
    assert_true(heartbeat_check(now + 8));
    tell(&loop, END);
}

static void test_a_process_that_stood_still(void **state)
{
    struct loop loop;
    loop_begin(&loop, "loop", 20);
    double now = clock_monotonic();
    heartbeat_check(now);
    assert_true(heartbeat_check(now + 1));
    assert_false(heartbeat_check(now + 3600)); /* nothing is known, so the watchdog is not fed */
    assert_string_equal(stalled(), "");
    assert_true(watch(now + 3601, now + 3619));
    assert_false(watch(now + 3620, now + 3622)); /* counted from then on */
    assert_string_equal(stalled(), "loop");
    tell(&loop, END);
    assert_string_equal(stalled(), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_stalled_loop_is_named),
        cmocka_unit_test(test_rest_and_end),
        cmocka_unit_test(test_a_process_that_stood_still),
    };
    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests_name("heartbeat", tests, NULL, NULL);
}
