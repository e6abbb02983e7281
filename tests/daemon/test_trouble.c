/* The list of what is wrong: raised once, changed in place, cleared, bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/trouble.h"

static json_t *entry(size_t i, json_t **list)
{
    *list = trouble_json();
    assert_non_null(*list);
    return json_array_get(*list, i);
}

static const char *text(json_t *of, const char *member)
{
    return json_string_value(json_object_get(of, member));
}

static size_t count(void)
{
    json_t *list = trouble_json();
    size_t n = json_array_size(list);
    json_decref(list);
    return n;
}

static void raises_and_clears(void **state)
{
    json_t *list;
    assert_false(trouble_unready());
    trouble_raise("lag", "zmumu", TROUBLE_DEGRADED, "%d windows behind", 12);
    assert_false(trouble_unready());
    json_t *lag = entry(0, &list);
    assert_string_equal(text(lag, "name"), "lag");
    assert_string_equal(text(lag, "subject"), "zmumu");
    assert_string_equal(text(lag, "level"), "degraded");
    assert_string_equal(text(lag, "detail"), "12 windows behind");
    json_decref(list);

    trouble_raise("disk_full", "", TROUBLE_UNREADY, "no space");
    assert_true(trouble_unready());
    trouble_clear("disk_full", "other");
    assert_true(trouble_unready());
    trouble_clear("disk_full", "");
    assert_false(trouble_unready());
    trouble_clear("lag", "zmumu");
    assert_int_equal(count(), 0);
}

static void changes_in_place(void **state)
{
    json_t *list;
    trouble_raise("lag", "a", TROUBLE_DEGRADED, "1");
    trouble_raise("lag", "b", TROUBLE_DEGRADED, "2");
    trouble_raise("lag", "a", TROUBLE_UNREADY, "3");
    assert_int_equal(count(), 2);
    assert_string_equal(text(entry(0, &list), "detail"), "3");
    assert_string_equal(text(json_array_get(list, 0), "level"), "unready");
    json_decref(list);
    trouble_raise("damage", "a", TROUBLE_DEGRADED, "4");
    trouble_forget("a");
    assert_int_equal(count(), 1);
    trouble_forget("b");
    assert_int_equal(count(), 0);
}

static void is_bounded(void **state)
{
    char name[32], subject[300];
    memset(subject, 'x', sizeof subject - 1);
    subject[sizeof subject - 1] = 0;
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "trouble%d", i);
        trouble_raise(name, subject, TROUBLE_DEGRADED, "%s", subject);
    }
    assert_int_equal(count(), 64);
    trouble_clear("trouble3", subject);
    assert_int_equal(count(), 63);
    trouble_forget(subject);
    assert_int_equal(count(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(raises_and_clears),
        cmocka_unit_test(changes_in_place),
        cmocka_unit_test(is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
