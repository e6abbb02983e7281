/* The twins that this daemon holds, as its threads share them.
 *
 * A twin's definition is immutable but for description and loop policy. What is served is an immutable snapshot,
 * swapped under the twin's lock and reference-counted. Counters are written by ingest and pipeline under the lock and
 * read by anybody.
 */
#ifndef DAEMON_REGISTRY_H
#define DAEMON_REGISTRY_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/status.h"
#include "daemon/definition.h"
#include "daemon/snapshot.h"

struct spool;
struct feeds;
struct store;
struct registry;

enum activity { ACTIVITY_UNTRAINED, ACTIVITY_IDLE, ACTIVITY_COMPARING, ACTIVITY_RETUNING, ACTIVITY_HELD };
const char *registry_activity_name(enum activity activity);

/* A data batch that no window has taken yet. */
struct pending_batch {
    uint64_t ordinal;
    uint64_t rows;
    int64_t received_ms;
};

/* Complete windows that wait to be compared. */
struct twin_lag {
    uint64_t batches, windows;
    int64_t since_ms; /* when the oldest of them became complete; 0: none waits */
};

struct twin_counters {
    uint64_t batches, events, invalid_rows; /* feed `train` left out */
    uint64_t duplicates;                    /* since the daemon started */
    uint64_t windows_skipped;               /* since the daemon started */
    uint64_t gaps;                          /* missing sequence numbers, summed over feeds and runs */
    int64_t last_received_ms;               /* 0: nothing yet */
    double heard_s;                         /* the same as monotonic time, which no step of the clock reaches */
    uint64_t bad_batches;                   /* the newest, without a break, none of whose rows is valid */
    int64_t bad_since_ms;                   /* when the first of them came */
};

/* What the loop has compared, and how often an alarm began. */
struct twin_record {
    int version;                      /* that the next two are about; 0: nothing was compared */
    uint64_t windows, alarms;         /* windows of one alarm that lasts count once */
    uint64_t all_windows, all_alarms; /* of all versions */
    bool alarmed;                     /* the last window was */
    int64_t alarm_iteration;          /* with which the last alarm began; 0: there was none */
};

/* Retunes that ended since the daemon started; first trainings are none. */
enum { REGISTRY_OUTCOMES = 5, REGISTRY_BOUNDS = 11, REGISTRY_ALIASES = 3 };
struct twin_retunes {
    uint64_t outcomes[REGISTRY_OUTCOMES];
    uint64_t within[REGISTRY_BOUNDS]; /* that took at most so long */
    uint64_t count;
    double seconds; /* summed, from their rows to their decision */
};

struct twin {
    int references; /* atomic */
    int64_t id;     /* of the twins table */
    char name[65];
    char columns[0x10000];         /* "a,b,c": the Twin-Columns header */
    struct definition *definition; /* schema and model immutable; the rest is replaced under the lock */

    struct spool *spool; /* appended by ingest only */
    uint64_t lost;       /* atomic: ordinals that the spool can't give back, as far as that was met */
    struct feeds *feeds; /* owned by ingest */

    pthread_mutex_t lock;      /* guards everything below */
    struct snapshot *champion; /* NULL while untrained */
    int64_t champion_since_ms;
    int64_t champion_move; /* id of the last move of the alias */
    bool hold;
    int64_t settling;   /* the operation whose outcome is being committed and is not served yet; 0: none */
    bool drifted;       /* last verdict of the loop */
    int judged_version; /* the version that it is about; another champion has none yet. 0: nothing was compared */
    int64_t verdict_since_ms;
    enum activity activity;
    struct pending_batch *pending; /* in order of ordinals, without feed `train`; points into pending_memory */
    size_t pending_count, pending_capacity;
    struct pending_batch *pending_memory;
    struct twin_lag lag; /* see registry_lag */
    struct twin_open {
        uint64_t batches, rows;
    } open; /* the window that is not complete yet */
    struct twin_counters counters;
    uint64_t announced; /* batches with smaller ordinals are in counters and feeds */
    struct twin_record record;
    struct twin_retunes retunes;
    int aliases[REGISTRY_ALIASES]; /* versions; 0: it was never set */
    json_t *last_iteration;        /* NULL: none */
    bool deleted;
    char fault[256]; /* why the champion could not be loaded at the start; else empty */

    /* set once */
    int64_t created_ms;
    struct store *store;
    char *spool_dir; /* <state>/spool/<id>; removed with the last reference to a deleted twin */
};
void registry_twin_unref(struct twin *twin); /* accepts NULL; not on the store thread */

/* Loads all twins from the store, opens their spools, rebuilds counters, feeds and pending batches from the rows and
 * the spool's tail, loads the champions. `state` is the state folder. What is damaged is named (damage.h) and gone
 * without: a record of a spool is lost, and no ordinal is given twice; a champion that cannot be loaded gives way to
 * the newest one before it that can (registry_fall_back); where none can, the twin is there without, says so (`fault`),
 * takes data, and can be rolled back. */
int registry_open(struct store *store, const char *state, size_t segment_bytes, const struct tw_kernels *kernels,
                  struct registry **out, struct tw_error *error);
void registry_close(struct registry *registry);

/* A reference to a twin by name, NULL if there is none. */
struct twin *registry_find(struct registry *registry, const char *name);
/* All twins, each with a reference; *out malloc'd, NULL when memory is out (a shortage). */
size_t registry_list(struct registry *registry, struct twin ***out);
/* Changes whenever a twin is added or deleted. */
uint64_t registry_generation(struct registry *registry);

/* Creates from a definition (JSON). TW_INVALID, TW_EXISTS. On 0 *out has a reference. */
int registry_create(struct registry *registry, const json_t *definition, struct twin **out, struct tw_error *error);
int registry_delete(struct registry *registry, const char *name, struct tw_error *error);
/* RFC 7396 merge patch of the definition; what is immutable gives TW_CONFLICT (patch.h). TW_INVALID, TW_NOT_FOUND.
 * `expected` is the tag of the definition that is to be changed, NULL: any; TW_EXISTS: there is another one now. */
int registry_patch(struct registry *registry, const char *name, const json_t *patch, const char *expected,
                   struct tw_error *error);
/* The definition as JSON, with its tag. Takes the lock. */
json_t *registry_definition_json(struct twin *twin, char tag[DEFINITION_TAG_SIZE]);

/* The observables as they are declared now; a reference. Takes the lock. */
struct tw_observables *registry_observables(struct twin *twin);

/* The snapshot of `version` (0 = champion), loaded from the store if need be (a small cache). TW_NOT_FOUND. */
int registry_snapshot(struct registry *registry, struct twin *twin, int version, struct snapshot **out,
                      struct tw_error *error);
/* Called after an alias move was committed: loads the version and swaps it in. */
int registry_serve(struct registry *registry, struct twin *twin, int version, int64_t move, bool hold,
                   struct tw_error *error);

/* Are the artifact and the acceptance reference of a version what their hashes say? TW_CORRUPT names the one that is
 * not, once it is kept aside and the version's reason says so. */
int registry_check_version(struct store *store, struct twin *twin, int version, struct tw_error *error);
/* The champion can't be used: moves the alias to the newest earlier champion that is whole, by actor "twind". *move:
 * the last move, then the new one. TW_NOT_FOUND: there is none. */
int registry_fall_back(struct store *store, struct twin *twin, int version, const char *why, struct snapshot **snapshot,
                       int64_t *move, struct tw_error *error);
/* Reading of the champion failed while it was served: if it is broken, falls back and serves what it fell back to.
 * TW_INVALID: it is whole. */
int registry_champion_broken(struct registry *registry, struct twin *twin, int version, int64_t move,
                             struct tw_error *error);

/* What GET /v1/twins/{twin} answers, but for the definition. Takes the lock. */
json_t *registry_twin_json(struct twin *twin);

/* "champion", "challenger", "reference"; reads anew what they name, after one of them was moved. Takes the lock. */
const char *registry_alias_name(int alias);
void registry_aliases_read(struct twin *twin);
/* The version that an alias names; 0: it was never set, -1: there is no alias of this name. Waits for nothing. */
int registry_alias_version(struct twin *twin, const char *name);

/* "promoted", "advised", "rejected", "failed", "cancelled"; upper ends of the ranges of durations, in seconds. */
const char *registry_outcome_name(int outcome);
double registry_duration_bound(int bucket);
/* A retune came to its end. Takes the lock. */
void registry_retuned(struct twin *twin, const char *outcome, double seconds);
/* Later data gave one that was rejected another outcome, "promoted" or "advised", which counts beside the first. */
void registry_appealed(struct twin *twin, const char *outcome);

/* A data batch became durable; called by ingest before the ACK goes out (and at start by the tail scan), with the
 * twin's lock held. Feed `train` is not announced here. */
int registry_arrived(struct twin *twin, uint64_t ordinal, const char *feed, int64_t run, int64_t seq, uint64_t rows,
                     uint64_t invalid_rows, int64_t received_ms);

/* The next complete window: the fewest leading pending batches that hold at least `loop.window` rows. False if there
 * is none. Takes the lock. `all`: also an incomplete one (training on what was spooled). */
bool registry_window(struct twin *twin, bool all, uint64_t *first, uint64_t *last, size_t *batches, uint64_t *rows);
/* Drops pending batches up to ordinal `last`: their iteration is committed. Takes the lock. */
void registry_processed(struct twin *twin, uint64_t last);
/* Complete windows that are still pending. Costs nothing. Lock held. */
struct twin_lag registry_lag(const struct twin *twin);
/* For how long the oldest of them has waited, in seconds. Lock held. */
double registry_lag_seconds(const struct twin *twin);
/* Counts windows anew, when `loop.window` has changed. Lock held. */
void registry_recount(struct twin *twin);

/* The counters and feeds that registry_arrived keeps, without the pending batch. Lock held, or twin not shared yet. */
int registry_count(struct twin *twin, const char *feed, int64_t run, int64_t seq, uint64_t rows, uint64_t invalid_rows,
                   int64_t received_ms);
int registry_push(struct twin *twin, uint64_t ordinal, uint64_t rows, int64_t received_ms);

/* --- shared by the files of the registry --- */

/* spool/<id>/twin.json has name, definition and time of creation; it comes and goes with the twin's row. Durable on
 * return; TW_FULL, TW_IO. _keep logs a failure: the database has it all. */
int registry_sidecar_write(struct twin *twin, struct tw_error *error);
void registry_sidecar_keep(struct twin *twin);
void registry_sidecar_remove(struct twin *twin);

/* A twin with its spool open, not shared yet. Takes the definition, also on failure. */
int registry_twin_new(struct store *store, const char *spools, size_t segment_bytes, int64_t id, int64_t created_ms,
                      struct definition *definition, struct twin **out, struct tw_error *error);
struct twin *registry_twin_ref(struct twin *twin);
/* Removes the spool of a deleted twin; what cannot be done now the next start does. */
void registry_spool_remove(struct store *store, int64_t twin, const char *path);
/* Everything of a twin that follows from the store and its spool; before it is shared. */
int registry_restore(struct store *store, struct twin *twin, struct tw_error *error);

#endif
