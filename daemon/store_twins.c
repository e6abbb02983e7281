/* Twins: name and definition. */
#include "daemon/clock.h"
#include "daemon/store.h"
#include "daemon/store_sql.h"

struct insertion {
    const char *name, *definition;
    int64_t *id;
};

static int insert(sqlite3 *db, void *context, struct tw_error *error)
{
    struct insertion *twin = context;
    int status = store_sql_run(db, error, "INSERT INTO twins (name, definition, created) VALUES (?1, ?2, ?3)", "tti",
                               twin->name, twin->definition, clock_ms());
    if (status == TW_CONFLICT)
        return tw_error_set(error, TW_EXISTS, "there is a twin %s already", twin->name);
    *twin->id = sqlite3_last_insert_rowid(db);
    return status;
}

int store_twin_insert(struct store *store, const char *name, const char *definition, int64_t *id,
                      struct tw_error *error)
{
    struct insertion twin = {name, definition, id};
    return store_call(store, insert, &twin, error);
}

struct change {
    int64_t id;
    const char *definition;
};

static int not_found_unless_changed(sqlite3 *db, int status, int64_t id, struct tw_error *error)
{
    if (!status && !sqlite3_changes(db))
        return tw_error_set(error, TW_NOT_FOUND, "there is no twin with id %lld", (long long)id);
    return status;
}

static int update(sqlite3 *db, void *context, struct tw_error *error)
{
    struct change *twin = context;
    int status =
        store_sql_run(db, error, "UPDATE twins SET definition = ?2 WHERE id = ?1", "it", twin->id, twin->definition);
    return not_found_unless_changed(db, status, twin->id, error);
}

int store_twin_update(struct store *store, int64_t id, const char *definition, struct tw_error *error)
{
    struct change twin = {id, definition};
    return store_call(store, update, &twin, error);
}

/* Everything that hangs on the twin goes with it (ON DELETE CASCADE), except its folder: the note for that stays. */
static int delete (sqlite3 *db, void *context, struct tw_error *error)
{
    int64_t id = *(int64_t *)context;
    int status = store_sql_run(db, error, "DELETE FROM versions WHERE twin = ?1", "i", id);
    if (!status)
        status = store_sql_run(db, error, "DELETE FROM twins WHERE id = ?1", "i", id);
    status = not_found_unless_changed(db, status, id, error);
    return status ? status : store_sql_run(db, error, "INSERT INTO deleted_twins VALUES (?1)", "i", id);
}

int store_twin_delete(struct store *store, int64_t id, struct tw_error *error)
{
    int status = store_call(store, delete, &id, error);
    if (!status)
        store_call(store, store_blob_collect, NULL, NULL); /* room comes back now or at the next start */
    return status;
}

static json_t *twin_row(sqlite3_stmt *row)
{
    return json_pack("{s:o,s:o,s:o,s:o,s:b}", "id", store_sql_integer(row, 0), "name", store_sql_text(row, 1),
                     "definition", store_sql_text(row, 2), "created", store_sql_integer(row, 3), "hold",
                     sqlite3_column_int(row, 4));
}

json_t *store_twin_list(struct store *store)
{
    return store_sql_all(store, twin_row, "SELECT id, name, definition, created, hold FROM twins ORDER BY id", "");
}

static json_t *id_row(sqlite3_stmt *row)
{
    return store_sql_integer(row, 0);
}

json_t *store_twin_deleted(struct store *store)
{
    return store_sql_all(store, id_row, "SELECT id FROM deleted_twins", "");
}

static int forget(sqlite3 *db, void *context, struct tw_error *error)
{
    return store_sql_run(db, error, "DELETE FROM deleted_twins WHERE id = ?1", "i", *(int64_t *)context);
}

int store_twin_forget(struct store *store, int64_t id)
{
    return store_call(store, forget, &id, NULL);
}
