/* What takes time: the database's own check, the walk over every segment, the sums of blobs. One call does one of them
 * for one thing, and hands the worker back in between. */
#include "daemon/doctor.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/clock.h"
#include "daemon/heartbeat.h"
#include "daemon/segment.h"
#include "daemon/spool.h"
#include "daemon/store_sql.h"

enum { QUICK_S = 10, DEEP_S = 600, SAMPLE = 16, STEP_RECORDS = 64, STEP_BLOBS = 8, PROGRESS_OPCODES = 100000 };

static atomic_flag running = ATOMIC_FLAG_INIT; /* one at a time is enough for the disk */

enum stage { FACTS, DATABASE, SPOOLS, BLOBS, TELL, ENDED };

struct doctor {
    const struct api *api;
    const struct http *http;
    bool deep;
    enum stage stage;
    json_t *items;

    struct twin **twins;
    size_t twin_count, twin; /* twin: the one whose spool is looked at */
    struct spool_piece *pieces;
    size_t piece_count, piece;
    bool listed;           /* pieces are those of the twin */
    uint64_t record, next; /* of the records to read */
    uint64_t segments, records, damaged;
    char damage[256]; /* the first */

    int64_t blob; /* id of the last one looked at */
    uint64_t blobs, bad_blobs;
    char bad_blob[256];
    double until; /* of the database's check */
};

void doctor_add(json_t *items, const char *name, enum doctor_level level, const char *advice, const char *format, ...)
{
    static const char *const levels[] = {[DOCTOR_OK] = "ok", [DOCTOR_WARNING] = "warning", [DOCTOR_ERROR] = "error"};
    char detail[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    for (char *c = detail; *c; c++)
        if ((unsigned char)*c < ' ' || (unsigned char)*c >= 0x7f)
            *c = '?';
    json_array_append_new(items, json_pack("{s:s, s:b, s:s, s:s, s:s?}", "name", name, "ok", level == DOCTOR_OK,
                                           "level", levels[level], "detail", detail, "advice", advice));
}

int doctor_begin(const struct api *api, const struct http *http, bool deep, struct doctor **out, struct tw_error *error)
{
    if (atomic_flag_test_and_set(&running))
        return tw_error_set(error, TW_BUSY, "such a check is running already");
    struct doctor *doctor = *out = calloc(1, sizeof *doctor);
    if (!doctor) {
        atomic_flag_clear(&running);
        return tw_error_set(error, TW_NO_MEMORY, "out of memory");
    }
    *doctor = (struct doctor){.api = api, .http = http, .deep = deep, .items = json_array()};
    doctor->twin_count = registry_list(api->registry, &doctor->twins);
    return TW_OK;
}

/* --- the database --- */

static int look_at_the_clock(void *context)
{
    struct doctor *doctor = context;
    heartbeat_mark();
    return http_stopping(doctor->http) || clock_monotonic() > doctor->until;
}

static long long file_size(const struct doctor *doctor, const char *name)
{
    char path[4200];
    struct stat at;
    snprintf(path, sizeof path, "%s/%s", doctor->api->config->state, name);
    return stat(path, &at) == 0 ? (long long)at.st_size : 0;
}

static void check_database(struct doctor *doctor)
{
    static const char advice[] = "stop twind, keep a copy of the state folder, restore the last backup "
                                 "(twinctl restore) and let the feeds send again";
    sqlite3_stmt *rows = NULL;
    struct tw_error error = {""};
    char answer[200] = "";
    sqlite3 *db = store_read_begin(doctor->api->store);
    if (!db) {
        doctor_add(doctor->items, "database", DOCTOR_ERROR, "look at open files and memory",
                   "a read connection cannot be opened");
        return;
    }
    doctor->until = clock_monotonic() + (doctor->deep ? DEEP_S : QUICK_S);
    sqlite3_progress_handler(db, PROGRESS_OPCODES, look_at_the_clock, doctor);
    int code = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &rows, NULL);
    if (code == SQLITE_OK && (code = sqlite3_step(rows)) == SQLITE_ROW)
        snprintf(answer, sizeof answer, "%s", (const char *)sqlite3_column_text(rows, 0));
    else
        store_sql_status(db, code, &error);
    sqlite3_finalize(rows);
    sqlite3_progress_handler(db, 0, NULL, NULL);
    store_read_end(doctor->api->store, db);
    if (!strcmp(answer, "ok"))
        doctor_add(doctor->items, "database", DOCTOR_OK, NULL, "quick_check is ok; %.1f MiB, log %.1f MiB",
                   (double)file_size(doctor, "twin.db") / 1048576, (double)file_size(doctor, "twin.db-wal") / 1048576);
    else if ((code & 0xff) == SQLITE_INTERRUPT)
        doctor_add(doctor->items, "database", DOCTOR_OK, NULL,
                   "quick_check found nothing in %d s, which is not all of %.1f MiB%s", doctor->deep ? DEEP_S : QUICK_S,
                   (double)file_size(doctor, "twin.db") / 1048576, doctor->deep ? "" : "; --deep takes longer");
    else
        doctor_add(doctor->items, "database", DOCTOR_ERROR, advice, "quick_check: %s", *answer ? answer : error.text);
}

/* --- spools --- */

static void note_damage(struct doctor *doctor, const struct tw_error *error)
{
    if (!doctor->damaged++)
        snprintf(doctor->damage, sizeof doctor->damage, "%s", error->text);
}

static void see_damage(void *context, const struct segment_damage *damage)
{
    struct tw_error error;
    tw_error_set(&error, TW_CORRUPT, "segment %016llx at byte %llu: %s", (unsigned long long)damage->segment,
                 (unsigned long long)damage->offset, damage->what);
    note_damage(context, &error);
}

/* Up to some records of the twin at hand; true when there are no more. */
static bool read_records(struct doctor *doctor, const struct twin *twin)
{
    for (int i = 0; i < STEP_RECORDS && doctor->record < doctor->next; i++, doctor->record++) {
        struct twp_frame frames[TWP_FRAMES_MAX];
        struct tw_error error = {""};
        void *memory = NULL;
        int64_t received_ms;
        size_t count;
        int status =
            spool_read(twin->spool, doctor->record, &memory, &received_ms, frames, TWP_FRAMES_MAX, &count, &error);
        free(memory);
        doctor->records++;
        if (status == TW_CORRUPT || status == TW_IO)
            note_damage(doctor, &error);
        heartbeat_mark();
    }
    return doctor->record >= doctor->next;
}

static void list_pieces(struct doctor *doctor, const struct twin *twin)
{
    spool_pin(twin->spool);
    doctor->listed = true;
    doctor->piece = 0;
    if (spool_pieces(twin->spool, &doctor->pieces, &doctor->piece_count) != TW_OK)
        doctor->piece_count = 0;
    doctor->next = doctor->piece_count ? doctor->pieces[doctor->piece_count - 1].next : 0;
    uint64_t first = doctor->piece_count ? doctor->pieces[0].first : 0;
    doctor->record = doctor->deep || doctor->next < first + SAMPLE ? first : doctor->next - SAMPLE;
}

static void leave_twin(struct doctor *doctor)
{
    if (doctor->listed)
        spool_unpin(doctor->twins[doctor->twin]->spool);
    doctor->listed = false;
    free(doctor->pieces);
    doctor->pieces = NULL;
}

/* First the headers of a segment's records, one segment a call; then records whole. */
static void check_spools(struct doctor *doctor)
{
    if (doctor->twin == doctor->twin_count) {
        if (doctor->damaged)
            doctor_add(doctor->items, "spool", DOCTOR_ERROR,
                       "these batches cannot be read again: keep the file, and have the feeds send the run again under "
                       "another number if a training needs it",
                       "%llu places are damaged, the first: %s", (unsigned long long)doctor->damaged, doctor->damage);
        else
            doctor_add(doctor->items, "spool", DOCTOR_OK, NULL,
                       "%llu segments walk, %llu records%s have their checksum", (unsigned long long)doctor->segments,
                       (unsigned long long)doctor->records, doctor->deep ? "" : " of the newest");
        doctor->stage = BLOBS;
        return;
    }
    struct twin *twin = doctor->twins[doctor->twin];
    if (!doctor->listed)
        list_pieces(doctor, twin);
    if (doctor->piece < doctor->piece_count) {
        const struct spool_piece *piece = &doctor->pieces[doctor->piece++];
        struct tw_error error = {""};
        uint64_t *offset = NULL;
        size_t known;
        int status =
            segment_index(twin->spool_dir, piece->first, piece->next, &offset, &known, see_damage, doctor, &error);
        free(offset);
        doctor->segments++;
        if (status == TW_IO || status == TW_NOT_FOUND)
            note_damage(doctor, &error);
    } else if (read_records(doctor, twin)) {
        leave_twin(doctor);
        doctor->twin++;
    }
}

/* --- blobs --- */

static bool next_blob(struct doctor *doctor, char sha256[65])
{
    sqlite3_stmt *row = NULL;
    sqlite3 *db = store_read_begin(doctor->api->store);
    if (!db)
        return false;
    /* the newest first: those in use */
    int status = store_sql_prepare(
        db, &row, NULL, "SELECT id, sha256 FROM blobs WHERE id < ?1 ORDER BY id DESC LIMIT 1", "i", doctor->blob);
    if (!status)
        status = store_sql_step(row, NULL);
    if (!status) {
        doctor->blob = sqlite3_column_int64(row, 0);
        snprintf(sha256, 65, "%s", (const char *)sqlite3_column_text(row, 1));
    }
    sqlite3_finalize(row);
    store_read_end(doctor->api->store, db);
    return status == TW_OK;
}

static void check_blobs(struct doctor *doctor)
{
    bool more = true;
    if (!doctor->blob)
        doctor->blob = INT64_MAX;
    for (int i = 0; i < STEP_BLOBS && more; i++) {
        char sha256[65];
        unsigned char *bytes = NULL;
        size_t size;
        struct tw_error error = {""};
        more = (doctor->deep || doctor->blobs < SAMPLE) && next_blob(doctor, sha256);
        if (!more)
            break;
        int status = store_blob_get(doctor->api->store, sha256, &bytes, &size, &error);
        free(bytes);
        doctor->blobs++;
        if (status != TW_OK && status != TW_NOT_FOUND && !doctor->bad_blobs++) /* else it was collected meanwhile */
            snprintf(doctor->bad_blob, sizeof doctor->bad_blob, "%.12s: %s", sha256, error.text);
        heartbeat_mark();
    }
    if (more)
        return;
    if (doctor->bad_blobs)
        doctor_add(doctor->items, "blobs", DOCTOR_ERROR,
                   "roll back to a version whose artifact is whole (twinctl rollback), or restore a backup",
                   "%llu artifacts or references do not have their SHA-256, the first: %s",
                   (unsigned long long)doctor->bad_blobs, doctor->bad_blob);
    else
        doctor_add(doctor->items, "blobs", DOCTOR_OK, NULL, "%llu artifacts and references have their SHA-256",
                   (unsigned long long)doctor->blobs);
    doctor->stage = TELL;
}

/* --- all of it --- */

static int tell(struct doctor *doctor, void **bytes, size_t *size)
{
    char now[32];
    json_t *answer = json_pack("{s:O, s:s, s:s, s:b}", "items", doctor->items, "time", clock_rfc3339(clock_ms(), now),
                               "version", TWIN_VERSION, "deep", doctor->deep);
    *bytes = answer ? json_dumps(answer, JSON_COMPACT) : NULL;
    *size = *bytes ? strlen(*bytes) : 0;
    json_decref(answer);
    doctor->stage = ENDED;
    return *bytes ? TW_OK : TW_NO_MEMORY;
}

int doctor_next(void *context, void **bytes, size_t *size)
{
    struct doctor *doctor = context;
    *bytes = NULL;
    *size = 0;
    if (doctor->stage == ENDED)
        return TW_OK;
    if (http_stopping(doctor->http))
        return TW_BUSY;
    if (doctor->stage == TELL)
        return tell(doctor, bytes, size);
    switch (doctor->stage) {
    case FACTS:
        doctor_facts(doctor->api, doctor->items);
        doctor->stage = DATABASE;
        break;
    case DATABASE:
        check_database(doctor);
        doctor->stage = SPOOLS;
        break;
    case SPOOLS:
        check_spools(doctor);
        break;
    case BLOBS:
        check_blobs(doctor);
        break;
    case TELL:
    case ENDED:
        break;
    }
    *bytes = malloc(1); /* nothing to send yet */
    return *bytes ? TW_OK : TW_NO_MEMORY;
}

void doctor_free(void *context)
{
    struct doctor *doctor = context;
    if (!doctor)
        return;
    if (doctor->listed)
        leave_twin(doctor);
    for (size_t i = 0; i < doctor->twin_count; i++)
        registry_twin_unref(doctor->twins[i]);
    free(doctor->twins);
    json_decref(doctor->items);
    free(doctor);
    atomic_flag_clear(&running);
}
