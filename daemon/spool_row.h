/* The row of segments behind a spool, for spool*.c alone. All but the last are sealed. A segment is synced before the
 * next one exists, so only the last can have a torn end.
 *
 * The last segment is the appending thread's; the lock guards what others see of it. Sealed ones change no more. Any
 * thread may remove the oldest, so that positions in the list hold only under the lock.
 */
#ifndef DAEMON_SPOOL_ROW_H
#define DAEMON_SPOOL_ROW_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/segment.h"

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

/* Lock held, or the appending thread's. */
static inline uint64_t spool_row_next(const struct spool *spool)
{
    const struct segment *last = spool->last;
    uint64_t next = last ? last->first + last->count : 0;
    return next > spool->floor ? next : spool->floor;
}

/* A segment that is not in the list yet, though there is room for it; NULL when memory is out. Lock held. */
struct segment *spool_row_new(struct spool *spool);

/* Damage that was found at open, or that a reader met, to who watches; a segment_report with a spool as context. */
void spool_row_damaged(void *spool, const struct segment_damage *damage);

#endif
