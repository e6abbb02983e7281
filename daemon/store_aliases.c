/* Aliases: every move is kept; an alias points where its last move says. */
#include <string.h>

#include "daemon/clock.h"
#include "daemon/store.h"
#include "daemon/store_sql.h"

/* The last move of the alias; zeros if there is none. */
static int last_move(sqlite3 *db, const struct store_move *move, int64_t *id, int64_t *time, struct tw_error *error)
{
    sqlite3_stmt *statement = NULL;
    int status = store_sql_prepare(db, &statement, error,
                                   "SELECT move, time FROM moves WHERE twin = ?1 AND alias = ?2"
                                   " ORDER BY move DESC LIMIT 1",
                                   "it", move->twin, move->alias);
    if (!status)
        status = store_sql_step(statement, error);
    if (!status) {
        *id = sqlite3_column_int64(statement, 0);
        *time = sqlite3_column_int64(statement, 1);
    }
    sqlite3_finalize(statement);
    return status == TW_NOT_FOUND ? 0 : status;
}

/* May this version be pointed at by whoever moves? */
static int check_version(sqlite3 *db, const struct store_move *move, bool by_loop, bool displaces,
                         struct tw_error *error)
{
    sqlite3_stmt *statement = NULL;
    int status = store_sql_prepare(db, &statement, error,
                                   "SELECT versions.status = 'rejected', hold FROM versions"
                                   " JOIN twins ON id = twin WHERE twin = ?1 AND version = ?2",
                                   "ii", move->twin, (int64_t)move->version);
    if (!status)
        status = store_sql_step(statement, error);
    if (status == TW_NOT_FOUND)
        tw_error_set(error, status, "there is no version %d", move->version);
    else if (!status && by_loop && sqlite3_column_int(statement, 0))
        status = tw_error_set(error, TW_INVALID, "version %d was rejected", move->version);
    else if (!status && by_loop && displaces && sqlite3_column_int(statement, 1))
        status = tw_error_set(error, TW_CONFLICT, "the champion is held by an operator");
    sqlite3_finalize(statement);
    return status;
}

static int crown(sqlite3 *db, const struct store_move *move, struct tw_error *error)
{
    int status = store_sql_run(
        db, error, "UPDATE versions SET status = 'retired' WHERE twin = ?1 AND status = 'champion'", "i", move->twin);
    return status ? status
                  : store_sql_run(db, error, "UPDATE versions SET status = 'champion' WHERE twin = ?1 AND version = ?2",
                                  "ii", move->twin, (int64_t)move->version);
}

int store_alias_move(sqlite3 *db, struct store_move *move, struct tw_error *error)
{
    bool champion = !strcmp(move->alias, "champion");
    if (!champion && strcmp(move->alias, "challenger") && strcmp(move->alias, "reference"))
        return tw_error_set(error, TW_INVALID, "there is no alias %.64s: champion, challenger, reference", move->alias);
    int64_t last = 0, last_time = 0, now = clock_ms();
    int status = last_move(db, move, &last, &last_time, error);
    if (!status && move->expected_move >= 0 && move->expected_move != last)
        status = tw_error_set(error, TW_CONFLICT, "the alias %s was moved meanwhile: its last move is %lld, not %lld",
                              move->alias, (long long)last, (long long)move->expected_move);
    if (!status) /* the first champion displaces nobody */
        status = check_version(db, move, champion && move->hold < 0, last != 0, error);
    if (!status)
        status = store_sql_run(db, error,
                               "INSERT INTO moves (twin, alias, version, time, actor, reason)"
                               " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                               "itiitt", move->twin, move->alias, (int64_t)move->version,
                               now > last_time ? now : last_time, move->actor, move->reason);
    if (status)
        return status;
    move->move = sqlite3_last_insert_rowid(db);
    if (champion)
        status = crown(db, move, error);
    if (!status && move->hold >= 0)
        status = store_sql_run(db, error, "UPDATE twins SET hold = ?2 WHERE id = ?1", "ii", move->twin,
                               (int64_t)(move->hold > 0));
    return status;
}

static int put(sqlite3 *db, void *context, struct tw_error *error)
{
    return store_alias_move(db, context, error);
}

int store_alias_put(struct store *store, struct store_move *move, struct tw_error *error)
{
    return store_call(store, put, move, error);
}

struct hold {
    int64_t twin;
    bool hold;
};

static int set_hold(sqlite3 *db, void *context, struct tw_error *error)
{
    const struct hold *hold = context;
    int status =
        store_sql_run(db, error, "UPDATE twins SET hold = ?2 WHERE id = ?1", "ii", hold->twin, (int64_t)hold->hold);
    if (!status && !sqlite3_changes(db))
        return tw_error_set(error, TW_NOT_FOUND, "there is no twin with id %lld", (long long)hold->twin);
    return status;
}

int store_hold_set(struct store *store, int64_t twin, bool hold, struct tw_error *error)
{
    struct hold change = {twin, hold};
    return store_call(store, set_hold, &change, error);
}

static json_t *alias_row(sqlite3_stmt *row)
{
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:b}", "alias", store_sql_text(row, 0), "version", store_sql_integer(row, 1),
                     "move", store_sql_integer(row, 2), "since", store_sql_time(row, 3), "since_ms",
                     store_sql_integer(row, 3), "hold", sqlite3_column_int(row, 4));
}

json_t *store_alias_json(struct store *store, int64_t twin, const char *alias)
{
    return store_sql_one(store, alias_row,
                         "SELECT alias, version, move, time, hold FROM moves JOIN twins ON id = twin"
                         " WHERE twin = ?1 AND alias = ?2 ORDER BY move DESC LIMIT 1",
                         "it", twin, alias);
}

/* A move holds until the next one of its alias. */
#define COLUMNS                                                                                                        \
    "m.move, m.alias, m.version, m.time, m.actor, m.reason,"                                                           \
    " (SELECT n.time FROM moves n WHERE n.twin = m.twin AND n.alias = m.alias AND n.move > m.move"                     \
    "  ORDER BY n.move LIMIT 1)"

static json_t *move_row(sqlite3_stmt *row)
{
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "move", store_sql_integer(row, 0), "alias",
                     store_sql_text(row, 1), "version", store_sql_integer(row, 2), "from", store_sql_time(row, 3), "to",
                     store_sql_time(row, 6), "actor", store_sql_text(row, 4), "reason", store_sql_text(row, 5));
}

json_t *store_list_moves(struct store *store, int64_t twin, const char *alias_or_null, int64_t at_ms_or_0, int limit,
                         const char *cursor)
{
    struct store_page page = {.make = move_row, .start = INT64_MAX, .limit = limit, .cursor = cursor};
    if (at_ms_or_0) {
        page.sql = "WITH a(alias) AS (VALUES ('champion'), ('challenger'), ('reference'))"
                   " SELECT " COLUMNS " FROM a JOIN moves m ON m.move ="
                   "  (SELECT move FROM moves WHERE twin = ?3 AND alias = a.alias AND time <= ?4"
                   "   ORDER BY time DESC, move DESC LIMIT 1)"
                   " WHERE (?5 IS NULL OR a.alias = ?5) AND m.move < ?1 ORDER BY m.move DESC LIMIT ?2";
        return store_sql_page(store, &page, "iit", twin, at_ms_or_0, alias_or_null);
    }
    if (alias_or_null) {
        page.sql = "SELECT " COLUMNS " FROM moves m"
                   " WHERE m.twin = ?3 AND m.alias = ?4 AND m.move < ?1 ORDER BY m.move DESC LIMIT ?2";
        return store_sql_page(store, &page, "it", twin, alias_or_null);
    }
    page.sql = "SELECT " COLUMNS " FROM moves m WHERE m.twin = ?3 AND m.move < ?1 ORDER BY m.move DESC LIMIT ?2";
    return store_sql_page(store, &page, "i", twin);
}
