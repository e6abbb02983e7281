/* What the loop may do by itself: modes, hold, limits, and the state that they are kept in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "daemon/pace.h"
#include "daemon/policy.h"

static void every_case_has_its_decision(void **state)
{
    static const char limit[] = "loop.cooldown";
    static const struct {
        struct policy_case facts;
        const char *decision, *reason;
    } cases[] = {
        {{.drift = false}, "none", "no drift"},
        {{.drift = true}, "drift", "waits for more data"},
        {{.drift = true, .hold = true, .limit = limit}, "drift", "waits for more data"},
        {{.drift = true, .due = true}, "retuning", "drift found"},
        {{.due = true}, "retuning", "grown enough"},
        {{.due = true, .mode = LOOP_ADVISE}, "retuning", "grown enough"},
        {{.due = true, .limit = limit}, "limited", "loop.cooldown"},
        {{.due = true, .mode = LOOP_ADVISE, .limit = limit}, "limited", "loop.cooldown"},
        {{.due = true, .mode = LOOP_MANUAL, .limit = limit}, "advised", "manual"},
        {{.due = true, .hold = true, .limit = limit}, "advised", "held"},
        {{.due = true, .hold = true, .mode = LOOP_MANUAL}, "advised", "held"},
        {{.drift = true, .due = true, .recalled = 3, .why = "known"}, "recalled", "known"},
        {{.drift = true, .due = true, .recalled = 3, .why = "known", .limit = limit}, "recalled", "known"},
        {{.drift = true, .due = true, .recalled = 3, .why = "known", .hold = true}, "advised", "known; the champion"},
        {{.drift = true, .recalled = 3, .why = "known", .mode = LOOP_ADVISE}, "advised", "known; loop.mode"},
        {{.drift = true, .recalled = 3, .why = "known", .beyond = true}, "advised", "known"},
        {{.drift = true, .due = true, .appealed = 4, .why = "gains"}, "promoted", "gains"},
        {{.appealed = 4, .why = "gains", .limit = limit}, "promoted", "gains"},
        {{.appealed = 4, .why = "gains", .hold = true}, "advised", "gains; the champion"},
        {{.appealed = 4, .why = "gains", .beyond = true}, "advised", "gains"},
        {{.back_to = 2, .why = "lost"}, "rolled_back", "lost"},
        {{.back_to = 2, .why = "lost", .drift = true, .due = true, .limit = limit}, "rolled_back", "lost"},
        {{.back_to = 2, .why = "lost", .due = true, .mode = LOOP_MANUAL}, "advised", "lost; loop.mode"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct policy_choice choice;
        policy_choose(&cases[i].facts, &choice);
        assert_string_equal(choice.decision, cases[i].decision);
        assert_non_null(strstr(choice.reason, cases[i].reason));
        assert_int_equal(choice.retune, strcmp(choice.decision, "retuning") == 0);
        assert_int_equal(choice.move_to, strcmp(choice.decision, "recalled") == 0      ? cases[i].facts.recalled
                                         : strcmp(choice.decision, "promoted") == 0    ? cases[i].facts.appealed
                                         : strcmp(choice.decision, "rolled_back") == 0 ? cases[i].facts.back_to
                                                                                       : 0);
    }
}

static void only_auto_without_hold_promotes(void **state)
{
    assert_null(policy_advises(LOOP_AUTO, false));
    assert_non_null(policy_advises(LOOP_AUTO, true));
    assert_non_null(policy_advises(LOOP_ADVISE, false));
    assert_non_null(policy_advises(LOOP_MANUAL, false));
}

static bool limited(const struct pace *pace, const struct loop_policy *policy, double now, const char *by)
{
    char why[120] = "";
    bool result = pace_limits(pace, policy, now, why, sizeof why);
    assert_true(!result || strstr(why, by));
    return result;
}

static void cools_down(void **state)
{
    struct loop_policy policy = {.cooldown = 2};
    struct pace pace;
    pace_init(&pace);
    pace_window(&pace);
    assert_false(limited(&pace, &policy, 0, "")); /* nothing was decided yet */
    pace_decided(&pace);
    for (int i = 0; i < 2; i++) {
        pace_window(&pace);
        assert_true(limited(&pace, &policy, 0, "loop.cooldown"));
    }
    pace_window(&pace);
    assert_false(limited(&pace, &policy, 0, ""));
    policy.cooldown = 0;
    pace_decided(&pace);
    pace_window(&pace);
    assert_false(limited(&pace, &policy, 0, "")); /* the very next window */
}

static void counts_retunes(void **state)
{
    struct loop_policy policy = {.max_retunes = 2, .max_retunes_hours = 1};
    struct pace pace;
    pace_init(&pace);
    pace_begin(&pace, 1000);
    assert_false(limited(&pace, &policy, 1001, ""));
    pace_begin(&pace, 2000);
    assert_true(limited(&pace, &policy, 2001, "loop.max_retunes"));
    assert_true(limited(&pace, &policy, 4599, "loop.max_retunes"));
    assert_false(limited(&pace, &policy, 4600, "")); /* the first is an hour old */
    pace_begin(&pace, 4600);
    assert_true(limited(&pace, &policy, 5599, "loop.max_retunes"));
    policy.max_retunes = 0;
    assert_false(limited(&pace, &policy, 5599, ""));
    for (int i = 0; i < 2 * LOOP_RETUNES_MAX; i++)
        pace_begin(&pace, 5600 + i);
    policy.max_retunes = LOOP_RETUNES_MAX;
    assert_true(limited(&pace, &policy, 5600 + 2 * LOOP_RETUNES_MAX, "loop.max_retunes"));
    assert_false(limited(&pace, &policy, 5600 + LOOP_RETUNES_MAX + 3600, ""));
}

/* Over a restart the monotonic clock begins anew, and the wall clock may have been set. */
static void survives_a_restart(void **state)
{
    struct loop_policy policy = {.cooldown = 1, .max_retunes = 1, .max_retunes_hours = 1};
    struct pace pace, back;
    pace_init(&pace);
    pace_begin(&pace, 5000);
    json_t *json = pace_json(&pace, 5600, 1700000000000);    /* ten minutes after */
    pace_from_json(&back, json, 7, 1700000000000 + 1200000); /* twenty minutes of down time */
    assert_int_equal(back.count, 1);
    assert_true(fabs(back.begun[0] - (7 - 1800)) < 1e-6);
    assert_true(limited(&back, &policy, 7 + 1799, "loop.max_retunes"));
    assert_false(limited(&back, &policy, 7 + 1801, ""));
    pace_from_json(&back, json, 7, 1600000000000); /* the clock went back: it began just now, at the latest */
    assert_true(limited(&back, &policy, 7 + 3599, "loop.max_retunes"));
    assert_false(limited(&back, &policy, 7 + 3601, ""));
    json_decref(json);

    pace_decided(&pace);
    json = pace_json(&pace, 5600, 1700000000000);
    pace_from_json(&back, json, 5600, 1700000000000);
    assert_memory_equal(&back, &pace, sizeof back);
    json_decref(json);
    pace_from_json(&back, NULL, 0, 0);
    assert_true(back.windows == -1 && back.count == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_has_its_decision),
        cmocka_unit_test(only_auto_without_hold_promotes),
        cmocka_unit_test(cools_down),
        cmocka_unit_test(counts_retunes),
        cmocka_unit_test(survives_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
