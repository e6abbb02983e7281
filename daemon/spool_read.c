/* Finding and reading a record. Files are opened anew for each read: readers share nothing but the index. */
#include <pthread.h>
#include <stdlib.h>

#include "daemon/segment.h"
#include "daemon/spool.h"
#include "daemon/spool_row.h"

enum { INDEXED = 8 };

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
    bool holds = segment && ordinal >= segment->first && ordinal < spool_row_next(spool);
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
        spool_row_damaged(spool, &findings.damage[i]);
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
        bool beyond = ordinal >= spool_row_next(spool);
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
    int status = locate(spool, ordinal, &first, &offset, NULL);
    return status != TW_CORRUPT && status != TW_NOT_FOUND;
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
        spool_row_damaged(spool, &damage);
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
