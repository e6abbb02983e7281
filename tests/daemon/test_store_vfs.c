/* Pages have checksums; a page without its own is found, and what is on the others is saved. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "daemon/store.h"
#include "daemon/store_sql.h"
#include "daemon/store_vfs.h"
#include "sql/migrations.h"
#include "tests/daemon/scratch.h"

enum { PAGE = 4096, BATCHES = 2000, ITERATIONS = 60, VERSIONS = 5 };

static char folder[64], path[100];

static int setup(void **state)
{
    if (!scratch_make(folder))
        return -1;
    snprintf(path, sizeof path, "%s/twin.db", folder);
    return 0;
}

static int teardown(void **state)
{
    scratch_remove(folder);
    return 0;
}

static void execute(sqlite3 *db, const char *sql)
{
    char *why = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %.200s", why, sql);
}

static int fill(sqlite3 *db, void *context, struct tw_error *error)
{
    char sql[2000];
    execute(db, "INSERT INTO twins (id, name, definition, created, processed, state) VALUES (1, 'a', '{}', 1, 1000,"
                " '{\"iteration\":60,\"last\":{\"first\":980,\"last\":999}}'), (2, 'b', '{}', 1, 0, NULL)");
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < %d)"
             " INSERT INTO batches SELECT 1, i, 'daq', 1, i, 10, 0, i, randomblob(16), NULL FROM n",
             BATCHES);
    execute(db, sql);
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
             " INSERT INTO iterations (twin, iteration, time, version, first_ordinal, last_ordinal, events, drift,"
             " decision, policy, statistics)"
             " SELECT 1, i, i, 1, i * 10, i * 10 + 9, 100, 0, 'none', '{}', hex(randomblob(3000)) FROM n",
             ITERATIONS);
    execute(db, sql);
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
             " INSERT INTO blobs (sha256, put, bytes) SELECT printf('%%064d', i), 1, randomblob(9000) FROM n",
             VERSIONS);
    execute(db, sql);
    execute(db, "INSERT INTO versions (twin, version, parent, created, cause, status, artifact, seed, first_ordinal,"
                " last_ordinal) SELECT 1, id, NULL, 1, 'train', CASE id WHEN 5 THEN 'champion' ELSE 'retired' END,"
                " sha256, 1, 0, 9 FROM blobs");
    execute(db, "INSERT INTO moves (twin, alias, version, time, actor) SELECT 1, 'champion', version, version, 'loop'"
                " FROM versions");
    return 0;
}

static struct store *open_store(void)
{
    struct store *store = NULL;
    struct tw_error error = {""};
    if (store_open(folder, &store, &error))
        fail_msg("store_open: %s", error.text);
    return store;
}

static void make_database(void)
{
    struct store *store = open_store();
    struct tw_error error = {""};
    if (store_call(store, fill, NULL, &error))
        fail_msg("%s", error.text);
    store_close(store);
}

static bool count_page(void *context, uint32_t page)
{
    uint32_t *last = context;
    last[0]++;
    last[1] = page;
    return true;
}

/* {how many pages are damaged, the last of them} */
static uint64_t sweep(uint32_t found[2])
{
    struct tw_error error = {""};
    uint64_t pages;
    bool checked;
    found[0] = found[1] = 0;
    assert_int_equal(store_vfs_sweep(path, 60, count_page, found, &checked, &pages, &error), 0);
    assert_true(checked);
    return pages;
}

static void flip(uint64_t at)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    fseek(file, (long)at, SEEK_SET);
    int byte = fgetc(file);
    fseek(file, (long)at, SEEK_SET);
    fputc(byte ^ 16, file);
    fclose(file);
}

static int64_t number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *row = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &row, NULL), SQLITE_OK);
    int64_t value = sqlite3_step(row) == SQLITE_ROW ? sqlite3_column_int64(row, 0) : -1;
    sqlite3_finalize(row);
    return value;
}

static void pages_have_checksums(void **state)
{
    uint32_t found[2];
    make_database();
    uint64_t pages = sweep(found);
    assert_true(pages > 100);
    assert_int_equal(found[0], 0);
    for (uint64_t page = 1; page < pages; page += 7) {
        uint64_t at = page * PAGE + page * 131 % PAGE;
        flip(at);
        assert_int_equal(sweep(found), pages);
        assert_int_equal(found[0], 1);
        assert_int_equal(found[1], page + 1);
        flip(at);
    }
}

/* Whoever reads such a page hears of it, with its number. */
static void reading_a_damaged_page(void **state)
{
    make_database();
    struct store *store = open_store(); /* has swept */
    struct stat stat_before;
    assert_int_equal(stat(path, &stat_before), 0);
    for (uint64_t at = PAGE + 100; at < (uint64_t)stat_before.st_size; at += PAGE)
        flip(at);
    struct tw_error error = {""};
    assert_null(store_list_moves(store, 1, NULL, 0, 100, NULL));
    assert_true(store_failed(store, &error));
    assert_non_null(strstr(error.text, "page "));
    assert_non_null(strstr(error.text, "does not have its checksum"));
    store_close(store);
}

/* A file that a program without checksums wrote gets them, with all that is in it. */
static void an_old_file_is_converted(void **state)
{
    sqlite3 *db;
    uint32_t found[2];
    char version[120];
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    execute(db, "PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL");
    for (int i = 0; i < sql_migrations_count; i++)
        execute(db, sql_migrations[i].text);
    snprintf(version, sizeof version, "PRAGMA user_version=%d; PRAGMA application_id=%d", sql_migrations_count,
             0x7477696e);
    execute(db, version);
    fill(db, NULL, NULL);
    sqlite3_close(db);
    struct store *store = open_store();
    assert_int_equal(store_batch_next(store, 1), BATCHES);
    db = store_read_begin(store);
    assert_int_equal(number(db, "PRAGMA auto_vacuum"), 2);
    assert_int_equal(number(db, "SELECT sum(length(statistics)) FROM iterations"), ITERATIONS * 6000);
    store_read_end(store, db);
    store_close(store);
    assert_true(sweep(found) > 100);
    assert_int_equal(found[0], 0);
}

/* What another program wrote, or checkpointed after a crash, is taken as it is. */
static void others_write(void **state)
{
    sqlite3 *db;
    uint32_t found[2];
    make_database();
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    execute(db, "WITH RECURSIVE n(i) AS (SELECT 10000 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)"
                " INSERT INTO batches SELECT 1, i, 'daq', 1, i, 10, 0, i, randomblob(16), NULL FROM n");
    sqlite3_close(db);
    sweep(found);
    assert_true(found[0] > 1);
    assert_true(store_vfs_foreign(path));
    struct store *store = open_store();
    assert_int_equal(store_batch_next(store, 1), 30001);
    db = store_read_begin(store);
    assert_int_equal(number(db, "SELECT count(*) FROM batches"), BATCHES + 20001);
    store_read_end(store, db);
    store_close(store);
    sweep(found);
    assert_int_equal(found[0], 0);
    assert_false(store_vfs_foreign(path));
}

static int add_twin(sqlite3 *db, void *context, struct tw_error *error)
{
    return store_sql_exec(db, "UPDATE twins SET created = 7 WHERE id = 2", error);
}

/* A WAL that another program brings into the file: it has page 1 whatever the transaction was. */
static void others_checkpoint(void **state)
{
    char command[600];
    sqlite3 *db;
    struct tw_error error;
    make_database();
    struct store *store = open_store();
    assert_int_equal(store_call(store, add_twin, NULL, &error), 0);
    snprintf(command, sizeof command, "mkdir %s/x && cp %s %s-wal %s/x", folder, path, path, folder);
    assert_int_equal(system(command), 0);
    store_close(store);
    snprintf(command, sizeof command, "cp %s/x/* %s", folder, folder);
    assert_int_equal(system(command), 0);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(number(db, "SELECT created FROM twins WHERE id = 2"), 7);
    sqlite3_close(db);
    assert_true(store_vfs_foreign(path));
    store = open_store();
    db = store_read_begin(store);
    assert_int_equal(number(db, "SELECT created FROM twins WHERE id = 2"), 7);
    assert_int_equal(number(db, "SELECT count(*) FROM batches"), BATCHES);
    store_read_end(store, db);
    store_close(store);
}

/* Any page: the start saves the rest, puts it in order, and keeps the damaged file. */
static void salvage(void **state)
{
    uint32_t found[2];
    char copy[120], command[600];
    make_database();
    uint64_t pages = sweep(found), whole = 0, tried = 0;
    snprintf(copy, sizeof copy, "%s/copy", folder);
    snprintf(command, sizeof command, "cp %s %s", path, copy);
    assert_int_equal(system(command), 0);
    for (uint64_t page = 0; page < pages; page += pages / 40 + 1) {
        snprintf(command, sizeof command, "cp %s %s; rm -f %s-wal %s-shm", copy, path, path, path);
        assert_int_equal(system(command), 0);
        flip(page * PAGE + 50);
        struct store *store = open_store();
        sqlite3 *db = store_read_begin(store);
        assert_int_equal(number(db, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
        assert_int_equal(number(db, "SELECT quick_check = 'ok' FROM pragma_quick_check"), 1);
        int64_t batches = number(db, "SELECT count(*) FROM batches");
        int64_t iterations = number(db, "SELECT count(*) FROM iterations");
        int64_t versions = number(db, "SELECT count(*) FROM versions");
        int64_t champions = number(db, "SELECT count(*) FROM versions WHERE status = 'champion'");
        int64_t agreed = number(db, "SELECT count(*) FROM versions AS v WHERE status = 'champion' AND version ="
                                    " (SELECT version FROM moves WHERE alias = 'champion' ORDER BY move DESC LIMIT 1)");
        assert_int_equal(agreed, champions);
        whole += (batches >= BATCHES - 200) + (iterations >= ITERATIONS - 3) + (versions == VERSIONS);
        tried++;
        store_read_end(store, db);
        store_close(store);
        sweep(found);
        assert_int_equal(found[0], 0);
    }
    assert_true(whole >= 3 * tried - 12); /* a few pages hold a table's root */
}

static int lose_iteration(sqlite3 *db, void *context, struct tw_error *error)
{
    (void)context;
    (void)error;
    execute(db, "UPDATE twins SET state = '{\"iteration\":7,\"task\":{\"iteration\":7}}' WHERE id = 1");
    execute(db, "DELETE FROM iterations WHERE twin = 1 AND iteration = 7");
    return 0;
}

/* The loop can't end a retune whose iteration is lost: it would try for ever, or take another for it. */
static void a_task_goes_with_its_iteration(void **state)
{
    make_database();
    struct store *store = open_store();
    assert_int_equal(store_call(store, lose_iteration, NULL, NULL), 0);
    store_close(store);
    uint32_t found[2];
    flip((sweep(found) - 1) * PAGE + 50);
    store = open_store();
    sqlite3 *db = store_read_begin(store);
    assert_int_equal(number(db, "SELECT json_extract(state, '$.iteration') FROM twins WHERE id = 1"), 7);
    assert_int_equal(number(db, "SELECT state LIKE '%\"task\"%' FROM twins WHERE id = 1"), 0);
    store_read_end(store, db);
    store_close(store);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(pages_have_checksums),
        CASE(reading_a_damaged_page),
        CASE(an_old_file_is_converted),
        CASE(others_write),
        CASE(others_checkpoint),
        CASE(salvage),
        CASE(a_task_goes_with_its_iteration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
