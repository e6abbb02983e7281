/* Writing a backup's files into a new state folder. */
#include "client/restore.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* The database gets its name last: without it a folder is no state. */
static const char UNFINISHED[] = "twin.db.restoring";

struct restore {
    char *path;
    bool made; /* the folder was not there */
    bool committed;
    int folder, lock, file;
    json_t *files, *folders; /* written so far: names as keys */
    struct archive_sink sink;
};

static bool fail(char problem[512], const char *what)
{
    snprintf(problem, 512, "%.300s: %s", what, strerror(errno));
    return false;
}

static bool sync_at(int folder, const char *name, char problem[512])
{
    int file = openat(folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool fine = file >= 0 && !fsync(file);
    if (!fine)
        fail(problem, name);
    if (file >= 0)
        close(file);
    return fine;
}

/* --- files --- */

static bool make_folder(struct restore *restore, const char *name, char problem[512])
{
    if (json_object_get(restore->folders, name))
        return true;
    if (mkdirat(restore->folder, name, 0700))
        return fail(problem, name);
    json_object_set_new(restore->folders, name, json_true());
    return true;
}

static bool open_file(void *context, const char *name, char problem[512])
{
    struct restore *restore = context;
    const char *slash = strrchr(name, '/');
    if (slash) { /* spool/<id>/<ordinal>.seg */
        char folder[TWP_TAR_NAME_MAX];
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - name), name);
        if (!make_folder(restore, "spool", problem) || !make_folder(restore, folder, problem))
            return false;
    } else {
        name = UNFINISHED;
    }
    restore->file = openat(restore->folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (restore->file < 0)
        return fail(problem, name);
    json_object_set_new(restore->files, name, json_true());
    return true;
}

static bool write_file(void *context, const void *bytes, size_t size, char problem[512])
{
    struct restore *restore = context;
    for (const char *at = bytes; size;) {
        ssize_t n = write(restore->file, at, size);
        if (n < 0 && errno != EINTR)
            return fail(problem, restore->path);
        if (n > 0) {
            at += n;
            size -= (size_t)n;
        }
    }
    return true;
}

static bool close_file(void *context, char problem[512])
{
    struct restore *restore = context;
    bool fine = !fsync(restore->file);
    if (close(restore->file))
        fine = false;
    restore->file = -1;
    return fine || fail(problem, restore->path);
}

/* --- the folder --- */

/* A daemon holds the lock of its folder. */
static bool take_lock(struct restore *restore, char problem[512])
{
    restore->lock = openat(restore->folder, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (restore->lock < 0)
        return fail(problem, restore->path);
    if (!flock(restore->lock, LOCK_EX | LOCK_NB))
        return true;
    close(restore->lock); /* a daemon was faster: the file is its own */
    restore->lock = -1;
    snprintf(problem, 512, "%.300s is in use by a twind", restore->path);
    return false;
}

static bool is_empty(struct restore *restore, char problem[512])
{
    DIR *dir = opendir(restore->path);
    bool empty = true, busy = false;
    if (!dir)
        return fail(problem, restore->path);
    for (struct dirent *entry; (entry = readdir(dir));) {
        bool dots = !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..");
        empty = empty && dots;
        if (!strcmp(entry->d_name, "lock")) {
            int lock = openat(restore->folder, "lock", O_RDONLY | O_CLOEXEC);
            busy = lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK;
            if (lock >= 0)
                close(lock);
        }
    }
    closedir(dir);
    if (!empty)
        snprintf(problem, 512, "%.300s is %s; give a folder that is empty or not there", restore->path,
                 busy ? "in use by a twind" : "not empty");
    return empty;
}

struct restore *restore_begin(const char *folder, char problem[512])
{
    struct restore *restore = calloc(1, sizeof *restore);
    if (!restore) {
        snprintf(problem, 512, "out of memory");
        return NULL;
    }
    restore->folder = restore->lock = restore->file = -1;
    restore->path = strdup(folder);
    restore->files = json_object();
    restore->folders = json_object();
    restore->sink = (struct archive_sink){open_file, write_file, close_file, restore};
    restore->made = !mkdir(folder, 0700);
    bool fine = restore->made || errno == EEXIST || fail(problem, folder);
    if (fine)
        restore->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fine && restore->folder < 0)
        fine = fail(problem, folder);
    if (fine && is_empty(restore, problem) && take_lock(restore, problem))
        return restore;
    restore_free(restore);
    return NULL;
}

const struct archive_sink *restore_sink(struct restore *restore)
{
    return &restore->sink;
}

bool restore_commit(struct restore *restore, char problem[512])
{
    const char *name;
    json_t *unused;
    json_object_foreach(restore->folders, name, unused)
    {
        if (!sync_at(restore->folder, name, problem))
            return false;
    }
    if (fchmod(restore->folder, 0700) || !sync_at(restore->folder, ".", problem))
        return false;
    if (renameat(restore->folder, UNFINISHED, restore->folder, "twin.db"))
        return fail(problem, restore->path);
    restore->committed = true;
    return sync_at(restore->folder, ".", problem) && (!restore->made || sync_at(restore->folder, "..", problem));
}

static void undo(struct restore *restore)
{
    const char *name;
    json_t *unused;
    json_object_foreach(restore->files, name, unused) unlinkat(restore->folder, name, 0);
    json_object_foreach(restore->folders, name, unused) unlinkat(restore->folder, name, AT_REMOVEDIR);
    unlinkat(restore->folder, "spool", AT_REMOVEDIR); /* the folders in it had to go first */
    if (restore->lock >= 0)
        unlinkat(restore->folder, "lock", 0);
    if (restore->made)
        rmdir(restore->path);
}

void restore_free(struct restore *restore)
{
    if (!restore)
        return;
    if (restore->file >= 0)
        close(restore->file);
    if (!restore->committed)
        undo(restore);
    if (restore->lock >= 0)
        close(restore->lock);
    if (restore->folder >= 0)
        close(restore->folder);
    json_decref(restore->files);
    json_decref(restore->folders);
    free(restore->path);
    free(restore);
}
