/* What the files of the store share: prepared statements with their values bound in one call, SQLite's result codes as
 * statuses, rows as JSON, lists with cursors.
 */
#ifndef DAEMON_STORE_SQL_H
#define DAEMON_STORE_SQL_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>
#include <sqlite3.h>

#include "base/status.h"

struct store;

/* The status that an SQLite result code stands for, with SQLite's words in the error. */
int store_sql_status(sqlite3 *db, int code, struct tw_error *error);

/* Prepares and binds ?1, ?2, ... One letter of `types` a value: i int64_t, d double, t const char * (NULL: null),
 * b const void *, size_t (not copied: must outlive the statement). Release with sqlite3_finalize. */
int store_sql_prepare(sqlite3 *db, sqlite3_stmt **out, struct tw_error *error, const char *sql, const char *types, ...);
/* The next row: 0, TW_NOT_FOUND when there is none. */
int store_sql_step(sqlite3_stmt *statement, struct tw_error *error);
/* Prepare, run to the end, finalize. */
int store_sql_run(sqlite3 *db, struct tw_error *error, const char *sql, const char *types, ...);
/* Runs a prepared statement to its end, with new values for all of ?1, ?2, ... */
int store_sql_again(sqlite3_stmt *statement, struct tw_error *error, const char *types, ...);
/* The first column of the first row: a whole number. TW_NOT_FOUND if it is null or there is no row. */
int store_sql_number(sqlite3 *db, int64_t *value, struct tw_error *error, const char *sql, const char *types, ...);
/* Several statements without values. */
int store_sql_exec(sqlite3 *db, const char *sql, struct tw_error *error);
/* Writes a page with what it holds already, inside a transaction: does it find space? */
int store_sql_touch(sqlite3 *db, struct tw_error *error);

/* A column as JSON, null where it is null: text, whole number, milliseconds as RFC 3339, stored JSON. */
json_t *store_sql_text(sqlite3_stmt *row, int column);
json_t *store_sql_integer(sqlite3_stmt *row, int column);
json_t *store_sql_time(sqlite3_stmt *row, int column);
json_t *store_sql_json(sqlite3_stmt *row, int column);
/* {"first", "last"} from two columns. */
json_t *store_sql_ordinals(sqlite3_stmt *row, int column);

/* The first row of a query as JSON; NULL if there is none. */
typedef json_t *(*store_sql_row)(sqlite3_stmt *row);
json_t *store_sql_one(struct store *store, store_sql_row make, const char *sql, const char *types, ...);
/* All rows as an array. */
json_t *store_sql_all(struct store *store, store_sql_row make, const char *sql, const char *types, ...);

/* A page of a list. Column 0 is the key by which the query orders; it compares it with ?1 (the cursor, `start` on the
 * first page) and stops at ?2 rows; the values given here are ?3, ?4, ... */
struct store_page {
    const char *sql;
    store_sql_row make;
    int64_t start;
    int limit;
    const char *cursor;
};
json_t *store_sql_page(struct store *store, const struct store_page *page, const char *types, ...);

#endif
