/* The registry: twins come back after a restart with all they knew, whether the rows of their batches had been
 * committed or not; what they serve; what they say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "daemon/batch.h"
#include "daemon/clock.h"
#include "daemon/feeds.h"
#include "daemon/log.h"
#include "daemon/registry.h"
#include "daemon/spool.h"
#include "daemon/store.h"
#include "daemon/store_feeds.h"
#include "daemon/store_sql.h"
#include "model/trainer.h"
#include "tests/daemon/scratch.h"

enum { SEGMENT = 1 << 20 };

#define DEFINITION                                                                                                     \
    "{\"name\": \"%s\", \"features\": [{\"name\": \"x\"}, {\"name\": \"y\", \"min\": 0, \"max\": 1}],"                 \
    " \"model\": {\"blocks\": 2, \"hidden\": [8], \"bins\": 4}, \"loop\": {\"window\": 100}}"

struct fixture {
    char folder[64];
    struct store *store;
    struct registry *registry;
    struct twin *twin;
};

static void open_all(struct fixture *f)
{
    struct tw_error error = {""};
    if (store_open(f->folder, &f->store, &error) ||
        registry_open(f->store, f->folder, SEGMENT, tw_kernels_ref(), &f->registry, &error))
        fail_msg("%s", error.text);
    f->twin = registry_find(f->registry, "z");
}

static void close_all(struct fixture *f)
{
    registry_twin_unref(f->twin);
    registry_close(f->registry);
    store_close(f->store);
    *f = (struct fixture){.folder = {0}};
}

static void reopen(struct fixture *f)
{
    char folder[64];
    memcpy(folder, f->folder, sizeof folder);
    close_all(f);
    memcpy(f->folder, folder, sizeof folder);
    open_all(f);
}

static struct twin *create(struct fixture *f, const char *name)
{
    char text[600];
    struct tw_error error = {""};
    struct twin *twin = NULL;
    snprintf(text, sizeof text, DEFINITION, name);
    json_t *json = json_loads(text, 0, NULL);
    if (registry_create(f->registry, json, &twin, &error))
        fail_msg("%s", error.text);
    json_decref(json);
    return twin;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    log_set_level(LOG_LEVEL_ERROR);
    if (!f || !scratch_make(f->folder))
        return -1;
    open_all(f);
    f->twin = create(f, "z");
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char folder[64];
    memcpy(folder, f->folder, sizeof folder);
    close_all(f);
    scratch_remove(folder);
    free(f);
    return 0;
}

/* A batch as ingest takes it: rows of (0.5, 0.5), the first `invalid` of them with y outside [0, 1]. */
static void arrive(struct fixture *f, const char *feed, int64_t seq, size_t rows, size_t invalid, bool add_row)
{
    struct twp_key key = {.run = 1, .seq = seq};
    strcpy(key.twin, f->twin->name);
    strcpy(key.feed, feed);
    char *header = twp_wire_batch_header(&key, NULL, 0, NULL, 0, NULL);
    assert_non_null(header);
    size_t size = TWP_NPY_HEADER + rows * 2 * sizeof(float);
    unsigned char *payload = malloc(size);
    twp_npy_header(2, rows, 2, sizeof(float), payload);
    for (size_t i = 0; i < rows; i++) {
        float row[2] = {0.5f, i < invalid ? 7.0f : 0.5f};
        memcpy(payload + TWP_NPY_HEADER + i * sizeof row, row, sizeof row);
    }
    struct twp_frame frames[] = {{TWP_BATCH, strlen(TWP_BATCH)}, {header, strlen(header)}, {payload, size}};
    struct store_batch row = {.twin = f->twin->id, .run = 1, .seq = seq, .events = rows, .invalid_rows = invalid};
    row.received_ms = clock_ms();
    strcpy(row.feed, feed);
    assert_int_equal(spool_append(f->twin->spool, row.received_ms, frames, 3, &row.ordinal, NULL), 0);
    assert_int_equal(spool_sync(f->twin->spool, NULL), 0);
    if (strcmp(feed, "train")) {
        pthread_mutex_lock(&f->twin->lock);
        assert_int_equal(registry_arrived(f->twin, row.ordinal, feed, 1, seq, rows, invalid, row.received_ms), 0);
        pthread_mutex_unlock(&f->twin->lock);
    }
    struct twp_batch batch;
    char detail[200];
    assert_int_equal(twp_wire_batch(frames, 3, &batch, detail), TWP_OK);
    batch_digest(&batch, row.digest);
    twp_wire_batch_fini(&batch);
    if (add_row)
        assert_int_equal(store_batch_add(f->store, &row, 1), 0);
    free(header);
    free(payload);
}

static int run_sql(sqlite3 *db, void *context, struct tw_error *error)
{
    return store_sql_exec(db, context, error);
}

static void change(struct fixture *f, const char *sql)
{
    assert_int_equal(store_call(f->store, run_sql, (void *)(uintptr_t)sql, NULL), 0);
}

static void check_ingest(struct fixture *f, uint64_t batches, uint64_t events, uint64_t invalid, uint64_t gaps,
                         size_t pending, uint64_t lag)
{
    struct twin *twin = f->twin;
    assert_int_equal(twin->counters.batches, batches);
    assert_int_equal(twin->counters.events, events);
    assert_int_equal(twin->counters.invalid_rows, invalid);
    assert_int_equal(twin->counters.gaps, gaps);
    assert_int_equal(twin->pending_count, pending);
    assert_int_equal(registry_lag(twin).batches, lag);
}

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

/* --- restart --- */

struct progress {
    int64_t twin;
    uint64_t processed;
};

static int put_progress(sqlite3 *db, void *context, struct tw_error *error)
{
    struct progress *p = context;
    return store_progress_put(db, p->twin, p->processed, NULL, error);
}

/* What the rows tell, what the spool tells, and what a mixture of both tells is the same. */
static void check_restart(struct fixture *f, const char *lost)
{
    for (int seq = 0; seq < 6; seq++)
        arrive(f, "daq1", seq, 40, 1, true);
    arrive(f, "train", 0, 1000, 0, true);
    arrive(f, "daq2", 5, 30, 30, true); /* five are missing before it */
    arrive(f, "daq1", 8, 40, 0, true);  /* and two here */
    struct progress progress = {f->twin->id, 3};
    assert_int_equal(store_call(f->store, put_progress, &progress, NULL), 0);
    registry_processed(f->twin, 2);
    check_ingest(f, 8, 310, 36, 7, 5, 3);
    json_t *feeds = feeds_json(f->twin->feeds, NULL, NULL, SIZE_MAX, NULL), *again;
    uint64_t pending[5];
    for (int i = 0; i < 5; i++)
        pending[i] = f->twin->pending[i].ordinal;
    store_barrier(f->store);
    change(f, lost);

    for (int round = 0; round < 2; round++) { /* the second time from the rows that the first one wrote */
        reopen(f);
        check_ingest(f, 8, 310, 36, 7, 5, 3);
        for (int i = 0; i < 5; i++)
            assert_int_equal(f->twin->pending[i].ordinal, pending[i]);
        again = feeds_json(f->twin->feeds, NULL, NULL, SIZE_MAX, NULL);
        assert_true(json_equal(feeds, again));
        json_decref(again);
        assert_true(feeds_has(f->twin->feeds, "train", 1, 0)); /* not shown, but a repeat of it is known */
        assert_int_equal(feeds_last_durable(f->twin->feeds, "daq1", 1), 5);
        struct store_batch batch;
        assert_int_equal(store_batch_find(f->store, f->twin->id, "daq2", 1, 5, &batch), 0);
        assert_true(batch.ordinal == 7 && batch.events == 30 && batch.invalid_rows == 30);
        assert_int_equal(store_batch_next(f->store, f->twin->id), 9);
    }
    json_decref(feeds);
    arrive(f, "daq1", 6, 10, 0, true); /* goes on where it was */
    check_ingest(f, 9, 320, 36, 6, 6, 3);
    assert_int_equal(f->twin->pending[5].ordinal, 9);
}

static void test_restart_with_rows(void **state)
{
    check_restart(*state, "SELECT 1");
}

static void test_restart_without_rows(void **state)
{
    check_restart(*state, "DELETE FROM batches");
}

static void test_restart_with_some_rows(void **state)
{
    check_restart(*state, "DELETE FROM batches WHERE ordinal >= 4");
}

static void test_restart_with_a_hole_in_the_rows(void **state)
{
    check_restart(*state, "DELETE FROM batches WHERE ordinal IN (2, 6)");
}

/* A salvage keeps the keys of the feeds, as batches may be gone that had them, but nobody knows any more up to which
 * ordinal they were written: what waits to be compared is among them, and waits on. */
static void test_restart_after_a_salvage(void **state)
{
    struct fixture *f = *state;
    struct feeds_record *records = NULL;
    uint64_t mark = 0;
    size_t count = 0;
    for (int seq = 0; seq < 4; seq++)
        arrive(f, "daq", seq, 40, 1, true);
    assert_int_equal(feeds_changes(f->twin->feeds, 0, &records, &count, &mark), 0);
    assert_int_equal(store_feeds_put(f->store, f->twin->id, 4, records, count, NULL), 0);
    feeds_records_free(records, count);
    arrive(f, "daq", 4, 40, 0, true);  /* after the checkpoint */
    arrive(f, "daq", 3, 40, 1, false); /* and one that the spool has twice */
    struct progress progress = {f->twin->id, 1};
    assert_int_equal(store_call(f->store, put_progress, &progress, NULL), 0);
    store_barrier(f->store);
    change(f, "UPDATE twins SET counted = 0");
    reopen(f);
    check_ingest(f, 5, 200, 4, 0, 4, 3);
    for (int i = 0; i < 4; i++)
        assert_int_equal(f->twin->pending[i].ordinal, 1 + i);
}

/* The spool ends before what the database knows of: lost, and no ordinal is given again. */
static void test_shorter_spool_goes_on_behind(void **state)
{
    struct fixture *f = *state;
    struct registry *registry = NULL;
    struct tw_error error = {""};
    char folder[64], spool[128];
    arrive(f, "daq", 0, 10, 0, true);
    memcpy(folder, f->folder, sizeof folder);
    snprintf(spool, sizeof spool, "%s", f->twin->spool_dir);
    close_all(f);
    memcpy(f->folder, folder, sizeof folder);
    scratch_remove(spool);
    assert_int_equal(store_open(f->folder, &f->store, &error), 0);
    assert_int_equal(registry_open(f->store, f->folder, SEGMENT, tw_kernels_ref(), &registry, &error), 0);
    struct twin *twin = registry_find(registry, "z");
    assert_non_null(twin);
    assert_int_equal(twin->lost, 1);
    assert_int_equal(twin->pending_count, 1);
    assert_int_equal(spool_next(twin->spool), 1);
    registry_twin_unref(twin);
    f->registry = registry;
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
        cmocka_unit_test_setup_teardown(test_restart_with_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restart_without_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restart_with_some_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restart_with_a_hole_in_the_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restart_after_a_salvage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shorter_spool_goes_on_behind, setup, teardown),
        cmocka_unit_test_setup_teardown(test_serve, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cache_is_bounded_and_right, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broken_champion, setup, teardown),
        cmocka_unit_test_setup_teardown(test_twin_json, setup, teardown),
    };
    return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
