/* The spool is a row of segments; all but the last are sealed. A segment is synced before the next one exists, so only
 * the last can have a torn end. Files are opened anew for each read: readers share nothing but the index.
 *
 * The last segment is the appending thread's; the lock guards what others see of it. Sealed ones change no more. Any
 * thread may remove the oldest, so that positions in the list hold only under the lock. */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/errno_status.h"
#include "daemon/folder.h"
#include "daemon/segment.h"
#include "daemon/space.h"
#include "daemon/spool.h"

enum { INDEXED = 8, SEGMENT_BYTES_MIN = 1 << 16, DAMAGE_MAX = 256 };

struct spool {
    char *dir;
    size_t segment_bytes;
    int fd;               /* of the last segment, -1 if there is none */
    bool failed;          /* an I/O error: nothing is accepted any more */
    struct segment *last; /* of the list; NULL: there is none yet */

    pthread_mutex_t lock;      /* guards what follows */
    struct segment **segments; /* by first ordinal */
    size_t count, room;
    int pins;         /* no segment is removed while there are any */
    uint64_t limit;   /* 0: none */
    uint64_t sealed;  /* bytes of sealed segments */
    uint64_t lookups; /* so far: which index was used last */
    struct {
        uint64_t next, end;
    } durable;      /* of the last segment, as synced last */
    uint64_t floor; /* no ordinal below it is given any more */

    segment_report report; /* NULL: damage is kept until somebody watches */
    void *report_context;
    struct segment_damage *damage;
    size_t damages;
};

static struct segment *last_segment(const struct spool *spool)
{
    return spool->last;
}

static uint64_t next_ordinal(const struct spool *spool)
{
    const struct segment *last = last_segment(spool);
    uint64_t next = last ? last->first + last->count : 0;
    return next > spool->floor ? next : spool->floor;
}

/* --- damage --- */

/* At open, and by readers when they meet it. */
static void damaged(void *context, const struct segment_damage *damage)
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

void spool_skip(struct spool *spool, uint64_t next)
{
    pthread_mutex_lock(&spool->lock);
    if (next > spool->floor)
        spool->floor = next;
    pthread_mutex_unlock(&spool->lock);
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

/* One that is not in the list yet, though there is room for it. */
static struct segment *new_segment(struct spool *spool)
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
        struct segment *found = new_segment(spool);
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
        status = segment_open(spool->dir, segment->first, last, next, segment, &spool->fd, torn, damaged, spool, error);
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
    int status = spool->dir ? folder_make(dir, error) : tw_error_set(error, TW_NO_MEMORY, "out of memory");
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
    const struct segment *last = last_segment(spool);
    return last && !last->damaged && last->first + last->count == next_ordinal(spool);
}

/* Seals the last segment and opens a new one that holds `need` bytes of records. */
static int roll(struct spool *spool, uint64_t need, struct tw_error *error)
{
    struct segment *last = last_segment(spool);
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
    struct segment *created = new_segment(spool);
    pthread_mutex_unlock(&spool->lock);
    if (!created)
        return tw_error_set(error, TW_NO_MEMORY, "no memory for the spool's index");
    int status = last ? segment_sync(last, spool->fd, error) : 0;
    if (status == 0)
        status = segment_create(spool->dir, next_ordinal(spool), capacity, created, &fd, error);
    if (status) {
        free(created);
        return status;
    }
    if (last && !last->damaged)
        segment_trim(last, spool->fd, NULL); /* what is left over is given back; if not, it stays as zeros */
    if (last)
        close(spool->fd);
    spool->fd = fd;
    pthread_mutex_lock(&spool->lock);
    if (last) { /* what was lost at its end is between the two files */
        last->room = last->count;
        last->count = (size_t)(created->first - last->first);
    }
    spool->segments[spool->count++] = created;
    spool->durable.next = created->first;
    spool->durable.end = created->end;
    spool->sealed += last ? last->end : 0;
    spool->last = created;
    pthread_mutex_unlock(&spool->lock);
    return 0;
}

static int append(struct spool *spool, int64_t received_ms, const struct twp_frame *frames, size_t count, size_t size,
                  struct tw_error *error)
{
    struct segment *last = last_segment(spool);
    bool full = !appendable(spool) || last->end > last->capacity || size > last->capacity - last->end;
    if (full || (last->count > 0 && last->end + size > segment_size(spool))) { /* the limit may have become smaller */
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
    if (last && status == 0) {
        pthread_mutex_lock(&spool->lock);
        spool->durable.next = last->first + last->count;
        spool->durable.end = last->end;
        pthread_mutex_unlock(&spool->lock);
    }
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

/* --- finding and reading a record --- */

/* The segment that holds the ordinal, or NULL; what lies between two files belongs to the first. Lock held. */
static struct segment *find_segment(const struct spool *spool, uint64_t ordinal)
{
    size_t low = 0, high = spool->count; /* the last segment whose first ordinal is not beyond */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (spool->segments[middle]->first <= ordinal)
            low = middle;
        else
            high = middle;
    }
    struct segment *segment = low < spool->count ? spool->segments[low] : NULL;
    bool holds = segment && ordinal >= segment->first && ordinal < next_ordinal(spool);
    return holds ? segment : NULL;
}

/* Keeps the indices that were used last, and those of damaged segments, so that damage is said once. Lock held. */
static void forget_indices(struct spool *spool)
{
    for (;;) {
        struct segment *oldest = NULL;
        size_t known = 0;
        for (size_t i = 0; i < spool->count; i++) {
            struct segment *segment = spool->segments[i];
            if (!segment->offset || segment == spool->last || segment->damaged)
                continue;
            known++;
            if (!oldest || segment->used < oldest->used)
                oldest = segment;
        }
        if (known <= INDEXED)
            return;
        free(oldest->offset);
        oldest->offset = NULL;
        oldest->room = 0;
    }
}

/* Damage that a walk meets is said only by the reader whose index is kept. */
struct findings {
    struct segment_damage *damage;
    size_t count;
};

static void find_damage(void *context, const struct segment_damage *damage)
{
    struct findings *findings = context;
    struct segment_damage *grown = reallocarray(findings->damage, findings->count + 1, sizeof *grown);
    if (!grown)
        return;
    findings->damage = grown;
    findings->damage[findings->count++] = *damage;
}

/* Walks a sealed segment and keeps what was found, unless another reader was quicker or the segment is gone. */
static int learn_index(struct spool *spool, uint64_t first, uint64_t next, struct tw_error *error)
{
    uint64_t *offset = NULL;
    size_t known = 0;
    struct findings findings = {0};
    int status = segment_index(spool->dir, first, next, &offset, &known, find_damage, &findings, error);
    if (status == TW_NOT_FOUND && (offset = calloc(1, sizeof *offset))) { /* unless it was removed as old meanwhile */
        struct segment_damage missing = {first, 0, first, next - 1, "the file is missing"};
        find_damage(&findings, &missing);
        status = 0;
    }
    if (status)
        goto out;
    pthread_mutex_lock(&spool->lock);
    struct segment *segment = find_segment(spool, first);
    bool kept = segment && segment->first == first && !segment->offset;
    if (kept) {
        segment->offset = offset;
        segment->room = known;
        segment->used = ++spool->lookups;
        segment->damaged = findings.count > 0;
        offset = NULL;
        forget_indices(spool);
    }
    pthread_mutex_unlock(&spool->lock);
    for (size_t i = 0; kept && i < findings.count; i++)
        damaged(spool, &findings.damage[i]);
out:
    free(findings.damage);
    free(offset);
    return status;
}

/* Where a record lies: the first ordinal of its segment and its offset there. TW_CORRUPT: it is lost. */
static int locate(struct spool *spool, uint64_t ordinal, uint64_t *first, uint64_t *offset, struct tw_error *error)
{
    for (;;) {
        uint64_t next = 0;
        pthread_mutex_lock(&spool->lock);
        bool beyond = ordinal >= next_ordinal(spool);
        struct segment *segment = beyond ? NULL : find_segment(spool, ordinal);
        bool empty = !beyond && spool->count == 0;
        bool known = segment && (segment->offset || segment == spool->last);
        if (segment) {
            segment->used = ++spool->lookups;
            size_t entries = segment == spool->last ? segment->count : segment->room;
            *first = segment->first;
            *offset = known && ordinal - segment->first < entries ? segment->offset[ordinal - segment->first] : 0;
            next = segment->first + segment->count;
        }
        pthread_mutex_unlock(&spool->lock);
        if (empty || (known && *offset == 0))
            return tw_error_set(error, TW_CORRUPT, "record %llu of the spool is lost", (unsigned long long)ordinal);
        if (known)
            return 0;
        int status = segment ? learn_index(spool, *first, next, error) : TW_NOT_FOUND;
        if (status == TW_NOT_FOUND)
            tw_error_set(error, status, "the spool has no record %llu", (unsigned long long)ordinal);
        if (status)
            return status;
    }
}

bool spool_has(struct spool *spool, uint64_t ordinal)
{
    uint64_t first, offset;
    return locate(spool, ordinal, &first, &offset, NULL) == 0;
}

/* A reader met damage: the first one says so, for the others the record is lost already. False: the segment was removed
 * meanwhile. */
static bool lose(struct spool *spool, uint64_t ordinal, uint64_t offset, const char *what)
{
    bool known = false;
    struct segment_damage damage = {0, offset, ordinal, ordinal, what};
    pthread_mutex_lock(&spool->lock);
    struct segment *segment = find_segment(spool, ordinal);
    if (segment && segment->offset && ordinal - segment->first < segment->room) {
        uint64_t *place = &segment->offset[ordinal - segment->first];
        known = *place == offset;
        *place = known ? 0 : *place;
        if (segment != spool->last) /* which goes on: only what was found at its opening seals it */
            segment->damaged = true;
        damage.segment = segment->first;
    }
    pthread_mutex_unlock(&spool->lock);
    if (known)
        damaged(spool, &damage);
    return segment != NULL;
}

int spool_read(struct spool *spool, uint64_t ordinal, void **memory, int64_t *received_ms, struct twp_frame *frames,
               size_t max_frames, size_t *count, struct tw_error *error)
{
    uint64_t first, offset;
    *memory = NULL;
    int status = locate(spool, ordinal, &first, &offset, error);
    if (status)
        return status;
    status = segment_read(spool->dir, first, offset, ordinal, memory, received_ms, frames, max_frames, count, error);
    if (status == TW_CORRUPT)
        lose(spool, ordinal, offset, "a record is damaged");
    else if (status == TW_NOT_FOUND && lose(spool, ordinal, offset, "the file is missing"))
        status = TW_CORRUPT;
    return status;
}

int spool_scan(struct spool *spool, uint64_t from_ordinal, spool_visit visit, void *context, struct tw_error *error)
{
    uint64_t start = spool_first(spool), next = spool_next(spool);
    int status = 0;
    for (uint64_t at = from_ordinal > start ? from_ordinal : start; at < next && status == 0; at++) {
        struct twp_frame frames[TWP_FRAMES_MAX];
        void *memory;
        int64_t received_ms;
        size_t count;
        status = spool_read(spool, at, &memory, &received_ms, frames, TWP_FRAMES_MAX, &count, error);
        if (status == 0)
            status = visit(context, at, received_ms, frames, count);
        else if (status == TW_CORRUPT)
            status = 0;
        free(memory);
    }
    return status;
}
