/* The registry: which twins there are, which windows wait, what they serve and what they say. */
#include "registry_fixture.h"

static json_int_t number(const json_t *json, const char *outer, const char *name)
{
    const json_t *value = json_object_get(json_object_get(json, outer), name);
    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static const char *word(const json_t *json, const char *name)
{
    assert_true(json_is_string(json_object_get(json, name)));
    return json_string_value(json_object_get(json, name));
}

/* --- create, find, list, patch, delete --- */

static void test_create(void **state)
{
    struct fixture *f = *state;
    struct tw_error error = {""};
    struct twin *twin = NULL, **all;
    struct stat at;
    char path[128];
    assert_string_equal(f->twin->columns, "x,y");
    snprintf(path, sizeof path, "%s/spool/%lld", f->folder, (long long)f->twin->id);
    assert_int_equal(stat(path, &at), 0);
    uint64_t generation = registry_generation(f->registry);
    json_t *again = json_pack("{s:s,s:[{s:s}]}", "name", "z", "features", "name", "x");
    assert_int_equal(registry_create(f->registry, again, &twin, &error), TW_EXISTS);
    json_object_set_new(again, "name", json_string("Z"));
    assert_int_equal(registry_create(f->registry, again, &twin, &error), TW_INVALID);
    assert_null(twin);
    json_decref(again);
    assert_int_equal(registry_generation(f->registry), generation);
    registry_twin_unref(create(f, "other"));
    assert_int_not_equal(registry_generation(f->registry), generation);
    assert_null(registry_find(f->registry, "none"));
    size_t count = registry_list(f->registry, &all);
    assert_int_equal(count, 2);
    for (size_t i = 0; i < count; i++)
        registry_twin_unref(all[i]);
    free(all);
    reopen(f);
    assert_int_equal(registry_list(f->registry, &all), 2);
    assert_string_equal(all[1]->name, "other");
    registry_twin_unref(all[0]);
    registry_twin_unref(all[1]);
    free(all);
}

static void test_patch(void **state)
{
    struct fixture *f = *state;
    struct tw_error error = {""};
    const struct tw_schema *schema = f->twin->definition->schema;
    json_t *patch = json_pack("{s:s,s:{s:i}}", "description", "new", "loop", "window", 300);
    assert_int_equal(registry_patch(f->registry, "z", patch, NULL, &error), 0);
    assert_int_equal(registry_patch(f->registry, "none", patch, NULL, &error), TW_NOT_FOUND);
    json_decref(patch);
    assert_ptr_equal(f->twin->definition->schema, schema); /* others hold it */
    patch = json_pack("{s:[{s:s}]}", "features", "name", "x");
    assert_int_equal(registry_patch(f->registry, "z", patch, NULL, &error), TW_CONFLICT);
    json_decref(patch);
    for (int i = 0; i < 2; i++, reopen(f)) {
        assert_int_equal(f->twin->definition->loop.window, 300);
        assert_string_equal(f->twin->definition->description, "new");
        assert_int_equal(f->twin->definition->schema->features, 2);
    }
}

static void test_delete(void **state)
{
    struct fixture *f = *state;
    struct tw_error error = {""};
    struct stat at;
    char path[128];
    arrive(f, "daq", 0, 10, 0, true);
    snprintf(path, sizeof path, "%s", f->twin->spool_dir);
    assert_int_equal(registry_delete(f->registry, "z", &error), 0);
    assert_int_equal(registry_delete(f->registry, "z", &error), TW_NOT_FOUND);
    assert_null(registry_find(f->registry, "z"));
    assert_true(f->twin->deleted);
    assert_int_equal(stat(path, &at), 0); /* somebody still works with it */
    arrive(f, "daq", 1, 10, 0, true);
    registry_twin_unref(f->twin);
    assert_int_equal(stat(path, &at), -1);
    f->twin = create(f, "z"); /* the name is free again, with nothing left of the first */
    assert_string_not_equal(f->twin->spool_dir, path);
    check_ingest(f, 0, 0, 0, 0, 0, 0);
    reopen(f);
    check_ingest(f, 0, 0, 0, 0, 0, 0);
}

/* Killed between the deletion and the removal of the folder. */
static void test_leftover_folder_is_removed(void **state)
{
    struct fixture *f = *state;
    struct stat at;
    char path[128];
    arrive(f, "daq", 0, 10, 0, true);
    snprintf(path, sizeof path, "%s", f->twin->spool_dir);
    assert_int_equal(store_twin_delete(f->store, f->twin->id, NULL), 0);
    reopen(f);
    assert_null(f->twin);
    assert_int_equal(stat(path, &at), -1);
    json_t *left = store_twin_deleted(f->store);
    assert_int_equal(json_array_size(left), 0);
    json_decref(left);
}

/* --- windows --- */

static void test_windows(void **state)
{
    struct fixture *f = *state;
    uint64_t first = 99, last = 99, rows = 0;
    size_t batches = 0;
    assert_false(registry_window(f->twin, false, &first, &last, &batches, &rows));
    assert_false(registry_window(f->twin, true, &first, &last, &batches, &rows));
    arrive(f, "daq", 0, 60, 0, true);
    arrive(f, "train", 0, 500, 0, true);
    assert_false(registry_window(f->twin, false, &first, &last, &batches, &rows));
    assert_true(registry_window(f->twin, true, &first, &last, &batches, &rows));
    assert_int_equal(rows, 60);
    arrive(f, "daq", 1, 60, 60, true); /* invalid rows count */
    arrive(f, "daq", 2, 300, 0, true); /* one larger batch is a window */
    arrive(f, "daq", 3, 99, 0, true);
    check_ingest(f, 4, 519, 60, 0, 4, 3);
    assert_true(registry_window(f->twin, false, &first, &last, &batches, &rows));
    assert_int_equal(first, 0);
    assert_int_equal(last, 2); /* ordinal 1 is of `train` */
    assert_int_equal(batches, 2);
    assert_int_equal(rows, 120);
    registry_processed(f->twin, last);
    assert_true(registry_window(f->twin, false, &first, &last, &batches, &rows));
    assert_true(first == 3 && last == 3 && batches == 1 && rows == 300);
    registry_processed(f->twin, last);
    check_ingest(f, 4, 519, 60, 0, 1, 0);
    assert_false(registry_window(f->twin, false, &first, &last, &batches, &rows));
    arrive(f, "daq", 4, 1, 0, true);
    assert_true(registry_window(f->twin, false, &first, &last, &batches, &rows));
    assert_true(first == 4 && last == 5 && rows == 100);
}

/* The window of greedy counting, as registry_lag is documented. */
static struct twin_lag count_lag(const struct twin *twin)
{
    struct twin_lag lag = {0};
    uint64_t rows = 0, batches = 0;
    for (size_t i = 0; i < twin->pending_count; i++) {
        rows += twin->pending[i].rows;
        batches++;
        if (rows < (uint64_t)twin->definition->loop.window)
            continue;
        lag.since_ms = lag.windows ? lag.since_ms : twin->pending[i].received_ms;
        lag.windows++;
        lag.batches += batches;
        rows = batches = 0;
    }
    return lag;
}

/* Whatever comes and goes, the counters say what counting would. */
static void test_lag(void **state)
{
    struct fixture *f = *state;
    struct twin *twin = f->twin;
    uint64_t seed = 7, ordinal = 0, taken = 0;
    for (int step = 0; step < 20000; step++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        unsigned draw = (unsigned)(seed >> 40);
        if (draw % 100 < 60) {
            assert_int_equal(registry_push(twin, ordinal, draw % 70, 1000 + (int64_t)ordinal), 0);
            ordinal++;
        } else if (draw % 100 < 98) {
            uint64_t first, last, rows;
            size_t batches;
            if (registry_window(twin, draw % 1000 == 7, &first, &last, &batches, &rows)) {
                assert_int_equal(first, taken);
                registry_processed(twin, last);
                taken = last + 1;
            }
        } else {
            twin->definition->loop.window = 100 + draw % 1000;
            registry_recount(twin);
        }
        struct twin_lag lag = registry_lag(twin), counted = count_lag(twin);
        assert_memory_equal(&lag, &counted, sizeof lag);
        assert_int_equal(twin->pending_count, ordinal - taken);
        for (size_t i = 0; i < twin->pending_count; i += 97)
            assert_int_equal(twin->pending[i].ordinal, taken + i);
    }
    assert_true(taken > 1000);
}

/* --- versions --- */

/* A trained flow as an artifact in the store, as version 1, 2, ... */
static int train_version(struct fixture *f, uint64_t seed, char sha256[65])
{
    struct definition *definition = f->twin->definition;
    struct tw_data data;
    struct tw_train_options options;
    struct tw_trainer *trainer = NULL;
    struct tw_model *model = NULL;
    struct tw_error error = {""};
    tw_data_init(&data, definition->schema);
    for (uint64_t i = 0; i < 600; i++) {
        float row[2] = {(float)(i % 37) - 18, (float)(i % 101) / 101.0f};
        assert_int_equal(tw_data_append(&data, 0, i, 1, row, NULL, NULL), 0);
    }
    tw_trainer_defaults(&options, definition->kind, data.rows, false);
    options.seed = seed;
    options.epochs = 1;
    bool done = false;
    if (tw_trainer_new(definition->kind, definition->model, definition->schema, &data, NULL, &options, tw_kernels_ref(),
                       &trainer, &error))
        fail_msg("%s", error.text);
    while (!done)
        assert_int_equal(tw_trainer_run(trainer, NULL, 0, &done), 0);
    assert_int_equal(tw_trainer_model(trainer, &model), 0);
    struct tw_model_record record = {.twin = "z", .seed = seed, .cause = "train", .kernels = "ref"};
    unsigned char *bytes = NULL;
    size_t size = 0;
    assert_int_equal(tw_model_save(model, &record, &bytes, &size), 0);
    assert_int_equal(store_blob_put(f->store, bytes, size, sha256, NULL), 0);
    free(bytes);
    tw_model_unref(model);
    tw_trainer_free(trainer);
    tw_data_fini(&data);
    return 0;
}

static int insert_version(sqlite3 *db, void *context, struct tw_error *error)
{
    return store_version_insert(db, context, error);
}

static int add_version(struct fixture *f, const char *sha256)
{
    struct store_version version = {
        .twin = f->twin->id, .cause = "train", .status = "challenger", .sha256 = sha256, .seed = 1};
    assert_int_equal(store_call(f->store, insert_version, &version, NULL), 0);
    return version.version;
}

static int64_t promote(struct fixture *f, int version, int hold)
{
    struct store_move move = {f->twin->id, "champion", version, -1, "tester", "why not", hold, 0};
    struct tw_error error = {""};
    assert_int_equal(store_alias_put(f->store, &move, &error), 0);
    return move.move;
}

static void test_serve(void **state)
{
    struct fixture *f = *state;
    struct snapshot *champion = NULL, *other = NULL, *again = NULL;
    struct tw_error error = {""};
    char one[65], two[65];
    assert_int_equal(registry_snapshot(f->registry, f->twin, 0, &champion, &error), TW_NOT_FOUND);
    train_version(f, 1, one);
    train_version(f, 2, two);
    assert_string_not_equal(one, two);
    add_version(f, one);
    add_version(f, two);
    assert_int_equal(registry_snapshot(f->registry, f->twin, 3, &other, &error), TW_NOT_FOUND);

    int64_t first = promote(f, 1, 0), second = promote(f, 2, 1);
    assert_int_equal(registry_serve(f->registry, f->twin, 2, second, true, &error), 0);
    assert_int_equal(f->twin->activity, ACTIVITY_HELD);
    assert_int_equal(registry_serve(f->registry, f->twin, 1, first, false, &error), 0); /* late: changes nothing */
    assert_int_equal(f->twin->champion->version, 2);
    assert_int_equal(f->twin->champion_move, second);
    assert_true(f->twin->hold);
    assert_int_equal(registry_snapshot(f->registry, f->twin, 0, &champion, &error), 0);
    assert_string_equal(champion->sha256, two);
    assert_int_equal(registry_snapshot(f->registry, f->twin, 1, &other, &error), 0);
    assert_int_equal(registry_snapshot(f->registry, f->twin, 1, &again, &error), 0);
    assert_ptr_equal(other, again); /* cached */
    assert_string_equal(other->sha256, one);
    snapshot_unref(again);
    snapshot_unref(other);
    snapshot_unref(champion);

    reopen(f);
    assert_int_equal(f->twin->champion->version, 2);
    assert_int_equal(f->twin->champion_move, second);
    assert_true(f->twin->champion_since_ms > 0);
    assert_true(f->twin->hold);
    json_t *json = registry_twin_json(f->twin);
    assert_string_equal(word(json, "activity"), "held");
    assert_int_equal(number(json, "champion", "version"), 2);
    json_decref(json);

    /* What is held by somebody outlives its replacement. */
    assert_int_equal(registry_snapshot(f->registry, f->twin, 0, &champion, &error), 0);
    assert_int_equal(registry_serve(f->registry, f->twin, 1, promote(f, 1, 0), false, &error), 0);
    assert_int_equal(champion->version, 2);
    assert_int_equal(tw_model_schema(champion->model)->features, 2);
    snapshot_unref(champion);
    assert_int_equal(f->twin->activity, ACTIVITY_IDLE);
}

static void test_cache_is_bounded_and_right(void **state)
{
    struct fixture *f = *state;
    char sha256[7][65];
    for (int i = 0; i < 7; i++) {
        train_version(f, (uint64_t)i, sha256[i]);
        add_version(f, sha256[i]);
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 7; i++) {
            struct snapshot *snapshot = NULL;
            int at = (i * (round + 1)) % 7;
            assert_int_equal(registry_snapshot(f->registry, f->twin, at + 1, &snapshot, NULL), 0);
            assert_string_equal(snapshot->sha256, sha256[at]);
            snapshot_unref(snapshot);
        }
    }
}

/* A damaged artifact is no reason to refuse data, and an operator can go back to another version. */
static void test_broken_champion(void **state)
{
    struct fixture *f = *state;
    struct tw_error error = {""};
    char one[65], two[65], sql[300];
    train_version(f, 1, one);
    train_version(f, 2, two);
    add_version(f, one);
    add_version(f, two);
    promote(f, 2, 0);
    snprintf(sql, sizeof sql, "UPDATE blobs SET bytes = zeroblob(100) WHERE sha256 = '%s'", two);
    change(f, sql);
    log_set_level(LOG_LEVEL_ERROR);
    reopen(f);
    assert_null(f->twin->champion);
    json_t *json = registry_twin_json(f->twin);
    assert_string_equal(word(json, "verdict"), "unknown");
    assert_true(json_is_null(json_object_get(json, "champion")));
    assert_non_null(strstr(word(json, "fault"), two));
    json_decref(json);
    arrive(f, "daq", 0, 10, 0, true);
    assert_int_equal(registry_serve(f->registry, f->twin, 1, promote(f, 1, 1), true, &error), 0);
    json = registry_twin_json(f->twin);
    assert_null(json_object_get(json, "fault"));
    assert_int_equal(number(json, "champion", "version"), 1);
    json_decref(json);
}

/* --- what a twin says --- */

static int put_iteration(sqlite3 *db, void *context, struct tw_error *error)
{
    return store_iteration_put(db, context, error);
}

static void test_twin_json(void **state)
{
    struct fixture *f = *state;
    json_t *json = registry_twin_json(f->twin);
    assert_string_equal(word(json, "name"), "z");
    assert_string_equal(word(json, "verdict"), "unknown");
    assert_string_equal(word(json, "verdict_reason"), "untrained");
    assert_string_equal(word(json, "activity"), "untrained");
    assert_true(json_is_null(json_object_get(json, "champion")));
    assert_true(json_is_null(json_object_get(json, "last_iteration")));
    assert_string_equal(word(json, "description"), "");
    static const char *const counters[] = {"batches", "events", "duplicates", "gaps", "invalid_rows", "lag_batches"};
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
        assert_int_equal(number(json, "ingest", counters[i]), 0);
    json_decref(json);

    char sha256[65];
    train_version(f, 1, sha256);
    add_version(f, sha256);
    assert_int_equal(registry_serve(f->registry, f->twin, 1, promote(f, 1, 0), false, NULL), 0);
    json = registry_twin_json(f->twin);
    assert_string_equal(word(json, "verdict"), "unknown"); /* nothing was compared */
    assert_string_equal(word(json, "verdict_reason"), "champion_moved");
    assert_string_equal(word(json, "activity"), "idle");
    json_decref(json);

    arrive(f, "daq", 1, 150, 2, true);
    json = registry_twin_json(f->twin);
    assert_string_equal(word(json, "activity"), "comparing"); /* as soon as a window is complete */
    assert_int_equal(number(json, "ingest", "lag_batches"), 1);
    assert_int_equal(number(json, "ingest", "gaps"), 1);
    assert_int_equal(number(json, "ingest", "events"), 150);
    json_decref(json);

    struct store_iteration iteration = {
        .twin = f->twin->id, .iteration = 1, .version = 1, .drift = true, .decision = "drift"};
    assert_int_equal(store_call(f->store, put_iteration, &iteration, NULL), 0);
    change(f, "UPDATE twins SET processed = 1");
    reopen(f);
    json = registry_twin_json(f->twin);
    assert_string_equal(word(json, "verdict"), "drifted");
    assert_string_equal(word(json, "activity"), "idle");
    assert_int_equal(number(json, "last_iteration", "iteration"), 1);
    assert_int_equal(number(json, "ingest", "lag_batches"), 0);
    assert_true(json_is_null(json_object_get(json, "verdict_reason")));
    json_decref(json);

    int64_t now = clock_ms();
    assert_int_equal(registry_push(f->twin, 1000, 150, now - 300000), 0);
    assert_int_equal(registry_push(f->twin, 1001, 250, now), 0);
    f->twin->definition->loop.max_lag_s = 299;
    json = registry_twin_json(f->twin);
    assert_string_equal(word(json, "verdict"), "unknown");
    assert_string_equal(word(json, "verdict_reason"), "lag");
    assert_int_equal(number(json, "ingest", "lag_windows"), 2);
    assert_true(json_real_value(json_object_get(json_object_get(json, "ingest"), "lag_s")) >= 300);
    json_decref(json);
    f->twin->definition->loop.max_lag_s = 3000;
    f->twin->counters.heard_s = clock_monotonic() - 61;
    json = registry_twin_json(f->twin);
    assert_string_equal(word(json, "verdict_reason"), "silence");
    json_decref(json);
    f->twin->counters.heard_s = clock_monotonic();
    registry_processed(f->twin, 1001);

    iteration.iteration = 2;
    iteration.drift = false;
    iteration.decision = "none";
    assert_int_equal(store_call(f->store, put_iteration, &iteration, NULL), 0);
    reopen(f);
    json = registry_twin_json(f->twin);
    assert_string_equal(word(json, "verdict"), "true");
    json_decref(json);
    /* One batch without a valid row may be an accident; two are not, until one that can be used comes. */
    static const size_t invalid[] = {10, 10, 9};
    static const char *const reasons[] = {NULL, "invalid_rows", NULL};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(registry_arrived(f->twin, 2000 + (uint64_t)i, "odd", 1, i, 10, invalid[i], clock_ms()), 0);
        json = registry_twin_json(f->twin);
        assert_string_equal(word(json, "verdict"), reasons[i] ? "unknown" : "true");
        if (reasons[i])
            assert_string_equal(word(json, "verdict_reason"), reasons[i]);
        json_decref(json);
    }
    /* Silence: nothing is claimed any more. */
    f->twin->counters.heard_s = clock_monotonic() - 61;
    json = registry_twin_json(f->twin);
    assert_string_equal(word(json, "verdict"), "unknown");
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_create, setup, teardown),
        cmocka_unit_test_setup_teardown(test_patch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_delete, setup, teardown),
        cmocka_unit_test_setup_teardown(test_leftover_folder_is_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_windows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lag, setup, teardown),
        cmocka_unit_test_setup_teardown(test_serve, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cache_is_bounded_and_right, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broken_champion, setup, teardown),
        cmocka_unit_test_setup_teardown(test_twin_json, setup, teardown),
    };
    return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
