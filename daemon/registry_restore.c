/* What a twin knew when the daemon last ran.
 *
 * The spool is the truth. Rows in SQLite spare the reading of it, up to the first ordinal that has no row: what comes
 * from there on was durable, but its row was not committed yet, and is read from the spool again. Of batches that are
 * counted and processed only what is known of their feeds is read: a start costs what came since, not what is stored.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/batch.h"
#include "daemon/clock.h"
#include "daemon/damage.h"
#include "daemon/feeds.h"
#include "daemon/log.h"
#include "daemon/registry.h"
#include "daemon/shortage.h"
#include "daemon/spool.h"
#include "daemon/store.h"
#include "daemon/store_feeds.h"

enum { GROUP = 256 }; /* rows handed to the store at once */

struct restore {
    struct store *store;
    struct twin *twin;
    uint64_t next;      /* first ordinal that was not met yet */
    uint64_t processed; /* first ordinal that no iteration has taken */
    uint64_t counted;   /* smaller ordinals are in the feeds' records */
    size_t records;     /* that there are */
    struct feeds *met;  /* NULL, unless nobody knows which ordinals the records count: the keys met so far */
    struct store_batch rows[GROUP];
    size_t count;
    struct tw_error *error;
};

static int count_train(struct twin *twin, const char *feed, int64_t run, int64_t seq, uint64_t rows,
                       uint64_t invalid_rows, int64_t received_ms)
{
    return feeds_add(twin->feeds, feed, run, seq, rows, invalid_rows, received_ms);
}

/* One batch that is in the spool, known from its row or from the spool itself. */
static int meet(struct restore *restore, const struct store_batch *batch)
{
    struct twin *twin = restore->twin;
    bool train = !strcmp(batch->feed, "train"); /* its keys are known, but it is no data that arrived */
    restore->next = batch->ordinal + 1;
    if (twin->announced < restore->next)
        twin->announced = restore->next;
    bool counted = batch->ordinal < restore->counted;
    bool known = !counted && feeds_has(twin->feeds, batch->feed, batch->run, batch->seq);
    if (known && (!restore->met || feeds_has(restore->met, batch->feed, batch->run, batch->seq)))
        return 0;
    int status = restore->met ? feeds_add(restore->met, batch->feed, batch->run, batch->seq, 0, 0, 0) : 0;
    if (!status && !counted && !known)
        status = (train ? count_train : registry_count)(twin, batch->feed, batch->run, batch->seq, batch->events,
                                                        batch->invalid_rows, batch->received_ms);
    if (!status && !train && batch->ordinal >= restore->processed)
        status = registry_push(twin, batch->ordinal, batch->events, batch->received_ms);
    return status ? tw_error_set(restore->error, status, "no memory for the batches of twin %s", twin->name) : 0;
}

static int meet_row(void *context, const struct store_batch *batch)
{
    struct restore *restore = context;
    uint64_t kept = spool_first(restore->twin->spool);
    if (restore->next < kept) /* removed as old */
        restore->next = kept < batch->ordinal ? kept : batch->ordinal;
    while (restore->next < batch->ordinal && !spool_has(restore->twin->spool, restore->next))
        restore->next++; /* lost without a row: nobody can say what it was */
    if (batch->ordinal != restore->next)
        return TW_CANCELLED; /* a hole: the spool fills it */
    return meet(restore, batch);
}

static int flush(struct restore *restore)
{
    int status = 0;
    if (restore->count)
        while ((status = store_batch_add(restore->store, restore->rows, restore->count)) == TW_BUSY)
            store_barrier(restore->store);
    restore->count = 0;
    return status;
}

static int meet_record(void *context, uint64_t ordinal, int64_t received_ms, const struct twp_frame *frames,
                       size_t count)
{
    struct restore *restore = context;
    struct twp_batch batch;
    char detail[200];
    enum twp_code code = batch_decode(frames, count, &batch, detail);
    if (code == TWP_FULL)
        return tw_error_set(restore->error, TW_NO_MEMORY, "no memory for a batch of twin %s", restore->twin->name);
    if (code != TWP_OK) { /* its checksum is right: it was written so */
        damage_file(restore->twin->name, NULL, false, "the batch with ordinal %llu does not decode: %s",
                    (unsigned long long)ordinal, detail);
        return 0;
    }
    struct store_batch *row = &restore->rows[restore->count++];
    *row = (struct store_batch){
        .twin = restore->twin->id,
        .ordinal = ordinal,
        .run = batch.key.run,
        .seq = batch.key.seq,
        .events = batch.payload.rows,
        .invalid_rows = batch_invalid_rows(restore->twin->definition->schema, &batch),
        .received_ms = received_ms,
    };
    strcpy(row->feed, batch.key.feed);
    batch_digest(&batch, row->digest);
    twp_wire_batch_fini(&batch);
    int status = meet(restore, row);
    if (!status && restore->count == GROUP)
        status = flush(restore);
    return status;
}

static int meet_feed(void *context, const struct feeds_record *record)
{
    struct restore *restore = context;
    struct twin_counters *counters = &restore->twin->counters;
    int status = feeds_restore(restore->twin->feeds, record);
    restore->records++;
    if (status || !strcmp(record->feed, "train"))
        return status;
    counters->batches += record->batches;
    counters->events += record->events;
    counters->invalid_rows += record->invalid_rows;
    if (record->received_ms > counters->last_received_ms)
        counters->last_received_ms = record->received_ms;
    return 0;
}

static int restore_batches(struct restore *restore)
{
    struct twin *twin = restore->twin;
    int status = store_feeds_each(restore->store, twin->id, &restore->counted, meet_feed, restore, restore->error);
    if (status)
        return status;
    if (restore->records && !restore->counted && !(restore->met = feeds_new())) /* the records of a salvaged database */
        return tw_error_set(restore->error, TW_NO_MEMORY, "no memory for the feeds of twin %s", twin->name);
    uint64_t first = spool_first(twin->spool), held = spool_next(twin->spool);
    uint64_t done = restore->processed < restore->counted ? restore->processed : restore->counted;
    restore->next = done > first ? done : first;
    twin->announced = restore->counted;
    status = store_batch_each(restore->store, twin->id, restore->next, meet_row, restore);
    if (status && status != TW_CANCELLED)
        return status;
    uint64_t known = store_batch_next(restore->store, twin->id);
    if (known < restore->processed)
        known = restore->processed;
    if (known < restore->counted)
        known = restore->counted;
    if (known > held) { /* no ordinal is given twice */
        twin->lost += known - held;
        damage_file(twin->name, NULL, false,
                    "%s ends before ordinal %llu, the database knows batches up to %llu: %llu"
                    " are lost",
                    twin->spool_dir, (unsigned long long)held, (unsigned long long)known - 1,
                    (unsigned long long)(known - held));
        spool_skip(twin->spool, known);
    }
    uint64_t from = restore->next;
    if (from < held) {
        status = spool_scan(twin->spool, from, meet_record, restore, restore->error);
        int flushed = flush(restore);
        status = status == TW_OK ? flushed : status;
        log_info("spool_scanned", "twin=%s from=%llu to=%llu", twin->name, (unsigned long long)from,
                 (unsigned long long)held);
    } else {
        status = 0;
    }
    int64_t silent_ms = clock_ms() - twin->counters.last_received_ms; /* negative if the clock was set back meanwhile */
    twin->counters.heard_s = clock_monotonic() - (silent_ms > 0 ? (double)silent_ms / 1000 : 0);
    twin->counters.gaps = feeds_gaps(twin->feeds);
    return status;
}

/* A broken champion gives way to the one before; if none is whole that is shown, not fatal: an operator can still look
 * and roll back. Without memory nothing is known about it. */
static int restore_champion(struct store *store, struct twin *twin, struct tw_error *error)
{
    unsigned before = shortage_count();
    int status = TW_OK;
    json_t *alias = store_alias_json(store, twin->id, "champion");
    if (alias) {
        int version = (int)json_integer_value(json_object_get(alias, "version"));
        twin->champion_move = json_integer_value(json_object_get(alias, "move"));
        twin->champion_since_ms = json_integer_value(json_object_get(alias, "since_ms"));
        struct tw_error why = {""};
        status = registry_check_version(store, twin, version, &why);
        if (!status)
            status = snapshot_load(store, twin->id, version, &twin->champion, &why);
        if (status == TW_NO_MEMORY || shortage_count() != before) {
            json_decref(alias);
            return tw_error_set(error, TW_NO_MEMORY, "no memory for the champion of twin %s", twin->name);
        }
        if (status == TW_CORRUPT || status == TW_NOT_FOUND) {
            status = registry_fall_back(store, twin, version, why.text, &twin->champion, &twin->champion_move, error);
            twin->champion_since_ms = status ? twin->champion_since_ms : clock_ms();
        } else {
            *error = why;
        }
        if (status) {
            char quoted[300];
            strcpy(twin->fault, error->text);
            log_error("champion_broken", "twin=%s version=%d why=%s", twin->name, version,
                      log_quote(error->text, quoted, sizeof quoted));
        }
    }
    json_decref(alias);
    if (status == TW_NO_MEMORY || shortage_count() != before) /* nothing is known about the champion */
        return tw_error_set(error, TW_NO_MEMORY, "no memory for the champion of twin %s", twin->name);
    twin->activity = !twin->champion ? ACTIVITY_UNTRAINED : twin->hold ? ACTIVITY_HELD : ACTIVITY_IDLE;
    return TW_OK;
}

int registry_restore(struct store *store, struct twin *twin, struct tw_error *error)
{
    struct restore *restore = calloc(1, sizeof *restore);
    if (!restore)
        return tw_error_set(error, TW_NO_MEMORY, "no memory to restore twin %s", twin->name);
    *restore = (struct restore){.store = store, .twin = twin, .error = error};
    tw_error_set(error, 0, "twin %s cannot be restored from the database", twin->name);
    int status = store_progress_get(store, twin->id, &restore->processed, NULL);
    if (!status)
        status = restore_batches(restore);
    if (!status)
        status =
            store_iteration_verdict(store, twin->id, &twin->judged_version, &twin->drifted, &twin->verdict_since_ms);
    if (!status) {
        twin->last_iteration = store_iteration_last(store, twin->id);
        status = restore_champion(store, twin, error);
        registry_aliases_read(twin);
    }
    feeds_free(restore->met);
    free(restore);
    return status;
}
