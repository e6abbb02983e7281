/* The store itself: its folder, its thread, its transactions, and what is left after SIGKILL. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/store.h"
#include "daemon/store_sql.h"
#include "daemon/trouble.h"
#include "sql/migrations.h"
#include "tests/daemon/scratch.h"

struct fixture {
    char folder[64], state[80];
    struct store *store;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct tw_error error;
    *state = f;
    if (!f || !scratch_make(f->folder))
        return -1;
    snprintf(f->state, sizeof f->state, "%s/a/b", f->folder);
    return store_open(f->state, &f->store, &error);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    store_close(f->store);
    scratch_remove(f->folder);
    free(f);
    return 0;
}

static void reopen(struct fixture *f)
{
    struct tw_error error = {""};
    store_close(f->store);
    assert_int_equal(store_open(f->state, &f->store, &error), 0);
}

/* The first column of the first row. */
static int64_t ask(struct store *store, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    sqlite3 *db = store_read_begin(store);
    assert_non_null(db);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    store_read_end(store, db);
    return value;
}

static int run_sql(sqlite3 *db, void *context, struct tw_error *error)
{
    return store_sql_exec(db, context, error);
}

static int call_sql(struct store *store, const char *sql, struct tw_error *error)
{
    return store_call(store, run_sql, (void *)(uintptr_t)sql, error);
}

static void test_folder_and_settings(void **state)
{
    struct fixture *f = *state;
    struct stat at;
    assert_int_equal(stat(f->state, &at), 0);
    assert_int_equal(at.st_mode & 0777, 0700);
    assert_int_equal(ask(f->store, "PRAGMA user_version"), sql_migrations_count);
    assert_int_equal(ask(f->store, "PRAGMA auto_vacuum"), 2);
    assert_int_equal(ask(f->store, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
    assert_int_equal(ask(f->store, "SELECT count(*) FROM pragma_table_list"
                                   " WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite_%'"
                                   " AND NOT strict"),
                     0);
    assert_true(ask(f->store, "SELECT count(*) FROM pragma_table_list WHERE strict") >= 8);
}

static int read_settings(sqlite3 *db, void *context, struct tw_error *error)
{
    static const struct {
        const char *sql;
        int value;
    } settings[] = {{"PRAGMA synchronous", 2},
                    {"PRAGMA foreign_keys", 1},
                    {"PRAGMA trusted_schema", 0},
                    {"PRAGMA cell_size_check", 1},
                    {"PRAGMA cache_size", -2048}};
    int *wrong = context;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        sqlite3_stmt *statement = NULL;
        int status = store_sql_prepare(db, &statement, error, settings[i].sql, "");
        if (!status)
            status = store_sql_step(statement, error);
        if (status || sqlite3_column_int(statement, 0) != settings[i].value) {
            print_error("%s\n", settings[i].sql);
            ++*wrong;
        }
        sqlite3_finalize(statement);
    }
    return 0;
}

static void test_writer_settings(void **state)
{
    struct fixture *f = *state;
    int wrong = 0;
    assert_int_equal(store_call(f->store, read_settings, &wrong, NULL), 0);
    assert_int_equal(wrong, 0);
}

static void test_reader_cannot_write(void **state)
{
    struct fixture *f = *state;
    sqlite3 *db = store_read_begin(f->store);
    assert_non_null(db);
    assert_int_equal(sqlite3_exec(db, "DELETE FROM twins", NULL, NULL, NULL) & 0xff, SQLITE_READONLY);
    store_read_end(f->store, db);
    assert_false(store_failed(f->store, NULL));
}

static void test_many_readers(void **state)
{
    struct fixture *f = *state;
    sqlite3 *db[8];
    for (int i = 0; i < 8; i++)
        assert_non_null(db[i] = store_read_begin(f->store));
    for (int i = 0; i < 8; i++)
        store_read_end(f->store, db[i]);
    assert_int_equal(ask(f->store, "SELECT 7"), 7);
}

static void test_second_store_is_refused(void **state)
{
    struct fixture *f = *state;
    struct store *second = NULL;
    struct tw_error error = {""};
    char pid[32];
    snprintf(pid, sizeof pid, "(pid %ld)", (long)getpid());
    assert_int_equal(store_open(f->state, &second, &error), TW_BUSY);
    assert_null(second);
    assert_non_null(strstr(error.text, f->state));
    assert_non_null(strstr(error.text, pid));
    reopen(f); /* the lock went with its holder */
}

static void test_newer_schema_is_refused(void **state)
{
    struct fixture *f = *state;
    struct tw_error error = {""};
    assert_int_equal(call_sql(f->store, "PRAGMA user_version=999", NULL), 0);
    store_close(f->store);
    f->store = NULL;
    assert_int_equal(store_open(f->state, &f->store, &error), TW_CONFLICT);
    assert_non_null(strstr(error.text, "schema 999"));
}

static void test_other_files_are_refused(void **state)
{
    struct fixture *f = *state;
    struct tw_error error = {""};
    char path[128];
    sqlite3 *db = NULL;
    store_close(f->store);
    f->store = NULL;
    snprintf(path, sizeof path, "%s/other/twin.db", f->folder);
    path[strlen(path) - strlen("/twin.db")] = 0;
    assert_int_equal(mkdir(path, 0700), 0);
    strcat(path, "/twin.db");
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE x (y); PRAGMA user_version=1", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    snprintf(path, sizeof path, "%s/other", f->folder);
    assert_int_equal(store_open(path, &f->store, &error), TW_CONFLICT);

    snprintf(path, sizeof path, "%s/a/b/twin.db", f->folder);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    for (int i = 0; i < 4096; i++)
        fputc(i * 37 & 255, file);
    fclose(file);
    assert_int_equal(store_open(f->state, &f->store, &error), 0); /* its own, but broken: what can be read is saved */
    assert_non_null(f->store);
}

static void test_folder_that_cannot_be(void **state)
{
    struct fixture *f = *state;
    struct store *store = NULL;
    struct tw_error error = {""};
    char path[160];
    snprintf(path, sizeof path, "%s/twin.db/x", f->state);
    assert_int_equal(store_open(path, &store, &error), TW_IO);
    assert_non_null(strstr(error.text, "twin.db"));
}

#define TWIN(name) "INSERT INTO twins (name, definition, created) VALUES ('" name "', '{}', 1)"

static int insert_and_refuse(sqlite3 *db, void *context, struct tw_error *error)
{
    int status = store_sql_exec(db, TWIN("refused"), error);
    return status ? status : tw_error_set(error, *(int *)context, "no");
}

static void test_refused_closure_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct tw_error error = {""};
    int status = TW_CONFLICT;
    assert_int_equal(store_call(f->store, insert_and_refuse, &status, &error), TW_CONFLICT);
    assert_string_equal(error.text, "no");
    assert_int_equal(ask(f->store, "SELECT count(*) FROM twins"), 0);
    assert_false(store_failed(f->store, NULL));
}

static int wait_at(sqlite3 *db, void *context, struct tw_error *error)
{
    (void)db, (void)error;
    pthread_mutex_lock(context);
    pthread_mutex_unlock(context);
    return 0;
}

static _Atomic int released;
static void count_release(void *context)
{
    (void)context;
    released++;
}

/* While the thread is kept busy, posts pile up: they end in one transaction, and one that is refused harms no other. */
static void test_posted_group(void **state)
{
    struct fixture *f = *state;
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    int status = TW_INVALID;
    released = 0;
    pthread_mutex_lock(&gate);
    assert_int_equal(store_post(f->store, wait_at, &gate, NULL), 0);
    assert_int_equal(store_post(f->store, run_sql, (void *)TWIN("one"), count_release), 0);
    assert_int_equal(store_post(f->store, insert_and_refuse, &status, count_release), 0);
    assert_int_equal(store_post(f->store, run_sql, (void *)TWIN("two"), count_release), 0);
    pthread_mutex_unlock(&gate);
    store_barrier(f->store);
    assert_int_equal(released, 3);
    assert_int_equal(ask(f->store, "SELECT count(*) FROM twins WHERE name IN ('one', 'two')"), 2);
    assert_int_equal(ask(f->store, "SELECT count(*) FROM twins"), 2);
    assert_false(store_failed(f->store, NULL));
}

static void test_queue_has_a_limit(void **state)
{
    struct fixture *f = *state;
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    int taken = 0, status = 0;
    released = 0;
    pthread_mutex_lock(&gate);
    assert_int_equal(store_post(f->store, wait_at, &gate, NULL), 0);
    while (taken < 100000 && !(status = store_post(f->store, run_sql, (void *)"SELECT 1", count_release)))
        taken++;
    assert_int_equal(status, TW_BUSY);
    pthread_mutex_unlock(&gate);
    store_barrier(f->store);
    assert_int_equal(released, taken);
    assert_int_equal(store_post(f->store, run_sql, (void *)"SELECT 1", NULL), 0);
}

static void test_failure_is_for_good(void **state)
{
    struct fixture *f = *state;
    struct tw_error error = {""};
    int status = TW_IO;
    assert_int_equal(store_call(f->store, insert_and_refuse, &status, NULL), TW_IO);
    assert_true(store_failed(f->store, &error));
    assert_string_equal(error.text, "no");
    assert_int_equal(call_sql(f->store, TWIN("later"), &error), TW_IO);
    released = 0;
    assert_int_equal(store_post(f->store, run_sql, (void *)TWIN("later"), count_release), 0);
    store_barrier(f->store);
    assert_int_equal(released, 1); /* not run, but not leaked */
    reopen(f);
    assert_int_equal(ask(f->store, "SELECT count(*) FROM twins"), 0);
}

/* A full disk, as SQLite sees it: a call hears of it and the store goes on. */
static void test_full_disk(void **state)
{
    struct fixture *f = *state;
    struct tw_error error = {""};
    assert_int_equal(call_sql(f->store, "PRAGMA max_page_count=1", NULL), 0); /* = as many as there are */
    assert_int_equal(call_sql(f->store,
                              "WITH RECURSIVE c(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM c WHERE n < 1000)"
                              " INSERT INTO twins (name, definition, created) SELECT n, hex(zeroblob(500)), 1 FROM c",
                              &error),
                     TW_FULL);
    assert_false(store_failed(f->store, NULL));
    assert_int_equal(ask(f->store, "SELECT count(*) FROM twins"), 0);
    assert_int_equal(call_sql(f->store, "PRAGMA max_page_count=1000000", NULL), 0);
    assert_int_equal(call_sql(f->store, TWIN("after"), &error), 0);
}

/* What is posted waits for space, in its order; calls go on and hear of it; nothing is lost. */
static void test_full_disk_keeps_what_is_posted(void **state)
{
    static const char big[] = "INSERT INTO twins (name, definition, created) VALUES ('big', hex(zeroblob(50000)), 1)";
    struct fixture *f = *state;
    assert_int_equal(call_sql(f->store, "PRAGMA max_page_count=1", NULL), 0);
    released = 0;
    assert_int_equal(store_post(f->store, run_sql, (void *)big, count_release), 0);
    assert_int_equal(store_post(f->store, run_sql, (void *)"UPDATE twins SET created = 2", count_release), 0);
    assert_int_equal(store_barrier(f->store), TW_FULL);
    assert_true(store_full(f->store));
    assert_true(trouble_unready());
    assert_false(store_failed(f->store, NULL));
    assert_int_equal(ask(f->store, "SELECT count(*) FROM twins"), 0);
    assert_int_equal(call_sql(f->store, big, NULL), TW_FULL);
    assert_int_equal(released, 0);
    assert_int_equal(call_sql(f->store, "PRAGMA max_page_count=1000000", NULL), 0);
    while (store_barrier(f->store) == TW_FULL)
        usleep(10000);
    assert_int_equal(released, 2);
    assert_int_equal(ask(f->store, "SELECT count(*) FROM twins WHERE name = 'big' AND created = 2"), 1);
    assert_false(store_full(f->store));
    assert_false(trouble_unready());
}

/* Nothing waits in the queue: the store looks for space by itself. */
static void test_full_disk_is_over(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(call_sql(f->store, "PRAGMA max_page_count=1", NULL), 0);
    assert_int_equal(call_sql(f->store,
                              "INSERT INTO twins (name, definition, created)"
                              " VALUES ('big', hex(zeroblob(50000)), 1)",
                              NULL),
                     TW_FULL);
    assert_true(store_full(f->store));
    while (store_full(f->store))
        usleep(10000);
    assert_false(trouble_unready());
}

/* A daemon that ends meanwhile does not hang on what can't be written. */
static void test_full_disk_at_the_end(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(call_sql(f->store, "PRAGMA max_page_count=1", NULL), 0);
    released = 0;
    assert_int_equal(store_post(f->store, run_sql,
                                (void *)"INSERT INTO twins (name, definition, created)"
                                        " VALUES ('big', hex(zeroblob(50000)), 1)",
                                count_release),
                     0);
    assert_int_equal(store_barrier(f->store), TW_FULL);
    reopen(f);
    assert_int_equal(released, 1);
}

/* --- SIGKILL in the middle of writes --- */

/* Writes promotions and batches as fast as it can; tells how far it got after each commit. */
static void write_for_ever(const char *folder, int pipe_end)
{
    struct store *store = NULL;
    int64_t twin = 1, inserted;
    if (store_open(folder, &store, NULL))
        _exit(1);
    store_twin_insert(store, "t", "{}", &inserted, NULL); /* it is there from the second round on */
    uint64_t ordinal = store_batch_next(store, twin);
    for (;; ordinal++) {
        struct store_batch batch = {.twin = twin, .ordinal = ordinal, .feed = "f", .seq = (int64_t)ordinal};
        char sha256[65], blob[20000];
        memset(blob, (int)ordinal, sizeof blob);
        memcpy(blob, &ordinal, sizeof ordinal);
        if (store_batch_add(store, &batch, 1) || store_blob_put(store, blob, sizeof blob, sha256, NULL))
            _exit(2);
        struct tw_error error;
        char sql[1200];
        snprintf(sql, sizeof sql,
                 "UPDATE versions SET status = 'retired' WHERE status = 'champion';"
                 "INSERT INTO versions (twin, version, created, cause, status, artifact, seed, first_ordinal,"
                 " last_ordinal) VALUES (1, %llu, 1, 'train', 'champion', '%s', 1, 0, 0);"
                 "INSERT INTO moves (twin, alias, version, time) VALUES (1, 'champion', %llu, 1);"
                 "UPDATE twins SET processed = %llu",
                 (unsigned long long)ordinal + 1, sha256, (unsigned long long)ordinal + 1,
                 (unsigned long long)ordinal + 1);
        if (call_sql(store, sql, &error))
            _exit(3);
        uint64_t acked = ordinal + 1;
        if (write(pipe_end, &acked, sizeof acked) != sizeof acked)
            _exit(4);
    }
}

static void test_sigkill_loses_nothing_committed(void **state)
{
    struct fixture *f = *state;
    struct tw_error error = {""};
    uint64_t acked = 0;
    store_close(f->store);
    f->store = NULL;
    for (int round = 0; round < 6; round++) {
        int ends[2];
        uint64_t told;
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        if (child == 0) {
            close(ends[0]);
            write_for_ever(f->state, ends[1]);
        }
        close(ends[1]);
        uint64_t until = acked + 1 + (uint64_t)(round * 7); /* at least one commit a round, however slow */
        while (acked < until && read(ends[0], &told, sizeof told) == sizeof told)
            acked = told;
        assert_true(acked >= until);
        nanosleep(&(struct timespec){.tv_nsec = 1000000L * (round * 5 % 7)}, NULL);
        kill(child, SIGKILL);
        int how;
        assert_int_equal(waitpid(child, &how, 0), child);
        assert_true(WIFSIGNALED(how));
        while (read(ends[0], &told, sizeof told) == sizeof told)
            acked = told;
        close(ends[0]);

        assert_int_equal(store_open(f->state, &f->store, &error), 0);
        assert_int_equal(ask(f->store, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"), 0);
        assert_int_equal(ask(f->store, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
        /* All that was told is there, and each transaction as a whole. */
        int64_t versions = ask(f->store, "SELECT count(*) FROM versions");
        assert_true(versions >= (int64_t)acked);
        assert_int_equal(ask(f->store, "SELECT count(*) FROM versions WHERE status = 'champion'"), 1);
        assert_int_equal(ask(f->store, "SELECT version FROM versions WHERE status = 'champion'"), versions);
        assert_int_equal(ask(f->store, "SELECT max(version) FROM moves"), versions);
        assert_int_equal(ask(f->store, "SELECT processed FROM twins"), versions);
        assert_true(ask(f->store, "SELECT count(*) FROM batches") >= versions);
        /* The next writer begins where the rows end, which may be one batch further than the versions. */
        call_sql(f->store, "DELETE FROM batches WHERE ordinal >= (SELECT processed FROM twins)", NULL);
        acked = (uint64_t)versions;
        store_close(f->store);
        f->store = NULL;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_folder_and_settings, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writer_settings, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reader_cannot_write, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_readers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_second_store_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_newer_schema_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_files_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder_that_cannot_be, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_closure_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_posted_group, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_has_a_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failure_is_for_good, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_disk_keeps_what_is_posted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_disk_is_over, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_disk_at_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sigkill_loses_nothing_committed, setup, teardown),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
