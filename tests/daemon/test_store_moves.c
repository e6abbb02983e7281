/* What the store keeps of aliases: moves by compare-and-swap, the hold, the history. */
#include "store_fixture.h"

static json_t *list_champion_moves(struct fixture *f, int limit, const char *cursor)
{
    return store_list_moves(f->store, f->twin, "champion", 0, limit, cursor);
}

static void assert_status(struct fixture *f, int version, const char *status)
{
    json_t *json = store_version_json(f->store, f->twin, version);
    assert_string_equal(text(json, "status"), status);
    json_decref(json);
}

static void test_alias_compare_and_swap(void **state)
{
    struct fixture *f = *state;
    int64_t first, second, unused;
    for (int i = 0; i < 3; i++)
        new_version(f, "challenger", 0);
    assert_null(store_alias_json(f->store, f->twin, "champion"));
    assert_int_equal(move(f, "champion", 1, 1, -1, &unused), TW_CONFLICT); /* there is no move 1 yet */
    assert_int_equal(move(f, "champion", 1, 0, -1, &first), 0);
    assert_status(f, 1, "champion");
    assert_int_equal(move(f, "champion", 2, 0, -1, &unused), TW_CONFLICT); /* somebody was first */
    assert_int_equal(move(f, "champion", 2, first, -1, &second), 0);
    assert_true(second > first);
    assert_int_equal(move(f, "champion", 3, first, -1, &unused), TW_CONFLICT);
    assert_status(f, 1, "retired");
    assert_status(f, 2, "champion");
    assert_status(f, 3, "challenger");
    assert_int_equal(move(f, "champion", 9, -1, 1, &unused), TW_NOT_FOUND);
    assert_int_equal(move(f, "favourite", 1, -1, 1, &unused), TW_INVALID);
    assert_int_equal(move(f, "champion", 1, -1, 0, &unused), 0); /* a roll-back */
    assert_status(f, 1, "champion");
    assert_status(f, 2, "retired");
    /* Other aliases leave the status alone. */
    assert_int_equal(move(f, "reference", 3, -1, -1, NULL), 0);
    assert_int_equal(move(f, "champion", 1, -1, 0, NULL), 0); /* to where it is */
    assert_status(f, 3, "challenger");
    assert_status(f, 1, "champion");
    json_t *alias = store_alias_json(f->store, f->twin, "reference");
    assert_int_equal(integer(alias, "version"), 3);
    assert_string_equal(text(alias, "alias"), "reference");
    json_decref(alias);
}

static bool is_held(struct fixture *f)
{
    json_t *alias = store_alias_json(f->store, f->twin, "champion");
    bool held = json_is_true(json_object_get(alias, "hold"));
    json_decref(alias);
    return held;
}

static void test_hold(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 3; i++)
        new_version(f, i == 2 ? "rejected" : "challenger", 0);
    assert_int_equal(store_hold_set(f->store, f->twin, true, NULL), 0);
    assert_int_equal(move(f, "champion", 1, 0, -1, NULL), 0); /* the first champion displaces nobody */
    assert_int_equal(move(f, "champion", 2, -1, -1, NULL), TW_CONFLICT);
    assert_int_equal(move(f, "challenger", 2, -1, -1, NULL), 0);
    assert_int_equal(move(f, "champion", 2, -1, 1, NULL), 0); /* people may */
    assert_true(is_held(f));
    assert_int_equal(store_hold_set(f->store, f->twin, false, NULL), 0);
    assert_false(is_held(f));
    assert_int_equal(move(f, "champion", 1, -1, -1, NULL), 0);
    assert_false(is_held(f));
    assert_int_equal(move(f, "champion", 3, -1, -1, NULL), TW_INVALID); /* the loop never takes a rejected one */
    assert_int_equal(move(f, "champion", 3, -1, 1, NULL), 0);
    assert_status(f, 3, "champion");
    assert_true(is_held(f));
    assert_int_equal(move(f, "champion", 1, -1, 0, NULL), 0);
    assert_false(is_held(f));
    assert_int_equal(store_hold_set(f->store, 999, true, NULL), TW_NOT_FOUND);
}

static void test_history(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 7; i++) {
        new_version(f, "challenger", 0);
        assert_int_equal(move(f, "champion", i + 1, -1, -1, NULL), 0);
        assert_int_equal(move(f, "reference", 1, -1, -1, NULL), 0);
    }
    check_pages(f, list_moves, "move", 14, -1);
    check_pages(f, list_champion_moves, "move", 7, -1);
    change(f, "UPDATE moves SET time = 1000 * move");
    /* Moves of champion are 1, 3, ... 13 (at 1 s, 3 s, ...), of reference 2, 4, ... */
    json_t *list = store_list_moves(f->store, f->twin, "champion", 0, 2, NULL);
    json_t *items = json_object_get(list, "items");
    assert_json(json_incref(json_array_get(items, 0)),
                "{\"move\": 13, \"alias\": \"champion\", \"version\": 7, \"from\": \"1970-01-01T00:00:13.000Z\","
                " \"to\": null, \"actor\": \"tester\", \"reason\": \"reason\"}");
    assert_json(json_incref(json_array_get(items, 1)),
                "{\"move\": 11, \"alias\": \"champion\", \"version\": 6, \"from\": \"1970-01-01T00:00:11.000Z\","
                " \"to\": \"1970-01-01T00:00:13.000Z\", \"actor\": \"tester\", \"reason\": \"reason\"}");
    json_decref(list);
    static const struct {
        int64_t at;
        int version; /* 0: none */
    } when[] = {{999, 0}, {1000, 1}, {2999, 1}, {3000, 2}, {12999, 6}, {13000, 7}, {INT64_C(1) << 50, 7}};
    for (size_t i = 0; i < sizeof when / sizeof *when; i++) {
        list = store_list_moves(f->store, f->twin, "champion", when[i].at, 10, NULL);
        items = json_object_get(list, "items");
        assert_int_equal(json_array_size(items), when[i].version > 0);
        if (when[i].version)
            assert_int_equal(integer(json_array_get(items, 0), "version"), when[i].version);
        json_decref(list);
    }
    list = store_list_moves(f->store, f->twin, NULL, 5500, 10, NULL);
    items = json_object_get(list, "items");
    assert_int_equal(json_array_size(items), 2);
    assert_int_equal(integer(json_array_get(items, 0), "move"), 5);
    assert_int_equal(integer(json_array_get(items, 1), "move"), 4);
    json_decref(list);
}

/* A clock that was set back must not bring back an old champion. */
static void test_history_when_the_clock_falls(void **state)
{
    struct fixture *f = *state;
    new_version(f, "challenger", 0);
    new_version(f, "challenger", 0);
    assert_int_equal(move(f, "champion", 1, -1, -1, NULL), 0);
    change(f, "UPDATE moves SET time = time + 1000000");
    assert_int_equal(move(f, "champion", 2, -1, -1, NULL), 0);
    json_t *alias = store_alias_json(f->store, f->twin, "champion");
    assert_int_equal(integer(alias, "version"), 2);
    json_decref(alias);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_alias_compare_and_swap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hold, setup, teardown),
        cmocka_unit_test_setup_teardown(test_history, setup, teardown),
        cmocka_unit_test_setup_teardown(test_history_when_the_clock_falls, setup, teardown),
    };
    return cmocka_run_group_tests_name("store_tables", tests, NULL, NULL);
}
