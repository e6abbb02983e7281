/* A store in a scratch folder with the twin "zmumu", and what is put into it. */
#ifndef TESTS_DAEMON_STORE_FIXTURE_H
#define TESTS_DAEMON_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "daemon/clock.h"
#include "daemon/store.h"
#include "daemon/store_sql.h"
#include "tests/daemon/scratch.h"

struct fixture {
    char folder[64];
    struct store *store;
    int64_t twin;
    char sha256[65];
};

static inline int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    if (!f || !scratch_make(f->folder) || store_open(f->folder, &f->store, NULL))
        return -1;
    return store_twin_insert(f->store, "zmumu", "{\"a\":1}", &f->twin, NULL) ||
           store_blob_put(f->store, "artifact", 8, f->sha256, NULL);
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    store_close(f->store);
    scratch_remove(f->folder);
    free(f);
    return 0;
}

static inline int run_sql(sqlite3 *db, void *context, struct tw_error *error)
{
    return store_sql_exec(db, context, error);
}

static inline void change(struct fixture *f, const char *sql)
{
    assert_int_equal(store_call(f->store, run_sql, (void *)(uintptr_t)sql, NULL), 0);
}

static inline json_int_t integer(const json_t *json, const char *name)
{
    assert_true(json_is_integer(json_object_get(json, name)));
    return json_integer_value(json_object_get(json, name));
}

static const char *text(const json_t *json, const char *name)
{
    assert_true(json_is_string(json_object_get(json, name)));
    return json_string_value(json_object_get(json, name));
}

static inline void assert_json(json_t *json, const char *expected)
{
    json_t *wanted = json_loads(expected, JSON_DECODE_ANY, NULL);
    assert_non_null(wanted);
    if (!json_equal(json, wanted)) {
        char *have = json_dumps(json, JSON_ENCODE_ANY);
        fail_msg("%s\ninstead of %s", have ? have : "nothing", expected);
    }
    json_decref(wanted);
    json_decref(json);
}

static inline int insert_version(sqlite3 *db, void *context, struct tw_error *error)
{
    return store_version_insert(db, context, error);
}

static inline int new_version(struct fixture *f, const char *status, int parent)
{
    struct store_version version = {
        .twin = f->twin,
        .parent = parent,
        .cause = parent ? "weights" : "train",
        .status = status,
        .reason = "because",
        .sha256 = f->sha256,
        .reference_sha256 = f->sha256,
        .seed = (UINT64_C(1) << 53) - 1,
        .first_ordinal = 3,
        .last_ordinal = 9,
        .kernels = "ref",
        .metrics = "{\"gain\": 0.5}",
    };
    assert_int_equal(store_call(f->store, insert_version, &version, NULL), 0);
    return version.version;
}

static inline int move(struct fixture *f, const char *alias, int version, int64_t expected, int hold, int64_t *id)
{
    struct store_move m = {f->twin, alias, version, expected, "tester", "reason", hold, 0};
    struct tw_error error = {""};
    int status = store_alias_put(f->store, &m, &error);
    if (status)
        assert_true(strlen(error.text) > 0);
    if (id)
        *id = m.move;
    return status;
}

typedef json_t *(*lister)(struct fixture *f, int limit, const char *cursor);

static inline json_t *list_moves(struct fixture *f, int limit, const char *cursor)
{
    return store_list_moves(f->store, f->twin, NULL, 0, limit, cursor);
}

/* All pages in a row show what one big page shows, in pages of the right size, and end. */
static inline void check_pages(struct fixture *f, lister list, const char *key, size_t expected, int direction)
{
    json_t *whole = list(f, 1000, NULL), *rows = json_array(), *cursor = NULL;
    assert_int_equal(json_array_size(json_object_get(whole, "items")), expected);
    assert_true(json_is_null(json_object_get(whole, "next_cursor")));
    for (size_t pages = 0;; pages++) {
        json_t *page = list(f, 3, json_string_value(cursor));
        json_decref(cursor);
        assert_non_null(page);
        assert_true(pages <= expected / 3);
        json_array_extend(rows, json_object_get(page, "items"));
        cursor = json_incref(json_object_get(page, "next_cursor"));
        if (!json_is_null(cursor))
            assert_int_equal(json_array_size(json_object_get(page, "items")), 3);
        json_decref(page);
        if (json_is_null(cursor))
            break;
    }
    json_decref(cursor);
    assert_true(json_equal(rows, json_object_get(whole, "items")));
    for (size_t i = 1; i < json_array_size(rows); i++)
        assert_true(direction * (integer(json_array_get(rows, i), key) - integer(json_array_get(rows, i - 1), key)) >
                    0);
    json_decref(rows);
    json_decref(whole);

    static const char *const malformed[] = {"", "x", "1x", " 1", "-1", "+1", "01", "1e3", "99999999999999999999"};
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++)
        assert_null(list(f, 3, malformed[i]));
    assert_false(store_failed(f->store, NULL));
}

#endif
