/* Batches: what the spool holds, as rows. They may come late (posted) or twice (scan of the spool's tail), never
 * wrong: a row that is there stays. */
#include <stdlib.h>
#include <string.h>

#include "daemon/store.h"
#include "daemon/store_sql.h"

struct group {
    size_t count;
    struct store_batch batches[];
};

/* A batch of a twin that was deleted meanwhile is dropped. One that comes after its iteration finds it here. */
static const char insert_sql[] =
    "INSERT OR IGNORE INTO batches (twin, ordinal, feed, run, seq, events, invalid_rows, received, digest, iteration)"
    " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,"
    "  CASE WHEN ?3 <> 'train' THEN"
    "   (SELECT iteration FROM (SELECT iteration, last_ordinal FROM iterations WHERE twin = ?1 AND first_ordinal <= ?2"
    "                           ORDER BY first_ordinal DESC LIMIT 1) WHERE last_ordinal >= ?2) END"
    " WHERE EXISTS (SELECT 1 FROM twins WHERE id = ?1)";

/* Prepared once: reading the statement costs more than running it, and batches of single events come in great numbers.
 */
static int insert(sqlite3 *db, void *context, struct tw_error *error)
{
    struct group *group = context;
    sqlite3_stmt *statement = NULL;
    int status = store_sql_prepare(db, &statement, error, insert_sql, "");
    for (size_t i = 0; i < group->count && !status; i++) {
        const struct store_batch *batch = &group->batches[i];
        status = store_sql_again(statement, error, "iitiiiiib", batch->twin, (int64_t)batch->ordinal, batch->feed,
                                 batch->run, batch->seq, (int64_t)batch->events, (int64_t)batch->invalid_rows,
                                 batch->received_ms, batch->digest, sizeof batch->digest);
    }
    sqlite3_finalize(statement);
    return status;
}

int store_batch_add(struct store *store, const struct store_batch *batches, size_t count)
{
    struct group *group = malloc(sizeof *group + count * sizeof *batches);
    if (!group)
        return TW_NO_MEMORY;
    group->count = count;
    memcpy(group->batches, batches, count * sizeof *batches);
    int status = store_post(store, insert, group, free);
    if (status)
        free(group);
    return status;
}

#define COLUMNS "ordinal, feed, run, seq, events, invalid_rows, received, digest"

static void read_row(sqlite3_stmt *row, int64_t twin, struct store_batch *out)
{
    const char *feed = (const char *)sqlite3_column_text(row, 1);
    const void *digest = sqlite3_column_blob(row, 7);
    *out = (struct store_batch){
        .twin = twin,
        .ordinal = (uint64_t)sqlite3_column_int64(row, 0),
        .run = sqlite3_column_int64(row, 2),
        .seq = sqlite3_column_int64(row, 3),
        .events = (uint64_t)sqlite3_column_int64(row, 4),
        .invalid_rows = (uint64_t)sqlite3_column_int64(row, 5),
        .received_ms = sqlite3_column_int64(row, 6),
    };
    if (feed)
        memccpy(out->feed, feed, 0, sizeof out->feed - 1);
    if (digest && sqlite3_column_bytes(row, 7) == (int)sizeof out->digest)
        memcpy(out->digest, digest, sizeof out->digest);
}

/* Steps through the rows of a query; stops when visit returns non-zero and returns that. */
static int each(struct store *store, int64_t twin, int (*visit)(void *, const struct store_batch *), void *context,
                sqlite3 *db, int status, sqlite3_stmt *statement, struct tw_error *error)
{
    bool stopped = false;
    while (!status && !(status = store_sql_step(statement, error))) {
        struct store_batch batch;
        read_row(statement, twin, &batch);
        status = visit(context, &batch);
        stopped = status != 0;
    }
    sqlite3_finalize(statement);
    store_read_end(store, db);
    if (!stopped && (status == TW_IO || status == TW_CORRUPT))
        store_fail(store, error->text);
    return stopped ? status : status == TW_NOT_FOUND ? 0 : status;
}

int store_batch_each(struct store *store, int64_t twin, uint64_t from,
                     int (*visit)(void *context, const struct store_batch *batch), void *context)
{
    struct tw_error error = {""};
    sqlite3_stmt *statement = NULL;
    store_barrier(store);
    sqlite3 *db = store_read_begin(store);
    if (!db)
        return TW_NO_MEMORY;
    int status = store_sql_prepare(db, &statement, &error,
                                   "SELECT " COLUMNS " FROM batches WHERE twin = ?1 AND ordinal >= ?2 ORDER BY ordinal",
                                   "ii", twin, (int64_t)from);
    return each(store, twin, visit, context, db, status, statement, &error);
}

static int keep(void *context, const struct store_batch *batch)
{
    *(struct store_batch *)context = *batch;
    return TW_EXISTS;
}

int store_batch_find(struct store *store, int64_t twin, const char *feed, int64_t run, int64_t seq,
                     struct store_batch *out)
{
    struct tw_error error = {""};
    sqlite3_stmt *statement = NULL;
    int queued = store_barrier(store);
    sqlite3 *db = store_read_begin(store);
    if (!db)
        return TW_NO_MEMORY;
    int status =
        store_sql_prepare(db, &statement, &error,
                          "SELECT " COLUMNS " FROM batches WHERE twin = ?1 AND feed = ?2 AND run = ?3 AND seq = ?4",
                          "itii", twin, feed, run, seq);
    status = each(store, twin, keep, out, db, status, statement, &error);
    if (status == TW_OK) /* it may be one of the rows that wait for space */
        return queued ? queued : TW_NOT_FOUND;
    return status == TW_EXISTS ? TW_OK : status;
}

int store_batch_newest(struct store *store, int64_t twin, uint64_t end, uint64_t rows, uint64_t *first, uint64_t *last)
{
    struct tw_error error = {""};
    sqlite3_stmt *statement = NULL;
    uint64_t found = 0;
    bool any = false;
    store_barrier(store);
    sqlite3 *db = store_read_begin(store);
    if (!db)
        return TW_NO_MEMORY;
    int status = store_sql_prepare(db, &statement, &error,
                                   "SELECT ordinal, events FROM batches WHERE twin = ?1 AND ordinal < ?2"
                                   " AND feed <> 'train' ORDER BY ordinal DESC",
                                   "ii", twin, end < INT64_MAX ? (int64_t)end : INT64_MAX);
    while (!status && found < rows && !(status = store_sql_step(statement, &error))) {
        *first = (uint64_t)sqlite3_column_int64(statement, 0);
        if (!any)
            *last = *first;
        any = true;
        found += (uint64_t)sqlite3_column_int64(statement, 1);
    }
    sqlite3_finalize(statement);
    store_read_end(store, db);
    return any && status == TW_NOT_FOUND ? 0 : status;
}

static json_t *next_row(sqlite3_stmt *row)
{
    return store_sql_integer(row, 0);
}

uint64_t store_batch_next(struct store *store, int64_t twin)
{
    store_barrier(store);
    json_t *next =
        store_sql_one(store, next_row, "SELECT coalesce(max(ordinal) + 1, 0) FROM batches WHERE twin = ?1", "i", twin);
    uint64_t value = (uint64_t)json_integer_value(next);
    json_decref(next);
    return value;
}

static json_t *list_row(sqlite3_stmt *row)
{
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "ordinal", store_sql_integer(row, 0), "feed",
                     store_sql_text(row, 1), "run", store_sql_integer(row, 2), "seq", store_sql_integer(row, 3),
                     "events", store_sql_integer(row, 4), "invalid_rows", store_sql_integer(row, 5), "received",
                     store_sql_time(row, 6), "iteration", store_sql_integer(row, 7));
}

json_t *store_batch_json(struct store *store, int64_t twin, uint64_t ordinal)
{
    return store_sql_one(store, list_row,
                         "SELECT ordinal, feed, run, seq, events, invalid_rows, received, iteration FROM batches"
                         " WHERE twin = ?1 AND ordinal = ?2",
                         "ii", twin, (int64_t)ordinal);
}

json_t *store_list_batches(struct store *store, int64_t twin, int limit, const char *cursor)
{
    store_barrier(store);
    struct store_page page = {
        .sql = "SELECT ordinal, feed, run, seq, events, invalid_rows, received, iteration FROM batches"
               " WHERE twin = ?3 AND ordinal > ?1 AND feed <> 'train' ORDER BY ordinal LIMIT ?2",
        .make = list_row,
        .start = -1,
        .limit = limit,
        .cursor = cursor,
    };
    return store_sql_page(store, &page, "i", twin);
}
