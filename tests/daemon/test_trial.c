/* A promotion on trial: how it ends, what stands on record, and that a restart changes no bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "daemon/trial.h"

enum { N = 500 };

/* Gains that alternate around `mean`. */
static enum trial_state follow(struct trial *trial, uint64_t ordinal, double mean, bool drift)
{
    struct tw_regret_bounds bounds;
    double gains[N];
    for (int i = 0; i < N; i++)
        gains[i] = mean + (i % 2 ? 0.3 : -0.3);
    return trial_follow(trial, ordinal, ordinal + 1, gains, N, 0.01, drift, 0.01, &bounds);
}

static void better_and_worse(void **state)
{
    struct trial trial;
    trial_begin(&trial, 7, 5);
    assert_int_equal(follow(&trial, 40, 0.2, false), TRIAL_CONFIRMED);
    trial_begin(&trial, 7, 5);
    assert_int_equal(follow(&trial, 40, -0.2, false), TRIAL_WORSE);
    assert_int_equal(follow(&trial, 42, -0.2, false), TRIAL_WORSE); /* as long as it is not rolled back */
    assert_int_equal(follow(&trial, 44, 1.5, false), TRIAL_CONFIRMED);
}

static void small_gains_take_more_windows(void **state)
{
    struct trial trial;
    int windows = 1;
    trial_begin(&trial, 2, 1);
    while (follow(&trial, 0, -0.02, false) == TRIAL_OPEN)
        windows++;
    assert_in_range(windows, 3, 40);
}

/* As large as what the mean weight of either may be off by. */
static void doubtful_gains_decide_nothing(void **state)
{
    struct trial trial;
    trial_begin(&trial, 2, 1);
    for (int i = 0; i < 200; i++)
        assert_int_equal(follow(&trial, 0, -0.009, false), TRIAL_OPEN);
}

static void an_alarm_ends_what_is_open(void **state)
{
    struct trial trial;
    trial_begin(&trial, 2, 1);
    assert_int_equal(follow(&trial, 0, 0.001, true), TRIAL_SUPERSEDED);
    trial_begin(&trial, 2, 1);
    assert_int_equal(follow(&trial, 0, -0.2, true), TRIAL_WORSE); /* what was worse goes back all the same */
}

static void an_end_without_decision(void **state)
{
    struct trial trial;
    trial_begin(&trial, 2, 1);
    for (int i = 0; i < TRIAL_EVENTS_MAX / N - 1; i++)
        assert_int_equal(follow(&trial, 0, 0, false), TRIAL_OPEN);
    assert_int_equal(follow(&trial, 0, 0, false), TRIAL_UNDECIDED);
}

static void is_on_record(void **state)
{
    struct trial trial;
    trial_begin(&trial, 7, 5);
    json_t *json = trial_record(&trial, TRIAL_SUPERSEDED, 0.01);
    assert_non_null(json);
    assert_true(json_is_null(json_object_get(json, "gain")) && json_is_null(json_object_get(json, "ordinals")));
    json_decref(json);
    follow(&trial, 40, -0.2, false);
    json = trial_record(&trial, TRIAL_ROLLED_BACK, 0.01);
    const char *name;
    int before, events, first, last;
    double gain, error, lower, upper;
    assert_int_equal(json_unpack(json, "{s:s, s:i, s:i, s:F, s:F, s:F, s:F, s:{s:i, s:i}}", "state", &name, "before",
                                 &before, "events", &events, "gain", &gain, "error", &error, "lower", &lower, "upper",
                                 &upper, "ordinals", "first", &first, "last", &last),
                     0);
    assert_string_equal(name, "rolled_back");
    assert_true(before == 5 && events == N && first == 40 && last == 41);
    assert_true(lower < gain - error && gain + error < upper && upper < 0);
    json_decref(json);
}

/* State goes through text; the window after a restart finds the same sums. */
static void survives_a_restart(void **state)
{
    struct trial trial, back;
    trial_begin(&trial, 7, 5);
    for (int i = 0; i < 5; i++) {
        follow(&trial, (uint64_t)i, 0.01 / (3 + i), false);
        json_t *json = trial_json(&trial);
        char *text = json_dumps(json, JSON_COMPACT);
        json_t *again = json_loads(text, 0, NULL);
        trial_from_json(&back, again);
        assert_memory_equal(&back, &trial, sizeof back);
        json_decref(json);
        json_decref(again);
        free(text);
    }
    trial_from_json(&back, NULL);
    assert_int_equal(back.version, 0);
    json_t *none = trial_json(&back);
    trial_from_json(&trial, none);
    assert_int_equal(trial.version, 0);
    json_decref(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(better_and_worse),
        cmocka_unit_test(small_gains_take_more_windows),
        cmocka_unit_test(doubtful_gains_decide_nothing),
        cmocka_unit_test(an_alarm_ends_what_is_open),
        cmocka_unit_test(an_end_without_decision),
        cmocka_unit_test(is_on_record),
        cmocka_unit_test(survives_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
