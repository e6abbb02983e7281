/* What the store keeps: twins, blobs, batches, versions, iterations, operations, and lists of them. */
#include "store_fixture.h"

static int put_iteration(sqlite3 *db, void *context, struct tw_error *error)
{
    return store_iteration_put(db, context, error);
}

static void add_batches(struct fixture *f, uint64_t first, uint64_t count, const char *feed)
{
    for (uint64_t i = first; i < first + count; i++) {
        struct store_batch batch = {.twin = f->twin,
                                    .ordinal = i,
                                    .run = 1,
                                    .seq = (int64_t)i,
                                    .events = 100 + i,
                                    .invalid_rows = i,
                                    .received_ms = 1000 * (int64_t)i,
                                    .digest = {(uint8_t)i, 7}};
        strcpy(batch.feed, feed);
        assert_int_equal(store_batch_add(f->store, &batch, 1), 0);
    }
}

static json_t *list_batches(struct fixture *f, int limit, const char *cursor)
{
    return store_list_batches(f->store, f->twin, limit, cursor);
}

static json_t *list_iterations(struct fixture *f, int limit, const char *cursor)
{
    return store_list_iterations(f->store, f->twin, limit, cursor);
}

static json_t *list_versions(struct fixture *f, int limit, const char *cursor)
{
    return store_list_versions(f->store, f->twin, limit, cursor);
}

static json_t *list_operations(struct fixture *f, int limit, const char *cursor)
{
    return store_list_operations(f->store, f->twin, limit, cursor);
}

static json_t *list_all_operations(struct fixture *f, int limit, const char *cursor)
{
    return store_list_operations(f->store, 0, limit, cursor);
}

/* --- tests --- */

static void test_twins(void **state)
{
    struct fixture *f = *state;
    struct tw_error error = {""};
    int64_t second = 0, third = 0;
    assert_int_equal(store_twin_insert(f->store, "zmumu", "{}", &third, &error), TW_EXISTS);
    assert_non_null(strstr(error.text, "zmumu"));
    assert_int_equal(store_twin_insert(f->store, "other", "{}", &second, NULL), 0);
    assert_int_equal(store_twin_update(f->store, second, "{\"b\":2}", NULL), 0);
    assert_int_equal(store_twin_update(f->store, 999, "{}", NULL), TW_NOT_FOUND);
    json_t *list = store_twin_list(f->store);
    assert_int_equal(json_array_size(list), 2);
    assert_string_equal(text(json_array_get(list, 0), "definition"), "{\"a\":1}");
    assert_string_equal(text(json_array_get(list, 1), "name"), "other");
    assert_string_equal(text(json_array_get(list, 1), "definition"), "{\"b\":2}");
    assert_true(llabs(integer(json_array_get(list, 1), "created") - clock_ms()) < 60000);
    json_decref(list);

    /* All that hangs on a twin goes with it; its id never comes back. */
    new_version(f, "challenger", 0);
    new_version(f, "challenger", 1);
    assert_int_equal(move(f, "champion", 1, 0, 0, NULL), 0);
    add_batches(f, 0, 3, "daq");
    struct store_operation operation = {.twin = f->twin, .kind = "train", .request = "{}"};
    assert_int_equal(store_operation_insert(f->store, &operation, NULL), 0);
    assert_int_equal(store_twin_delete(f->store, f->twin, NULL), 0);
    assert_int_equal(store_twin_delete(f->store, f->twin, NULL), TW_NOT_FOUND);
    assert_json(store_twin_deleted(f->store), "[1]");
    assert_null(store_version_json(f->store, f->twin, 1));
    assert_null(store_operation_json(f->store, operation.id));
    assert_json(store_list_batches(f->store, f->twin, 10, NULL), "{\"items\": [], \"next_cursor\": null}");
    assert_json(list_moves(f, 10, NULL), "{\"items\": [], \"next_cursor\": null}");
    assert_int_equal(store_twin_delete(f->store, second, NULL), 0);
    assert_int_equal(store_twin_insert(f->store, "zmumu", "{}", &third, NULL), 0);
    assert_true(third > second);
    assert_int_equal(store_twin_forget(f->store, f->twin), 0);
    assert_json(store_twin_deleted(f->store), "[2]");
    add_batches(f, 3, 1, "daq"); /* of a twin that is gone: dropped without harm */
    store_barrier(f->store);
    assert_false(store_failed(f->store, NULL));
}

static void test_blobs(void **state)
{
    struct fixture *f = *state;
    unsigned char *bytes = NULL;
    size_t size = 0;
    char sha256[65], again[65], empty[65];
    struct tw_error error = {""};
    char *large = malloc(3 << 20);
    memset(large, 'x', 3 << 20);
    assert_int_equal(store_blob_put(f->store, large, 3 << 20, sha256, NULL), 0);
    assert_int_equal(store_blob_put(f->store, large, 3 << 20, again, NULL), 0);
    assert_string_equal(sha256, again);
    assert_int_equal(store_blob_get(f->store, sha256, &bytes, &size, NULL), 0);
    assert_int_equal(size, 3 << 20);
    assert_memory_equal(bytes, large, size);
    free(bytes);
    free(large);
    assert_int_equal(store_blob_put(f->store, "", 0, empty, NULL), 0);
    assert_string_equal(empty, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_int_equal(store_blob_get(f->store, empty, &bytes, &size, NULL), 0);
    assert_int_equal(size, 0);
    free(bytes);
    change(f, "UPDATE blobs SET bytes = zeroblob(8) WHERE length(bytes) = 8");
    assert_int_equal(store_blob_get(f->store, f->sha256, &bytes, &size, &error), TW_CORRUPT);
    assert_null(bytes);
    assert_int_equal(store_blob_get(f->store, "none", &bytes, &size, &error), TW_NOT_FOUND);
    assert_false(store_failed(f->store, NULL));
}

/* What a version names stays, what was just put stays, the rest goes. */
static void test_blobs_are_collected(void **state)
{
    struct fixture *f = *state;
    unsigned char *bytes;
    size_t size;
    char fresh[65], old[65];
    new_version(f, "champion", 0);
    assert_int_equal(store_blob_put(f->store, "old", 3, old, NULL), 0);
    change(f, "UPDATE blobs SET put = 1");
    assert_int_equal(store_blob_put(f->store, "fresh", 5, fresh, NULL), 0);
    assert_int_equal(store_call(f->store, store_blob_collect, NULL, NULL), 0);
    assert_int_equal(store_blob_get(f->store, old, &bytes, &size, NULL), TW_NOT_FOUND);
    assert_int_equal(store_blob_get(f->store, fresh, &bytes, &size, NULL), 0);
    free(bytes);
    assert_int_equal(store_blob_get(f->store, f->sha256, &bytes, &size, NULL), 0);
    free(bytes);
}

struct seen {
    uint64_t next, stop;
};

static int see(void *context, const struct store_batch *batch)
{
    struct seen *seen = context;
    assert_int_equal(batch->ordinal, seen->next);
    assert_int_equal(batch->events, 100 + batch->ordinal);
    assert_int_equal(batch->invalid_rows, batch->ordinal);
    assert_int_equal(batch->received_ms, 1000 * batch->ordinal);
    assert_int_equal(batch->digest[0], batch->ordinal);
    assert_int_equal(batch->digest[1], 7);
    return ++seen->next == seen->stop ? TW_CANCELLED : 0;
}

static void test_batches(void **state)
{
    struct fixture *f = *state;
    struct store_batch batch;
    assert_int_equal(store_batch_next(f->store, f->twin), 0);
    add_batches(f, 0, 4, "daq1");
    add_batches(f, 4, 2, "train");
    add_batches(f, 6, 5, "daq2");
    add_batches(f, 0, 4, "other"); /* ordinals that are taken: left alone */
    assert_int_equal(store_batch_next(f->store, f->twin), 11);
    assert_int_equal(store_batch_find(f->store, f->twin, "daq1", 1, 2, &batch), 0);
    assert_int_equal(batch.ordinal, 2);
    assert_string_equal(batch.feed, "daq1");
    assert_int_equal(store_batch_find(f->store, f->twin, "daq1", 2, 2, &batch), TW_NOT_FOUND);
    assert_int_equal(store_batch_find(f->store, f->twin, "other", 1, 2, &batch), TW_NOT_FOUND);
    struct seen seen = {.next = 0};
    assert_int_equal(store_batch_each(f->store, f->twin, 0, see, &seen), 0);
    assert_int_equal(seen.next, 11);
    seen = (struct seen){.next = 2, .stop = 5};
    assert_int_equal(store_batch_each(f->store, f->twin, 2, see, &seen), TW_CANCELLED);
    assert_int_equal(seen.next, 5);

    check_pages(f, list_batches, "ordinal", 9, 1);
    json_t *page = store_list_batches(f->store, f->twin, 1, "3");
    assert_json(json_incref(json_array_get(json_object_get(page, "items"), 0)),
                "{\"ordinal\": 6, \"feed\": \"daq2\", \"run\": 1, \"seq\": 6, \"events\": 106, \"invalid_rows\": 6,"
                " \"received\": \"1970-01-01T00:00:06.000Z\", \"iteration\": null}");
    json_decref(page);
}

static void test_versions(void **state)
{
    struct fixture *f = *state;
    struct tw_error error = {""};
    for (int i = 1; i <= 7; i++)
        assert_int_equal(new_version(f, i == 1 ? "champion" : "challenger", i - 1), i);
    json_t *version = store_version_json(f->store, f->twin, 2);
    const char *created = text(version, "created");
    assert_int_equal(strlen(created), strlen("2026-03-01T12:00:00.123Z"));
    json_object_del(version, "created");
    char expected[600];
    snprintf(expected, sizeof expected,
             "{\"version\": 2, \"parent\": 1, \"cause\": \"weights\", \"status\": \"challenger\","
             " \"reason\": \"because\", \"sha256\": \"%s\", \"seed\": 9007199254740991, \"metrics\": {\"gain\": 0.5},"
             " \"ordinals\": {\"first\": 3, \"last\": 9}, \"kernels\": \"ref\", \"reference_sha256\": \"%s\"}",
             f->sha256, f->sha256);
    assert_json(version, expected);
    version = store_version_json(f->store, f->twin, 1);
    assert_true(json_is_null(json_object_get(version, "parent")));
    json_decref(version);
    assert_null(store_version_json(f->store, f->twin, 8));
    check_pages(f, list_versions, "version", 7, -1);

    struct store_version bad = {.twin = f->twin, .cause = "train", .status = "challenger", .sha256 = f->sha256};
    bad.seed = UINT64_C(1) << 53;
    assert_int_equal(store_call(f->store, insert_version, &bad, &error), TW_INVALID);
    bad.seed = 1;
    bad.sha256 = "none";
    assert_int_equal(store_call(f->store, insert_version, &bad, &error), TW_CONFLICT);
    bad.sha256 = f->sha256;
    bad.parent = 99;
    assert_int_equal(store_call(f->store, insert_version, &bad, &error), TW_CONFLICT);
    assert_false(store_failed(f->store, NULL));
}

/* p_adjusted is not stored: it follows from the others when they are read. */
static const char statistics_text[] =
    "[{\"name\": \"ks\", \"verdict\": \"drift\", \"feature\": \"pt\", \"value\": 0.25, \"error\": null, \"floor\": "
    "null, \"p_value\": 0.001, \"threshold\": 0.1, \"p_adjusted\": 0.002}, {\"name\": \"ks\", \"verdict\": \"drift\","
    " \"feature\": \"eta\", \"value\": 1e-300, \"error\": null, \"floor\": null, \"p_value\": 0.3, \"threshold\": 0.1,"
    " \"p_adjusted\": 0.3}, {\"name\": \"c2st\", \"verdict\": \"fidelity\", \"feature\": null, \"value\": null,"
    " \"error\": 0.5, \"floor\": 0.5, \"p_value\": null, \"threshold\": null}]";

static void put(struct fixture *f, int64_t number, uint64_t first, uint64_t last, bool drift, const char *decision)
{
    json_t *statistics = json_loads(statistics_text, 0, NULL);
    struct store_iteration iteration = {
        .twin = f->twin,
        .iteration = number,
        .first_ordinal = first,
        .last_ordinal = last,
        .events = 10 * (last - first + 1),
        .version = 4,
        .drift = drift,
        .decision = decision,
        .policy = "{\"window\": 5}",
        .statistics = statistics,
    };
    assert_int_equal(store_call(f->store, put_iteration, &iteration, NULL), 0);
    json_decref(statistics);
}

static json_int_t iteration_of(struct fixture *f, size_t row)
{
    json_t *list = store_list_batches(f->store, f->twin, 100, NULL);
    json_t *value = json_object_get(json_array_get(json_object_get(list, "items"), row), "iteration");
    json_int_t number = json_is_null(value) ? -1 : json_integer_value(value);
    json_decref(list);
    return number;
}

static void test_iterations(void **state)
{
    struct fixture *f = *state;
    add_batches(f, 0, 6, "daq");
    add_batches(f, 6, 1, "train");
    assert_null(store_iteration_last(f->store, f->twin));
    put(f, 1, 0, 2, false, "none");
    put(f, 2, 3, 5, true, "retuning");
    assert_int_equal(iteration_of(f, 2), 1);
    assert_int_equal(iteration_of(f, 5), 2);
    /* The interrupted retune is repeated and ends otherwise, on fewer batches. */
    put(f, 2, 3, 4, true, "promoted");
    assert_int_equal(iteration_of(f, 4), 2);
    assert_int_equal(iteration_of(f, 5), -1);
    json_t *last = store_iteration_last(f->store, f->twin);
    assert_non_null(json_object_get(last, "time"));
    json_object_del(last, "time");
    assert_json(json_incref(json_object_get(last, "statistics")), statistics_text);
    json_object_del(last, "statistics");
    assert_json(last, "{\"iteration\": 2, \"version\": 4, \"ordinals\": {\"first\": 3, \"last\": 4}, \"events\": 20,"
                      " \"drift\": true, \"decision\": \"promoted\", \"policy\": {\"window\": 5}}");
    /* A row that comes after its iteration belongs to it all the same; rows of `train` belong to none. */
    put(f, 3, 5, 9, false, "none");
    add_batches(f, 7, 4, "daq");
    assert_int_equal(iteration_of(f, 6), 3);  /* ordinal 7 */
    assert_int_equal(iteration_of(f, 9), -1); /* ordinal 10 */
    for (int i = 4; i <= 8; i++)
        put(f, i, 100, 100, false, "none");
    check_pages(f, list_iterations, "iteration", 8, -1);
}

static void test_verdict(void **state)
{
    struct fixture *f = *state;
    static const struct {
        bool drift;
        const char *decision;
        bool compared, drifted;
        int since; /* iteration */
    } story[] = {
        {false, "trained", false, false, 0}, {false, "none", true, false, 2},   {true, "drift", true, true, 3},
        {true, "rejected", true, true, 3},   {false, "skipped", true, true, 3}, {true, "promoted", true, false, 6},
        {false, "none", true, false, 6},     {true, "advised", true, true, 8},  {false, "trained", false, false, 0},
        {true, "recalled", true, false, 10}, {false, "none", true, false, 10},  {true, "rolled_back", true, false, 12},
    };
    for (size_t i = 0; i < sizeof story / sizeof *story; i++) {
        bool drifted;
        int version;
        int64_t since;
        char sql[100];
        put(f, (int64_t)i + 1, i, i, story[i].drift, story[i].decision);
        snprintf(sql, sizeof sql, "UPDATE iterations SET time = iteration WHERE iteration = %zu", i + 1);
        change(f, sql);
        for (int walks = 0; walks < 2; walks++) { /* as it is kept, and as it follows from the iterations of schema 1 */
            assert_int_equal(store_iteration_verdict(f->store, f->twin, &version, &drifted, &since), 0);
            assert_int_equal(version != 0, story[i].compared);
            assert_int_equal(drifted, story[i].drifted);
            if (walks || !since)
                assert_int_equal(since, story[i].since);
            if (!walks && i == 5)
                change(f, "UPDATE twins SET judged = NULL");
            else if (!walks)
                change(f, "CREATE TABLE kept AS SELECT judged, drifted, verdict_since FROM twins;"
                          "UPDATE twins SET judged = NULL");
            else if (i != 5)
                change(f, "UPDATE twins SET (judged, drifted, verdict_since) = (SELECT * FROM kept); DROP TABLE kept");
        }
    }
}

struct progress {
    int64_t twin;
    uint64_t processed;
    const char *state;
};

static int put_progress(sqlite3 *db, void *context, struct tw_error *error)
{
    struct progress *p = context;
    return store_progress_put(db, p->twin, p->processed, p->state, error);
}

static void test_progress(void **state)
{
    struct fixture *f = *state;
    uint64_t processed = 9;
    json_t *json = NULL;
    assert_int_equal(store_progress_get(f->store, f->twin, &processed, &json), 0);
    assert_int_equal(processed, 0);
    assert_null(json);
    struct progress p = {f->twin, 42, "{\"task\": [1, 2]}"};
    assert_int_equal(store_call(f->store, put_progress, &p, NULL), 0);
    assert_int_equal(store_progress_get(f->store, f->twin, &processed, &json), 0);
    assert_int_equal(processed, 42);
    assert_json(json, "{\"task\": [1, 2]}");
    p.twin = 999;
    assert_int_equal(store_call(f->store, put_progress, &p, NULL), TW_NOT_FOUND);
    assert_int_equal(store_progress_get(f->store, 999, &processed, NULL), TW_NOT_FOUND);
}

static int insert_operation(struct fixture *f, const char *kind, const char *request, const char *key, int64_t *id)
{
    struct store_operation operation = {.twin = f->twin, .kind = kind, .request = request, .key = key};
    int status = store_operation_insert(f->store, &operation, NULL);
    *id = operation.id;
    return status;
}

static void test_idempotency_keys(void **state)
{
    struct fixture *f = *state;
    int64_t first, again;
    assert_int_equal(insert_operation(f, "retune", "{\"kind\": \"weights\", \"seed\": 1}", "k1", &first), 0);
    assert_int_equal(insert_operation(f, "retune", "{\"seed\":1,\"kind\":\"weights\"}", "k1", &again), TW_EXISTS);
    assert_int_equal(again, first);
    assert_int_equal(insert_operation(f, "retune", "{\"kind\": \"weights\", \"seed\": 2}", "k1", &again), TW_CONFLICT);
    assert_int_equal(insert_operation(f, "train", "{\"kind\": \"weights\", \"seed\": 1}", "k1", &again), TW_CONFLICT);
    assert_int_equal(insert_operation(f, "retune", "{}", "k2", &again), 0);
    assert_true(again > first);
    assert_int_equal(insert_operation(f, "retune", "{}", NULL, &again), 0);
    assert_int_equal(insert_operation(f, "retune", "{}", NULL, &again), 0);
    /* Of another twin: another key. */
    int64_t mine = f->twin;
    assert_int_equal(store_twin_insert(f->store, "other", "{}", &f->twin, NULL), 0);
    assert_int_equal(insert_operation(f, "retune", "{}", "k1", &again), 0);
    f->twin = mine;
}

static void test_operations(void **state)
{
    struct fixture *f = *state;
    struct tw_error error = {""};
    int64_t id, other;
    assert_int_equal(insert_operation(f, "train", "{\"seed\": 3}", NULL, &id), 0);
    assert_int_equal(insert_operation(f, "retune", "{}", NULL, &other), 0);
    assert_int_equal(store_operation_set(f->store, id, "running", 0.25, NULL, NULL, NULL), 0);
    json_t *json = store_operation_json(f->store, id);
    assert_non_null(text(json, "created"));
    json_object_del(json, "created");
    assert_json(json, "{\"id\": 1, \"kind\": \"train\", \"twin\": \"zmumu\", \"state\": \"running\","
                      " \"progress\": 0.25, \"finished\": null, \"request\": {\"seed\": 3}}");
    json = store_operation_pending(f->store, f->twin);
    assert_int_equal(json_array_size(json), 2);
    assert_int_equal(integer(json_array_get(json, 0), "id"), id);
    json_decref(json);
    assert_int_equal(store_operation_set(f->store, id, NULL, 7, NULL, NULL, NULL), 0);
    assert_int_equal(store_operation_set(f->store, id, "succeeded", 1, "{\"version\": 1}", NULL, NULL), 0);
    json = store_operation_json(f->store, id);
    assert_string_equal(text(json, "state"), "succeeded");
    assert_true(json_real_value(json_object_get(json, "progress")) == 1.0);
    assert_true(json_is_string(json_object_get(json, "finished")));
    assert_int_equal(integer(json_object_get(json, "result"), "version"), 1);
    assert_null(json_object_get(json, "error"));
    json_decref(json);
    assert_int_equal(store_operation_set(f->store, id, "cancelled", 1, NULL, NULL, &error), TW_CONFLICT);
    assert_non_null(strstr(error.text, "succeeded"));
    assert_int_equal(store_operation_set(f->store, 999, "cancelled", 1, NULL, NULL, &error), TW_NOT_FOUND);
    assert_int_equal(store_operation_set(f->store, other, "failed", 0.5, NULL, "{\"detail\": \"x\"}", NULL), 0);
    assert_json(store_operation_pending(f->store, f->twin), "[]");
    json = store_operation_json(f->store, other);
    assert_string_equal(text(json_object_get(json, "error"), "detail"), "x");
    json_decref(json);
    for (int i = 0; i < 6; i++)
        assert_int_equal(insert_operation(f, "retune", "{}", NULL, &other), 0);
    check_pages(f, list_operations, "id", 8, -1);
    check_pages(f, list_all_operations, "id", 8, -1);
}

/* Pages are looked up, not counted through: no list scans or sorts a whole table. */
static void test_lists_use_indices(void **state)
{
    struct fixture *f = *state;
    static const char *const queries[] = {
        "SELECT * FROM batches WHERE twin = 1 AND ordinal > 5 AND feed <> 'train' ORDER BY ordinal LIMIT 3",
        "SELECT * FROM batches WHERE twin = 1 AND feed = 'f' AND run = 1 AND seq = 2",
        "SELECT * FROM iterations WHERE twin = 1 AND iteration < 5 ORDER BY iteration DESC LIMIT 3",
        "SELECT * FROM versions WHERE twin = 1 AND version < 5 ORDER BY version DESC LIMIT 3",
        "SELECT * FROM operations WHERE twin = 1 AND id < 5 ORDER BY id DESC LIMIT 3",
        "SELECT * FROM operations WHERE twin = 1 AND finished IS NULL ORDER BY id",
        "SELECT * FROM moves WHERE twin = 1 AND alias = 'champion' AND move < 5 ORDER BY move DESC LIMIT 3",
        "SELECT * FROM moves WHERE twin = 1 AND move < 5 ORDER BY move DESC LIMIT 3",
        "SELECT * FROM moves WHERE twin = 1 AND alias = 'champion' AND time <= 5 ORDER BY time DESC, move DESC LIMIT 1",
    };
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        char sql[300];
        sqlite3_stmt *statement = NULL;
        sqlite3 *db = store_read_begin(f->store);
        snprintf(sql, sizeof sql, "EXPLAIN QUERY PLAN %s", queries[i]);
        assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
        while (sqlite3_step(statement) == SQLITE_ROW) {
            const char *step = (const char *)sqlite3_column_text(statement, 3);
            if (!strncmp(step, "SCAN", 4) || strstr(step, "TEMP B-TREE"))
                fail_msg("%s: %s", queries[i], step);
        }
        sqlite3_finalize(statement);
        store_read_end(f->store, db);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_twins, setup, teardown),
        cmocka_unit_test_setup_teardown(test_blobs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_blobs_are_collected, setup, teardown),
        cmocka_unit_test_setup_teardown(test_batches, setup, teardown),
        cmocka_unit_test_setup_teardown(test_versions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_iterations, setup, teardown),
        cmocka_unit_test_setup_teardown(test_verdict, setup, teardown),
        cmocka_unit_test_setup_teardown(test_progress, setup, teardown),
        cmocka_unit_test_setup_teardown(test_idempotency_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(test_operations, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lists_use_indices, setup, teardown),
    };
    return cmocka_run_group_tests_name("store_tables", tests, NULL, NULL);
}
