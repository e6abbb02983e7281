/* The registry: twins come back after a restart with all they knew, whether the rows of their batches had been
 * committed or not. */
#include "registry_fixture.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_restart_with_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restart_without_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restart_with_some_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restart_with_a_hole_in_the_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restart_after_a_salvage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shorter_spool_goes_on_behind, setup, teardown),
    };
    return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
