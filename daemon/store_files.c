/* Opening of the state folder.
 *
 * One daemon a folder: flock on <state>/lock, which the kernel drops when the daemon dies. (Not fcntl locks: those are
 * lost when any descriptor of the file is closed.) Readers never checkpoint: SQLite 3.40.1 can lose commits when two
 * connections do at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/errno_status.h"
#include "daemon/folder.h"
#include "daemon/log.h"
#include "daemon/store_files.h"
#include "daemon/store_salvage.h"
#include "daemon/store_sql.h"
#include "daemon/store_vfs.h"
#include "sql/migrations.h"

static int take_lock(struct store_files *files, const char *state, struct tw_error *error)
{
    char path[4200], pid[32];
    snprintf(path, sizeof path, "%s/lock", state);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return tw_error_set(error, errno_status(errno), "cannot open %s: %s", path, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        int why = errno;
        ssize_t size = pread(fd, pid, sizeof pid - 1, 0);
        pid[size > 0 ? size : 0] = 0;
        pid[strspn(pid, "0123456789")] = 0;
        close(fd);
        if (why != EWOULDBLOCK)
            return tw_error_set(error, TW_IO, "cannot lock %s: %s", path, strerror(why));
        return tw_error_set(error, TW_BUSY, "state folder %s is in use by another twind (pid %s)", state,
                            *pid ? pid : "unknown");
    }
    files->lock = fd + 1;
    int size = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) || pwrite(fd, pid, (size_t)size, 0) != size)
        return tw_error_set(error, errno_status(errno), "cannot write %s: %s", path, strerror(errno));
    return 0;
}

static int connect_by(const char *vfs, const char *path, int flags, const char *pragmas, sqlite3 **out,
                      struct tw_error *error)
{
    int status = store_vfs_register(error);
    if (!status)
        status = store_sql_status(NULL, sqlite3_open_v2(path, out, flags | SQLITE_OPEN_NOMUTEX, vfs), error);
    if (status)
        return status;
    int reserved = STORE_VFS_RESERVED; /* counts for a file that is empty, or that VACUUM writes anew */
    if (!(flags & SQLITE_OPEN_READONLY))
        sqlite3_file_control(*out, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved);
    sqlite3_extended_result_codes(*out, 1);
    sqlite3_busy_timeout(*out, 5000);
    sqlite3_db_config(*out, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(*out, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(*out, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    sqlite3_db_config(*out, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    return store_sql_exec(*out, pragmas, error);
}

static int connect_database(const char *path, int flags, const char *pragmas, sqlite3 **out, struct tw_error *error)
{
    return connect_by(STORE_VFS, path, flags, pragmas, out, error);
}

int store_files_reader(const struct store_files *files, sqlite3 **out, struct tw_error *error)
{
    int status = connect_database(files->database, SQLITE_OPEN_READONLY,
                                  "PRAGMA query_only=ON; PRAGMA cell_size_check=ON; PRAGMA mmap_size=0;"
                                  "PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-1024; PRAGMA temp_store=MEMORY",
                                  out, error);
    if (status) {
        sqlite3_close(*out);
        *out = NULL;
        return status;
    }
    sqlite3_db_config(*out, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return 0;
}

/* One migration and the number that says so, in one transaction. Foreign keys are off meanwhile, so that a table which
 * others refer to can be made anew (https://www.sqlite.org/lang_altertable.html). */
static int migrate(sqlite3 *db, int64_t number, struct tw_error *error)
{
    char set[96];
    snprintf(set, sizeof set, "PRAGMA user_version=%lld; PRAGMA application_id=" STORE_APPLICATION_ID "; COMMIT",
             (long long)number + 1);
    int status = store_sql_exec(db, "PRAGMA foreign_keys=OFF; BEGIN IMMEDIATE", error);
    if (!status)
        status = store_sql_exec(db, sql_migrations[number].text, error);
    if (!status)
        status = store_sql_exec(db, set, error);
    if (status)
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return status ? status : store_sql_exec(db, "PRAGMA foreign_keys=ON", error);
}

/* The schema that the file has; refused if it is not ours or newer than this program. */
static int read_schema(sqlite3 *db, const char *path, int64_t *version, struct tw_error *error)
{
    int64_t application = 0;
    int status = store_sql_number(db, version, error, "PRAGMA user_version", "");
    if (!status)
        status = store_sql_number(db, &application, error, "PRAGMA application_id", "");
    if (!status && *version > 0 && application != strtoll(STORE_APPLICATION_ID, NULL, 0))
        return tw_error_set(error, TW_CONFLICT, "%s is not a database of twind", path);
    if (!status && *version > sql_migrations_count)
        return tw_error_set(
            error, TW_CONFLICT,
            "%s has schema %lld, newer than this twind, which knows schemas up to %d: use a newer twind", path,
            (long long)*version, sql_migrations_count);
    return status;
}

/* Before a statement that may write: a file that is refused stays as it is. */
static int look_first(const char *path, struct tw_error *error)
{
    sqlite3 *db = NULL;
    int64_t version = 0;
    if (access(path, F_OK) != 0)
        return 0;
    struct tw_error why = {""};
    bool foreign = store_vfs_foreign(path); /* then its checksums say nothing, yet */
    int status = connect_by(foreign ? NULL : STORE_VFS, path, SQLITE_OPEN_READWRITE, "", &db, &why);
    if (db) /* what it finds in the log is for the writer, which says if that fails */
        sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (!status)
        status = read_schema(db, path, &version, &why);
    sqlite3_close(db);
    if (status == TW_CONFLICT)
        return tw_error_set(error, status, "%s", why.text);
    return status ? tw_error_set(error, status, "cannot open %s: %s", path, why.text) : 0;
}

int store_files_migrate(sqlite3 *db, const char *path, struct tw_error *error)
{
    int64_t version = 0;
    int status = read_schema(db, path, &version, error);
    for (int64_t i = version; !status && i < sql_migrations_count; i++)
        status = migrate(db, i, error);
    if (!status && version > 0 && version < sql_migrations_count)
        log_info("migrated", "from_schema=%lld to_schema=%d", (long long)version, sql_migrations_count);
    return status;
}

/* The file may be anything: damage shows at the first statement that reads it. */
static int open_writer(const char *path, sqlite3 **writer, struct tw_error *error)
{
    struct tw_error why = {""};
    /* auto_vacuum counts only before the first table, and before the change to WAL. */
    int status = connect_database(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                                  "PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                                  "PRAGMA foreign_keys=ON; PRAGMA cell_size_check=ON; PRAGMA mmap_size=0;"
                                  "PRAGMA temp_store=MEMORY; PRAGMA cache_size=-2048;"
                                  "PRAGMA journal_size_limit=8388608",
                                  writer, &why);
    int64_t is_wal = 0;
    if (!status)
        status = store_sql_number(*writer, &is_wal, &why, "SELECT journal_mode = 'wal' FROM pragma_journal_mode", "");
    if (!status && !is_wal)
        return tw_error_set(error, TW_IO, "%s cannot be kept in WAL mode here", path);
    if (status)
        return tw_error_set(error, status, "cannot open %s: %s", path, why.text);
    return 0;
}

/* --- damage --- */

/* How long a start may look at pages, in seconds. After a stop in order only a moment, so that starts do not get slower
 * with what is stored; after a kill, a power cut or a failure as long as some gigabytes take. Pages beyond are checked
 * when they are read, as always. */
#define SWEEP_S       30.0
#define SWEEP_CLEAN_S 0.1
#define SUSPECT       "-suspect" /* a file of this name beside the database: see store_files_suspect */

struct sweep {
    uint32_t first;
    uint64_t count;
};

static bool found_damage(void *context, uint32_t page)
{
    struct sweep *sweep = context;
    sweep->first = sweep->count++ ? sweep->first : page;
    return true;
}

static bool is_there(const char *path, const char *suffix)
{
    char beside[4300];
    struct stat at;
    snprintf(beside, sizeof beside, "%s%s", path, suffix);
    return stat(beside, &at) == 0;
}

static void set_suspect(const char *path, bool suspect)
{
    char beside[4300];
    snprintf(beside, sizeof beside, "%s" SUSPECT, path);
    int fd = suspect ? open(beside, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd >= 0)
        close(fd);
    if (!suspect)
        unlink(beside);
}

/* A page of the main file may be torn while its successor stands whole in the WAL: that one is written first. Nothing
 * else of this process may have the file open: closing any descriptor of it drops the locks of all. */
static int check_pages(const char *path, struct tw_error *error)
{
    sqlite3 *db = NULL;
    struct sweep sweep = {0};
    uint64_t pages;
    bool checked, clean = !is_there(path, "-wal") && !is_there(path, SUSPECT);
    if (!is_there(path, ""))
        return 0;
    int status =
        connect_database(path, SQLITE_OPEN_READWRITE,
                         "PRAGMA mmap_size=0; PRAGMA synchronous=FULL; PRAGMA wal_checkpoint(TRUNCATE)", &db, error);
    if (status)
        sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_close(db);
    if (!status)
        status = store_vfs_sweep(path, clean ? SWEEP_CLEAN_S : SWEEP_S, found_damage, &sweep, &checked, &pages, error);
    if (!status && sweep.count)
        status =
            tw_error_set(error, TW_CORRUPT, "%llu of %llu pages of %.120s do not have their checksum, first page %u",
                         (unsigned long long)sweep.count, (unsigned long long)pages, path, sweep.first);
    if (!status)
        set_suspect(path, false);
    return status;
}

void store_files_suspect(const struct store_files *files)
{
    set_suspect(files->database, true);
}

/* A file from before there were checksums is written anew: by VACUUM, in one transaction, outside of the WAL. Where
 * that cannot be done (it takes the room of a copy) it stays as it is. */
static int add_checksums(const char *path, struct tw_error *error)
{
    sqlite3 *db = NULL;
    struct tw_error why = {""};
    uint64_t pages;
    bool checked;
    char quoted[300];
    int status = access(path, F_OK) ? 0 : store_vfs_sweep(path, 0, found_damage, NULL, &checked, &pages, error);
    if (status || access(path, F_OK) || checked)
        return status;
    status = connect_database(path, SQLITE_OPEN_READWRITE,
                              "PRAGMA journal_mode=DELETE; PRAGMA synchronous=FULL; VACUUM", &db, &why);
    sqlite3_close(db);
    if (status == TW_CORRUPT)
        return tw_error_set(error, status, "%s", why.text);
    if (status)
        log_warning("pages_without_checksums", "file=%s why=%s", path, log_quote(why.text, quoted, sizeof quoted));
    else
        log_info("pages_got_checksums", "file=%s", path);
    return 0;
}

/* People look into the file with tools of their own, and some write. */
static int adopt(const char *path, struct tw_error *error)
{
    sqlite3 *db = NULL;
    uint64_t pages = 0;
    if (!store_vfs_foreign(path))
        return 0;
    int status = connect_by(NULL, path, SQLITE_OPEN_READWRITE, "PRAGMA wal_checkpoint(TRUNCATE)", &db, error);
    sqlite3_close(db);
    if (!status)
        status = store_vfs_adopt(path, &pages, error);
    if (!status)
        log_warning("database_written_by_others", "file=%s pages=%llu", path, (unsigned long long)pages);
    return status;
}

int64_t store_files_schema(const char *path, sqlite3 **db)
{
    int64_t version = 0;
    struct tw_error ignored;
    int status = connect_database(path, SQLITE_OPEN_READWRITE, "", db, &ignored);
    sqlite3_db_config(*db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_file_control(*db, "main", STORE_VFS_TRUST_FIRST, NULL);
    if (!status)
        status = store_sql_exec(*db, "PRAGMA query_only=ON; PRAGMA mmap_size=0; PRAGMA wal_autocheckpoint=0", &ignored);
    if (!status)
        status = read_schema(*db, path, &version, &ignored);
    return status ? 0 : version;
}

int store_files_create(const char *path, int64_t version, sqlite3 **out, struct tw_error *error)
{
    int status =
        connect_database(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                         "PRAGMA auto_vacuum=INCREMENTAL; PRAGMA synchronous=FULL; PRAGMA mmap_size=0", out, error);
    for (int64_t i = 0; !status && i < version; i++)
        status = migrate(*out, i, error);
    return status;
}

static int open_whole(const char *path, sqlite3 **writer, struct tw_error *error)
{
    int status = look_first(path, error);
    if (!status)
        status = adopt(path, error);
    if (!status)
        status = add_checksums(path, error);
    if (!status)
        status = check_pages(path, error);
    if (!status)
        status = open_writer(path, writer, error);
    return status ? status : store_files_migrate(*writer, path, error);
}

int store_files_open(struct store_files *files, const char *state, sqlite3 **writer, struct tw_error *error)
{
    if (asprintf(&files->database, "%s/twin.db", state) < 0)
        return tw_error_set(error, TW_NO_MEMORY, "no memory for a path");
    int status = folder_make(state, error);
    if (!status)
        status = take_lock(files, state, error);
    if (!status)
        status = open_whole(files->database, writer, error);
    if (status == TW_CORRUPT) {
        struct tw_error why = *error;
        if (*writer)
            sqlite3_db_config(*writer, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        sqlite3_close(*writer);
        *writer = NULL;
        status = store_salvage(state, files->database, why.text, error);
        if (!status)
            status = open_whole(files->database, writer, error);
    }
    if (!status)
        status = folder_sync(state, error); /* the names of all that was made here */
    return status;
}

/* The log into the database. SQLite would do it when it closes, and keep to itself that it failed. With a full disk the
 * log just stays for the next start, as after a kill. */
static int checkpoint(sqlite3 *writer, struct tw_error *error)
{
    struct tw_error why = {""};
    int code = sqlite3_wal_checkpoint_v2(writer, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    if (code)
        sqlite3_db_config(writer, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    int status = store_sql_status(writer, code, &why);
    return status == TW_IO || status == TW_CORRUPT ? tw_error_set(error, status, "%s", why.text) : 0;
}

int store_files_close(struct store_files *files, sqlite3 *writer, struct tw_error *error)
{
    int status = writer ? checkpoint(writer, error) : 0;
    sqlite3_close(writer);
    free(files->database);
    if (files->lock)
        close(files->lock - 1);
    return status;
}
