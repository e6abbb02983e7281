/* What limits remove, and what they must not: the history is right from its horizon on, what it names can be served,
 * and a clock gone mad removes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/store.h"
#include "daemon/store_prune.h"
#include "daemon/store_sql.h"
#include "tests/daemon/scratch.h"

#define DAY INT64_C(86400000)

struct fixture {
    char folder[64];
    struct store *store;
    int64_t twin;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    if (!f || !scratch_make(f->folder) || store_open(f->folder, &f->store, NULL))
        return -1;
    return store_twin_insert(f->store, "zmumu", "{}", &f->twin, NULL);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    store_close(f->store);
    scratch_remove(f->folder);
    free(f);
    return 0;
}

static int run_sql(sqlite3 *db, void *context, struct tw_error *error)
{
    return store_sql_exec(db, context, error);
}

static void change(struct fixture *f, const char *sql)
{
    struct tw_error error = {""};
    if (store_call(f->store, run_sql, (void *)(uintptr_t)sql, &error))
        fail_msg("%s: %s", error.text, sql);
}

static int64_t ask(struct fixture *f, const char *sql)
{
    sqlite3_stmt *row = NULL;
    sqlite3 *db = store_read_begin(f->store);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &row, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(row, 0);
    sqlite3_finalize(row);
    store_read_end(f->store, db);
    return value;
}

/* Until nothing is left to do. */
static void prune(struct fixture *f, struct store_limits limits)
{
    struct store_prune all = {.twin = f->twin, .limits = limits};
    struct tw_error error = {""};
    for (int quiet = 0; quiet < 20; quiet = all.removed ? 0 : quiet + 1)
        if (store_prune(f->store, &all, &error))
            fail_msg("%s", error.text);
    assert_false(all.more);
}

#define NUMBERS(n) "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT " n ") "

/* 200 versions with a blob each; of them every tenth was champion for ten days, the last since day 200. */
static void fill_versions(struct fixture *f)
{
    change(f, NUMBERS("200") "INSERT INTO blobs SELECT i, printf('%064d', i), 0, x'00' FROM n");
    change(f,
           NUMBERS("200") "INSERT INTO versions SELECT 1, i, nullif(i - 1, 0), i * 86400000, 'weights',"
                          " iif(i = 200, 'champion', 'retired'), '', printf('%064d', i), NULL, 0, i, i, '', '' FROM n");
    change(f, NUMBERS("20") "INSERT INTO moves (twin, alias, version, time, actor, reason)"
                            " SELECT 1, 'champion', 10 * i, 10 * i * 86400000, '', '' FROM n");
    change(f, "INSERT INTO moves (twin, alias, version, time) VALUES (1, 'reference', 3, 3 * 86400000)");
}

static int champion_at(struct fixture *f, int64_t day)
{
    json_t *list = store_list_moves(f->store, f->twin, "champion", day * DAY + 1, 10, NULL);
    json_t *move = json_array_get(json_object_get(list, "items"), 0);
    int version = move ? (int)json_integer_value(json_object_get(move, "version")) : 0;
    json_decref(list);
    return version;
}

static void history_and_versions(void **state)
{
    struct fixture *f = *state;
    fill_versions(f);
    prune(f, (struct store_limits){.now_ms = 1000 * DAY, .versions = 5, .history_days = 45});
    /* the horizon is day 155, as the newest move is of day 200: from there on every answer is as before */
    for (int64_t day = 155; day <= 210; day++)
        assert_int_equal(champion_at(f, day), day < 200 ? day / 10 * 10 : 200);
    assert_int_equal(champion_at(f, 149), 0);
    assert_int_equal(ask(f, "SELECT count(*) FROM moves WHERE alias = 'champion'"), 6); /* of days 150 to 200 */
    assert_int_equal(ask(f, "SELECT count(*) FROM moves WHERE alias = 'reference'"), 1);
    assert_int_equal(ask(f, "SELECT sum(version) FROM versions"),
                     3 + 150 + 160 + 170 + 180 + 190 + 196 + 197 + 198 + 199 + 200);
    assert_int_equal(ask(f, "SELECT parent FROM versions WHERE version = 150"), 149); /* a number, not a row */
    assert_int_equal(ask(f, "SELECT count(*) FROM blobs"), ask(f, "SELECT count(*) FROM versions"));
    assert_int_equal(ask(f, "SELECT count(*) FROM loose_blobs"), 0);
}

static void no_limits(void **state)
{
    struct fixture *f = *state;
    fill_versions(f);
    prune(f, (struct store_limits){.now_ms = 100000 * DAY});
    assert_int_equal(ask(f, "SELECT count(*) FROM versions"), 200);
    assert_int_equal(ask(f, "SELECT count(*) FROM moves"), 21);
}

static void a_task_keeps_its_versions(void **state)
{
    struct fixture *f = *state;
    fill_versions(f);
    struct store_prune one = {.twin = f->twin, .limits = {.now_ms = DAY, .versions = 1}, .needed = {7, 9, 0, 0, 11}};
    for (int i = 0; i < 10; i++)
        assert_int_equal(store_prune(f->store, &one, NULL), 0);
    assert_int_equal(ask(f, "SELECT count(*) FROM versions WHERE version IN (7, 8, 9, 11)"), 3);
}

static void fill_iterations(struct fixture *f)
{
    change(f,
           NUMBERS("500") "INSERT INTO iterations (twin, iteration, time, version, first_ordinal, last_ordinal, events,"
                          " drift, decision) SELECT 1, i, i * 86400000, 1, i, i, 1, 0, 'none' FROM n");
    change(f, NUMBERS("500") "INSERT INTO operations (twin, kind, state, created, finished)"
                             " SELECT 1, 'retune', 'succeeded', 0, i * 86400000 FROM n");
    change(f, "INSERT INTO operations (twin, kind, state, created) VALUES (1, 'retune', 'queued', 0)");
    change(f, NUMBERS("500") "INSERT INTO rollups SELECT 1, 3600, i * 86400, x'' FROM n");
    change(f, NUMBERS("500") "INSERT INTO rollups SELECT 1, 86400, i * 86400, x'' FROM n");
}

static void iterations_operations_and_means(void **state)
{
    struct fixture *f = *state;
    fill_iterations(f);
    prune(f, (struct store_limits){.now_ms = 10000 * DAY, .iterations = 300, .iteration_days = 400, .metric_days = 40});
    assert_int_equal(ask(f, "SELECT min(iteration) FROM iterations"), 201);
    assert_int_equal(ask(f, "SELECT min(finished) / 86400000 FROM operations"), 202); /* 300 of 501 */
    assert_int_equal(ask(f, "SELECT count(*) FROM operations WHERE finished IS NULL"), 1);
    assert_int_equal(ask(f, "SELECT min(bucket) / 86400 FROM rollups WHERE tier = 3600"), 461);
    assert_int_equal(ask(f, "SELECT min(bucket) / 86400 FROM rollups WHERE tier = 86400"), 101);
    prune(f, (struct store_limits){.now_ms = 10000 * DAY, .iterations = 1, .iteration_days = 1});
    assert_int_equal(ask(f, "SELECT count(*) FROM iterations"), 1); /* the last stays */
    assert_int_equal(ask(f, "SELECT max(iteration) FROM iterations"), 500);
}

/* The wall clock says year 2200, or 1970; a row from the future is the newest. */
static void clocks(void **state)
{
    struct fixture *f = *state;
    fill_iterations(f);
    struct store_limits limits = {
        .now_ms = 100000 * DAY, .iteration_days = 600, .metric_days = 600, .history_days = 600};
    prune(f, limits);
    limits.now_ms = 0;
    limits.iteration_days = 1;
    prune(f, limits);
    change(f, "UPDATE iterations SET time = 90000 * 86400000 WHERE iteration = 250");
    limits.now_ms = 501 * DAY;
    limits.iteration_days = 600;
    prune(f, limits);
    assert_int_equal(ask(f, "SELECT count(*) FROM iterations"), 500);
    assert_int_equal(ask(f, "SELECT count(*) FROM operations"), 501);
}

static void rows_of_batches(void **state)
{
    struct fixture *f = *state;
    change(f, NUMBERS("9000") "INSERT INTO batches SELECT 1, i - 1, 'daq', 1, i, 1, 0, 0, zeroblob(16), NULL FROM n");
    struct store_prune one = {.twin = f->twin, .limits = {.now_ms = DAY}, .spool_first = 8000};
    assert_int_equal(store_prune(f->store, &one, NULL), 0);
    assert_int_equal(one.removed, 0); /* nothing is processed, nothing counted */
    change(f, "UPDATE twins SET processed = 8500, counted = 7000");
    do
        assert_int_equal(store_prune(f->store, &one, NULL), 0);
    while (one.more);
    assert_int_equal(ask(f, "SELECT min(ordinal) FROM batches"), 7000);
    change(f, "UPDATE twins SET counted = 9000");
    assert_int_equal(store_prune(f->store, &one, NULL), 0);
    assert_int_equal(ask(f, "SELECT min(ordinal) FROM batches"), 8000);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(history_and_versions),
        CASE(no_limits),
        CASE(a_task_keeps_its_versions),
        CASE(iterations_operations_and_means),
        CASE(clocks),
        CASE(rows_of_batches),
    };
    return cmocka_run_group_tests_name("prune", tests, NULL, NULL);
}
