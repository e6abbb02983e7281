/* Every statement finds what goes by an index and takes at most so many rows. */
#include "daemon/store_prune.h"

#include "daemon/store_sql.h"

#define DAY_MS (24 * 3600 * INT64_C(1000))
enum { BATCHES = 2000, ITERATIONS = 64, MOVES = 256, OPERATIONS = 256, VERSIONS = 64, ROLLUPS = 32 };

/* After a DELETE of at most `most` rows. */
static void note(sqlite3 *db, struct store_prune *prune, int most)
{
    int gone = sqlite3_changes(db);
    prune->removed += (size_t)gone;
    prune->more = prune->more || gone >= most;
}

/* What came before this is too old. TW_NOT_FOUND: nothing is. */
static int horizon(const struct store_prune *prune, int64_t days, int64_t newest, int64_t *before)
{
    int64_t now = newest < prune->limits.now_ms ? newest : prune->limits.now_ms;
    *before = now - days * DAY_MS;
    return days > 0 ? 0 : TW_NOT_FOUND;
}

static int prune_batches(sqlite3 *db, struct store_prune *prune, struct tw_error *error)
{
    int status = store_sql_run(
        db, error,
        "DELETE FROM batches WHERE twin = ?1 AND ordinal IN (SELECT ordinal FROM batches WHERE twin = ?1"
        " AND ordinal < min(?2, (SELECT min(counted, processed) FROM twins WHERE id = ?1)) ORDER BY ordinal LIMIT ?3)",
        "iii", prune->twin, (int64_t)prune->spool_first, (int64_t)BATCHES);
    if (!status)
        note(db, prune, BATCHES);
    return status;
}

static int prune_iterations(sqlite3 *db, struct store_prune *prune, struct tw_error *error)
{
    int64_t last, newest, before;
    int status =
        store_sql_number(db, &last, error, "SELECT max(iteration) FROM iterations WHERE twin = ?1", "i", prune->twin);
    if (status)
        return status == TW_NOT_FOUND ? 0 : status;
    if (prune->limits.iterations) {
        status =
            store_sql_run(db, error,
                          "DELETE FROM iterations WHERE twin = ?1 AND iteration IN (SELECT iteration FROM iterations"
                          " WHERE twin = ?1 AND iteration <= ?2 ORDER BY iteration LIMIT ?3)",
                          "iii", prune->twin, last - prune->limits.iterations, (int64_t)ITERATIONS);
        if (!status)
            note(db, prune, ITERATIONS);
    }
    if (!status)
        status =
            store_sql_number(db, &newest, error, "SELECT max(time) FROM iterations WHERE twin = ?1", "i", prune->twin);
    if (!status)
        status = horizon(prune, prune->limits.iteration_days, newest, &before);
    if (!status)
        status =
            store_sql_run(db, error,
                          "DELETE FROM iterations WHERE twin = ?1 AND iteration <> ?4 AND iteration IN"
                          " (SELECT iteration FROM iterations WHERE twin = ?1 AND time < ?2 ORDER BY time LIMIT ?3)",
                          "iiii", prune->twin, before, (int64_t)ITERATIONS, last);
    if (!status)
        note(db, prune, ITERATIONS);
    return status == TW_NOT_FOUND ? 0 : status;
}

static int prune_operations(sqlite3 *db, struct store_prune *prune, struct tw_error *error)
{
    int64_t newest, before;
    int status =
        store_sql_number(db, &newest, error, "SELECT max(finished) FROM operations WHERE finished IS NOT NULL", "");
    if (!status)
        status = horizon(prune, prune->limits.iteration_days, newest, &before);
    if (!status)
        status = store_sql_run(db, error,
                               "DELETE FROM operations WHERE id IN (SELECT id FROM operations WHERE finished < ?1"
                               " ORDER BY finished LIMIT ?2)",
                               "ii", before, (int64_t)OPERATIONS);
    if (!status)
        note(db, prune, OPERATIONS);
    return status == TW_NOT_FOUND ? 0 : status;
}

/* Finished operations by number: beyond as many as there may be iterations. Ids are shared by all twins, so that their
 * span says cheaply that there cannot be too many. */
static int prune_operations_beyond(sqlite3 *db, struct store_prune *prune, struct tw_error *error)
{
    if (!prune->limits.iterations)
        return 0;
    int status =
        store_sql_run(db, error,
                      "DELETE FROM operations WHERE finished IS NOT NULL AND id IN (SELECT id FROM operations WHERE "
                      "twin = ?1 AND id <="
                      " (SELECT id FROM operations WHERE twin = ?1 AND (SELECT max(id) FROM operations WHERE twin = ?1)"
                      "  - (SELECT min(id) FROM operations WHERE twin = ?1) >= ?2 ORDER BY id DESC LIMIT 1 OFFSET ?2)"
                      " ORDER BY id LIMIT ?3)",
                      "iii", prune->twin, prune->limits.iterations, (int64_t)OPERATIONS);
    if (!status)
        note(db, prune, OPERATIONS);
    return status;
}

static int prune_rollups(sqlite3 *db, struct store_prune *prune, int64_t tier, int64_t days, struct tw_error *error)
{
    int64_t newest, before;
    int status = store_sql_number(db, &newest, error, "SELECT max(bucket) FROM rollups WHERE twin = ?1 AND tier = ?2",
                                  "ii", prune->twin, tier);
    if (!status)
        status = horizon(prune, days, (newest + tier) * 1000, &before);
    if (!status)
        status =
            store_sql_run(db, error,
                          "DELETE FROM rollups WHERE twin = ?1 AND tier = ?2 AND bucket IN (SELECT bucket FROM rollups"
                          " WHERE twin = ?1 AND tier = ?2 AND bucket < ?3 ORDER BY bucket LIMIT ?4)",
                          "iiii", prune->twin, tier, before / 1000, (int64_t)ROLLUPS);
    if (!status)
        note(db, prune, ROLLUPS);
    return status == TW_NOT_FOUND ? 0 : status;
}

/* Moves by number: the oldest of those beyond `history`. */
static int prune_moves_beyond(sqlite3 *db, struct store_prune *prune, const char *alias, struct tw_error *error)
{
    if (!prune->limits.history)
        return 0;
    int status = store_sql_run(
        db, error,
        "DELETE FROM moves WHERE move IN (SELECT move FROM moves WHERE twin = ?1 AND alias = ?2 AND move <="
        " (SELECT move FROM moves WHERE twin = ?1 AND alias = ?2 ORDER BY move DESC LIMIT 1 OFFSET ?3)"
        " ORDER BY move LIMIT ?4)",
        "itii", prune->twin, alias, prune->limits.history, (int64_t)MOVES);
    if (!status)
        note(db, prune, MOVES);
    return status;
}

/* A move goes once the one that followed it is older than the horizon: what was in force at any later time stays. */
static int prune_moves(sqlite3 *db, struct store_prune *prune, const char *alias, struct tw_error *error)
{
    int64_t newest, before;
    int status =
        store_sql_number(db, &newest, error,
                         "SELECT max(coalesce((SELECT max(time) FROM moves WHERE twin = ?1 AND alias = 'champion'), 0),"
                         " coalesce((SELECT max(time) FROM moves WHERE twin = ?1 AND alias = 'challenger'), 0),"
                         " coalesce((SELECT max(time) FROM moves WHERE twin = ?1 AND alias = 'reference'), 0))",
                         "i", prune->twin);
    if (!status)
        status = horizon(prune, prune->limits.history_days, newest, &before);
    if (!status)
        status = store_sql_run(
            db, error,
            "DELETE FROM moves WHERE move IN (SELECT move FROM moves WHERE twin = ?1 AND alias = ?2 AND move <"
            " (SELECT move FROM moves WHERE twin = ?1 AND alias = ?2 AND time <= ?3 ORDER BY time DESC, move DESC "
            "LIMIT 1)"
            " ORDER BY move LIMIT ?4)",
            "itii", prune->twin, alias, before, (int64_t)MOVES);
    if (!status)
        note(db, prune, MOVES);
    return status == TW_NOT_FOUND ? 0 : status;
}

/* Some versions are looked at in each call, oldest first and from the start again, as most of the old ones may be named
 * by the history. */
static int prune_versions(sqlite3 *db, struct store_prune *prune, struct tw_error *error)
{
    int64_t newest_to_go, last;
    if (!prune->limits.versions)
        return 0;
    int status =
        store_sql_number(db, &newest_to_go, error,
                         "SELECT version FROM versions WHERE twin = ?1 ORDER BY version DESC LIMIT 1 OFFSET ?2", "ii",
                         prune->twin, prune->limits.versions);
    if (!status)
        status = store_sql_run(
            db, error,
            "DELETE FROM versions WHERE twin = ?1 AND status <> 'champion' AND version NOT IN (?5, ?6, ?7, ?8, ?9)"
            " AND version IN (SELECT version FROM versions WHERE twin = ?1 AND version > ?2"
            "  AND version <= ?3 ORDER BY version LIMIT ?4)"
            " AND NOT EXISTS (SELECT 1 FROM moves WHERE moves.twin = versions.twin"
            "  AND moves.version = versions.version)",
            "iiiiiiiii", prune->twin, (int64_t)prune->version_cursor, newest_to_go, (int64_t)VERSIONS,
            (int64_t)prune->needed[0], (int64_t)prune->needed[1], (int64_t)prune->needed[2], (int64_t)prune->needed[3],
            (int64_t)prune->needed[4]);
    if (!status)
        note(db, prune, VERSIONS);
    if (!status)
        status = store_sql_number(
            db, &last, error,
            "SELECT version FROM versions WHERE twin = ?1 AND version > ?2 ORDER BY version LIMIT 1 OFFSET 63", "ii",
            prune->twin, (int64_t)prune->version_cursor);
    prune->version_cursor = status || last > newest_to_go ? 0 : (int)last;
    return status == TW_NOT_FOUND ? 0 : status;
}

static int run(sqlite3 *db, void *context, struct tw_error *error)
{
    static const char *const aliases[] = {"champion", "challenger", "reference"};
    struct store_prune *prune = context;
    int64_t days = prune->limits.metric_days;
    int status = prune_batches(db, prune, error);
    status = status ? status : prune_iterations(db, prune, error);
    status = status ? status : prune_operations(db, prune, error);
    status = status ? status : prune_operations_beyond(db, prune, error);
    status = status ? status : prune_rollups(db, prune, 3600, days, error);
    status = status ? status : prune_rollups(db, prune, 86400, 10 * days, error);
    for (int i = 0; i < 3 && !status; i++)
        status = prune_moves(db, prune, aliases[i], error);
    for (int i = 0; i < 3 && !status; i++)
        status = prune_moves_beyond(db, prune, aliases[i], error);
    status = status ? status : prune_versions(db, prune, error);
    return status ? status : store_blob_collect(db, NULL, error);
}

int store_prune(struct store *store, struct store_prune *prune, struct tw_error *error)
{
    prune->removed = 0;
    prune->more = false;
    return store_call(store, run, prune, error);
}
