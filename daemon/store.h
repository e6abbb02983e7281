/* The store: one thread that owns the only read-write SQLite connection.
 *
 * It takes closures and runs each as one transaction: committed if the closure returns 0, rolled back otherwise.
 * Readers have read-only connections of their own. Nothing else writes to twin.db. An error of the disk is fail-stop:
 * `store_failed` becomes true and stays so. A full disk is not: see store_full.
 *
 * Every file daemon/store_*.c holds one family of tables; they share daemon/store_sql.h.
 */
#ifndef DAEMON_STORE_H
#define DAEMON_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>
#include <sqlite3.h>

#include "base/status.h"

struct store;

/* Opens <state>/twin.db, takes the state folder's lock (TW_BUSY: in use by another daemon), migrates. A schema newer
 * than this program: TW_CONFLICT with a sentence. */
int store_open(const char *state, struct store **out, struct tw_error *error);
/* Runs what is queued, brings the log into the database. Not TW_OK: the store failed, now or before; it is logged. */
int store_close(struct store *store);
bool store_failed(struct store *store, struct tw_error *error);
/* `tell` is called when the store fails, once, by whoever meets the failure: it must not wait. At once if it has
 * failed. */
void store_on_failure(struct store *store, void (*tell)(void *context), void *context);
/* For what belongs to the state but is not the database: a failed sync of the spool's folders is fail-stop too. */
void store_fail(struct store *store, const char *why);

/* A closure returns 0 to commit or a tw_status to roll back. TW_IO and TW_CORRUPT mean the database itself: the store
 * fails for good. A closure must not wait for the store (store_call, store_barrier, what says "barrier first"). */
typedef int (*store_closure)(sqlite3 *db, void *context, struct tw_error *error);
/* Runs on the store thread; waits; returns what the closure returned or TW_IO. */
int store_call(struct store *store, store_closure closure, void *context, struct tw_error *error);
/* Queued; `context` is passed to `release` (may be NULL) afterwards, also if the closure failed or never ran. TW_BUSY
 * if the queue is at its limit; then nothing was taken. Posted closures that follow each other share a transaction,
 * each in a savepoint of its own. With a full disk they are kept and tried again until there is space; calls that are
 * made meanwhile are run before them. */
int store_post(struct store *store, store_closure closure, void *context, void (*release)(void *context));
/* Waits until everything queued before is committed. TW_FULL: it can't be, for now; TW_IO. */
int store_barrier(struct store *store);
/* Did the last transaction that needed space find none? Calls got TW_FULL and may be repeated; it is looked after every
 * two seconds at least. Trouble `disk_full` stands meanwhile. */
bool store_full(struct store *store);

/* A read-only connection for the calling thread's use between begin and end (a small pool inside). One read
 * transaction. NULL: out of memory or files. */
sqlite3 *store_read_begin(struct store *store);
void store_read_end(struct store *store, sqlite3 *db);

/* --- twins --- */
int store_twin_insert(struct store *store, const char *name, const char *definition, int64_t *id,
                      struct tw_error *error); /* TW_EXISTS */
int store_twin_update(struct store *store, int64_t id, const char *definition, struct tw_error *error);
int store_twin_delete(struct store *store, int64_t id, struct tw_error *error);
/* [{"id", "name", "definition" (string), "created" (milliseconds), "hold"}] in order of id. */
json_t *store_twin_list(struct store *store);
/* Ids of deleted twins whose spool folder has not been reported as removed: array of integers. */
json_t *store_twin_deleted(struct store *store);
/* The spool folder is gone. */
int store_twin_forget(struct store *store, int64_t id);

/* --- blobs: artifacts and acceptance references, content-addressed. One that no version names is removed some time
 * after it was last put: at a start, or when a twin is deleted. --- */
int store_blob_put(struct store *store, const void *bytes, size_t size, char sha256[65], struct tw_error *error);
/* malloc'd; the hash is checked: TW_CORRUPT. */
int store_blob_get(struct store *store, const char *sha256, unsigned char **bytes, size_t *size,
                   struct tw_error *error);
/* The bytes as they are, whatever their hash. */
int store_blob_raw(struct store *store, const char *sha256, unsigned char **bytes, size_t *size);
/* The removal, as a closure (no context): of some, and some of the free pages of the file. What a start finds loose
 * goes in steps. */
int store_blob_collect(sqlite3 *db, void *unused, struct tw_error *error);

/* --- batches --- */
struct store_batch {
    int64_t twin;
    uint64_t ordinal;
    char feed[65];
    int64_t run, seq;
    uint64_t events, invalid_rows;
    int64_t received_ms;
    uint8_t digest[16];
};
/* Queued; rows that are there already are left alone. */
int store_batch_add(struct store *store, const struct store_batch *batches, size_t count);
/* The newest data batches below `end` that hold at least `rows` events, or all that there are: the first and the last
 * of them. TW_NOT_FOUND: there is none. */
int store_batch_newest(struct store *store, int64_t twin, uint64_t end, uint64_t rows, uint64_t *first, uint64_t *last);
/* TW_NOT_FOUND, or 0 with the batch of this key. Barrier first; what it returns where the row may still be queued. */
int store_batch_find(struct store *store, int64_t twin, const char *feed, int64_t run, int64_t seq,
                     struct store_batch *out);
/* The batch with this ordinal, as in a list; NULL: the table has none. */
json_t *store_batch_json(struct store *store, int64_t twin, uint64_t ordinal);
/* Highest ordinal + 1 that the table holds for the twin. */
uint64_t store_batch_next(struct store *store, int64_t twin);
/* Calls visit for every batch of the twin from `from` on, by ordinal, barrier first; stops if it returns non-zero. */
int store_batch_each(struct store *store, int64_t twin, uint64_t from,
                     int (*visit)(void *context, const struct store_batch *batch), void *context);

/* --- versions and aliases --- */
struct store_version {
    int64_t twin;
    int version; /* out: assigned */
    int parent;  /* 0: none */
    const char *cause, *status, *reason;
    const char *sha256;           /* blob of the artifact */
    const char *reference_sha256; /* blob of the acceptance reference, or NULL */
    uint64_t seed;                /* < 2^53, so that JSON carries it exactly; else TW_INVALID */
    uint64_t first_ordinal, last_ordinal;
    const char *kernels;
    const char *metrics; /* JSON */
};
struct store_move { /* a move of an alias; compare-and-swap on the last move's id */
    int64_t twin;
    const char *alias;
    int version;
    int64_t expected_move; /* 0: there must be none yet; -1: whatever */
    const char *actor, *reason;
    int hold;     /* 1 set, 0 lift: a person moves. -1 leave it: the loop moves */
    int64_t move; /* out */
};
/* For closures: both to be used inside a transaction on the store thread. */
#define STORE_SEED_MAX ((INT64_C(1) << 53) - 1) /* what JSON carries exactly everywhere */
int store_version_insert(sqlite3 *db, struct store_version *version, struct tw_error *error);
/* What data that came later said about a version: member `regret` of its metrics. For closures. */
int store_version_regret(sqlite3 *db, int64_t twin, int version, const char *regret, struct tw_error *error);
/* A rejected version becomes a challenger: what its gate said with later data, member `appeal` of its metrics, and a
 * sentence that is added to its reason. For closures. */
int store_version_appeal(sqlite3 *db, int64_t twin, int version, const char *appeal, const char *sentence,
                         struct tw_error *error);
/* TW_CONFLICT: stale; TW_NOT_FOUND: no such version; TW_INVALID: no such alias. Updates versions' status when the alias
 * is champion (old: retired, new: champion). With hold -1 the champion is not moved while the twin is held
 * (TW_CONFLICT) nor to a rejected version (TW_INVALID); people may do both, and the move keeps their reason. */
int store_alias_move(sqlite3 *db, struct store_move *move, struct tw_error *error);
/* The same as a transaction of its own. */
int store_alias_put(struct store *store, struct store_move *move, struct tw_error *error);
int store_hold_set(struct store *store, int64_t twin, bool hold, struct tw_error *error);

/* Row of one version incl. "reference_sha256"; NULL if there is none. As in the HTTP answer, plus that member. */
json_t *store_version_json(struct store *store, int64_t twin, int version);
/* The numbers of all versions as text, newest first: array of strings. */
json_t *store_version_names(struct store *store, int64_t twin);
/* The newest version that was made of `parent` and data up to this ordinal; 0: there is none. */
int store_version_made(struct store *store, int64_t twin, int parent, uint64_t last_ordinal);
/* Number of the newest version of a cause, whatever became of it; 0 if there is none. */
int store_version_newest(struct store *store, int64_t twin, const char *cause);
/* The newest of the version and its ancestors whose data end before ordinal `first`; 0: there is none. */
int store_version_before(struct store *store, int64_t twin, int version, uint64_t first);
/* Adds a sentence to a version's reason, unless it is there. */
int store_version_note(struct store *store, int64_t twin, int version, const char *sentence);
/* {"alias", "version", "move", "since", "since_ms", "hold"}; NULL if it was never set. */
json_t *store_alias_json(struct store *store, int64_t twin, const char *alias);

/* --- iterations and the loop's state --- */
struct store_iteration {
    int64_t twin;
    int64_t iteration; /* counts from 1; a row of the same number is replaced (interrupted retune) */
    uint64_t first_ordinal, last_ordinal;
    uint64_t events;
    int version;
    bool drift;
    const char *decision;     /* none, drift, retuning, promoted, rejected, advised, limited, recalled, rolled_back,
                                 cancelled, trained, skipped */
    const char *policy;       /* JSON */
    const json_t *statistics; /* array; NULL: none */
};
/* For closures. Also sets batches.iteration of the data batches in the range, takes the statistics into the sums over
 * hour and day, and keeps the verdict. */
int store_iteration_put(sqlite3 *db, const struct store_iteration *iteration, struct tw_error *error);
/* Per twin: `processed`, the first ordinal that no iteration has taken (0 at first; last + 1 after a window), and the
 * pipeline's JSON state (NULL: none). For closures. */
int store_progress_put(sqlite3 *db, int64_t twin, uint64_t processed, const char *state, struct tw_error *error);
int store_progress_get(struct store *store, int64_t twin, uint64_t *processed, json_t **state);
json_t *store_iteration_last(struct store *store, int64_t twin); /* NULL: none */
/* At most `limit` from number `from` on, oldest first: an array. */
json_t *store_iterations_from(struct store *store, int64_t twin, int64_t from, int limit);
/* The verdict that the stored iterations leave: an iteration says drifted if it has drift and did not end in a
 * promotion, a recall or a roll-back; `skipped` says nothing; `trained` starts afresh. *version: the one that it is
 * about, 0 if nothing was compared; a promotion is about the new one. *since: time of the first of the unbroken series.
 */
int store_iteration_verdict(struct store *store, int64_t twin, int *version, bool *drifted, int64_t *since);
/* For closures: the verdict once this iteration was put. */
int store_verdict_follow(sqlite3 *db, int64_t twin, int64_t iteration, struct tw_error *error);

/* --- operations --- */
struct store_operation {
    int64_t id; /* out of insert */
    int64_t twin;
    const char *kind;    /* train, retune */
    const char *request; /* JSON */
    const char *key;     /* idempotency key or NULL */
};
/* TW_EXISTS: this key was used with the same request; id is that operation's. TW_CONFLICT: with another request. */
int store_operation_insert(struct store *store, struct store_operation *operation, struct tw_error *error);
/* The same inside a transaction on the store thread. */
int store_operation_open(sqlite3 *db, struct store_operation *operation, struct tw_error *error);
/* state NULL leaves it; result and error are JSON or NULL. Finished operations do not change any more
 * (TW_CONFLICT). */
int store_operation_update(sqlite3 *db, int64_t id, const char *state, double progress, const char *result,
                           const char *error_json, struct tw_error *error);
int store_operation_set(struct store *store, int64_t id, const char *state, double progress, const char *result,
                        const char *error_json, struct tw_error *error);
/* {"id", "kind", "twin" (name), "state", "progress", "created", "finished", "result"?, "error"?, "request"} or NULL. */
json_t *store_operation_json(struct store *store, int64_t id);
/* The operation of a twin that has this idempotency key, as above, or NULL. */
json_t *store_operation_of_key(struct store *store, int64_t twin, const char *key);
/* Unfinished operations of a twin in order of id: array of the above. */
json_t *store_operation_pending(struct store *store, int64_t twin);

/* --- lists for the API: {"items": [...], "next_cursor": string|null}; cursor NULL or as given out; NULL if the cursor
 * is malformed (or the database cannot be read: then store_failed). Newest first but for batches, which leave out feed
 * `train`. Barrier first for batches. limit is cut to 1..1000. With at_ms, moves are those in force at that time. ---
 */
json_t *store_list_batches(struct store *store, int64_t twin, int limit, const char *cursor);
enum { STORE_PAGE_STATISTICS = 32768 }; /* of a page of iterations: with many features it has fewer than `limit` */
json_t *store_list_iterations(struct store *store, int64_t twin, int limit, const char *cursor);
json_t *store_list_versions(struct store *store, int64_t twin, int limit, const char *cursor);
json_t *store_list_operations(struct store *store, int64_t twin_or_0, int limit, const char *cursor);
json_t *store_list_moves(struct store *store, int64_t twin, const char *alias_or_null, int64_t at_ms_or_0, int limit,
                         const char *cursor);

#endif
