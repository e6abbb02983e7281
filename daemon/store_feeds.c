#include "daemon/store_feeds.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/store_sql.h"

struct change {
    int64_t twin;
    uint64_t counted;
    const struct feeds_record *records;
    size_t count;
};

static int put(sqlite3 *db, void *context, struct tw_error *error)
{
    const struct change *change = context;
    int status = store_sql_run(db, error, "UPDATE twins SET counted = ?2 WHERE id = ?1", "ii", change->twin,
                               (int64_t)change->counted);
    if (!status && !sqlite3_changes(db))
        return tw_error_set(error, TW_NOT_FOUND, "there is no twin with id %lld", (long long)change->twin);
    for (size_t i = 0; !status && i < change->count; i++) {
        const struct feeds_record *record = &change->records[i];
        status = store_sql_run(db, error,
                               "INSERT OR REPLACE INTO feeds (twin, feed, run, batches, events, invalid_rows, received,"
                               " intervals) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                               "itiiiiib", change->twin, record->feed, record->run, (int64_t)record->batches,
                               (int64_t)record->events, (int64_t)record->invalid_rows, record->received_ms,
                               record->intervals, record->count * 2 * sizeof *record->intervals);
    }
    return status;
}

int store_feeds_put(struct store *store, int64_t twin, uint64_t counted, const struct feeds_record *records,
                    size_t count, struct tw_error *error)
{
    struct change change = {twin, counted, records, count};
    return store_call(store, put, &change, error);
}

static int read_counted(sqlite3 *db, int64_t twin, uint64_t *counted, struct tw_error *error)
{
    int64_t value = 0;
    int status = store_sql_number(db, &value, error, "SELECT counted FROM twins WHERE id = ?1", "i", twin);
    *counted = (uint64_t)value;
    return status;
}

/* The intervals are copied: a column need not be aligned. */
static int visit_row(sqlite3_stmt *row, int (*visit)(void *, const struct feeds_record *), void *context,
                     struct tw_error *error)
{
    const char *feed = (const char *)sqlite3_column_text(row, 0);
    size_t size = (size_t)sqlite3_column_bytes(row, 6), one = 2 * sizeof(uint64_t);
    struct feeds_record record = {
        .run = sqlite3_column_int64(row, 1),
        .batches = (uint64_t)sqlite3_column_int64(row, 2),
        .events = (uint64_t)sqlite3_column_int64(row, 3),
        .invalid_rows = (uint64_t)sqlite3_column_int64(row, 4),
        .received_ms = sqlite3_column_int64(row, 5),
        .intervals = malloc(size + 1),
        .count = size / one,
    };
    if (!record.intervals)
        return tw_error_set(error, TW_NO_MEMORY, "no memory for the feeds");
    if (size)
        memcpy(record.intervals, sqlite3_column_blob(row, 6), size);
    int status = TW_CORRUPT;
    if (feed && strlen(feed) < sizeof record.feed && size % one == 0) {
        strcpy(record.feed, feed);
        status = visit(context, &record);
    }
    if (status)
        tw_error_set(error, status, "what the database knows of feed %.64s, run %lld does not make sense",
                     feed ? feed : "", (long long)record.run);
    free(record.intervals);
    return status;
}

int store_feeds_each(struct store *store, int64_t twin, uint64_t *counted,
                     int (*visit)(void *context, const struct feeds_record *record), void *context,
                     struct tw_error *error)
{
    sqlite3_stmt *row = NULL;
    *counted = 0;
    sqlite3 *db = store_read_begin(store);
    if (!db)
        return tw_error_set(error, TW_NO_MEMORY, "no read connection");
    int status = read_counted(db, twin, counted, error);
    if (!status)
        status = store_sql_prepare(db, &row, error,
                                   "SELECT feed, run, batches, events, invalid_rows, received, intervals FROM feeds"
                                   " WHERE twin = ?1 ORDER BY feed, run",
                                   "i", twin);
    bool end = false;
    while (!status && !end) {
        status = store_sql_step(row, error);
        end = status == TW_NOT_FOUND;
        if (!status)
            status = visit_row(row, visit, context, error);
    }
    sqlite3_finalize(row);
    store_read_end(store, db);
    return end ? 0 : status;
}
