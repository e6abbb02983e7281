/* Sequence numbers: intervals against a plain table of what was seen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/status.h"
#include "daemon/feeds.h"

static void nothing_is_there(void **state)
{
    struct feeds *feeds = feeds_new();
    assert_false(feeds_has(feeds, "a", 0, 0));
    assert_int_equal(feeds_last_durable(feeds, "a", 0), -1);
    assert_int_equal(feeds_gaps(feeds), 0);
    feeds_duplicate(feeds, "a", 0);
    json_t *json = feeds_json(feeds, NULL, NULL, SIZE_MAX, NULL);
    assert_int_equal(json_array_size(json), 0);
    json_decref(json);
    assert_int_equal(feeds_add(feeds, "a", 0, -1, 1, 0, 0), TW_INVALID);
    feeds_free(feeds);
    feeds_free(NULL);
}

/* In every order a set of numbers gives the same answers as a table of flags. */
static void agrees_with_a_table(void **state)
{
    enum { RANGE = 60, STEPS = 400 };
    uint32_t seed = 12345;
    for (int round = 0; round < 50; round++) {
        struct feeds *feeds = feeds_new();
        bool seen[RANGE] = {false};
        int highest = -1;
        for (int step = 0; step < STEPS; step++) {
            seed = seed * 1664525u + 1013904223u;
            int seq = (int)(seed >> 16) % (step < STEPS / 2 ? RANGE : RANGE / 2);
            assert_int_equal(feeds_has(feeds, "f", 3, seq), seen[seq]);
            assert_int_equal(feeds_add(feeds, "f", 3, seq, 10, 1, 1000 + step), 0);
            seen[seq] = true;
            highest = seq > highest ? seq : highest;
            int last = -1, gaps = 0;
            while (last + 1 < RANGE && seen[last + 1])
                last++;
            for (int i = 0; i < highest; i++)
                gaps += !seen[i];
            assert_int_equal(feeds_last_durable(feeds, "f", 3), last);
            assert_int_equal(feeds_gaps(feeds), gaps);
        }
        feeds_free(feeds);
    }
}

static void gaps_are_listed_and_heal(void **state)
{
    static const int64_t order[] = {5, 0, 9, 1, 7};
    struct feeds *feeds = feeds_new();
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(feeds_add(feeds, "daq", 1, order[i], 100, 2, 1772366400123 + (int64_t)i), 0);
    assert_int_equal(feeds_add(feeds, "daq", 1, 7, 100, 2, 0), 0); /* there already: counted once */
    feeds_duplicate(feeds, "daq", 1);
    json_t *json = feeds_json(feeds, NULL, NULL, SIZE_MAX, NULL), *entry = json_array_get(json, 0),
           *missing = json_object_get(entry, "missing");
    char *text = json_dumps(missing, JSON_COMPACT);
    assert_string_equal(text, "[[2,4],[6,6],[8,8]]");
    free(text);
    assert_int_equal(json_integer_value(json_object_get(entry, "batches")), 5);
    assert_int_equal(json_integer_value(json_object_get(entry, "events")), 500);
    assert_int_equal(json_integer_value(json_object_get(entry, "invalid_rows")), 10);
    assert_int_equal(json_integer_value(json_object_get(entry, "duplicates")), 1);
    assert_int_equal(json_integer_value(json_object_get(entry, "last_durable_seq")), 1);
    assert_int_equal(json_integer_value(json_object_get(entry, "highest_seq")), 9);
    assert_int_equal(json_integer_value(json_object_get(entry, "gaps")), 5);
    assert_string_equal(json_string_value(json_object_get(entry, "last_received")), "2026-03-01T12:00:00.127Z");
    json_decref(json);
    static const int64_t rest[] = {8, 2, 6, 4, 3};
    for (size_t i = 0; i < 5; i++)
        feeds_add(feeds, "daq", 1, rest[i], 1, 0, 0);
    assert_int_equal(feeds_gaps(feeds), 0);
    assert_int_equal(feeds_last_durable(feeds, "daq", 1), 9);
    feeds_free(feeds);
}

static void feeds_and_runs_are_apart(void **state)
{
    struct feeds *feeds = feeds_new();
    feeds_add(feeds, "b", 2, 0, 1, 0, 0);
    feeds_add(feeds, "a", 2, 3, 1, 0, 0);
    feeds_add(feeds, "b", 1, 1, 1, 0, 0);
    feeds_add(feeds, "train", 0, 50, 1, 0, 0);
    assert_true(feeds_has(feeds, "a", 2, 3) && feeds_has(feeds, "b", 1, 1) && feeds_has(feeds, "train", 0, 50));
    assert_false(feeds_has(feeds, "a", 1, 3) || feeds_has(feeds, "b", 2, 1));
    assert_int_equal(feeds_gaps(feeds), 4); /* those of train are nobody's */
    json_t *json = feeds_json(feeds, NULL, NULL, SIZE_MAX, NULL);
    assert_int_equal(json_array_size(json), 3);
    assert_string_equal(json_string_value(json_object_get(json_array_get(json, 0), "feed")), "a");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(json, 1), "run")), 1);
    json_decref(json);
    feeds_free(feeds);
}

static void the_largest_numbers(void **state)
{
    struct feeds *feeds = feeds_new();
    assert_int_equal(feeds_add(feeds, "f", INT64_MAX, INT64_MAX, 1, 0, 0), 0);
    assert_true(feeds_has(feeds, "f", INT64_MAX, INT64_MAX));
    assert_true(feeds_gaps(feeds) == (uint64_t)INT64_MAX);
    feeds_add(feeds, "f", INT64_MAX, INT64_MAX - 1, 1, 0, 0);
    assert_true(feeds_gaps(feeds) == (uint64_t)INT64_MAX - 1);
    feeds_free(feeds);
}

/* Only the first hundred gaps are listed. */
static void the_list_is_bounded(void **state)
{
    struct feeds *feeds = feeds_new();
    for (int i = 1; i < 1000; i += 2)
        feeds_add(feeds, "f", 0, i, 1, 0, 0);
    json_t *json = feeds_json(feeds, NULL, NULL, SIZE_MAX, NULL);
    assert_int_equal(json_array_size(json_object_get(json_array_get(json, 0), "missing")), 100);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(json, 0), "gaps")), 500);
    json_decref(json);
    feeds_free(feeds);
}

/* Pages of every size hold every entry once, in order; a cursor need not be of an entry that is there. */
static void pages(void **state)
{
    static const char *const names[] = {"a", "b", "daq", "train"};
    struct feeds *feeds = feeds_new();
    for (int f = 0; f < 4; f++)
        for (int64_t run = 0; run < 5; run++)
            assert_int_equal(feeds_add(feeds, names[f], run, 0, 1, 0, 0), 0);
    json_t *all = feeds_json(feeds, NULL, NULL, SIZE_MAX, NULL);
    assert_int_equal(json_array_size(all), 15); /* "train" is hidden */
    for (size_t limit = 1; limit <= 16; limit++) {
        json_t *paged = json_array(), *next = json_null();
        do {
            json_t *cursor = next;
            json_t *page = feeds_json(feeds, NULL, json_string_value(cursor), limit, &next);
            assert_true(json_array_size(page) >= 1 && json_array_size(page) <= limit);
            json_array_extend(paged, page);
            json_decref(page);
            json_decref(cursor);
        } while (json_is_string(next));
        assert_true(json_equal(paged, all));
        json_decref(paged);
    }
    json_decref(all);
    json_t *next, *one = feeds_json(feeds, "b", NULL, 3, &next);
    assert_int_equal(json_array_size(one), 3);
    assert_string_equal(json_string_value(next), "2.b");
    json_decref(one);
    json_decref(next);
    one = feeds_json(feeds, "b", "2.b", 3, NULL);
    assert_int_equal(json_array_size(one), 2);
    json_decref(one);
    one = feeds_json(feeds, "none", "2.az", 3, NULL);
    assert_int_equal(json_array_size(one), 0);
    json_decref(one);
    static const char *const wrong[] = {"", "x", "1", "1.", ".a", "-1.a", "1,a"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_null(feeds_json(feeds, NULL, wrong[i], 3, NULL));
    feeds_free(feeds);
}

/* Batches without a valid row count from the newest back to the last that had one; of a feed its latest run matters. */
static void what_nobody_can_use_is_known(void **state)
{
    struct feeds *feeds = feeds_new();
    struct feeds_invalid invalid[4];
    char words[400];
    assert_int_equal(feeds_add(feeds, "a", 1, 0, 10, 10, 1000), 0);
    assert_int_equal(feeds_add(feeds, "train", 1, 0, 10, 10, 1000), 0);
    assert_int_equal(feeds_add(feeds, "b", 1, 0, 10, 9, 1000), 0);
    assert_int_equal(feeds_invalid(feeds, invalid, 4), 1);
    assert_null(invalid[0].column);
    assert_int_equal(feeds_add(feeds, "a", 1, 1, 20, 20, 1001), 0);
    feeds_invalid_why(feeds, "a", 1, "pt", "is infinite");
    assert_int_equal(feeds_invalid(feeds, invalid, 4), 1);
    assert_true(invalid[0].batches == 2 && invalid[0].rows == 30);
    feeds_invalid_words(&invalid[0], words);
    assert_string_equal(words, "no row of the last 2 batches of feed a, run 1, is valid: pt is infinite");
    json_t *list = feeds_json(feeds, "a", NULL, 9, NULL), *all = feeds_invalid_json(feeds);
    assert_true(json_equal(json_object_get(json_array_get(list, 0), "all_invalid"), json_array_get(all, 0)));
    json_decref(list);
    json_decref(all);
    assert_int_equal(feeds_add(feeds, "a", 2, 0, 10, 0, 1002), 0); /* the run before is history */
    assert_int_equal(feeds_invalid(feeds, invalid, 4), 0);
    assert_int_equal(feeds_add(feeds, "a", 1, 2, 10, 10, 1003), 0);
    assert_int_equal(feeds_invalid(feeds, invalid, 4), 1);
    assert_true(invalid[0].batches == 3 && invalid[0].column == NULL); /* the reason was another batch's */
    assert_int_equal(feeds_add(feeds, "a", 1, 3, 10, 9, 1004), 0);
    assert_int_equal(feeds_invalid(feeds, invalid, 4), 0);
    feeds_free(feeds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_there),         cmocka_unit_test(agrees_with_a_table),
        cmocka_unit_test(gaps_are_listed_and_heal), cmocka_unit_test(feeds_and_runs_are_apart),
        cmocka_unit_test(the_largest_numbers),      cmocka_unit_test(pages),
        cmocka_unit_test(the_list_is_bounded),      cmocka_unit_test(what_nobody_can_use_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
