/* Appending to the row of segments, and taking from its other end what nobody needs any more. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/segment.h"
#include "daemon/space.h"
#include "daemon/spool.h"
#include "daemon/spool_row.h"

enum { SEGMENT_BYTES_MIN = 1 << 16 };

struct segment *spool_row_new(struct spool *spool)
{
    if (spool->count == spool->room) {
        size_t room = spool->room ? spool->room * 2 : 8;
        struct segment **grown = reallocarray(spool->segments, room, sizeof *grown);
        if (!grown)
            return NULL;
        spool->segments = grown;
        spool->room = room;
    }
    return calloc(1, sizeof(struct segment));
}

uint64_t spool_next(struct spool *spool)
{
    pthread_mutex_lock(&spool->lock);
    uint64_t next = spool_row_next(spool);
    pthread_mutex_unlock(&spool->lock);
    return next;
}

void spool_skip(struct spool *spool, uint64_t next)
{
    pthread_mutex_lock(&spool->lock);
    if (next > spool->floor)
        spool->floor = next;
    pthread_mutex_unlock(&spool->lock);
}

/* --- appending --- */

/* How large a segment is made now. */
static uint64_t segment_size(struct spool *spool)
{
    pthread_mutex_lock(&spool->lock);
    uint64_t most = spool->limit ? spool->limit / 8 : UINT64_MAX;
    pthread_mutex_unlock(&spool->lock);
    most = most < SEGMENT_BYTES_MIN ? SEGMENT_BYTES_MIN : most;
    return most < spool->segment_bytes ? most : spool->segment_bytes;
}

/* A segment is a chain without holes, and one that is damaged is left as it was found. */
static bool appendable(struct spool *spool)
{
    const struct segment *last = spool->last;
    return last && !last->damaged && last->first + last->count == spool_row_next(spool);
}

/* Seals the last segment and opens a new one that holds `need` bytes of records. */
static int roll(struct spool *spool, uint64_t need, struct tw_error *error)
{
    struct segment *last = spool->last;
    uint64_t capacity = SEGMENT_HEADER + need, usual = segment_size(spool);
    int fd;
    if (capacity < usual)
        capacity = usual;
    if (!space_for(capacity))
        return tw_error_set(error, TW_FULL, "the disk has no room for %llu MiB more beside its reserve",
                            (unsigned long long)capacity >> 20);
    if (last && last->count == 0 && appendable(spool)) /* an empty one only has to grow */
        return segment_grow(last, spool->fd, capacity, error);
    pthread_mutex_lock(&spool->lock);
    struct segment *created = spool_row_new(spool);
    pthread_mutex_unlock(&spool->lock);
    if (!created)
        return tw_error_set(error, TW_NO_MEMORY, "no memory for the spool's index");
    int status = last ? segment_sync(last, spool->fd, error) : 0;
    if (status == 0)
        status = segment_create(spool->dir, spool_row_next(spool), capacity, created, &fd, error);
    if (status) {
        free(created);
        return status;
    }
    bool replaced = last && last->first == created->first; /* one that is damaged and empty: its name is taken over */
    if (last && !last->damaged)
        segment_trim(last, spool->fd, NULL); /* what is left over is given back; if not, it stays as zeros */
    if (last)
        close(spool->fd);
    spool->fd = fd;
    pthread_mutex_lock(&spool->lock);
    spool->durable.next = created->first;
    spool->durable.end = created->end;
    if (replaced) {
        segment_fini(last);
        *last = *created;
    } else {
        if (last) { /* what was lost at its end is between the two files */
            last->room = last->count;
            last->count = (size_t)(created->first - last->first);
        }
        spool->segments[spool->count++] = created;
        spool->sealed += last ? last->end : 0;
        spool->last = created;
    }
    pthread_mutex_unlock(&spool->lock);
    if (replaced)
        free(created);
    return 0;
}

static int append(struct spool *spool, int64_t received_ms, const struct twp_frame *frames, size_t count, size_t size,
                  struct tw_error *error)
{
    struct segment *last = spool->last;
    bool full = !appendable(spool) || last->end > last->capacity || size > last->capacity - last->end;
    if (full || (last->count > 0 && last->end + size > segment_size(spool))) { /* the limit may have become smaller */
        int status = roll(spool, size, error);
        if (status)
            return status;
        last = spool->last;
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
    *ordinal = spool_row_next(spool);
    int status = append(spool, received_ms, frames, count, size, error);
    spool->failed = status == TW_IO;
    return status;
}

int spool_sync(struct spool *spool, struct tw_error *error)
{
    struct segment *last = spool->last;
    if (spool->failed)
        return tw_error_set(error, TW_IO, "the spool failed before");
    int status = last ? segment_sync(last, spool->fd, error) : 0;
    spool->failed = status != 0;
    if (last && status == 0) {
        pthread_mutex_lock(&spool->lock);
        spool->durable.next = last->first + last->count;
        spool->durable.end = last->end;
        pthread_mutex_unlock(&spool->lock);
    }
    return status;
}

/* --- limits --- */

uint64_t spool_first(struct spool *spool)
{
    pthread_mutex_lock(&spool->lock);
    uint64_t first = spool->count ? spool->segments[0]->first : 0;
    pthread_mutex_unlock(&spool->lock);
    return first;
}

uint64_t spool_bytes(struct spool *spool)
{
    pthread_mutex_lock(&spool->lock);
    uint64_t bytes = spool->sealed + (spool->last ? spool->last->end : 0);
    pthread_mutex_unlock(&spool->lock);
    return bytes;
}

uint64_t spool_bytes_from(struct spool *spool, uint64_t ordinal)
{
    uint64_t bytes = 0;
    pthread_mutex_lock(&spool->lock);
    for (size_t i = spool->count; i > 0; i--) {
        const struct segment *segment = spool->segments[i - 1];
        if (segment->first + segment->count <= ordinal)
            break;
        bytes += segment->end;
    }
    pthread_mutex_unlock(&spool->lock);
    return bytes;
}

void spool_limit(struct spool *spool, uint64_t bytes)
{
    pthread_mutex_lock(&spool->lock);
    spool->limit = bytes;
    pthread_mutex_unlock(&spool->lock);
}

bool spool_oldest(struct spool *spool, uint64_t *next, int64_t *received_ms)
{
    pthread_mutex_lock(&spool->lock);
    bool sealed = spool->count > 1;
    bool met = sealed && spool->segments[1]->count > 0;
    *next = sealed ? spool->segments[1]->first : 0;
    pthread_mutex_unlock(&spool->lock);
    /* what came next came later; before it has, nobody can tell the time of arrival without reading the segment */
    *received_ms = met ? segment_received(spool->dir, *next) : 0;
    return sealed;
}

int spool_evict(struct spool *spool, uint64_t below, struct tw_error *error)
{
    struct segment *oldest = NULL;
    char path[SEGMENT_PATH_MAX];
    pthread_mutex_lock(&spool->lock);
    int status = spool->count < 2 || spool->segments[1]->first > below ? TW_NOT_FOUND : spool->pins ? TW_BUSY : TW_OK;
    if (status == TW_OK)
        status = segment_path(spool->dir, spool->segments[0]->first, path, error);
    if (status == TW_OK) {
        oldest = spool->segments[0];
        spool->count--;
        spool->sealed -= oldest->end;
        memmove(spool->segments, spool->segments + 1, spool->count * sizeof *spool->segments);
    }
    pthread_mutex_unlock(&spool->lock);
    if (status)
        return status;
    if (unlink(path) != 0 && errno != ENOENT)
        status = tw_error_set(error, TW_IO, "removing %.150s: %s", path, strerror(errno));
    else
        status = segment_sync_directory(spool->dir, error);
    segment_fini(oldest);
    free(oldest);
    return status;
}

/* --- what a backup copies --- */

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

int spool_pieces(struct spool *spool, struct spool_piece **out, size_t *count)
{
    pthread_mutex_lock(&spool->lock);
    struct spool_piece *pieces = calloc(spool->count + 1, sizeof *pieces);
    *count = pieces ? spool->count : 0;
    for (size_t i = 0; i < *count; i++) {
        const struct segment *segment = spool->segments[i];
        bool last = segment == spool->last;
        pieces[i] = (struct spool_piece){.first = segment->first,
                                         .next = last ? spool->durable.next : segment->first + segment->count,
                                         .bytes = last ? spool->durable.end : segment->end};
    }
    pthread_mutex_unlock(&spool->lock);
    *out = pieces;
    return pieces ? 0 : TW_NO_MEMORY;
}
