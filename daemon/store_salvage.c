/* Copying around damage.
 *
 * A table is read in the order of its key. Where that breaks off, the next key is looked for from which on it goes on:
 * what is lost is what lies on the broken pages, whatever the shape of the tree above them. (A broken inner page costs
 * all below it.) */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>
#include <sqlite3.h>

#include "daemon/damage.h"
#include "daemon/folder.h"
#include "daemon/log.h"
#include "daemon/store_files.h"
#include "daemon/store_salvage.h"
#include "daemon/store_sql.h"
#include "sql/migrations.h"

enum { COLUMNS_MAX = 64 };

struct salvage {
    sqlite3 *from, *to;
    struct tw_error *error;
};

struct table {
    char name[64];
    char columns[1024]; /* "a, b, c" */
    int count;
    char key[64];    /* the integer that orders it */
    char group[64];  /* column of the key before that; empty: none */
    char order[200]; /* not a key of such a kind: "a, b, c" of it */
    sqlite3_stmt *insert;
    int64_t rows;
    bool incomplete;
};

/* --- one table --- */

/* A problem of the new file ends the salvage; one of the old file is what it is for. */
static int insert_row(struct salvage *salvage, struct table *table, sqlite3_stmt *row)
{
    int code = SQLITE_OK;
    for (int i = 0; i < table->count && code == SQLITE_OK; i++)
        code = sqlite3_bind_value(table->insert, i + 1, sqlite3_column_value(row, i + 1));
    if (code == SQLITE_OK)
        code = sqlite3_step(table->insert);
    sqlite3_reset(table->insert);
    if (code == SQLITE_DONE) {
        table->rows += sqlite3_changes(salvage->to);
        return TW_OK;
    }
    if ((code & 0xff) == SQLITE_CONSTRAINT || (code & 0xff) == SQLITE_MISMATCH) { /* a row that cannot be true */
        table->incomplete = true;
        return TW_OK;
    }
    return store_sql_status(salvage->to, code, salvage->error);
}

static void select_rows(const struct table *table, const char *limit, char *sql, size_t size)
{
    snprintf(sql, size, "SELECT %s, %s FROM %s NOT INDEXED WHERE %s >= ?1%s%s%s ORDER BY %s %s", table->key,
             table->columns, table->name, table->key, *table->group ? " AND " : "", table->group,
             *table->group ? " = ?2" : "", table->key, limit);
}

static void bind_range(sqlite3_stmt *rows, const struct table *table, int64_t group, int64_t first)
{
    sqlite3_bind_int64(rows, 1, first);
    if (*table->group)
        sqlite3_bind_int64(rows, 2, group);
}

/* Rows with keys from `first` on; *reached: the last key that came. *broke: the reading did not get to the end. */
static int copy_rows(struct salvage *salvage, struct table *table, int64_t group, int64_t first, int64_t *reached,
                     bool *broke)
{
    char sql[1600];
    sqlite3_stmt *rows = NULL;
    select_rows(table, "", sql, sizeof sql);
    *reached = first - 1;
    *broke = false;
    if (sqlite3_prepare_v2(salvage->from, sql, -1, &rows, NULL) !=
        SQLITE_OK) { /* its schema is gone: so is all of it */
        table->incomplete = true;
        return TW_OK;
    }
    bind_range(rows, table, group, first);
    int code = SQLITE_DONE, status = TW_OK;
    while (status == TW_OK && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        *reached = sqlite3_column_int64(rows, 0);
        status = insert_row(salvage, table, rows);
    }
    *broke = status == TW_OK && code != SQLITE_DONE;
    sqlite3_finalize(rows);
    return status;
}

/* Can the first row with a key from `key` on be read, or is there none? */
static bool readable(struct salvage *salvage, const struct table *table, int64_t group, int64_t key)
{
    char sql[1600];
    sqlite3_stmt *row = NULL;
    select_rows(table, "LIMIT 1", sql, sizeof sql);
    int code = sqlite3_prepare_v2(salvage->from, sql, -1, &row, NULL);
    if (code == SQLITE_OK) {
        bind_range(row, table, group, key);
        code = sqlite3_step(row);
    }
    sqlite3_finalize(row);
    return code == SQLITE_ROW || code == SQLITE_DONE;
}

/* A key behind `key`, which cannot be read, from which on reading goes on; INT64_MAX if there is none. What lies on one
 * page are neighbours: first in growing steps, then back by halves. */
static int64_t find_readable(struct salvage *salvage, const struct table *table, int64_t group, int64_t key)
{
    int64_t bad = key, good = INT64_MAX;
    for (int64_t step = 1; good == INT64_MAX; step *= 2) {
        if (step > (INT64_MAX - key) / 2)
            return INT64_MAX;
        if (readable(salvage, table, group, key + step))
            good = key + step;
        else
            bad = key + step;
    }
    while (good - bad > 1) {
        int64_t middle = bad + (good - bad) / 2;
        if (readable(salvage, table, group, middle))
            good = middle;
        else
            bad = middle;
    }
    return good;
}

static int copy_range(struct salvage *salvage, struct table *table, int64_t group)
{
    int status = TW_OK;
    for (int64_t first = 0, reached; status == TW_OK && first < INT64_MAX;) {
        bool broke;
        status = copy_rows(salvage, table, group, first, &reached, &broke);
        if (!broke)
            break;
        table->incomplete = true;
        first = find_readable(salvage, table, group, reached + 1);
    }
    return status;
}

/* Columns and key, as the new file has them. */
static int describe(struct salvage *salvage, struct table *table)
{
    sqlite3_stmt *columns = NULL;
    char places[4 * COLUMNS_MAX] = "", sql[1600], type[16] = "", keys[2][64] = {"rowid", ""};
    int depth = 0;
    int status = store_sql_prepare(salvage->to, &columns, salvage->error,
                                   "SELECT name, pk, type FROM pragma_table_info(?1) ORDER BY cid", "t", table->name);
    while (status == TW_OK && (status = store_sql_step(columns, salvage->error)) == TW_OK) {
        const char *name = (const char *)sqlite3_column_text(columns, 0);
        const char *kind = (const char *)sqlite3_column_text(columns, 2);
        int key = sqlite3_column_int(columns, 1);
        if (!name || table->count == COLUMNS_MAX || strlen(table->columns) + strlen(name) + 3 > sizeof table->columns ||
            strlen(table->order) + strlen(name) + 2 > sizeof table->order || strlen(name) >= sizeof keys[0]) {
            status = tw_error_set(salvage->error, TW_INVALID, "table %s is too wide to be salvaged", table->name);
            break;
        }
        strcat(strcat(table->columns, table->count ? ", " : ""), name);
        strcat(places, table->count ? ", ?" : "?");
        table->count++;
        if (key)
            strcat(strcat(table->order, *table->order ? " " : ""), name);
        if (key == 1 || key == 2)
            strcpy(keys[key - 1], name);
        if (key >= depth && key) {
            depth = key;
            snprintf(type, sizeof type, "%s", kind);
        }
    }
    sqlite3_finalize(columns);
    if (status != TW_NOT_FOUND)
        return status;
    bool ranged = depth == 0 || (depth <= 2 && !strcmp(type, "INTEGER") && (depth < 2 || !strcmp(keys[0], "twin")));
    if (ranged) {
        table->order[0] = 0;
        strcpy(table->key, keys[depth == 2]);
        strcpy(table->group, depth == 2 ? keys[0] : "");
    }
    snprintf(sql, sizeof sql, "INSERT OR IGNORE INTO %s (%s) VALUES (%s)", table->name, table->columns, places);
    return store_sql_prepare(salvage->to, &table->insert, salvage->error, sql, "");
}

static int copy_groups(struct salvage *salvage, struct table *table)
{
    sqlite3_stmt *twins = NULL;
    int status = store_sql_prepare(salvage->to, &twins, salvage->error, "SELECT id FROM twins", "");
    while (status == TW_OK && (status = store_sql_step(twins, salvage->error)) == TW_OK) {
        status = copy_range(salvage, table, sqlite3_column_int64(twins, 0));
    }
    sqlite3_finalize(twins);
    return status == TW_NOT_FOUND ? TW_OK : status;
}

/* Another kind of key: from both ends up to what breaks it off. */
static int copy_ends(struct salvage *salvage, struct table *table)
{
    int status = TW_OK;
    for (int end = 0; end < 2 && status == TW_OK && (end == 0 || table->incomplete); end++) {
        char sql[1600], order[600] = "";
        sqlite3_stmt *rows = NULL;
        for (char list[200], *save = NULL, *column = strtok_r(strcpy(list, table->order), " ", &save); column;
             column = strtok_r(NULL, " ", &save))
            snprintf(order + strlen(order), sizeof order - strlen(order), "%s%s%s", *order ? ", " : "", column,
                     end ? " DESC" : "");
        snprintf(sql, sizeof sql, "SELECT 0, %s FROM %s NOT INDEXED ORDER BY %s", table->columns, table->name, order);
        int code = sqlite3_prepare_v2(salvage->from, sql, -1, &rows, NULL);
        while (status == TW_OK && code == SQLITE_OK && (code = sqlite3_step(rows)) == SQLITE_ROW) {
            status = insert_row(salvage, table, rows);
            code = SQLITE_OK;
        }
        table->incomplete |= code != SQLITE_DONE;
        sqlite3_finalize(rows);
    }
    return status;
}

static int copy_table(struct salvage *salvage, const char *name)
{
    struct table table = {.rows = 0};
    snprintf(table.name, sizeof table.name, "%s", name);
    int status = describe(salvage, &table);
    if (status == TW_OK && *table.order)
        status = copy_ends(salvage, &table);
    else if (status == TW_OK && *table.group)
        status = copy_groups(salvage, &table);
    else if (status == TW_OK)
        status = copy_range(salvage, &table, 0);
    sqlite3_finalize(table.insert);
    if (status == TW_OK && table.incomplete)
        log_warning("table_salvaged", "table=%s rows=%lld lost=some", name, (long long)table.rows);
    else if (status == TW_OK)
        log_info("table_salvaged", "table=%s rows=%lld lost=none", name, (long long)table.rows);
    return status;
}

/* --- what refers to what --- */

/* A twin from its folder, if its row is lost. */
static int restore_twin(struct salvage *salvage, int64_t id, const char *path)
{
    json_t *json = json_load_file(path, 0, NULL);
    char *definition = json_dumps(json_object_get(json, "definition"), JSON_COMPACT);
    const char *name = json_string_value(json_object_get(json, "name"));
    int status = TW_OK;
    if (definition && name) {
        status = store_sql_run(salvage->to, salvage->error,
                               "INSERT OR IGNORE INTO twins (id, name, definition, created) SELECT ?1, ?2, ?3, ?4"
                               " WHERE NOT EXISTS (SELECT 1 FROM deleted_twins WHERE id = ?1)",
                               "itti", id, name, definition, json_integer_value(json_object_get(json, "created")));
        if (status == TW_OK && sqlite3_changes(salvage->to))
            log_warning("twin_salvaged", "twin=%s id=%lld from=%s", name, (long long)id, path);
    }
    free(definition);
    json_decref(json);
    return status;
}

static int restore_twins(struct salvage *salvage, const char *state)
{
    char path[4400];
    snprintf(path, sizeof path, "%s/spool", state);
    DIR *dir = opendir(path);
    struct dirent *entry;
    int status = TW_OK;
    while (dir && status == TW_OK && (entry = readdir(dir))) {
        char *end;
        long long id = strtoll(entry->d_name, &end, 10);
        if (*end || id <= 0)
            continue;
        snprintf(path, sizeof path, "%s/spool/%lld/twin.json", state, id);
        status = restore_twin(salvage, id, path);
    }
    if (dir)
        closedir(dir);
    return status;
}

/* In the newest schema, in order: what a lost row leaves behind is taken back, filled in, or said anew. */
static const char mend[] =
    /* nothing of twins that are gone for good */
    "DELETE FROM moves WHERE twin NOT IN (SELECT id FROM twins);"
    "DELETE FROM operations WHERE twin NOT IN (SELECT id FROM twins);"
    /* a version without its bytes is a version with wrong bytes: it stays on record, and gives way when it is used */
    "INSERT OR IGNORE INTO blobs (sha256, put, bytes) SELECT artifact, 0, x'' FROM versions"
    " UNION SELECT reference, 0, x'' FROM versions WHERE reference IS NOT NULL;"
    "DELETE FROM moves WHERE NOT EXISTS"
    " (SELECT 1 FROM versions AS v WHERE v.twin = moves.twin AND v.version = moves.version);"
    /* who was champion last, by whichever of the two records is left */
    "INSERT INTO moves (twin, alias, version, time, actor, reason)"
    " SELECT v.twin, 'champion', v.version, coalesce((SELECT max(time) FROM moves WHERE twin = v.twin), v.created),"
    "  'twind', 'the record of its moves was damaged' FROM versions AS v WHERE v.status = 'champion'"
    " AND v.version IS NOT (SELECT version FROM moves WHERE twin = v.twin AND alias = 'champion'"
    "                       ORDER BY move DESC LIMIT 1);"
    "UPDATE versions SET status = 'champion' WHERE version = (SELECT version FROM moves WHERE twin = versions.twin"
    "  AND alias = 'champion' ORDER BY move DESC LIMIT 1)"
    " AND NOT EXISTS (SELECT 1 FROM versions AS c WHERE c.twin = versions.twin AND c.status = 'champion');"
    /* a loop that lost its state goes on behind its last iteration */
    "UPDATE twins SET processed = coalesce((SELECT max(last_ordinal) + 1 FROM iterations WHERE twin = twins.id), 0),"
    " state = (SELECT json_object('iteration', iteration, 'last', json_object('first', first_ordinal, 'last',"
    "  last_ordinal)) FROM iterations WHERE twin = twins.id ORDER BY iteration DESC LIMIT 1)"
    " WHERE state IS NULL;"
    /* a retune whose iteration is lost has nothing to end: its window is compared anew */
    "UPDATE twins SET state = json_remove(state, '$.task') WHERE json_valid(state)"
    " AND json_extract(state, '$.task.iteration') > 0 AND NOT EXISTS (SELECT 1 FROM iterations AS i"
    "  WHERE i.twin = twins.id AND i.iteration = json_extract(twins.state, '$.task.iteration'));"
    /* what is known of feeds apart from their batches is counted again as far as there are batches */
    "UPDATE twins SET counted = 0;"
    /* what waited for such a loop waits no more */
    "UPDATE iterations SET decision = 'cancelled' WHERE decision = 'retuning'"
    " AND twin IN (SELECT id FROM twins WHERE state NOT LIKE '%\"task\":{%');"
    "UPDATE operations SET state = 'failed', finished = created,"
    " error = '{\"detail\":\"interrupted by damage to the database\"}'"
    " WHERE finished IS NULL AND twin IN (SELECT id FROM twins WHERE state IS NULL OR state NOT LIKE '%\"task\":{%')"
    " AND state = 'running'";

/* Ids that must not come back. Best effort: without it they go on behind the highest that is left. */
static int copy_sequences(struct salvage *salvage)
{
    sqlite3_stmt *rows = NULL;
    struct tw_error ignored;
    int status = store_sql_prepare(salvage->from, &rows, &ignored, "SELECT name, seq FROM sqlite_sequence", "");
    while (status == TW_OK && (status = store_sql_step(rows, &ignored)) == TW_OK) {
        const char *name = (const char *)sqlite3_column_text(rows, 0);
        int64_t last = sqlite3_column_int64(rows, 1);
        struct tw_error *error = salvage->error;
        int put = store_sql_run(salvage->to, error, "UPDATE sqlite_sequence SET seq = max(seq, ?2) WHERE name = ?1",
                                "ti", name, last);
        if (put == TW_OK && !sqlite3_changes(salvage->to))
            put = store_sql_run(salvage->to, error, "INSERT INTO sqlite_sequence VALUES (?1, ?2)", "ti", name, last);
        if (put) {
            sqlite3_finalize(rows);
            return put;
        }
    }
    sqlite3_finalize(rows);
    return TW_OK;
}

/* --- the file --- */

/* Twins first, so that what belongs to them can be asked for by twin. */
static int copy_all(struct salvage *salvage, const char *state)
{
    sqlite3_stmt *tables = NULL;
    int status = store_sql_exec(salvage->to, "PRAGMA foreign_keys=OFF; BEGIN", salvage->error);
    if (status == TW_OK)
        status = copy_table(salvage, "deleted_twins");
    if (status == TW_OK)
        status = copy_table(salvage, "twins");
    if (status == TW_OK)
        status = restore_twins(salvage, state);
    if (status == TW_OK)
        status = store_sql_prepare(salvage->to, &tables, salvage->error,
                                   "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
                                   " AND name NOT IN ('twins', 'deleted_twins') ORDER BY name",
                                   "");
    while (status == TW_OK && (status = store_sql_step(tables, salvage->error)) == TW_OK)
        status = copy_table(salvage, (const char *)sqlite3_column_text(tables, 0));
    sqlite3_finalize(tables);
    status = status == TW_NOT_FOUND ? TW_OK : status;
    if (status == TW_OK)
        status = copy_sequences(salvage);
    return status == TW_OK ? store_sql_exec(salvage->to, "COMMIT", salvage->error) : status;
}

static void remove_file(const char *path, const char *suffix)
{
    char name[4300];
    snprintf(name, sizeof name, "%s%s", path, suffix);
    unlink(name);
}

/* The WAL of the old file must not meet the new one; what it held was read. */
static int take_place(const char *state, const char *new, const char *database, struct tw_error *error)
{
    remove_file(database, "-wal");
    remove_file(database, "-shm");
    int status = folder_sync(state, error);
    if (status == TW_OK && rename(new, database) != 0)
        status = tw_error_set(error, TW_IO, "renaming %.180s: %s", new, strerror(errno));
    return status == TW_OK ? folder_sync(state, error) : status;
}

int store_salvage(const char *state, const char *database, const char *why, struct tw_error *error)
{
    char new[4200], quoted[400];
    struct salvage salvage = {.error = error};
    snprintf(new, sizeof new, "%s.salvage", database);
    remove_file(new, "");
    remove_file(new, "-journal");
    damage_file("database", database, false, "%.180s; what can be read is kept, the rest is lost", why);
    log_warning("salvage_begins", "file=%s why=%s", database, log_quote(why, quoted, sizeof quoted));
    int64_t version = store_files_schema(database, &salvage.from);
    int status = store_files_create(new, version > 0 ? version : sql_migrations_count, &salvage.to, error);
    if (status == TW_OK)
        status = copy_all(&salvage, state);
    if (status == TW_OK)
        status = store_files_migrate(salvage.to, new, error);
    if (status == TW_OK)
        status = store_sql_exec(salvage.to, "PRAGMA foreign_keys=OFF; BEGIN;", error);
    if (status == TW_OK)
        status = store_sql_exec(salvage.to, mend, error);
    if (status == TW_OK)
        status = store_sql_exec(salvage.to, "COMMIT", error);
    sqlite3_close(salvage.from);
    sqlite3_close(salvage.to);
    if (status == TW_OK)
        status = take_place(state, new, database, error);
    if (status == TW_OK)
        log_warning("salvage_ends", "file=%s", database);
    else
        remove_file(new, "");
    return status;
}
