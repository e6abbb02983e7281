/* Iterations, and how far the loop has come. */
#include <stdlib.h>
#include <string.h>

#include "daemon/clock.h"
#include "daemon/shortage.h"
#include "daemon/store.h"
#include "daemon/store_rollups.h"
#include "daemon/store_series.h"
#include "daemon/store_sql.h"

/* Batches of the ordinals first..last get the iteration (0: none). */
static int mark_batches(sqlite3 *db, int64_t twin, int64_t iteration, int64_t first, int64_t last,
                        struct tw_error *error)
{
    return store_sql_run(db, error,
                         "UPDATE batches SET iteration = nullif(?2, 0)"
                         " WHERE twin = ?1 AND ordinal BETWEEN ?3 AND ?4 AND feed <> 'train'",
                         "iiii", twin, iteration, first, last);
}

/* A retune that is decided replaces its iteration; one that was interrupted and is repeated may have taken other
 * batches. *known: there was one. */
static int unmark_batches(sqlite3 *db, const struct store_iteration *iteration, bool *known, struct tw_error *error)
{
    sqlite3_stmt *statement = NULL;
    int status = store_sql_prepare(
        db, &statement, error, "SELECT first_ordinal, last_ordinal FROM iterations WHERE twin = ?1 AND iteration = ?2",
        "ii", iteration->twin, iteration->iteration);
    if (!status)
        status = store_sql_step(statement, error);
    *known = !status;
    if (!status)
        status = mark_batches(db, iteration->twin, 0, sqlite3_column_int64(statement, 0),
                              sqlite3_column_int64(statement, 1), error);
    sqlite3_finalize(statement);
    return status == TW_NOT_FOUND ? 0 : status;
}

static int put_row(sqlite3 *db, const struct store_iteration *iteration, int64_t now,
                   const struct statistic *statistics, size_t count, struct tw_error *error)
{
    unsigned char *packed = NULL;
    size_t size = 0;
    int status = statistics_pack(statistics, count, &packed, &size);
    if (!status)
        status = store_sql_run(db, error,
                               "INSERT OR REPLACE INTO iterations (twin, iteration, time, version, first_ordinal,"
                               " last_ordinal, events, drift, decision, policy, packed)"
                               " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
                               "iiiiiiiittb", iteration->twin, iteration->iteration, now, (int64_t)iteration->version,
                               (int64_t)iteration->first_ordinal, (int64_t)iteration->last_ordinal,
                               (int64_t)iteration->events, (int64_t)iteration->drift, iteration->decision,
                               iteration->policy, packed, size);
    free(packed);
    return status;
}

int store_iteration_put(sqlite3 *db, const struct store_iteration *iteration, struct tw_error *error)
{
    struct statistic *statistics = NULL;
    size_t count = 0;
    bool known = false;
    int64_t now = clock_ms();
    int status = unmark_batches(db, iteration, &known, error);
    if (!status)
        status = store_series_number(db, iteration->twin, iteration->statistics, &statistics, &count, error);
    if (!status)
        status = put_row(db, iteration, now, statistics, count, error);
    if (!status && !known) /* one that is replaced was counted when it was new */
        status = store_rollups_add(db, iteration->twin, now, statistics, count, error);
    if (!status)
        status = store_verdict_follow(db, iteration->twin, iteration->iteration, error);
    if (!status)
        status = mark_batches(db, iteration->twin, iteration->iteration, (int64_t)iteration->first_ordinal,
                              (int64_t)iteration->last_ordinal, error);
    free(statistics);
    return status;
}

int store_progress_put(sqlite3 *db, int64_t twin, uint64_t processed, const char *state, struct tw_error *error)
{
    int status = store_sql_run(db, error, "UPDATE twins SET processed = ?2, state = ?3 WHERE id = ?1", "iit", twin,
                               (int64_t)processed, state);
    if (!status && !sqlite3_changes(db))
        return tw_error_set(error, TW_NOT_FOUND, "there is no twin with id %lld", (long long)twin);
    return status;
}

static json_t *progress_row(sqlite3_stmt *row)
{
    return json_pack("[o,o]", store_sql_integer(row, 0), store_sql_json(row, 1));
}

int store_progress_get(struct store *store, int64_t twin, uint64_t *processed, json_t **state)
{
    unsigned before = shortage_count();
    json_t *row = store_sql_one(store, progress_row, "SELECT processed, state FROM twins WHERE id = ?1", "i", twin);
    if (!row && shortage_count() != before)
        return TW_NO_MEMORY;
    if (!row)
        return store_failed(store, NULL) ? TW_IO : TW_NOT_FOUND;
    *processed = (uint64_t)json_integer_value(json_array_get(row, 0));
    json_t *value = json_array_get(row, 1);
    if (state)
        *state = json_is_null(value) ? NULL : json_incref(value);
    json_decref(row);
    return 0;
}

#define COLUMNS                                                                                                        \
    "iteration, time, version, first_ordinal, last_ordinal, events, drift, decision, policy, statistics, twin, packed"

static json_t *statistics(sqlite3_stmt *row)
{
    if (sqlite3_column_type(row, 11) != SQLITE_BLOB) /* written by schema 1 */
        return store_sql_json(row, 9);
    json_t *json = store_series_json(sqlite3_db_handle(row), sqlite3_column_int64(row, 10),
                                     sqlite3_column_blob(row, 11), (size_t)sqlite3_column_bytes(row, 11));
    return json ? json : json_null();
}

static json_t *iteration_row(sqlite3_stmt *row)
{
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:b,s:o,s:o,s:o}", "iteration", store_sql_integer(row, 0), "time",
                     store_sql_time(row, 1), "version", store_sql_integer(row, 2), "ordinals",
                     store_sql_ordinals(row, 3), "events", store_sql_integer(row, 5), "drift",
                     sqlite3_column_int(row, 6), "decision", store_sql_text(row, 7), "policy", store_sql_json(row, 8),
                     "statistics", statistics(row));
}

json_t *store_iteration_last(struct store *store, int64_t twin)
{
    return store_sql_one(store, iteration_row,
                         "SELECT " COLUMNS " FROM iterations WHERE twin = ?1 ORDER BY iteration DESC LIMIT 1", "i",
                         twin);
}

/* A page that would hold a million statistics is cut short: its cursor goes on. */
static json_t *series_row(sqlite3_stmt *row)
{
    return store_sql_integer(row, 0);
}

static int page_limit(struct store *store, int64_t twin, int limit)
{
    json_t *known = store_sql_one(
        store, series_row, "SELECT series + 1 FROM series WHERE twin = ?1 ORDER BY series DESC LIMIT 1", "i", twin);
    int64_t each = json_integer_value(known);
    int most = each > 0 && each < STORE_PAGE_STATISTICS ? (int)(STORE_PAGE_STATISTICS / each) : 1;
    json_decref(known);
    return each > 0 && most < limit ? most : limit;
}

json_t *store_iterations_from(struct store *store, int64_t twin, int64_t from, int limit)
{
    return store_sql_all(store, iteration_row,
                         "SELECT " COLUMNS " FROM iterations WHERE twin = ?1 AND iteration >= ?2"
                         " ORDER BY iteration LIMIT ?3",
                         "iii", twin, from, (int64_t)page_limit(store, twin, limit));
}

json_t *store_list_iterations(struct store *store, int64_t twin, int limit, const char *cursor)
{
    struct store_page page = {
        .sql = "SELECT " COLUMNS " FROM iterations WHERE twin = ?3 AND iteration < ?1 ORDER BY iteration DESC LIMIT ?2",
        .make = iteration_row,
        .start = INT64_MAX,
        .limit = page_limit(store, twin, limit),
        .cursor = cursor,
    };
    return store_sql_page(store, &page, "i", twin);
}
