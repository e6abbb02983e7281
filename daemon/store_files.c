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
#include <unistd.h>

#include "daemon/folder.h"
#include "daemon/store_files.h"
#include "daemon/store_sql.h"
#include "sql/migrations.h"

#define APPLICATION_ID 0x7477696e /* "twin" */

static int take_lock(struct store_files *files, const char *state, struct tw_error *error)
{
    char path[4200], pid[32];
    snprintf(path, sizeof path, "%s/lock", state);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return tw_error_set(error, TW_IO, "cannot open %s: %s", path, strerror(errno));
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
        return tw_error_set(error, TW_IO, "cannot write %s: %s", path, strerror(errno));
    return 0;
}

static int connect_database(const char *path, int flags, const char *pragmas, sqlite3 **out, struct tw_error *error)
{
    int status = store_sql_status(NULL, sqlite3_open_v2(path, out, flags | SQLITE_OPEN_NOMUTEX, NULL), error);
    if (status)
        return status;
    sqlite3_extended_result_codes(*out, 1);
    sqlite3_busy_timeout(*out, 5000);
    sqlite3_db_config(*out, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(*out, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(*out, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    sqlite3_db_config(*out, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    return store_sql_exec(*out, pragmas, error);
}

int store_files_reader(const struct store_files *files, sqlite3 **out)
{
    int status = connect_database(files->database, SQLITE_OPEN_READONLY,
                                  "PRAGMA query_only=ON; PRAGMA cell_size_check=ON; PRAGMA mmap_size=0;"
                                  "PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-1024; PRAGMA temp_store=MEMORY",
                                  out, NULL);
    if (status) {
        sqlite3_close(*out);
        *out = NULL;
        return status;
    }
    sqlite3_db_config(*out, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return 0;
}

static int pragma_integer(sqlite3 *db, const char *sql, int64_t *value, struct tw_error *error)
{
    sqlite3_stmt *statement = NULL;
    int status = store_sql_prepare(db, &statement, error, sql, "");
    if (!status)
        status = store_sql_step(statement, error);
    if (!status)
        *value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return status;
}

/* One migration and the number that says so, in one transaction. Foreign keys are off meanwhile, so that a table which
 * others refer to can be made anew (https://www.sqlite.org/lang_altertable.html). */
static int migrate(sqlite3 *db, int64_t number, struct tw_error *error)
{
    char set[96];
    snprintf(set, sizeof set, "PRAGMA user_version=%lld; PRAGMA application_id=%d; COMMIT", (long long)number + 1,
             APPLICATION_ID);
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
    int status = pragma_integer(db, "PRAGMA user_version", version, error);
    if (!status)
        status = pragma_integer(db, "PRAGMA application_id", &application, error);
    if (!status && *version > 0 && application != APPLICATION_ID)
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
    int status = connect_database(path, SQLITE_OPEN_READWRITE, "", &db, &why);
    if (!status)
        status = read_schema(db, path, &version, &why);
    sqlite3_close(db);
    if (status == TW_CONFLICT)
        return tw_error_set(error, status, "%s", why.text);
    return status ? tw_error_set(error, status, "cannot open %s: %s", path, why.text) : 0;
}

static int bring_up_to_date(sqlite3 *db, const char *path, struct tw_error *error)
{
    int64_t version = 0;
    int status = read_schema(db, path, &version, error);
    for (int64_t i = version; !status && i < sql_migrations_count; i++)
        status = migrate(db, i, error);
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
        status = pragma_integer(*writer, "SELECT journal_mode = 'wal' FROM pragma_journal_mode", &is_wal, &why);
    if (!status && !is_wal)
        return tw_error_set(error, TW_IO, "%s cannot be kept in WAL mode here", path);
    if (status)
        return tw_error_set(error, status, "cannot open %s: %s", path, why.text);
    return 0;
}

int store_files_open(struct store_files *files, const char *state, sqlite3 **writer, struct tw_error *error)
{
    if (asprintf(&files->database, "%s/twin.db", state) < 0)
        return tw_error_set(error, TW_NO_MEMORY, "no memory for a path");
    int status = folder_make(state, error);
    if (!status)
        status = take_lock(files, state, error);
    if (!status)
        status = look_first(files->database, error);
    if (!status)
        status = open_writer(files->database, writer, error);
    if (!status)
        status = bring_up_to_date(*writer, files->database, error);
    if (!status)
        status = folder_sync(state, error); /* the names of all that was made here */
    return status;
}

void store_files_close(struct store_files *files, sqlite3 *writer)
{
    sqlite3_close(writer);
    free(files->database);
    if (files->lock)
        close(files->lock - 1);
}
