/* A database of every earlier schema is opened: everything in it is still answered, and work goes on. What the program
 * of schema k had written lies in upgrade/schema_<k>.sql; a new migration needs such a file for the schema before it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/store.h"
#include "daemon/store_sql.h"
#include "sql/migrations.h"
#include "tests/daemon/scratch.h"

enum { TWIN = 3 };

static char folder[64];

static char *read_fill(int schema)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/schema_%d.sql", getenv("UPGRADES"), schema);
    FILE *in = fopen(path, "r");
    if (!in)
        fail_msg("%s is missing: every schema before the newest needs its rows there", path);
    char *text = NULL;
    size_t size = 0;
    assert_true(getdelim(&text, &size, 0, in) > 0);
    fclose(in);
    return text;
}

static void execute(sqlite3 *db, const char *sql)
{
    char *why = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %.100s", why, sql);
}

/* twin.db as a program that knew only the first `schema` migrations left it. */
static void make_database(int schema)
{
    sqlite3 *db;
    char path[100], version[120];
    snprintf(path, sizeof path, "%s/twin.db", folder);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    execute(db, "PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; PRAGMA foreign_keys=ON");
    for (int i = 0; i < schema; i++)
        execute(db, sql_migrations[i].text);
    snprintf(version, sizeof version, "PRAGMA user_version=%d; PRAGMA application_id=%d", schema, 0x7477696e);
    execute(db, version);
    char *fill = read_fill(schema);
    execute(db, fill);
    free(fill);
    sqlite3_close(db);
}

static void assert_json(json_t *json, const char *expected)
{
    json_t *wanted = json_loads(expected, JSON_DECODE_ANY, NULL);
    char *have = json_dumps(json, JSON_ENCODE_ANY | JSON_SORT_KEYS);
    assert_non_null(wanted);
    if (!json_equal(json, wanted))
        fail_msg("%s\ninstead of %s", have ? have : "nothing", expected);
    free(have);
    json_decref(wanted);
    json_decref(json);
}

static json_t *item(json_t *list, size_t i)
{
    json_t *one = json_incref(json_array_get(json_object_get(list, "items"), i));
    json_decref(list);
    return one;
}

static void assert_blob(struct store *store, const char *sha256, const char *text)
{
    unsigned char *bytes;
    size_t size;
    assert_int_equal(store_blob_get(store, sha256, &bytes, &size, NULL), 0);
    assert_int_equal(size, strlen(text));
    assert_memory_equal(bytes, text, size);
    free(bytes);
}

#define X "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
#define Y "a1fce4363854ff888cff4b8e7875d600c2682390412a8cf79b37d0b11148b0fa"

static void check_answers(struct store *store)
{
    uint64_t processed;
    json_t *state;
    assert_json(store_twin_list(store),
                "[{\"id\": 3, \"name\": \"zmumu\", \"definition\": \"{\\\"name\\\":\\\"zmumu\\\"}\", \"created\": 1000,"
                " \"hold\": true}, {\"id\": 4, \"name\": \"idle\", \"definition\": \"{\\\"name\\\":\\\"idle\\\"}\","
                " \"created\": 2000, \"hold\": false}]");
    assert_json(store_twin_deleted(store), "[2]");
    assert_int_equal(store_progress_get(store, TWIN, &processed, &state), 0);
    assert_int_equal(processed, 6);
    assert_json(state, "{\"iteration\": 3, \"last\": {\"first\": 4, \"last\": 5}}");
    assert_blob(store, X, "x");
    assert_blob(store, Y, "y");

    struct store_batch batch;
    assert_int_equal(store_batch_next(store, TWIN), 7);
    assert_int_equal(store_batch_find(store, TWIN, "daq1", 1, 3, &batch), 0);
    assert_int_equal(batch.ordinal, 3);
    assert_int_equal(batch.invalid_rows, 3);
    assert_int_equal(batch.digest[0], 3);
    assert_json(item(store_list_batches(store, TWIN, 10, NULL), 2),
                "{\"ordinal\": 3, \"feed\": \"daq1\", \"run\": 1, \"seq\": 3, \"events\": 100, \"invalid_rows\": 3,"
                " \"received\": \"1970-01-01T00:00:01.003Z\", \"iteration\": 2}");

    assert_json(item(store_list_versions(store, TWIN, 10, NULL), 1),
                "{\"version\": 2, \"parent\": 1, \"created\": \"1970-01-01T00:00:02.000Z\", \"cause\": \"weights\","
                " \"status\": \"champion\", \"reason\": \"gain\", \"sha256\": \"" Y
                "\", \"seed\": 5, \"metrics\": null,"
                " \"ordinals\": {\"first\": 3, \"last\": 3}, \"kernels\": \"ref\"}");
    assert_json(item(store_list_moves(store, TWIN, "champion", 1999, 10, NULL), 0),
                "{\"move\": 1, \"alias\": \"champion\", \"version\": 1, \"from\": \"1970-01-01T00:00:01.000Z\","
                " \"to\": \"1970-01-01T00:00:02.000Z\", \"actor\": \"operator\", \"reason\": \"first\"}");
    assert_json(store_alias_json(store, TWIN, "champion"),
                "{\"alias\": \"champion\", \"version\": 2, \"move\": 5, \"since\": \"1970-01-01T00:00:02.000Z\","
                " \"since_ms\": 2000, \"hold\": true}");

    assert_json(
        item(store_list_iterations(store, TWIN, 10, NULL), 1),
        "{\"iteration\": 2, \"time\": \"1970-01-01T00:00:02.000Z\", \"version\": 1,"
        " \"ordinals\": {\"first\": 3, \"last\": 3}, \"events\": 100, \"drift\": true, \"decision\": \"promoted\","
        " \"policy\": {\"alarms\": [\"ks pt\"]}, \"statistics\": [{\"name\": \"ks\", \"verdict\": \"drift\","
        " \"feature\": \"pt\", \"value\": 0.75, \"error\": null, \"floor\": null, \"p_value\": 0.0005,"
        " \"threshold\": 0.001}]}");
    int version;
    bool drifted;
    int64_t since;
    assert_int_equal(store_iteration_verdict(store, TWIN, &version, &drifted, &since), 0);
    assert_int_equal(version, 2);
    assert_false(drifted);
    assert_int_equal(since, 2000);

    assert_json(store_operation_json(store, 1),
                "{\"id\": 1, \"kind\": \"train\", \"twin\": \"zmumu\", \"state\": \"succeeded\", \"progress\": 1.0,"
                " \"created\": \"1970-01-01T00:00:01.000Z\", \"finished\": \"1970-01-01T00:00:01.400Z\","
                " \"request\": {\"epochs\": 3}, \"result\": {\"rows\": 100}}");
    json_t *pending = store_operation_pending(store, TWIN);
    assert_int_equal(json_array_size(pending), 1);
    json_decref(pending);
}

/* What the new program adds to the old rows. */
static int go_on(sqlite3 *db, void *context, struct tw_error *error)
{
    json_t *statistics = context;
    struct store_iteration iteration = {.twin = TWIN,
                                        .iteration = 4,
                                        .first_ordinal = 6,
                                        .last_ordinal = 6,
                                        .events = 100,
                                        .version = 2,
                                        .drift = true,
                                        .decision = "drift",
                                        .statistics = statistics};
    struct store_version version = {.twin = TWIN,
                                    .parent = 3,
                                    .cause = "weights",
                                    .status = "challenger",
                                    .sha256 = X,
                                    .first_ordinal = 6,
                                    .last_ordinal = 6};
    struct store_move move = {.twin = TWIN, .alias = "challenger", .version = 4, .expected_move = 0, .hold = -1};
    int status = store_iteration_put(db, &iteration, error);
    status = status ? status : store_version_insert(db, &version, error);
    status = status ? status : store_alias_move(db, &move, error);
    return status ? status : store_progress_put(db, TWIN, 7, NULL, error);
}

static void check_work(struct store *store)
{
    int version;
    bool drifted;
    int64_t since, id;
    struct tw_error error = {""};
    json_t *statistics =
        json_pack("[{s:s, s:s, s:n, s:f}]", "name", "c2st", "verdict", "drift", "feature", "value", 0.5);
    if (store_call(store, go_on, statistics, &error))
        fail_msg("%s", error.text);
    json_decref(statistics);
    assert_int_equal(store_iteration_verdict(store, TWIN, &version, &drifted, &since), 0);
    assert_int_equal(version, 2);
    assert_true(drifted);
    json_t *last = store_iteration_last(store, TWIN);
    assert_json(json_incref(json_object_get(last, "statistics")),
                "[{\"name\": \"c2st\", \"verdict\": \"drift\", \"feature\": null, \"value\": 0.5, \"error\": null,"
                " \"floor\": null, \"p_value\": null, \"threshold\": null, \"p_adjusted\": null}]");
    json_decref(last);
    struct store_operation operation = {.twin = TWIN, .kind = "train", .request = "{\"epochs\":3}", .key = "k1"};
    assert_int_equal(store_operation_insert(store, &operation, NULL), TW_EXISTS);
    assert_int_equal(operation.id, 1);
    assert_int_equal(store_twin_insert(store, "next", "{}", &id, NULL), 0);
    assert_true(id > 4);
    assert_int_equal(store_twin_delete(store, TWIN, NULL), 0);
}

static void check_file(void)
{
    sqlite3 *db;
    sqlite3_stmt *row;
    char path[100];
    snprintf(path, sizeof path, "%s/twin.db", folder);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA foreign_key_check", -1, &row, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_DONE);
    sqlite3_finalize(row);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &row, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(row, 0), "ok");
    sqlite3_finalize(row);
    sqlite3_close(db);
}

static void upgrade(void **state)
{
    for (int schema = 1; schema < sql_migrations_count; schema++) {
        struct store *store;
        struct tw_error error = {""};
        assert_non_null(scratch_make(folder));
        make_database(schema);
        for (int start = 0; start < 2; start++) { /* the migration, and a start after it */
            if (store_open(folder, &store, &error))
                fail_msg("schema %d: %s", schema, error.text);
            check_answers(store);
            store_close(store);
            check_file();
        }
        assert_int_equal(store_open(folder, &store, &error), 0);
        check_work(store);
        assert_false(store_failed(store, NULL));
        store_close(store);
        check_file();
        scratch_remove(folder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(upgrade)};
    return cmocka_run_group_tests_name("upgrade", tests, NULL, NULL);
}
