/* The stages of a backup: copy the database, list what belongs in, send file after file, say in the manifest what was
 * sent. See backup.h for why in this order. */
#include "daemon/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "daemon/clock.h"
#include "daemon/log.h"
#include "daemon/read_at.h"
#include "daemon/segment.h"
#include "daemon/space.h"
#include "daemon/spool.h"
#include "daemon/store_sql.h"
#include "daemon/store_vfs.h"
#include "proto/tar.h"

enum { FORMAT = 1, STEP_PAGES = 1024, PIECE = 1 << 20 };

enum stage { COPYING, SENDING, MANIFEST, ENDED };

struct source { /* a file of the archive */
    char name[TWP_TAR_NAME_MAX];
    char *path;
    uint64_t size;
    bool segment;
    uint64_t first, next; /* of a segment: its header is written anew, with the watermark as its mark */
    char sha256[crypto_hash_sha256_BYTES * 2 + 1];
};

struct backup {
    struct store *store;
    struct registry *registry;
    char *state, *copy_path;
    double began;
    bool begun; /* not refused at once */
    enum stage stage;

    sqlite3 *db; /* a read transaction: the snapshot */
    sqlite3 *copy;
    sqlite3_backup *copying;
    int64_t schema;

    struct twin **twins; /* pinned, by reference */
    size_t twin_count;

    struct source *sources;
    size_t source_count, at; /* at: the one being sent */
    int fd;
    uint64_t sent; /* of it */
    crypto_hash_sha256_state sha256;
    json_t *files, *watermarks;
    uint64_t bytes;
    int64_t created_ms;
};

static atomic_flag running = ATOMIC_FLAG_INIT;

static const char *const leftovers[] = {"", "-journal", "-wal", "-shm"};

static void remove_copy(const char *path)
{
    for (size_t i = 0; i < sizeof leftovers / sizeof *leftovers; i++) {
        char name[4200];
        snprintf(name, sizeof name, "%s%s", path, leftovers[i]);
        unlink(name);
    }
}

static char *copy_path(const char *state)
{
    char *path = NULL;
    return asprintf(&path, "%s/backup.tmp", state) < 0 ? NULL : path;
}

void backup_clean(const char *state)
{
    char *path = copy_path(state);
    if (path)
        remove_copy(path);
    free(path);
}

/* --- beginning --- */

/* Adds those twins that are not pinned yet. */
static int pin_twins(struct backup *backup)
{
    struct twin **twins = NULL;
    size_t count = registry_list(backup->registry, &twins);
    struct twin **grown = reallocarray(backup->twins, backup->twin_count + count + 1, sizeof *grown);
    if (!grown)
        count = 0;
    else
        backup->twins = grown;
    for (size_t i = 0; i < count; i++) {
        bool known = false;
        for (size_t j = 0; j < backup->twin_count && !known; j++)
            known = backup->twins[j] == twins[i];
        if (known) {
            registry_twin_unref(twins[i]);
            continue;
        }
        spool_pin(twins[i]->spool);
        backup->twins[backup->twin_count++] = twins[i];
    }
    free(twins);
    return grown ? TW_OK : TW_NO_MEMORY;
}

/* The snapshot begins with the first statement that reads. The copy need not survive anything, so nothing is synced. */
static int begin_copy(struct backup *backup, struct tw_error *error)
{
    int64_t pages = 0, page_size = 0;
    backup->db = store_read_begin(backup->store);
    if (!backup->db)
        return tw_error_set(error, TW_NO_MEMORY, "no read connection");
    int status = store_sql_number(backup->db, &pages, error, "SELECT count(*) FROM sqlite_schema", "");
    if (!status)
        status = store_sql_number(backup->db, &backup->schema, error, "PRAGMA user_version", "");
    if (!status)
        status = store_sql_number(backup->db, &pages, error, "PRAGMA page_count", "");
    if (!status)
        status = store_sql_number(backup->db, &page_size, error, "PRAGMA page_size", "");
    if (!status && !space_for((uint64_t)(pages * page_size)))
        status = tw_error_set(error, TW_FULL, "the disk has no room for a copy of the database (%lld MiB)",
                              (long long)(pages * page_size) >> 20);
    if (status)
        return status;
    remove_copy(backup->copy_path);
    int fd = open(backup->copy_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return tw_error_set(error, TW_IO, "cannot make %s: %s", backup->copy_path, strerror(errno));
    close(fd);
    status = store_sql_status(
        NULL, sqlite3_open_v2(backup->copy_path, &backup->copy, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, STORE_VFS),
        error);
    if (!status)
        status = store_sql_exec(backup->copy, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF", error);
    if (!status && !(backup->copying = sqlite3_backup_init(backup->copy, "main", backup->db, "main")))
        status = store_sql_status(backup->copy, sqlite3_errcode(backup->copy), error);
    return status;
}

int backup_begin(struct store *store, struct registry *registry, const char *state, struct backup **out,
                 struct tw_error *error)
{
    *out = NULL;
    if (atomic_flag_test_and_set(&running))
        return tw_error_set(error, TW_BUSY, "a backup is running already");
    struct backup *backup = calloc(1, sizeof *backup);
    if (!backup) {
        atomic_flag_clear(&running);
        return tw_error_set(error, TW_NO_MEMORY, "out of memory");
    }
    backup->store = store;
    backup->registry = registry;
    backup->fd = -1;
    backup->began = clock_monotonic();
    backup->created_ms = clock_ms();
    backup->state = strdup(state);
    backup->copy_path = copy_path(state);
    backup->files = json_array();
    backup->watermarks = json_array();
    int status = backup->state && backup->copy_path && backup->files && backup->watermarks
                     ? pin_twins(backup)
                     : tw_error_set(error, TW_NO_MEMORY, "out of memory");
    if (!status)
        status = begin_copy(backup, error);
    if (status) {
        backup_free(backup);
        return status;
    }
    backup->begun = true;
    log_info("backup_started", "twins=%zu schema=%lld", backup->twin_count, (long long)backup->schema);
    *out = backup;
    return TW_OK;
}

static void end_copy(struct backup *backup)
{
    sqlite3_backup_finish(backup->copying);
    sqlite3_close(backup->copy);
    backup->copying = NULL;
    backup->copy = NULL;
}

void backup_free(void *context)
{
    struct backup *backup = context;
    if (!backup)
        return;
    if (backup->begun && backup->stage != ENDED)
        log_warning("backup_broken_off", "bytes=%" PRIu64 " seconds=%.1f", backup->bytes,
                    clock_monotonic() - backup->began);
    end_copy(backup);
    store_read_end(backup->store, backup->db);
    if (backup->copy_path)
        remove_copy(backup->copy_path);
    for (size_t i = 0; i < backup->twin_count; i++) {
        spool_unpin(backup->twins[i]->spool);
        registry_twin_unref(backup->twins[i]);
    }
    for (size_t i = 0; i < backup->source_count; i++)
        free(backup->sources[i].path);
    if (backup->fd >= 0)
        close(backup->fd);
    json_decref(backup->files);
    json_decref(backup->watermarks);
    free(backup->twins);
    free(backup->sources);
    free(backup->state);
    free(backup->copy_path);
    free(backup);
    atomic_flag_clear(&running);
}

/* --- what belongs in --- */

static struct source *add_source(struct backup *backup, struct tw_error *error)
{
    struct source *grown = reallocarray(backup->sources, backup->source_count + 1, sizeof *grown);
    if (!grown) {
        tw_error_set(error, TW_NO_MEMORY, "out of memory");
        return NULL;
    }
    backup->sources = grown;
    grown += backup->source_count++;
    *grown = (struct source){.size = 0};
    return grown;
}

static int add_database(struct backup *backup, struct tw_error *error)
{
    struct stat at;
    struct source *source = add_source(backup, error);
    if (!source)
        return TW_NO_MEMORY;
    strcpy(source->name, "twin.db");
    source->path = strdup(backup->copy_path);
    if (!source->path || stat(source->path, &at) != 0)
        return tw_error_set(error, TW_IO, "%s: %s", backup->copy_path, strerror(errno));
    source->size = (uint64_t)at.st_size;
    return TW_OK;
}

static int add_spool(struct backup *backup, const struct twin *twin, struct tw_error *error)
{
    struct spool_piece *pieces = NULL;
    size_t count = 0;
    int status = spool_pieces(twin->spool, &pieces, &count);
    uint64_t watermark = 0;
    for (size_t i = 0; i < count && !status; i++) {
        char path[SEGMENT_PATH_MAX];
        struct source *source = add_source(backup, error);
        status = source ? segment_path(twin->spool_dir, pieces[i].first, path, error) : TW_NO_MEMORY;
        if (status)
            break;
        snprintf(source->name, sizeof source->name, "spool/%lld/%016" PRIx64 ".seg", (long long)twin->id,
                 pieces[i].first);
        source->segment = true;
        source->first = pieces[i].first;
        source->next = watermark = pieces[i].next;
        source->size = pieces[i].bytes;
        source->path = strdup(path);
        status = source->path ? TW_OK : TW_NO_MEMORY;
    }
    free(pieces);
    if (!status)
        json_array_append_new(backup->watermarks, json_pack("{s:I, s:s, s:I}", "id", (json_int_t)twin->id, "name",
                                                            twin->name, "watermark", (json_int_t)watermark));
    return status;
}

/* The twins of the snapshot. One that was made while its rows were copied is among those pinned since; one whose twin
 * cannot be found has never had a spool. */
static int list_sources(struct backup *backup, struct tw_error *error)
{
    sqlite3_stmt *rows = NULL;
    int status = pin_twins(backup);
    if (!status)
        status = add_database(backup, error);
    if (!status)
        status = store_sql_prepare(backup->db, &rows, error, "SELECT id FROM twins ORDER BY id", "");
    while (!status && !(status = store_sql_step(rows, error))) {
        int64_t id = sqlite3_column_int64(rows, 0);
        for (size_t i = 0; i < backup->twin_count && !status; i++)
            if (backup->twins[i]->id == id)
                status = add_spool(backup, backup->twins[i], error);
    }
    sqlite3_finalize(rows);
    return status == TW_NOT_FOUND ? TW_OK : status;
}

static int copy_some(struct backup *backup, struct tw_error *error)
{
    int code = sqlite3_backup_step(backup->copying, STEP_PAGES);
    if (code == SQLITE_OK)
        return TW_OK;
    if (code != SQLITE_DONE)
        return store_sql_status(backup->copy, code, error);
    end_copy(backup);
    int status = list_sources(backup, error);
    /* The snapshot was what kept the log of the database from being taken back. */
    store_read_end(backup->store, backup->db);
    backup->db = NULL;
    backup->stage = SENDING;
    return status;
}

/* --- sending --- */

static int open_source(struct backup *backup, const struct source *source, struct tw_error *error)
{
    backup->fd = open(source->path, O_RDONLY | O_CLOEXEC);
    if (backup->fd < 0)
        return tw_error_set(error, TW_IO, "%.200s: %s", source->path, strerror(errno));
    backup->sent = 0;
    crypto_hash_sha256_init(&backup->sha256);
    return TW_OK;
}

static void end_source(struct backup *backup, struct source *source)
{
    unsigned char digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_final(&backup->sha256, digest);
    sodium_bin2hex(source->sha256, sizeof source->sha256, digest, sizeof digest);
    json_array_append_new(backup->files, json_pack("{s:s, s:I, s:s}", "name", source->name, "size",
                                                   (json_int_t)source->size, "sha256", source->sha256));
    close(backup->fd);
    backup->fd = -1;
    if (++backup->at == backup->source_count)
        backup->stage = MANIFEST;
}

/* A piece of the file at hand: its header before the first, zeros behind the last. */
static int send_source(struct backup *backup, unsigned char *piece, size_t *size, struct tw_error *error)
{
    struct source *source = &backup->sources[backup->at];
    int status = TW_OK;
    *size = 0;
    if (backup->fd < 0) {
        status = open_source(backup, source, error);
        twp_tar_header(piece, source->name, source->size, backup->created_ms / 1000);
        *size = TWP_TAR_BLOCK;
    }
    if (status)
        return status;
    uint64_t left = source->size - backup->sent;
    size_t n = left < PIECE ? (size_t)left : PIECE;
    unsigned char *data = piece + *size;
    if (read_at(backup->fd, data, n, backup->sent) != (ssize_t)n)
        return tw_error_set(error, TW_IO, "%.200s is shorter than it was, or cannot be read", source->path);
    if (source->segment && backup->sent == 0) /* data behind the watermark may be acknowledged by now: they stay out */
        segment_header(source->first, source->next, data);
    crypto_hash_sha256_update(&backup->sha256, data, n);
    backup->sent += n;
    *size += n;
    if (backup->sent == source->size) {
        memset(piece + *size, 0, TWP_TAR_BLOCK);
        *size += twp_tar_padding(source->size);
        end_source(backup, source);
    }
    return TW_OK;
}

static int send_manifest(struct backup *backup, void **bytes, size_t *size)
{
    char created[32];
    json_t *manifest = json_pack("{s:i, s:s, s:I, s:s, s:O, s:O}", "format", FORMAT, "version", TWIN_VERSION, "schema",
                                 (json_int_t)backup->schema, "created", clock_rfc3339(backup->created_ms, created),
                                 "twins", backup->watermarks, "files", backup->files);
    char *text = manifest ? json_dumps(manifest, JSON_INDENT(1)) : NULL;
    size_t length = text ? strlen(text) : 0, whole = TWP_TAR_BLOCK + length + twp_tar_padding(length) + TWP_TAR_END;
    unsigned char *piece = text ? calloc(1, whole) : NULL;
    if (piece) {
        twp_tar_header(piece, "manifest.json", length, backup->created_ms / 1000);
        memcpy(piece + TWP_TAR_BLOCK, text, length);
        *bytes = piece;
        *size = whole;
    }
    json_decref(manifest);
    free(text);
    return piece ? TW_OK : TW_NO_MEMORY;
}

static int next_piece(struct backup *backup, void **bytes, size_t *size, struct tw_error *error)
{
    switch (backup->stage) {
    case COPYING:
        *bytes = malloc(1);
        return *bytes ? copy_some(backup, error) : TW_NO_MEMORY;
    case SENDING:
        *bytes = malloc(PIECE + 2 * TWP_TAR_BLOCK);
        return *bytes ? send_source(backup, *bytes, size, error) : TW_NO_MEMORY;
    case MANIFEST:
        backup->stage = ENDED;
        return send_manifest(backup, bytes, size);
    case ENDED:
        log_info("backup_sent", "bytes=%" PRIu64 " files=%zu seconds=%.1f", backup->bytes, backup->source_count,
                 clock_monotonic() - backup->began);
        return TW_OK;
    }
    return TW_OK;
}

int backup_next(void *context, void **bytes, size_t *size)
{
    struct backup *backup = context;
    struct tw_error error = {""};
    *bytes = NULL;
    *size = 0;
    int status = next_piece(backup, bytes, size, &error);
    backup->bytes += *size;
    if (status) {
        char quoted[400];
        log_error("backup_failed", "why=%s",
                  log_quote(error.text[0] ? error.text : tw_status_name(status), quoted, sizeof quoted));
        free(*bytes);
        *bytes = NULL;
        *size = 0;
    }
    return status;
}
