/* What the iterations say about the twin, in the twin's row, so that a start need not read them.
 *
 * Newest first, an unbroken series of iterations ends where another version was judged or the verdict was another, at a
 * training, and where the loop moved the champion, which is where the verdict on the new version begins. */
#include <string.h>

#include "daemon/store.h"
#include "daemon/store_sql.h"

/* An iteration as the verdict sees it: drift, decision, time, the version that it is about. A promotion is about the
 * version that it made, which older rows name by its data, a recall or roll-back about the one that it moved to. */
#define SELECT                                                                                                         \
    "SELECT drift, decision, time, coalesce("                                                                          \
    " CASE WHEN decision IN ('promoted', 'recalled', 'rolled_back') THEN json_extract(policy, '$.version') END,"       \
    " CASE decision WHEN 'promoted' THEN"                                                                              \
    "  (SELECT max(v.version) FROM versions AS v WHERE v.twin = i.twin AND v.parent = i.version"                       \
    "   AND v.last_ordinal = i.last_ordinal AND v.cause = 'weights' AND v.status <> 'rejected')"                       \
    " END, version)"                                                                                                   \
    " FROM iterations AS i WHERE twin = ?1"

struct verdict {
    int version;
    bool drifted;
    int64_t since;
};

struct said { /* by one iteration */
    const char *decision;
    bool promoted, trained;
    struct verdict verdict;
};

static struct said read_row(sqlite3_stmt *row)
{
    const char *decision = (const char *)sqlite3_column_text(row, 1);
    struct said said = {.decision = decision ? decision : ""};
    said.promoted = !strcmp(said.decision, "promoted") || !strcmp(said.decision, "recalled") ||
                    !strcmp(said.decision, "rolled_back");
    said.trained = !strcmp(said.decision, "trained");
    said.verdict = (struct verdict){sqlite3_column_int(row, 3), sqlite3_column_int(row, 0) && !said.promoted,
                                    sqlite3_column_int64(row, 2)};
    return said;
}

static bool same(const struct verdict *a, const struct verdict *b)
{
    return a->version == b->version && a->drifted == b->drifted;
}

/* Iterations of schema 1, newest first. */
static int walk(sqlite3 *db, int64_t twin, struct verdict *verdict, struct tw_error *error)
{
    sqlite3_stmt *row = NULL;
    *verdict = (struct verdict){0};
    int status =
        store_sql_prepare(db, &row, error, SELECT " AND decision <> 'skipped' ORDER BY iteration DESC", "i", twin);
    while (!status && !(status = store_sql_step(row, error))) {
        struct said said = read_row(row);
        if (said.trained || (verdict->version && !same(&said.verdict, verdict)))
            break;
        *verdict = said.verdict;
        if (said.promoted)
            break;
    }
    sqlite3_finalize(row);
    return status == TW_NOT_FOUND ? 0 : status;
}

/* TW_NOT_FOUND: it is to be found by a walk. */
static int read_verdict(sqlite3 *db, int64_t twin, struct verdict *verdict, struct tw_error *error)
{
    sqlite3_stmt *row = NULL;
    int status = store_sql_prepare(
        db, &row, error, "SELECT judged, drifted, verdict_since FROM twins WHERE id = ?1 AND judged IS NOT NULL", "i",
        twin);
    if (!status)
        status = store_sql_step(row, error);
    if (!status)
        *verdict =
            (struct verdict){sqlite3_column_int(row, 0), sqlite3_column_int(row, 1), sqlite3_column_int64(row, 2)};
    sqlite3_finalize(row);
    return status;
}

static int go_on(sqlite3 *db, int64_t twin, int64_t iteration, struct verdict *verdict, struct tw_error *error)
{
    sqlite3_stmt *row = NULL;
    int status = store_sql_prepare(db, &row, error, SELECT " AND iteration = ?2", "ii", twin, iteration);
    if (!status)
        status = store_sql_step(row, error);
    if (!status) {
        struct said said = read_row(row);
        if (said.trained)
            *verdict = (struct verdict){0};
        else if (strcmp(said.decision, "skipped") != 0 && (said.promoted || !same(&said.verdict, verdict)))
            *verdict = said.verdict;
    }
    sqlite3_finalize(row);
    return status;
}

int store_verdict_follow(sqlite3 *db, int64_t twin, int64_t iteration, struct tw_error *error)
{
    struct verdict verdict;
    int status = read_verdict(db, twin, &verdict, error);
    if (status == TW_NOT_FOUND)
        status = walk(db, twin, &verdict, error);
    else if (!status)
        status = go_on(db, twin, iteration, &verdict, error);
    return status ? status
                  : store_sql_run(db, error,
                                  "UPDATE twins SET judged = ?2, drifted = ?3, verdict_since = ?4 WHERE id = ?1",
                                  "iiii", twin, (int64_t)verdict.version, (int64_t)verdict.drifted, verdict.since);
}

int store_iteration_verdict(struct store *store, int64_t twin, int *version, bool *drifted, int64_t *since)
{
    struct tw_error error = {""};
    struct verdict verdict = {0};
    sqlite3 *db = store_read_begin(store);
    if (!db)
        return TW_NO_MEMORY;
    int status = read_verdict(db, twin, &verdict, &error);
    if (status == TW_NOT_FOUND)
        status = walk(db, twin, &verdict, &error);
    store_read_end(store, db);
    *version = verdict.version;
    *drifted = verdict.drifted;
    *since = verdict.since;
    return status;
}
