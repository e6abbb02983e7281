/* The policy of retunes: when one is due, and when an episode ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/episode.h"

static void begins_once_until_promoted(void **state)
{
    struct episode e = {0};
    assert_false(episode_begins(&e, false));
    assert_true(episode_begins(&e, true));
    episode_begin(&e, 7, 1000, 1);
    assert_false(episode_begins(&e, true)); /* the same drift, not yet learnt */
    episode_decided(&e, true, false, true);
    assert_false(episode_begins(&e, false));
    assert_true(episode_begins(&e, true)); /* what was learnt has drifted again */
}

static void due_when_grown(void **state)
{
    struct episode e = {0};
    assert_false(episode_due(&e, 0.5));
    episode_begin(&e, 0, 1000, 1);
    assert_true(episode_due(&e, 0.5));
    episode_decided(&e, false, false, true);
    assert_false(episode_due(&e, 0.5));
    episode_window(&e, 499, true);
    assert_false(episode_due(&e, 0.5));
    episode_window(&e, 1, true);
    assert_true(episode_due(&e, 0.5)); /* after a rejection too */
    assert_false(episode_due(&e, 0.51));
}

static void begins_where_the_spool_does(void **state)
{
    struct episode e = {0};
    episode_trim(&e, 9); /* inactive: nothing to move */
    assert_int_equal(e.change, 0);
    episode_begin(&e, 7, 1000, 1);
    episode_trim(&e, 5);
    assert_int_equal(e.change, 7);
    episode_trim(&e, 9);
    assert_int_equal(e.change, 9);
}

static void ends_when_nothing_is_gained(void **state)
{
    struct episode e = {0};
    episode_begin(&e, 0, 1000, 1);
    episode_decided(&e, false, false, true);
    episode_decided(&e, false, false, true);
    episode_decided(&e, false, false, true);
    assert_true(e.active); /* nothing promoted yet: more data may do it */
    episode_decided(&e, true, false, true);
    for (int i = 0; i < EPISODE_REJECTIONS_MAX - 1; i++)
        episode_decided(&e, false, false, true);
    episode_window(&e, 1000, false);
    assert_true(e.active);
    episode_decided(&e, false, true, true); /* rejected, but promising: the question is open */
    assert_true(e.active);
    for (int i = 0; i < 2 * EPISODE_REJECTIONS_MAX; i++)
        episode_decided(&e, false, false, true);
    assert_true(e.active); /* on data that have hardly grown it is the same question */
    episode_window(&e, 4 * 2000 - 2000 - 1, false);
    episode_decided(&e, false, false, true);
    assert_true(e.active);
    episode_window(&e, 1, false);
    episode_decided(&e, false, false, true);
    assert_false(e.active);
}

/* A champion that the loop did not make is an answer of people to what drifted. */
static void ends_when_people_answer(void **state)
{
    struct episode e = {0};
    episode_serves(&e, 3);
    episode_begin(&e, 0, 1000, 3);
    episode_serves(&e, 3);
    assert_true(e.active && e.origin == 3);
    e.champion = 4; /* promoted by the loop */
    episode_serves(&e, 4);
    assert_true(e.active && e.origin == 3);
    episode_serves(&e, 2);
    assert_false(e.active);
    episode_begin(&e, 0, 1000, 2);
    e.champion = 0; /* a state of a program that did not keep it */
    episode_serves(&e, 2);
    assert_true(e.active);
}

static void ends_when_it_was_a_false_alarm(void **state)
{
    struct episode e = {0};
    episode_begin(&e, 0, 1000, 1);
    episode_decided(&e, false, false, true);
    for (int i = 0; i < EPISODE_QUIET_MAX - 1; i++)
        episode_window(&e, 1000, false);
    assert_true(e.active);
    episode_window(&e, 1000, true); /* an alarm between: it is real */
    for (int i = 0; i < EPISODE_QUIET_MAX; i++)
        episode_window(&e, 1000, false);
    assert_false(e.active);
}

static void has_a_last_attempt(void **state)
{
    struct episode e = {0};
    episode_begin(&e, 0, 1000, 1);
    for (int i = 0; i < EPISODE_ATTEMPTS_MAX; i++) {
        assert_true(e.active);
        episode_decided(&e, false, false, true);
    }
    assert_false(e.active);
    episode_begin(&e, 0, 1000, 1);
    episode_window(&e, EPISODE_ROWS_MAX, true);
    assert_false(e.active);
}

/* Every gate that a champion is tried by is a look at the data, and they share one level; it is the next one's anew. */
static void counts_looks(void **state)
{
    struct episode e = {0};
    episode_begin(&e, 0, 1000, 1);
    episode_recalled(&e, false, false);
    assert_true(e.active && e.looks == 1 && e.attempts == 0);
    episode_decided(&e, false, false, true);
    assert_true(e.looks == 2 && e.attempts == 1);
    episode_decided(&e, false, false, false); /* its gate was not asked */
    assert_true(e.looks == 2 && e.attempts == 2);
    double level = episode_level(&e, 0.01);
    episode_decided(&e, true, false, true);
    assert_true(e.active && e.looks == 0 && e.attempts == 3);
    assert_true(episode_level(&e, 0.01) > 2 * level);
    episode_begin(&e, 0, 1000, 1);
    assert_int_equal(e.looks, 0);
    episode_recalled(&e, true, true); /* a version of the past took over: there is nothing to train */
    assert_false(e.active);
}

/* Physics that returns may need more data to be known again: the question of the episode's begin stays open, and is one
 * look however often it is asked. */
static void asks_again(void **state)
{
    struct episode e = {0};
    assert_false(episode_asks(&e, 0.5));
    episode_begin(&e, 7, 1000, 1);
    assert_true(episode_asks(&e, 0.5));
    assert_true(episode_level(&e, 0.01) == episode_recall_level(0.01));
    for (int i = 0; i < 2; i++) {
        episode_recalled(&e, false, false);
        assert_false(episode_asks(&e, 0.5));
        episode_decided(&e, false, false, true);
        assert_int_equal(e.looks, 2 + i);
        assert_true(episode_level(&e, 0.01) < episode_recall_level(0.01));
        episode_window(&e, e.rows / 2 - 1, true);
        assert_false(episode_asks(&e, 0.5));
        episode_window(&e, 1, true);
        assert_true(episode_asks(&e, 0.5));
    }
    struct episode learnt = e, trimmed = e, advised = e;
    episode_decided(&learnt, true, false, true); /* against another champion it would be another test */
    episode_window(&learnt, 100000, true);
    assert_true(learnt.active && !episode_asks(&learnt, 0.5));
    episode_trim(&trimmed, 7); /* nothing is missing */
    assert_true(episode_asks(&trimmed, 0.5));
    episode_trim(&trimmed, 8); /* and on other rows */
    assert_true(trimmed.active && !episode_asks(&trimmed, 0.5));
    episode_recalled(&advised, true, false); /* people know it now */
    episode_window(&advised, 100000, true);
    assert_true(advised.active && !episode_asks(&advised, 0.5));
    episode_begin(&e, 0, 1000, 1);
    episode_decided(&e, false, false, true); /* there was nobody to ask when it began */
    episode_window(&e, 1000, true);
    assert_false(episode_asks(&e, 0.5));
}

/* A promising version is asked about until something replaces it; it passes as any other does. */
static void hears_an_appeal(void **state)
{
    struct episode e = {0};
    episode_begin(&e, 0, 1000, 1);
    episode_decided(&e, false, true, true);
    episode_appeals(&e, 5);
    episode_window(&e, 1000, true);
    episode_decided(&e, false, false, true); /* another, which is not promising */
    assert_true(episode_hears(&e) && e.appeal == 5);
    episode_appeals(&e, 6);
    assert_int_equal(e.appeal, 6);
    struct episode lapsed = e, replaced = e;
    episode_appealed(&lapsed, false);
    assert_true(lapsed.active && !episode_hears(&lapsed) && lapsed.champion == 1 && !lapsed.promoted);
    episode_decided(&replaced, true, false, true);
    assert_true(replaced.active && replaced.appeal == 0);
    struct episode advised = e; /* another one passed, and waits for people */
    episode_decided(&advised, false, true, true);
    assert_true(advised.active && !episode_hears(&advised));
    episode_appealed(&e, true);
    assert_true(e.active && e.promoted && e.champion == 6 && e.appeal == 0 && e.looks == 0 && e.rejections == 0);
    assert_int_equal(e.gained_rows, 2000);
    episode_serves(&e, 6);
    assert_true(e.active && e.origin == 1); /* refinements go on, from where the first began */
}

/* A retune that is due when an appeal is granted comes a window later, and those after it when they would have. */
static void puts_a_retune_off(void **state)
{
    struct episode e = {0};
    episode_begin(&e, 0, 10000, 1);
    episode_puts_off(&e);
    episode_window(&e, 500, true);
    assert_true(episode_due(&e, 0.1));
    episode_decided(&e, false, false, true);
    assert_false(episode_due(&e, 0.1));
    episode_window(&e, 500, true);
    assert_true(episode_due(&e, 0.1));
    episode_decided(&e, false, false, true);
    episode_window(&e, 1099, true);
    assert_false(episode_due(&e, 0.1));
}

/* How many champions of the past share the level is what it was when they were first asked. */
static void keeps_the_shares(void **state)
{
    struct episode e = {0};
    episode_begin(&e, 0, 1000, 1);
    assert_int_equal(episode_recall(&e, 4), 4);
    assert_int_equal(episode_recall(&e, 2), 4);
    episode_begin(&e, 0, 1000, 1);
    assert_int_equal(episode_recall(&e, 2), 2);
}

static void survives_json(void **state)
{
    struct episode e = {0}, back;
    episode_begin(&e, 123456789012345, 4321, 1);
    episode_recall(&e, 3);
    episode_recalled(&e, false, false);
    episode_window(&e, 99, false);
    episode_decided(&e, true, false, true);
    episode_appeals(&e, 9);
    episode_puts_off(&e);
    json_t *json = episode_json(&e);
    assert_non_null(json);
    episode_from_json(&back, json);
    assert_memory_equal(&back, &e, sizeof(e));
    json_decref(json);
    episode_from_json(&back, NULL);
    assert_false(back.active);
    json = episode_json(&e); /* of an earlier program */
    const char *const later[] = {"looks",      "gained_rows", "origin", "champion",
                                 "asked_rows", "appeal",      "recall", "put_off"};
    for (size_t i = 0; i < sizeof later / sizeof *later; i++)
        json_object_del(json, later[i]);
    episode_from_json(&back, json);
    assert_true(back.active && back.looks == back.attempts && back.origin == 0 && back.champion == 0);
    assert_true(back.asked_rows == 0 && back.appeal == 0 && back.recall == 0);
    json_decref(json);
    json = json_pack("{s:s}", "active", "yes");
    episode_from_json(&back, json);
    assert_false(back.active);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(begins_once_until_promoted),
        cmocka_unit_test(due_when_grown),
        cmocka_unit_test(begins_where_the_spool_does),
        cmocka_unit_test(ends_when_nothing_is_gained),
        cmocka_unit_test(ends_when_people_answer),
        cmocka_unit_test(ends_when_it_was_a_false_alarm),
        cmocka_unit_test(has_a_last_attempt),
        cmocka_unit_test(counts_looks),
        cmocka_unit_test(asks_again),
        cmocka_unit_test(hears_an_appeal),
        cmocka_unit_test(puts_a_retune_off),
        cmocka_unit_test(keeps_the_shares),
        cmocka_unit_test(survives_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
