/* Operations: long work that clients poll. A finished one does not change any more. */
#include <string.h>

#include "daemon/clock.h"
#include "daemon/store.h"
#include "daemon/store_sql.h"

/* Both are JSON: the order of members and blanks do not matter. */
static bool same_request(const char *a, const char *b)
{
    json_t *left = a ? json_loads(a, JSON_DECODE_ANY, NULL) : NULL;
    json_t *right = b ? json_loads(b, JSON_DECODE_ANY, NULL) : NULL;
    bool same = left && right ? json_equal(left, right) : !left && !right;
    json_decref(left);
    json_decref(right);
    return same;
}

/* TW_EXISTS, TW_CONFLICT, or 0 if the key is free. */
static int check_key(sqlite3 *db, struct store_operation *operation, struct tw_error *error)
{
    sqlite3_stmt *statement = NULL;
    int status = store_sql_prepare(db, &statement, error,
                                   "SELECT id, kind, request FROM operations WHERE twin = ?1 AND key = ?2", "it",
                                   operation->twin, operation->key);
    if (!status)
        status = store_sql_step(statement, error);
    if (!status) {
        bool same = !strcmp((const char *)sqlite3_column_text(statement, 1), operation->kind) &&
                    same_request((const char *)sqlite3_column_text(statement, 2), operation->request);
        operation->id = sqlite3_column_int64(statement, 0);
        status = same ? tw_error_set(error, TW_EXISTS, "operation %lld has this key", (long long)operation->id)
                      : tw_error_set(error, TW_CONFLICT, "the key was used with another request, operation %lld",
                                     (long long)operation->id);
    } else if (status == TW_NOT_FOUND) {
        status = 0;
    }
    sqlite3_finalize(statement);
    return status;
}

int store_operation_open(sqlite3 *db, struct store_operation *operation, struct tw_error *error)
{
    int status = operation->key ? check_key(db, operation, error) : 0;
    if (!status)
        status =
            store_sql_run(db, error,
                          "INSERT INTO operations (twin, kind, request, key, state, created)"
                          " VALUES (?1, ?2, ?3, ?4, 'queued', ?5)",
                          "ittti", operation->twin, operation->kind, operation->request, operation->key, clock_ms());
    if (!status)
        operation->id = sqlite3_last_insert_rowid(db);
    return status;
}

static int insert(sqlite3 *db, void *context, struct tw_error *error)
{
    return store_operation_open(db, context, error);
}

int store_operation_insert(struct store *store, struct store_operation *operation, struct tw_error *error)
{
    return store_call(store, insert, operation, error);
}

/* 0 if the operation is there and unfinished. */
static int check_open(sqlite3 *db, int64_t id, struct tw_error *error)
{
    sqlite3_stmt *statement = NULL;
    int status =
        store_sql_prepare(db, &statement, error, "SELECT finished, state FROM operations WHERE id = ?1", "i", id);
    if (!status)
        status = store_sql_step(statement, error);
    if (status == TW_NOT_FOUND)
        tw_error_set(error, status, "there is no operation %lld", (long long)id);
    else if (!status && sqlite3_column_type(statement, 0) != SQLITE_NULL)
        status = tw_error_set(error, TW_CONFLICT, "operation %lld has %s already", (long long)id,
                              (const char *)sqlite3_column_text(statement, 1));
    sqlite3_finalize(statement);
    return status;
}

int store_operation_update(sqlite3 *db, int64_t id, const char *state, double progress, const char *result,
                           const char *error_json, struct tw_error *error)
{
    int status = check_open(db, id, error);
    if (status)
        return status;
    return store_sql_run(db, error,
                         "UPDATE operations SET state = coalesce(?2, state), progress = min(max(?3, 0.0), 1.0),"
                         " result = coalesce(?4, result), error = coalesce(?5, error),"
                         " finished = CASE WHEN ?2 IN ('succeeded', 'failed', 'cancelled') THEN max(?6, created) END"
                         " WHERE id = ?1",
                         "itdtti", id, state, progress, result, error_json, clock_ms());
}

struct change {
    int64_t id;
    const char *state;
    double progress;
    const char *result, *error_json;
};

static int update(sqlite3 *db, void *context, struct tw_error *error)
{
    const struct change *change = context;
    return store_operation_update(db, change->id, change->state, change->progress, change->result, change->error_json,
                                  error);
}

int store_operation_set(struct store *store, int64_t id, const char *state, double progress, const char *result,
                        const char *error_json, struct tw_error *error)
{
    struct change change = {id, state, progress, result, error_json};
    return store_call(store, update, &change, error);
}

#define SELECT                                                                                                         \
    "SELECT operations.id, kind, name, operations.state, progress, operations.created, finished, request, result,"     \
    " error FROM operations JOIN twins ON twins.id = twin"

static json_t *operation_row(sqlite3_stmt *row)
{
    json_t *json = json_pack("{s:o,s:o,s:o,s:o,s:f,s:o,s:o,s:o}", "id", store_sql_integer(row, 0), "kind",
                             store_sql_text(row, 1), "twin", store_sql_text(row, 2), "state", store_sql_text(row, 3),
                             "progress", sqlite3_column_double(row, 4), "created", store_sql_time(row, 5), "finished",
                             store_sql_time(row, 6), "request", store_sql_json(row, 7));
    if (json && sqlite3_column_type(row, 8) != SQLITE_NULL)
        json_object_set_new(json, "result", store_sql_json(row, 8));
    if (json && sqlite3_column_type(row, 9) != SQLITE_NULL)
        json_object_set_new(json, "error", store_sql_json(row, 9));
    return json;
}

json_t *store_operation_json(struct store *store, int64_t id)
{
    return store_sql_one(store, operation_row, SELECT " WHERE operations.id = ?1", "i", id);
}

json_t *store_operation_of_key(struct store *store, int64_t twin, const char *key)
{
    return store_sql_one(store, operation_row, SELECT " WHERE twin = ?1 AND key = ?2", "it", twin, key);
}

json_t *store_operation_pending(struct store *store, int64_t twin)
{
    return store_sql_all(store, operation_row, SELECT " WHERE twin = ?1 AND finished IS NULL ORDER BY operations.id",
                         "i", twin);
}

json_t *store_list_operations(struct store *store, int64_t twin_or_0, int limit, const char *cursor)
{
    struct store_page page = {.make = operation_row, .start = INT64_MAX, .limit = limit, .cursor = cursor};
    if (!twin_or_0) {
        page.sql = SELECT " WHERE operations.id < ?1 ORDER BY operations.id DESC LIMIT ?2";
        return store_sql_page(store, &page, "");
    }
    page.sql = SELECT " WHERE twin = ?3 AND operations.id < ?1 ORDER BY operations.id DESC LIMIT ?2";
    return store_sql_page(store, &page, "i", twin_or_0);
}
