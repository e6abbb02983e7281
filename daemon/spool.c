/* The spool is a row of segments; all but the last are sealed. A segment is synced before the next one exists, so only
 * the last can have a torn end. Files are opened anew for each read: readers share nothing but the index. */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/segment.h"
#include "daemon/spool.h"

struct spool {
    char *dir;
    size_t segment_bytes;
    int fd;      /* of the last segment, -1 if there is none */
    bool failed; /* an I/O error: nothing is accepted any more */

    pthread_mutex_t lock;     /* guards what follows; only the appending thread changes it */
    struct segment *segments; /* by first ordinal */
    size_t count, room;
    int pins; /* no segment is removed while there are any */
};

static struct segment *last_segment(struct spool *spool)
{
    return spool->count ? &spool->segments[spool->count - 1] : NULL;
}

static uint64_t next_ordinal(struct spool *spool)
{
    const struct segment *last = last_segment(spool);
    return last ? last->first + last->count : 0;
}

/* --- the directory --- */

/* Creates what is missing of the path, each entry made durable in its parent. */
static int make_directories(const char *dir, struct tw_error *error)
{
    char path[SEGMENT_PATH_MAX];
    size_t length = strlen(dir);
    if (length == 0 || length >= sizeof path)
        return tw_error_set(error, TW_IO, "the path of the spool is empty or too long");
    int status = 0;
    for (size_t i = 1; i <= length && status == 0; i++) {
        if (dir[i] != '/' && dir[i] != '\0')
            continue;
        memcpy(path, dir, i);
        path[i] = '\0';
        if (mkdir(path, 0700) == 0) {
            char *slash = strrchr(path, '/');
            if (slash)
                slash[slash == path] = '\0';
            status = segment_sync_directory(slash ? path : ".", error);
        } else if (errno != EEXIST) {
            status = tw_error_set(error, TW_IO, "creating %.150s: %s", path, strerror(errno));
        }
    }
    return status;
}

static bool is_segment(const char *name, uint64_t *first)
{
    char *end;
    if (strlen(name) != 20 || strspn(name, "0123456789abcdef") != 16 || strcmp(name + 16, ".seg") != 0)
        return false;
    *first = strtoull(name, &end, 16);
    return end == name + 16;
}

static bool is_leftover(const char *name)
{
    size_t length = strlen(name);
    return length > 8 && strcmp(name + length - 8, ".seg.tmp") == 0;
}

static int by_first(const void *a, const void *b)
{
    uint64_t x = ((const struct segment *)a)->first, y = ((const struct segment *)b)->first;
    return (x > y) - (x < y);
}

static struct segment *add_segment(struct spool *spool)
{
    if (spool->count == spool->room) {
        size_t room = spool->room ? spool->room * 2 : 8;
        struct segment *grown = reallocarray(spool->segments, room, sizeof *grown);
        if (!grown)
            return NULL;
        spool->segments = grown;
        spool->room = room;
    }
    struct segment *added = &spool->segments[spool->count++];
    *added = (struct segment){0};
    return added;
}

/* Lists the segments in order; removes files whose creation was interrupted. */
static int list_segments(struct spool *spool, struct tw_error *error)
{
    DIR *dir = opendir(spool->dir);
    if (!dir)
        return tw_error_set(error, TW_IO, "opening %.150s: %s", spool->dir, strerror(errno));
    int status = 0;
    struct dirent *entry;
    while (status == 0 && (errno = 0, entry = readdir(dir))) {
        uint64_t first;
        if (is_leftover(entry->d_name))
            unlinkat(dirfd(dir), entry->d_name, 0);
        if (!is_segment(entry->d_name, &first))
            continue;
        struct segment *added = add_segment(spool);
        if (added)
            added->first = first;
        else
            status = tw_error_set(error, TW_NO_MEMORY, "out of memory");
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
        struct segment *segment = &spool->segments[i];
        bool last = i + 1 == spool->count;
        uint64_t next = last ? 0 : segment[1].first;
        status = segment_open(spool->dir, segment->first, last, next, segment, &spool->fd, torn, error);
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
    int status = spool->dir ? make_directories(dir, error) : tw_error_set(error, TW_NO_MEMORY, "out of memory");
    if (status == 0)
        status = list_segments(spool, error);
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
    for (size_t i = 0; i < spool->count; i++)
        segment_fini(&spool->segments[i]);
    if (spool->fd >= 0)
        close(spool->fd);
    pthread_mutex_destroy(&spool->lock);
    free(spool->segments);
    free(spool->dir);
    free(spool);
}

int spool_remove(const char *path)
{
    DIR *dir = opendir(path);
    if (!dir)
        return errno == ENOENT ? 0 : TW_IO;
    struct dirent *entry;
    while ((entry = readdir(dir))) {
        uint64_t first;
        if (is_segment(entry->d_name, &first) || is_leftover(entry->d_name))
            unlinkat(dirfd(dir), entry->d_name, 0);
    }
    closedir(dir);
    return rmdir(path) == 0 ? 0 : TW_IO;
}

/* --- appending --- */

/* Seals the last segment and opens a new one that holds `need` bytes of records. */
static int roll(struct spool *spool, uint64_t need, struct tw_error *error)
{
    struct segment *last = last_segment(spool), created;
    uint64_t capacity = SEGMENT_HEADER + need;
    int fd;
    if (capacity < spool->segment_bytes)
        capacity = spool->segment_bytes;
    if (last && last->count == 0) /* an empty one only has to grow */
        return segment_grow(last, spool->fd, capacity, error);
    int status = last ? segment_sync(last, spool->fd, error) : 0;
    if (status == 0)
        status = segment_create(spool->dir, next_ordinal(spool), capacity, &created, &fd, error);
    if (status)
        return status;
    if (last) {
        segment_trim(last, spool->fd, NULL); /* what is left over is given back; if not, it stays as zeros */
        close(spool->fd);
    }
    spool->fd = fd;
    pthread_mutex_lock(&spool->lock);
    struct segment *added = add_segment(spool);
    if (added)
        *added = created;
    pthread_mutex_unlock(&spool->lock);
    return added ? 0 : tw_error_set(error, TW_IO, "out of memory for the spool's index");
}

static int append(struct spool *spool, int64_t received_ms, const struct twp_frame *frames, size_t count, size_t size,
                  struct tw_error *error)
{
    struct segment *last = last_segment(spool);
    if (!last || last->end > last->capacity || size > last->capacity - last->end) {
        int status = roll(spool, size, error);
        if (status)
            return status;
        last = last_segment(spool);
    }
    pthread_mutex_lock(&spool->lock);
    int status = segment_reserve(last);
    pthread_mutex_unlock(&spool->lock);
    if (status)
        return tw_error_set(error, status, "out of memory");
    status = segment_write(last, spool->fd, received_ms, frames, count, error);
    if (status)
        return status;
    pthread_mutex_lock(&spool->lock);
    segment_push(last, size);
    pthread_mutex_unlock(&spool->lock);
    return 0;
}

int spool_append(struct spool *spool, int64_t received_ms, const struct twp_frame *frames, size_t count,
                 uint64_t *ordinal, struct tw_error *error)
{
    size_t size = segment_record_size(frames, count);
    if (size == 0)
        return tw_error_set(error, TW_INVALID, "a record must have 1 to %d frames of at most %u bytes together",
                            TWP_FRAMES_MAX, TWP_BATCH_BYTES_MAX);
    if (spool->failed)
        return tw_error_set(error, TW_IO, "the spool failed before");
    *ordinal = next_ordinal(spool);
    int status = append(spool, received_ms, frames, count, size, error);
    spool->failed = status == TW_IO;
    return status;
}

int spool_sync(struct spool *spool, struct tw_error *error)
{
    struct segment *last = last_segment(spool);
    if (spool->failed)
        return tw_error_set(error, TW_IO, "the spool failed before");
    int status = last ? segment_sync(last, spool->fd, error) : 0;
    spool->failed = status != 0;
    return status;
}

/* --- reading --- */

void spool_pin(struct spool *spool)
{
    pthread_mutex_lock(&spool->lock);
    spool->pins++;
    pthread_mutex_unlock(&spool->lock);
}

void spool_unpin(struct spool *spool)
{
    pthread_mutex_lock(&spool->lock);
    spool->pins--;
    pthread_mutex_unlock(&spool->lock);
}

uint64_t spool_next(struct spool *spool)
{
    pthread_mutex_lock(&spool->lock);
    uint64_t next = next_ordinal(spool);
    pthread_mutex_unlock(&spool->lock);
    return next;
}

/* Where a record lies: the first ordinal of its segment and its offset there. */
static bool locate(struct spool *spool, uint64_t ordinal, uint64_t *first, uint64_t *offset)
{
    bool found = false;
    pthread_mutex_lock(&spool->lock);
    size_t low = 0, high = spool->count; /* the last segment whose first ordinal is not beyond */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (spool->segments[middle].first <= ordinal)
            low = middle;
        else
            high = middle;
    }
    if (low < spool->count) {
        const struct segment *segment = &spool->segments[low];
        found = ordinal >= segment->first && ordinal - segment->first < segment->count;
        *first = segment->first;
        *offset = found ? segment->offset[ordinal - segment->first] : 0;
    }
    pthread_mutex_unlock(&spool->lock);
    return found;
}

int spool_read(struct spool *spool, uint64_t ordinal, void **memory, int64_t *received_ms, struct twp_frame *frames,
               size_t max_frames, size_t *count, struct tw_error *error)
{
    uint64_t first, offset;
    *memory = NULL;
    if (!locate(spool, ordinal, &first, &offset))
        return tw_error_set(error, TW_NOT_FOUND, "the spool has no record %llu", (unsigned long long)ordinal);
    return segment_read(spool->dir, first, offset, ordinal, memory, received_ms, frames, max_frames, count, error);
}

int spool_scan(struct spool *spool, uint64_t from_ordinal, spool_visit visit, void *context, struct tw_error *error)
{
    uint64_t start = spool->count ? spool->segments[0].first : 0, next = spool_next(spool);
    int status = 0;
    for (uint64_t at = from_ordinal > start ? from_ordinal : start; at < next && status == 0; at++) {
        struct twp_frame frames[TWP_FRAMES_MAX];
        void *memory;
        int64_t received_ms;
        size_t count;
        status = spool_read(spool, at, &memory, &received_ms, frames, TWP_FRAMES_MAX, &count, error);
        if (status == 0)
            status = visit(context, at, received_ms, frames, count);
        free(memory);
    }
    return status;
}
