/* Opening a spool, closing it, removing it; telling of the damage that is found. */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/errno_status.h"
#include "daemon/folder.h"
#include "daemon/segment.h"
#include "daemon/spool.h"
#include "daemon/spool_row.h"

enum { DAMAGE_MAX = 256 };

/* --- damage --- */

void spool_row_damaged(void *context, const struct segment_damage *damage)
{
    struct spool *spool = context;
    if (spool->report) {
        spool->report(spool->report_context, damage);
        return;
    }
    if (spool->damages == DAMAGE_MAX)
        return;
    struct segment_damage *grown = reallocarray(spool->damage, spool->damages + 1, sizeof *grown);
    if (grown) {
        spool->damage = grown;
        spool->damage[spool->damages++] = *damage;
    }
}

void spool_watch(struct spool *spool, segment_report report, void *context)
{
    spool->report = report;
    spool->report_context = context;
    for (size_t i = 0; i < spool->damages; i++)
        report(context, &spool->damage[i]);
    free(spool->damage);
    spool->damage = NULL;
    spool->damages = 0;
}

int spool_file(struct spool *spool, uint64_t segment, char path[SEGMENT_PATH_MAX], struct tw_error *error)
{
    return segment_path(spool->dir, segment, path, error);
}

/* --- the directory --- */

static bool is_segment(const char *name, uint64_t *first)
{
    char *end;
    if (strlen(name) != 20 || strspn(name, "0123456789abcdef") != 16 || strcmp(name + 16, ".seg") != 0)
        return false;
    *first = strtoull(name, &end, 16);
    return end == name + 16 && *first <= INT64_MAX; /* as many as the database can count */
}

static bool is_leftover(const char *name)
{
    size_t length = strlen(name);
    return length > 8 && strcmp(name + length - 8, ".seg.tmp") == 0;
}

static int by_first(const void *a, const void *b)
{
    uint64_t x = (*(struct segment *const *)a)->first, y = (*(struct segment *const *)b)->first;
    return (x > y) - (x < y);
}

/* Lists the segments in order; removes files whose creation was interrupted. */
static int list_segments(struct spool *spool, struct tw_error *error)
{
    DIR *dir = opendir(spool->dir);
    if (!dir)
        return tw_error_set(error, errno_status(errno), "opening %.150s: %s", spool->dir, strerror(errno));
    int status = 0;
    struct dirent *entry;
    while (status == 0 && (errno = 0, entry = readdir(dir))) {
        uint64_t first;
        if (is_leftover(entry->d_name))
            unlinkat(dirfd(dir), entry->d_name, 0);
        if (!is_segment(entry->d_name, &first))
            continue;
        struct segment *found = spool_row_new(spool);
        if (!found) {
            status = tw_error_set(error, TW_NO_MEMORY, "out of memory");
            continue;
        }
        found->first = first;
        spool->segments[spool->count++] = found;
    }
    if (status == 0 && errno)
        status = tw_error_set(error, TW_IO, "reading %.150s: %s", spool->dir, strerror(errno));
    closedir(dir);
    if (spool->count > 1)
        qsort(spool->segments, spool->count, sizeof *spool->segments, by_first);
    return status;
}

static int open_segments(struct spool *spool, size_t *torn, struct tw_error *error)
{
    int status = 0;
    for (size_t i = 0; i < spool->count && status == 0; i++) {
        struct segment *segment = spool->segments[i];
        bool last = i + 1 == spool->count;
        uint64_t next = last ? 0 : spool->segments[i + 1]->first;
        status = segment_open(spool->dir, segment->first, last, next, segment, &spool->fd, torn, spool_row_damaged,
                              spool, error);
        if (last)
            spool->last = segment;
        if (status == 0 && last && segment->damaged && segment->mark > spool->floor)
            spool->floor = segment->mark; /* as many were promised, and are lost */
        if (last)
            continue;
        spool->sealed += segment->end;
    }
    return status;
}

int spool_open(const char *dir, size_t segment_bytes, struct spool **out, size_t *torn, struct tw_error *error)
{
    size_t ignored;
    struct spool *spool = calloc(1, sizeof *spool);
    *out = NULL;
    torn = torn ? torn : &ignored;
    *torn = 0;
    if (!spool)
        return tw_error_set(error, TW_NO_MEMORY, "out of memory");
    pthread_mutex_init(&spool->lock, NULL);
    spool->fd = -1;
    spool->segment_bytes = segment_bytes;
    spool->dir = strdup(dir);
    int status = spool->dir ? folder_make_in(dir, error) : tw_error_set(error, TW_NO_MEMORY, "out of memory");
    if (status == 0)
        status = list_segments(spool, error);
    if (status == 0) /* the name of a segment whose maker died before it could sync it */
        status = folder_sync(dir, error);
    if (status == 0)
        status = open_segments(spool, torn, error);
    if (status == 0) /* records that a killed process wrote but did not sync count from now on */
        status = spool_sync(spool, error);
    if (status)
        spool_close(spool);
    else
        *out = spool;
    return status;
}

void spool_close(struct spool *spool)
{
    if (!spool)
        return;
    for (size_t i = 0; i < spool->count; i++) {
        segment_fini(spool->segments[i]);
        free(spool->segments[i]);
    }
    if (spool->fd >= 0)
        close(spool->fd);
    pthread_mutex_destroy(&spool->lock);
    free(spool->segments);
    free(spool->damage);
    free(spool->dir);
    free(spool);
}

int spool_remove(const char *path, struct tw_error *error)
{
    DIR *dir = opendir(path);
    if (!dir && errno != ENOENT)
        return TW_BUSY;
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        uint64_t first;
        bool sidecar = !strcmp(entry->d_name, "twin.json") || !strcmp(entry->d_name, "twin.json.tmp");
        if (is_segment(entry->d_name, &first) || is_leftover(entry->d_name) || sidecar)
            unlinkat(dirfd(dir), entry->d_name, 0);
    }
    if (dir)
        closedir(dir);
    return !dir || rmdir(path) == 0 ? folder_sync_name(path, error) : TW_BUSY;
}
