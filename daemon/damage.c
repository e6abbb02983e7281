/* Findings, and the folder that keeps what was found. Keeping is best effort: a disk that is broken or full must not
 * stand in the way of going on. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/damage.h"
#include "daemon/log.h"
#include "daemon/trouble.h"

enum { FILES_MAX = 64, NOTE_MAX = 1 << 16, DETAIL_MAX = 300 };
#define BYTES_MAX (INT64_C(4) << 30)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the folder too */
static char folder[4096];

void damage_open(const char *state)
{
    pthread_mutex_lock(&lock);
    int length = snprintf(folder, sizeof folder, "%s/quarantine", state);
    if (length >= (int)sizeof folder)
        folder[0] = 0;
    pthread_mutex_unlock(&lock);
}

/* --- the folder; lock held --- */

static bool sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

static bool make_folder(void)
{
    if (!folder[0])
        return false;
    if (mkdir(folder, 0700) != 0)
        return errno == EEXIST;
    char *slash = strrchr(folder, '/');
    *slash = 0;
    bool ok = sync_folder(folder);
    *slash = '/';
    return ok;
}

static bool room_for(int64_t size)
{
    int files = 0;
    DIR *dir = opendir(folder);
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        struct stat stat;
        const char *dot = strrchr(entry->d_name, '.');
        if (entry->d_name[0] == '.' || (dot && !strcmp(dot, ".txt")) ||
            fstatat(dirfd(dir), entry->d_name, &stat, 0) != 0)
            continue;
        files++;
        size += stat.st_size;
    }
    if (dir)
        closedir(dir);
    return dir && files < FILES_MAX && size <= BYTES_MAX;
}

static bool write_whole(int fd, const void *bytes, size_t size)
{
    while (size > 0) {
        ssize_t put = write(fd, bytes, size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return false;
        bytes = (const char *)bytes + put;
        size -= (size_t)put;
    }
    return true;
}

/* What a bad sector does not give is left as zeros. */
static bool copy_file(int from, int to, int64_t size)
{
    char chunk[1 << 14];
    bool ok = true;
    for (int64_t at = 0; at < size && ok; at += (int64_t)sizeof chunk) {
        size_t wanted = size - at < (int64_t)sizeof chunk ? (size_t)(size - at) : sizeof chunk;
        ssize_t got = pread(from, chunk, wanted, at);
        if (got < (ssize_t)wanted)
            memset(chunk + (got > 0 ? got : 0), 0, wanted - (size_t)(got > 0 ? got : 0));
        ok = write_whole(to, chunk, wanted);
    }
    return ok;
}

/* A new file, durable, from a file or from bytes. */
static bool write_new(const char *path, int from, const void *bytes, int64_t size)
{
    int to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (to < 0)
        return false;
    bool ok = (bytes ? write_whole(to, bytes, (size_t)size) : copy_file(from, to, size)) && fsync(to) == 0;
    close(to);
    if (!ok)
        unlink(path);
    return ok;
}

static bool keep_file(const char *path, bool copy, const char *kept)
{
    struct stat stat;
    int from = open(path, O_RDONLY | O_CLOEXEC);
    bool ok = from >= 0 && fstat(from, &stat) == 0 && S_ISREG(stat.st_mode) && room_for(stat.st_size) &&
              ((!copy && link(path, kept) == 0) || write_new(kept, from, NULL, stat.st_size));
    if (from >= 0)
        close(from);
    return ok;
}

static void add_note(const char *kept, const char *path, const char *detail)
{
    char note[4500], line[5000], when[32];
    snprintf(note, sizeof note, "%s.txt", kept);
    int fd = open(note, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    struct stat stat;
    if (fd < 0)
        return;
    if (fstat(fd, &stat) == 0 && stat.st_size < NOTE_MAX) {
        int length = snprintf(line, sizeof line, "%s %s: %s\n", clock_rfc3339(clock_ms(), when), path, detail);
        if (write_whole(fd, line, (size_t)length < sizeof line ? (size_t)length : sizeof line - 1))
            fsync(fd);
    }
    close(fd);
}

/* Keeps it under `name` if that is not there yet; true if it is there now. */
static bool keep(const char *name, const char *path, bool copy, const void *bytes, size_t size, const char *detail)
{
    char kept[4400];
    pthread_mutex_lock(&lock);
    bool ok = make_folder();
    snprintf(kept, sizeof kept, "%s/%s", folder, name);
    if (ok && access(kept, F_OK) != 0)
        ok = bytes ? room_for((int64_t)size) && write_new(kept, -1, bytes, (int64_t)size) : keep_file(path, copy, kept);
    if (ok) {
        add_note(kept, path ? path : name, detail);
        sync_folder(folder);
    }
    pthread_mutex_unlock(&lock);
    return ok;
}

/* --- findings --- */

static void say(const char *subject, const char *name, bool kept, const char *detail)
{
    char quoted[2 * DETAIL_MAX];
    log_error("damage_found", "subject=%s name=%s kept=%s detail=%s", subject, name, kept ? "true" : "false",
              log_quote(detail, quoted, sizeof quoted));
    trouble_raise("damaged", subject, TROUBLE_DEGRADED, "%s", detail);
}

/* "<its folder>-<its name>", so that files of two twins do not meet. */
static void name_of(const char *path, char *name, size_t size)
{
    const char *last = strrchr(path, '/'), *parent = last;
    while (parent && parent > path && parent[-1] != '/')
        parent--;
    if (last && parent)
        snprintf(name, size, "%.*s-%s", (int)(last - parent), parent, last + 1);
    else
        snprintf(name, size, "%s", path);
}

void damage_file(const char *subject, const char *path, bool copy, const char *format, ...)
{
    char detail[DETAIL_MAX], name[512] = "-";
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    if (path)
        name_of(path, name, sizeof name);
    say(subject, name, path && keep(name, path, copy, NULL, 0, detail), detail);
}

void damage_bytes(const char *subject, const char *name, const void *bytes, size_t size, const char *format, ...)
{
    char detail[DETAIL_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    say(subject, name, keep(name, NULL, false, bytes, size, detail), detail);
}
