#include "daemon/commit.h"

#include <string.h>

static int move_aliases(sqlite3 *db, struct commit *commit, struct tw_error *error)
{
    struct store_move champion = {
        .twin = commit->twin,
        .alias = "champion",
        .version = commit->version->version,
        .expected_move = commit->move,
        .actor = commit->actor,
        .reason = commit->version->reason,
        .hold = -1,
    };
    int status = store_alias_move(db, &champion, error);
    if (status != TW_OK)
        return status;
    commit->move = champion.move;
    if (!commit->set_reference)
        return TW_OK;
    struct store_move reference = champion;
    reference.alias = "reference";
    reference.expected_move = -1;
    return store_alias_move(db, &reference, error);
}

/* A version that is there already takes over again. */
static int move_champion(sqlite3 *db, struct commit *commit, struct tw_error *error)
{
    struct store_move champion = {
        .twin = commit->twin,
        .alias = "champion",
        .version = commit->move_to,
        .expected_move = commit->move,
        .actor = commit->actor,
        .reason = commit->move_reason,
        .hold = -1,
    };
    int status = store_alias_move(db, &champion, error);
    if (status == TW_OK)
        commit->move = champion.move;
    return status;
}

/* A version that passed its gate but may not take over (hold, or people were quicker) is on trial. */
static int name_challenger(sqlite3 *db, const struct commit *commit, int version, const char *reason,
                           struct tw_error *error)
{
    struct store_move move = {
        .twin = commit->twin,
        .alias = "challenger",
        .version = version,
        .expected_move = -1,
        .actor = "loop",
        .reason = reason,
        .hold = -1,
    };
    return store_alias_move(db, &move, error);
}

/* A version that was rejected passed its gate with later data. */
static int grant_appeal(sqlite3 *db, const struct commit *commit, struct tw_error *error)
{
    int status = store_version_appeal(db, commit->twin, commit->appealed, commit->appeal, commit->appeal_reason, error);
    if (status == TW_OK && !commit->move_to)
        status = name_challenger(db, commit, commit->appealed, commit->appeal_reason, error);
    return status;
}

static int open_operation(sqlite3 *db, struct commit *commit, struct tw_error *error)
{
    int status = store_operation_open(db, commit->opens, error);
    if (status == TW_OK)
        status = commit->opened(commit->context, commit->opens->id, commit);
    return status;
}

/* One that people have cancelled stays so: it takes its version along; an end without a version stands. */
static int end_operation(sqlite3 *db, const struct commit *commit, struct tw_error *error)
{
    int status = store_operation_update(db, commit->operation, commit->operation_state, 1.0, commit->operation_result,
                                        commit->operation_error, error);
    if (status == TW_CONFLICT && commit->version)
        return tw_error_set(error, TW_CANCELLED, "operation %lld was cancelled", (long long)commit->operation);
    return status == TW_CONFLICT || status == TW_NOT_FOUND ? TW_OK : status;
}

static int write_all(sqlite3 *db, void *context, struct tw_error *error)
{
    struct commit *commit = context;
    int status = TW_OK;
    if (commit->opens)
        status = open_operation(db, commit, error);
    if (status == TW_OK && commit->operation)
        status = end_operation(db, commit, error);
    if (status == TW_OK && commit->version)
        status = store_version_insert(db, commit->version, error);
    if (status == TW_OK && commit->version && commit->numbered)
        status = commit->numbered(commit->context, commit);
    if (status == TW_OK && commit->promote)
        status = move_aliases(db, commit, error);
    else if (status == TW_OK && commit->version && strcmp(commit->version->status, "challenger") == 0)
        status = name_challenger(db, commit, commit->version->version, commit->version->reason, error);
    if (status == TW_OK && commit->appealed)
        status = grant_appeal(db, commit, error);
    if (status == TW_OK && commit->move_to)
        status = move_champion(db, commit, error);
    if (status == TW_OK && commit->tried)
        status = store_version_regret(db, commit->twin, commit->tried, commit->regret, error);
    if (status == TW_OK && commit->iteration)
        status = store_iteration_put(db, commit->iteration, error);
    if (status == TW_OK)
        status = store_progress_put(db, commit->twin, commit->processed, commit->state, error);
    return status;
}

int commit_write(struct store *store, struct commit *commit, struct tw_error *error)
{
    int64_t expected = commit->move;
    int status = store_call(store, write_all, commit, error);
    if (status != TW_OK)
        commit->move = expected;
    return status;
}
