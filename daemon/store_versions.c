/* Versions: immutable but for their status, and for what later data said about them. */
#include "daemon/clock.h"
#include "daemon/store.h"
#include "daemon/store_sql.h"

#define SEED_MAX ((UINT64_C(1) << 53) - 1)

static int next_number(sqlite3 *db, int64_t twin, int *version, struct tw_error *error)
{
    int64_t next = 0;
    int status = store_sql_number(db, &next, error,
                                  "SELECT coalesce(max(version), 0) + 1 FROM versions WHERE twin = ?1", "i", twin);
    if (!status)
        *version = (int)next;
    return status;
}

int store_version_insert(sqlite3 *db, struct store_version *version, struct tw_error *error)
{
    if (version->seed > SEED_MAX)
        return tw_error_set(error, TW_INVALID, "seed %llu is not below 2^53", (unsigned long long)version->seed);
    int status = next_number(db, version->twin, &version->version, error);
    if (status)
        return status;
    status = store_sql_run(db, error,
                           "INSERT INTO versions (twin, version, parent, created, cause, status, reason, artifact,"
                           " reference, seed, first_ordinal, last_ordinal, kernels, metrics)"
                           " SELECT ?1, ?2, nullif(?3, 0), ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14"
                           " WHERE ?3 = 0 OR EXISTS (SELECT 1 FROM versions WHERE twin = ?1 AND version = ?3)",
                           "iiiitttttiiitt", version->twin, (int64_t)version->version, (int64_t)version->parent,
                           clock_ms(), version->cause, version->status, version->reason, version->sha256,
                           version->reference_sha256, (int64_t)version->seed, (int64_t)version->first_ordinal,
                           (int64_t)version->last_ordinal, version->kernels, version->metrics);
    if (!status && !sqlite3_changes(db)) /* later it may be pruned */
        return tw_error_set(error, TW_CONFLICT, "there is no version %d to be the parent", version->parent);
    return status;
}

int store_version_regret(sqlite3 *db, int64_t twin, int version, const char *regret, struct tw_error *error)
{
    return store_sql_run(db, error,
                         "UPDATE versions SET metrics = json_set(coalesce(metrics, '{}'), '$.regret', json(?3))"
                         " WHERE twin = ?1 AND version = ?2",
                         "iit", twin, (int64_t)version, regret);
}

int store_version_appeal(sqlite3 *db, int64_t twin, int version, const char *appeal, const char *sentence,
                         struct tw_error *error)
{
    return store_sql_run(db, error,
                         "UPDATE versions SET metrics = json_set(coalesce(metrics, '{}'), '$.appeal', json(?3)),"
                         " reason = coalesce(reason || '; ', '') || 'with later data ' || ?4,"
                         " status = CASE status WHEN 'rejected' THEN 'challenger' ELSE status END"
                         " WHERE twin = ?1 AND version = ?2",
                         "iitt", twin, (int64_t)version, appeal, sentence);
}

struct note {
    int64_t twin, version;
    const char *sentence;
};

static int add_note(sqlite3 *db, void *context, struct tw_error *error)
{
    const struct note *note = context;
    return store_sql_run(db, error,
                         "UPDATE versions SET reason = coalesce(reason || '; ', '') || ?3"
                         " WHERE twin = ?1 AND version = ?2 AND instr(coalesce(reason, ''), ?3) = 0",
                         "iit", note->twin, note->version, note->sentence);
}

int store_version_note(struct store *store, int64_t twin, int version, const char *sentence)
{
    struct note note = {twin, version, sentence};
    return store_call(store, add_note, &note, NULL);
}

#define COLUMNS                                                                                                        \
    "version, parent, created, cause, status, reason, artifact, seed, metrics, first_ordinal, last_ordinal, kernels"

static json_t *version_row(sqlite3_stmt *row)
{
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "version", store_sql_integer(row, 0), "parent",
                     store_sql_integer(row, 1), "created", store_sql_time(row, 2), "cause", store_sql_text(row, 3),
                     "status", store_sql_text(row, 4), "reason", store_sql_text(row, 5), "sha256",
                     store_sql_text(row, 6), "seed", store_sql_integer(row, 7), "metrics", store_sql_json(row, 8),
                     "ordinals", store_sql_ordinals(row, 9), "kernels", store_sql_text(row, 11));
}

static json_t *version_row_with_reference(sqlite3_stmt *row)
{
    json_t *version = version_row(row);
    if (version)
        json_object_set_new(version, "reference_sha256", store_sql_text(row, 12));
    return version;
}

json_t *store_version_json(struct store *store, int64_t twin, int version)
{
    return store_sql_one(store, version_row_with_reference,
                         "SELECT " COLUMNS ", reference FROM versions WHERE twin = ?1 AND version = ?2", "ii", twin,
                         (int64_t)version);
}

static json_t *number_row(sqlite3_stmt *row)
{
    return store_sql_integer(row, 0);
}

static json_t *name_row(sqlite3_stmt *row)
{
    return store_sql_text(row, 0);
}

json_t *store_version_names(struct store *store, int64_t twin)
{
    return store_sql_all(store, name_row,
                         "SELECT CAST(version AS TEXT) FROM versions WHERE twin = ?1 ORDER BY version DESC", "i", twin);
}

int store_version_newest(struct store *store, int64_t twin, const char *cause)
{
    json_t *number = store_sql_one(store, number_row,
                                   "SELECT version FROM versions WHERE twin = ?1 AND cause = ?2"
                                   " ORDER BY version DESC LIMIT 1",
                                   "it", twin, cause);
    int version = (int)json_integer_value(number);
    json_decref(number);
    return version;
}

/* What is long is left out of a list: /weights has it. */
#define BRIEF                                                                                                          \
    "version, parent, created, cause, status, reason, artifact, seed,"                                                 \
    " json_remove(metrics, '$.weights.reliability', '$.weights.closure', '$.weights.map'),"                            \
    " first_ordinal, last_ordinal, kernels"

int store_version_before(struct store *store, int64_t twin, int version, uint64_t first)
{
    json_t *found =
        store_sql_one(store, number_row,
                      "WITH RECURSIVE line (version, parent, last) AS"
                      " (SELECT version, parent, last_ordinal FROM versions WHERE twin = ?1 AND version = ?2"
                      "  UNION ALL SELECT v.version, v.parent, v.last_ordinal FROM versions v"
                      "  JOIN line ON v.twin = ?1 AND v.version = line.parent)"
                      " SELECT version FROM line WHERE last < ?3 ORDER BY version DESC LIMIT 1",
                      "iii", twin, (int64_t)version, (int64_t)first);
    int number = (int)json_integer_value(found);
    json_decref(found);
    return number;
}

json_t *store_list_versions(struct store *store, int64_t twin, int limit, const char *cursor)
{
    struct store_page page = {
        .sql = "SELECT " BRIEF " FROM versions WHERE twin = ?3 AND version < ?1 ORDER BY version DESC LIMIT ?2",
        .make = version_row,
        .start = INT64_MAX,
        .limit = limit,
        .cursor = cursor,
    };
    return store_sql_page(store, &page, "i", twin);
}

static json_t *made_row(sqlite3_stmt *row)
{
    return store_sql_integer(row, 0);
}

int store_version_made(struct store *store, int64_t twin, int parent, uint64_t last_ordinal)
{
    json_t *found = store_sql_one(store, made_row,
                                  "SELECT version FROM versions WHERE twin = ?1 AND version > ?2 AND parent = ?2"
                                  " AND last_ordinal = ?3 ORDER BY version DESC LIMIT 1",
                                  "iii", twin, (int64_t)parent, (int64_t)last_ordinal);
    int version = (int)json_integer_value(found);
    json_decref(found);
    return version;
}
