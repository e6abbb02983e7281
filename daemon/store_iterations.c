/* Iterations, and how far the loop has come. */
#include <string.h>

#include "daemon/clock.h"
#include "daemon/store.h"
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

/* An interrupted iteration that is repeated may have taken other batches. */
static int unmark_batches(sqlite3 *db, const struct store_iteration *iteration, struct tw_error *error)
{
    sqlite3_stmt *statement = NULL;
    int status = store_sql_prepare(
        db, &statement, error, "SELECT first_ordinal, last_ordinal FROM iterations WHERE twin = ?1 AND iteration = ?2",
        "ii", iteration->twin, iteration->iteration);
    if (!status)
        status = store_sql_step(statement, error);
    if (!status)
        status = mark_batches(db, iteration->twin, 0, sqlite3_column_int64(statement, 0),
                              sqlite3_column_int64(statement, 1), error);
    sqlite3_finalize(statement);
    return status == TW_NOT_FOUND ? 0 : status;
}

int store_iteration_put(sqlite3 *db, const struct store_iteration *iteration, struct tw_error *error)
{
    int64_t first = (int64_t)iteration->first_ordinal, last = (int64_t)iteration->last_ordinal;
    int status = unmark_batches(db, iteration, error);
    if (!status)
        status =
            store_sql_run(db, error,
                          "INSERT OR REPLACE INTO iterations (twin, iteration, time, version, first_ordinal,"
                          " last_ordinal, events, drift, decision, policy, statistics)"
                          " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
                          "iiiiiiiittt", iteration->twin, iteration->iteration, clock_ms(), (int64_t)iteration->version,
                          first, last, (int64_t)iteration->events, (int64_t)iteration->drift, iteration->decision,
                          iteration->policy, iteration->statistics);
    if (!status)
        status = mark_batches(db, iteration->twin, iteration->iteration, first, last, error);
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
    json_t *row = store_sql_one(store, progress_row, "SELECT processed, state FROM twins WHERE id = ?1", "i", twin);
    if (!row)
        return store_failed(store, NULL) ? TW_IO : TW_NOT_FOUND;
    *processed = (uint64_t)json_integer_value(json_array_get(row, 0));
    json_t *value = json_array_get(row, 1);
    if (state)
        *state = json_is_null(value) ? NULL : json_incref(value);
    json_decref(row);
    return 0;
}

#define COLUMNS "iteration, time, version, first_ordinal, last_ordinal, events, drift, decision, policy, statistics"

static json_t *iteration_row(sqlite3_stmt *row)
{
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:b,s:o,s:o,s:o}", "iteration", store_sql_integer(row, 0), "time",
                     store_sql_time(row, 1), "version", store_sql_integer(row, 2), "ordinals",
                     store_sql_ordinals(row, 3), "events", store_sql_integer(row, 5), "drift",
                     sqlite3_column_int(row, 6), "decision", store_sql_text(row, 7), "policy", store_sql_json(row, 8),
                     "statistics", store_sql_json(row, 9));
}

json_t *store_iteration_last(struct store *store, int64_t twin)
{
    return store_sql_one(store, iteration_row,
                         "SELECT " COLUMNS " FROM iterations WHERE twin = ?1 ORDER BY iteration DESC LIMIT 1", "i",
                         twin);
}

/* Newest first: the series ends where another version was judged or the verdict was another, at a training, and at a
 * promotion, which is where the verdict on the new version begins. */
static int walk_verdict(sqlite3_stmt *statement, int *version, bool *drifted, int64_t *since, struct tw_error *error)
{
    int status;
    while (!(status = store_sql_step(statement, error))) {
        const char *decision = (const char *)sqlite3_column_text(statement, 1);
        int judged = sqlite3_column_int(statement, 3);
        bool promoted = !strcmp(decision, "promoted");
        bool says = sqlite3_column_int(statement, 0) && !promoted;
        if (!strcmp(decision, "trained") || (*version && (says != *drifted || judged != *version)))
            return 0;
        *version = judged;
        *drifted = says;
        *since = sqlite3_column_int64(statement, 2);
        if (promoted)
            return 0;
    }
    return status == TW_NOT_FOUND ? 0 : status;
}

int store_iteration_verdict(struct store *store, int64_t twin, int *version, bool *drifted, int64_t *since)
{
    struct tw_error error = {""};
    sqlite3_stmt *statement = NULL;
    *version = 0;
    *drifted = false;
    *since = 0;
    sqlite3 *db = store_read_begin(store);
    if (!db)
        return TW_NO_MEMORY;
    int status =
        store_sql_prepare(db, &statement, &error,
                          "SELECT drift, decision, time, coalesce("
                          " CASE decision WHEN 'promoted' THEN"
                          "  (SELECT max(v.version) FROM versions AS v WHERE v.twin = i.twin AND v.parent = i.version"
                          "   AND v.last_ordinal = i.last_ordinal AND v.cause = 'weights' AND v.status <> 'rejected')"
                          " END, version)"
                          " FROM iterations AS i WHERE twin = ?1 AND decision <> 'skipped' ORDER BY iteration DESC",
                          "i", twin);
    if (!status)
        status = walk_verdict(statement, version, drifted, since, &error);
    sqlite3_finalize(statement);
    store_read_end(store, db);
    return status;
}

json_t *store_list_iterations(struct store *store, int64_t twin, int limit, const char *cursor)
{
    struct store_page page = {
        .sql = "SELECT " COLUMNS " FROM iterations WHERE twin = ?3 AND iteration < ?1 ORDER BY iteration DESC LIMIT ?2",
        .make = iteration_row,
        .start = INT64_MAX,
        .limit = limit,
        .cursor = cursor,
    };
    return store_sql_page(store, &page, "i", twin);
}
