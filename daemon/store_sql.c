/* Statements, statuses, rows and pages for the files of the store. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/clock.h"
#include "daemon/errno_status.h"
#include "daemon/shortage.h"
#include "daemon/store.h"
#include "daemon/store_sql.h"
#include "daemon/store_vfs.h"

/* SQLite says SQLITE_FULL where a write finds no space, but SQLITE_IOERR where it can't grow a file (the index of the
 * log). A sync that fails is never taken for a full disk: what it was to keep may be gone. */
static bool no_space(sqlite3 *db, int code)
{
    int why = db ? sqlite3_system_errno(db) : 0;
    bool grows = code == SQLITE_IOERR_WRITE || code == SQLITE_IOERR_SHMSIZE || code == SQLITE_IOERR_SHMOPEN ||
                 code == SQLITE_IOERR_TRUNCATE;
    return grows && (why == ENOSPC || why == EDQUOT);
}

int store_sql_status(sqlite3 *db, int code, struct tw_error *error)
{
    int status = no_space(db, code) ? TW_FULL : code == SQLITE_IOERR_NOMEM ? TW_NO_MEMORY : TW_IO;
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return TW_OK;
    case SQLITE_NOMEM:
        status = TW_NO_MEMORY;
        break;
    case SQLITE_CANTOPEN:
        status = errno_status(db ? sqlite3_system_errno(db) : EIO);
        break;
    case SQLITE_FULL:
        status = TW_FULL;
        break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        status = TW_BUSY;
        break;
    case SQLITE_CONSTRAINT:
        status = TW_CONFLICT;
        break;
    case SQLITE_TOOBIG:
        status = TW_INVALID;
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        status = TW_CORRUPT;
        break;
    }
    if (code == SQLITE_IOERR_DATA) {
        char text[240];
        store_vfs_last_damage(text, sizeof text);
        return tw_error_set(error, TW_CORRUPT, "database: %s", text);
    }
    return tw_error_set(error, status, "database: %s (%d)", db ? sqlite3_errmsg(db) : sqlite3_errstr(code), code);
}

/* Binds values from position `at` on. */
static int bind(sqlite3_stmt *statement, int at, const char *types, va_list values)
{
    int code = SQLITE_OK;
    for (; *types && code == SQLITE_OK; types++, at++) {
        if (*types == 'i') {
            code = sqlite3_bind_int64(statement, at, va_arg(values, int64_t));
        } else if (*types == 'd') {
            code = sqlite3_bind_double(statement, at, va_arg(values, double));
        } else if (*types == 't') {
            code = sqlite3_bind_text(statement, at, va_arg(values, const char *), -1, SQLITE_TRANSIENT);
        } else {
            const void *bytes = va_arg(values, const void *);
            size_t size = va_arg(values, size_t);
            code = sqlite3_bind_blob64(statement, at, size ? bytes : "", size, SQLITE_STATIC);
        }
    }
    return code;
}

static int prepare(sqlite3 *db, sqlite3_stmt **out, struct tw_error *error, const char *sql, int at, const char *types,
                   va_list values)
{
    int code = sqlite3_prepare_v2(db, sql, -1, out, NULL);
    if (code == SQLITE_OK)
        code = bind(*out, at, types, values);
    int status = store_sql_status(db, code, error);
    if (status) {
        sqlite3_finalize(*out);
        *out = NULL;
    }
    return status;
}

int store_sql_prepare(sqlite3 *db, sqlite3_stmt **out, struct tw_error *error, const char *sql, const char *types, ...)
{
    va_list values;
    va_start(values, types);
    int status = prepare(db, out, error, sql, 1, types, values);
    va_end(values);
    return status;
}

static bool is_null(sqlite3_stmt *row, int column)
{
    return sqlite3_column_type(row, column) == SQLITE_NULL;
}

int store_sql_step(sqlite3_stmt *statement, struct tw_error *error)
{
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        return TW_OK;
    if (code == SQLITE_DONE)
        return TW_NOT_FOUND;
    return store_sql_status(sqlite3_db_handle(statement), code, error);
}

int store_sql_run(sqlite3 *db, struct tw_error *error, const char *sql, const char *types, ...)
{
    va_list values;
    va_start(values, types);
    sqlite3_stmt *statement = NULL;
    int status = prepare(db, &statement, error, sql, 1, types, values);
    va_end(values);
    while (!status)
        status = store_sql_step(statement, error);
    sqlite3_finalize(statement);
    return status == TW_NOT_FOUND ? TW_OK : status;
}

int store_sql_again(sqlite3_stmt *statement, struct tw_error *error, const char *types, ...)
{
    va_list values;
    va_start(values, types);
    sqlite3_reset(statement); /* says again how the run before ended, which its caller knows */
    int status = store_sql_status(sqlite3_db_handle(statement), bind(statement, 1, types, values), error);
    va_end(values);
    while (!status)
        status = store_sql_step(statement, error);
    return status == TW_NOT_FOUND ? TW_OK : status;
}

int store_sql_number(sqlite3 *db, int64_t *value, struct tw_error *error, const char *sql, const char *types, ...)
{
    va_list values;
    va_start(values, types);
    sqlite3_stmt *row = NULL;
    int status = prepare(db, &row, error, sql, 1, types, values);
    va_end(values);
    if (!status)
        status = store_sql_step(row, error);
    if (!status && is_null(row, 0))
        status = TW_NOT_FOUND;
    if (!status)
        *value = sqlite3_column_int64(row, 0);
    sqlite3_finalize(row);
    return status;
}

int store_sql_exec(sqlite3 *db, const char *sql, struct tw_error *error)
{
    return store_sql_status(db, sqlite3_exec(db, sql, NULL, NULL, NULL), error);
}

int store_sql_touch(sqlite3 *db, struct tw_error *error)
{
    int64_t version = 0;
    char set[48];
    int status = store_sql_number(db, &version, error, "PRAGMA user_version", "");
    snprintf(set, sizeof set, "PRAGMA user_version=%lld", (long long)version);
    return status ? status : store_sql_exec(db, set, error);
}

json_t *store_sql_text(sqlite3_stmt *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    if (!text && !is_null(row, column))
        shortage_note();
    return text ? json_string(text) : json_null();
}

json_t *store_sql_integer(sqlite3_stmt *row, int column)
{
    return is_null(row, column) ? json_null() : json_integer(sqlite3_column_int64(row, column));
}

json_t *store_sql_time(sqlite3_stmt *row, int column)
{
    char text[32];
    return is_null(row, column) ? json_null() : json_string(clock_rfc3339(sqlite3_column_int64(row, column), text));
}

json_t *store_sql_json(sqlite3_stmt *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    json_t *json = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
    return json ? json : json_null();
}

json_t *store_sql_ordinals(sqlite3_stmt *row, int column)
{
    return json_pack("{s:o,s:o}", "first", store_sql_integer(row, column), "last", store_sql_integer(row, column + 1));
}

/* Appends rows until the query ends or `most` are there; *key gets column 0 of the last one, *more whether one was
 * left. */
static int collect(sqlite3_stmt *statement, store_sql_row make, size_t most, json_t *rows, int64_t *key, bool *more,
                   struct tw_error *error)
{
    int status;
    while (!(status = store_sql_step(statement, error))) {
        if (json_array_size(rows) == most) {
            *more = true;
            return 0;
        }
        *key = sqlite3_column_int64(statement, 0);
        if (json_array_append_new(rows, make(statement)))
            return tw_error_set(error, TW_NO_MEMORY, "no memory for a row");
    }
    return status == TW_NOT_FOUND ? 0 : status;
}

/* Runs the query on a reader. *rows is a new array, or NULL: then the database could not be read. */
static json_t *query(struct store *store, store_sql_row make, size_t most, const int64_t *page, int64_t *key,
                     bool *more, const char *sql, const char *types, va_list values)
{
    struct tw_error error = {"no read connection"};
    int status = TW_NO_MEMORY;
    unsigned before = shortage_count();
    sqlite3_stmt *statement = NULL;
    json_t *rows = json_array();
    sqlite3 *db = store_read_begin(store);
    if (!rows || !db)
        goto out;
    status = prepare(db, &statement, &error, sql, page ? 3 : 1, types, values);
    if (!status && page)
        status = store_sql_status(db, sqlite3_bind_int64(statement, 1, page[0]), &error);
    if (!status && page)
        status = store_sql_status(db, sqlite3_bind_int64(statement, 2, page[1]), &error);
    if (!status)
        status = collect(statement, make, most, rows, key, more, &error);
out:
    sqlite3_finalize(statement);
    store_read_end(store, db);
    if (status == TW_IO || status == TW_CORRUPT)
        store_fail(store, error.text);
    else if (status)
        shortage_note(); /* or it would be taken for a row that is not there */
    if (status || shortage_count() != before) {
        json_decref(rows);
        return NULL;
    }
    return rows;
}

json_t *store_sql_one(struct store *store, store_sql_row make, const char *sql, const char *types, ...)
{
    int64_t key;
    bool more = false;
    va_list values;
    va_start(values, types);
    json_t *rows = query(store, make, 1, NULL, &key, &more, sql, types, values);
    va_end(values);
    json_t *row = json_incref(json_array_get(rows, 0));
    json_decref(rows);
    return row;
}

json_t *store_sql_all(struct store *store, store_sql_row make, const char *sql, const char *types, ...)
{
    int64_t key;
    bool more = false;
    va_list values;
    va_start(values, types);
    json_t *rows = query(store, make, SIZE_MAX, NULL, &key, &more, sql, types, values);
    va_end(values);
    return rows;
}

/* A cursor is the key of the last row given out, in decimal, written exactly so. */
static bool cursor_parse(const char *cursor, int64_t *key)
{
    char *end, again[24];
    errno = 0;
    long long value = strtoll(cursor, &end, 10);
    snprintf(again, sizeof again, "%lld", value);
    for (const char *a = again;; a++, cursor++) {
        if (*a != *cursor)
            return false;
        if (!*a)
            break;
    }
    *key = value;
    return errno == 0 && value >= 0;
}

json_t *store_sql_page(struct store *store, const struct store_page *page, const char *types, ...)
{
    int64_t limit = page->limit < 1 ? 1 : page->limit > 1000 ? 1000 : page->limit;
    int64_t first[2] = {page->start, limit + 1}, key = 0;
    if (page->cursor && !cursor_parse(page->cursor, &first[0]))
        return NULL;
    bool more = false;
    va_list values;
    va_start(values, types);
    json_t *rows = query(store, page->make, (size_t)limit, first, &key, &more, page->sql, types, values);
    va_end(values);
    if (!rows)
        return NULL;
    char next[24];
    snprintf(next, sizeof next, "%lld", (long long)key);
    return json_pack("{s:o,s:o}", "items", rows, "next_cursor", more ? json_string(next) : json_null());
}
