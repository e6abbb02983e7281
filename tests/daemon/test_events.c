/* The log of events: places in it, what is missed, heartbeats, and the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/clock.h"
#include "daemon/events.h"

struct listener {
    struct events_listener base; /* first */
    int slept, woken;
};

static void sleeps(struct events_listener *listener)
{
    ((struct listener *)listener)->slept++;
}

static void wakes(struct events_listener *listener)
{
    ((struct listener *)listener)->woken++;
}

static struct listener listen_to(struct events *events, const char *twin)
{
    return (struct listener){.base = {.sleep = sleeps, .wake = wakes, .twin = twin}};
}

/* Takes text that must be `expected`, with % for the life of the log; NULL: nothing is there. */
static void expect(struct events *events, struct listener *listener, const char *life, const char *expected)
{
    char *text, whole[1000] = "";
    size_t size;
    enum events_taken taken = events_take(events, &listener->base, &text, &size);
    assert_int_equal(taken, expected != NULL ? EVENTS_TEXT : EVENTS_NOTHING);
    for (const char *p = expected; p != NULL && *p != '\0'; p++)
        snprintf(whole + strlen(whole), sizeof whole - strlen(whole), *p == '%' ? "%s" : "%.1s", *p == '%' ? life : p);
    if (expected != NULL)
        assert_string_equal(text, whole);
    free(text);
}

/* The life of the log, as an id has it. */
static void life_of(struct events *events, char out[32])
{
    struct listener listener = listen_to(events, NULL);
    char *text;
    size_t size;
    assert_true(events_listen(events, &listener.base, "no id"));
    assert_int_equal(events_take(events, &listener.base, &text, &size), EVENTS_TEXT);
    assert_int_equal(sscanf(text, "retry: 2000\n\nid: %31[0-9]-", out), 1);
    free(text);
    events_leave(events, &listener.base);
}

static void test_from_now_on(void **state)
{
    struct events *events = events_new();
    struct listener all = listen_to(events, NULL), one = listen_to(events, "a");
    char life[32];
    life_of(events, life);
    events_add(events, "a", "drift", "{\"n\":1}");
    assert_true(events_listen(events, &all.base, NULL) && events_listen(events, &one.base, ""));
    expect(events, &all, life, "retry: 2000\n\n");
    expect(events, &one, life, "retry: 2000\n\n");
    expect(events, &all, life, NULL);
    assert_int_equal(all.slept, 1);
    events_add(events, "b", "version", "{\"n\":2}");
    events_add(events, "a", "alias", "{\"n\":3}");
    assert_int_equal(all.woken, 1); /* once; the second event finds it awake */
    expect(events, &all, life,
           "id: %-2\nevent: version\ndata: {\"n\":2}\n\nid: %-3\nevent: alias\ndata: {\"n\":3}\n\n");
    expect(events, &one, life, "id: %-3\nevent: alias\ndata: {\"n\":3}\n\n");
    expect(events, &all, life, NULL);
    events_leave(events, &all.base);
    events_leave(events, &one.base);
    assert_int_equal(events_listeners(events), 0);
    events_free(events);
}

static void test_after_an_id(void **state)
{
    struct events *events = events_new();
    char life[32], id[64];
    life_of(events, life);
    for (int i = 1; i <= 3; i++)
        events_add(events, "a", "drift", i == 3 ? "{\"n\":3}" : "{}");
    struct listener known = listen_to(events, NULL);
    snprintf(id, sizeof id, "%s-2", life);
    assert_true(events_listen(events, &known.base, id));
    expect(events, &known, life, "retry: 2000\n\nid: %-3\nevent: drift\ndata: {\"n\":3}\n\n");
    events_leave(events, &known.base);

    static const char *const unknown[] = {"x", "-", "17-1", "%-", "%-4", "%-1x", "%-99999999999999999999999", "% -1"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        const char *rest = unknown[i][0] == '%' ? unknown[i] + 1 : unknown[i];
        snprintf(id, sizeof id, "%s%s", unknown[i][0] == '%' ? life : "", rest);
        struct listener lost = listen_to(events, NULL);
        assert_true(events_listen(events, &lost.base, id));
        expect(events, &lost, life,
               "retry: 2000\n\nid: %-0\nevent: missed\ndata: {}\n\nid: %-1\nevent: drift\ndata: {}\n\n"
               "id: %-2\nevent: drift\ndata: {}\n\nid: %-3\nevent: drift\ndata: {\"n\":3}\n\n");
        events_leave(events, &lost.base);
    }
    events_free(events);
}

/* Who is too slow for the ring, in number or in bytes, is told. */
static void test_slow(void **state)
{
    struct events *events = events_new();
    char *large = malloc(1 << 20), life[32];
    life_of(events, life);
    memset(large, ' ', (1 << 20) - 1);
    large[(1 << 20) - 1] = '\0';
    struct listener slow = listen_to(events, "nobody");
    assert_true(events_listen(events, &slow.base, NULL));
    expect(events, &slow, life, "retry: 2000\n\n");
    for (int i = 0; i < 5000; i++)
        events_add(events, "a", "drift", "{}");
    expect(events, &slow, life, "id: %-3976\nevent: missed\ndata: {}\n\n");
    for (int i = 0; i < 9; i++)
        events_add(events, "a", "drift", large);
    expect(events, &slow, life, "id: %-5006\nevent: missed\ndata: {}\n\n");
    expect(events, &slow, life, NULL);
    events_leave(events, &slow.base);
    free(large);
    events_free(events);
}

static void test_heartbeats_and_the_end(void **state)
{
    struct events *events = events_new();
    char life[32], *text;
    size_t size;
    life_of(events, life);
    struct listener listener = listen_to(events, NULL), more[EVENTS_LISTENERS_MAX];
    assert_true(events_listen(events, &listener.base, NULL));
    expect(events, &listener, life, "retry: 2000\n\n");
    expect(events, &listener, life, NULL);
    events_look(events, clock_monotonic());
    assert_int_equal(listener.woken, 0);
    events_look(events, clock_monotonic() + EVENTS_HEARTBEAT_S + 1);
    assert_int_equal(listener.woken, 1);
    listener.base.due = 0;
    expect(events, &listener, life, ": heartbeat\n\n");
    expect(events, &listener, life, NULL);
    for (int i = 0; i < EVENTS_LISTENERS_MAX; i++) {
        more[i] = listen_to(events, NULL);
        assert_int_equal(events_listen(events, &more[i].base, NULL), i < EVENTS_LISTENERS_MAX - 1);
    }
    events_stop(events);
    assert_int_equal(listener.woken, 2);
    assert_int_equal(events_take(events, &listener.base, &text, &size), EVENTS_OVER);
    for (int i = 0; i < EVENTS_LISTENERS_MAX - 1; i++)
        events_leave(events, &more[i].base);
    events_leave(events, &listener.base);
    events_free(events);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_from_now_on),
        cmocka_unit_test(test_after_an_id),
        cmocka_unit_test(test_slow),
        cmocka_unit_test(test_heartbeats_and_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
