/* Blobs, addressed by the SHA-256 of their bytes: an artifact is written before the small transaction that makes its
 * version visible. */
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"
#include "daemon/clock.h"
#include "daemon/store.h"
#include "daemon/store_sql.h"

/* A blob that was put so recently may wait for its version. While this process has put one within that time, by the
 * clock that is never set, ages count from the newest and not from a wall clock that may have stepped forward; when it
 * has not, nothing waits, whatever `put` says. */
#define GRACE_S 60
static double last_put_s;  /* monotonic; of the process's one store. Guarded by being the store thread's */
enum { COLLECT_MAX = 16 }; /* in one transaction */

struct blob {
    const void *bytes;
    size_t size;
    const char *sha256;
};

static int put(sqlite3 *db, void *context, struct tw_error *error)
{
    const struct blob *blob = context;
    int64_t now = clock_ms();
    last_put_s = clock_monotonic();
    int status = store_sql_run(db, error, "UPDATE blobs SET put = ?2 WHERE sha256 = ?1", "ti", blob->sha256, now);
    if (!status && !sqlite3_changes(db))
        status = store_sql_run(db, error, "INSERT INTO blobs (sha256, put, bytes) VALUES (?1, ?2, ?3)", "tib",
                               blob->sha256, now, blob->bytes, blob->size);
    return status ? status
                  : store_sql_run(db, error, "INSERT OR REPLACE INTO loose_blobs VALUES (?1, 1)", "t", blob->sha256);
}

int store_blob_put(struct store *store, const void *bytes, size_t size, char sha256[65], struct tw_error *error)
{
    tw_sha256_hex(bytes, size, sha256);
    struct blob blob = {bytes, size, sha256};
    return store_call(store, put, &blob, error);
}

/* The bytes go from the file straight into *bytes, without a copy on SQLite's side. */
static int read_blob(sqlite3 *db, const char *sha256, unsigned char **bytes, size_t *size, struct tw_error *error)
{
    sqlite3_stmt *statement = NULL;
    sqlite3_blob *blob = NULL;
    int status = store_sql_prepare(db, &statement, error, "SELECT id FROM blobs WHERE sha256 = ?1", "t", sha256);
    if (!status)
        status = store_sql_step(statement, error);
    if (status == TW_NOT_FOUND)
        tw_error_set(error, TW_NOT_FOUND, "there is no blob %s", sha256);
    if (!status)
        status = store_sql_status(
            db, sqlite3_blob_open(db, "main", "blobs", "bytes", sqlite3_column_int64(statement, 0), 0, &blob), error);
    if (!status) {
        *size = (size_t)sqlite3_blob_bytes(blob);
        *bytes = malloc(*size ? *size : 1);
        if (!*bytes)
            status = tw_error_set(error, TW_NO_MEMORY, "no memory for a blob of %zu bytes", *size);
    }
    if (!status)
        status = store_sql_status(db, sqlite3_blob_read(blob, *bytes, (int)*size, 0), error);
    sqlite3_blob_close(blob);
    sqlite3_finalize(statement);
    return status;
}

int store_blob_raw(struct store *store, const char *sha256, unsigned char **bytes, size_t *size)
{
    *bytes = NULL;
    sqlite3 *db = store_read_begin(store);
    int status = db ? read_blob(db, sha256, bytes, size, NULL) : TW_NO_MEMORY;
    store_read_end(store, db);
    if (status) {
        free(*bytes);
        *bytes = NULL;
    }
    return status;
}

int store_blob_get(struct store *store, const char *sha256, unsigned char **bytes, size_t *size, struct tw_error *error)
{
    char found[TW_SHA256_HEX];
    *bytes = NULL;
    sqlite3 *db = store_read_begin(store);
    if (!db)
        return tw_error_set(error, TW_NO_MEMORY, "no read connection");
    int status = read_blob(db, sha256, bytes, size, error);
    store_read_end(store, db);
    if (!status) {
        tw_sha256_hex(*bytes, *size, found);
        if (strcmp(found, sha256))
            status = tw_error_set(error, TW_CORRUPT, "blob %s holds other bytes", sha256);
    }
    if (status) {
        free(*bytes);
        *bytes = NULL;
    }
    return status;
}

/* What is loose for long enough, some at a time: it is deleted if no version names it, and no longer loose either way.
 */
static int collect(sqlite3 *db, struct tw_error *error)
{
    sqlite3_stmt *row = NULL;
    bool quiet = last_put_s == 0 || clock_monotonic() - last_put_s > GRACE_S;
    int64_t now = clock_ms(), grace = 1000 * GRACE_S;
    int status = store_sql_prepare(db, &row, error,
                                   "SELECT l.sha256, EXISTS (SELECT 1 FROM versions WHERE artifact = l.sha256)"
                                   "  OR EXISTS (SELECT 1 FROM versions WHERE reference = l.sha256)"
                                   " FROM loose_blobs AS l LEFT JOIN blobs AS b ON b.sha256 = l.sha256"
                                   " WHERE l.waits = 0 OR b.put IS NULL OR (?1 AND b.put > ?2 + ?3)"
                                   "  OR b.put < iif(?1, ?2, min(?2, (SELECT max(n.put) FROM loose_blobs AS m"
                                   "   JOIN blobs AS n ON n.sha256 = m.sha256 WHERE m.waits))) - ?3 LIMIT ?4",
                                   "iiii", (int64_t)quiet, now, grace, (int64_t)COLLECT_MAX);
    while (!status && !(status = store_sql_step(row, error))) {
        const char *sha256 = (const char *)sqlite3_column_text(row, 0);
        if (!sqlite3_column_int(row, 1))
            status = store_sql_run(db, error, "DELETE FROM blobs WHERE sha256 = ?1", "t", sha256);
        if (!status)
            status = store_sql_run(db, error, "DELETE FROM loose_blobs WHERE sha256 = ?1", "t", sha256);
    }
    sqlite3_finalize(row);
    return status == TW_NOT_FOUND ? 0 : status;
}

int store_blob_collect(sqlite3 *db, void *unused, struct tw_error *error)
{
    int status = collect(db, error);
    return status ? status : store_sql_exec(db, "PRAGMA incremental_vacuum(1024)", error);
}
