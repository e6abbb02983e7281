/* Who may hold how much of the ceiling memory-mb.
 *
 * What the process needs to be there at all comes first: code, stacks, caches, models, the heads of connections. The
 * rest is divided into shares, in sixteenths. Each part takes from its share before it allocates what comes from
 * outside or grows with data, and gives it back after; what does not fit waits or is refused. Shares are not lent to
 * each other: a flood of bodies cannot stop a comparison.
 *
 * One account for the process, like the log. Any thread.
 */
#ifndef DAEMON_MEMORY_H
#define DAEMON_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

enum memory_share {
    MEMORY_BODIES,   /* of HTTP requests, and the tables that are made of them; 5/16 */
    MEMORY_ANSWERS,  /* large ones under way, histograms; 1/16 */
    MEMORY_COMPARE,  /* rows of a comparison and what it makes of them; 4/16 */
    MEMORY_TRAINING, /* the same of all trainings; 4/16 */
    MEMORY_INGEST,   /* kept free for messages of feeds; nobody takes from it, credit and guard bound them; 2/16 */
    MEMORY_SHARES
};

/* `ceiling_mb` is read again at each use, so that a reload takes effect. Also tells malloc to give large blocks back to
 * the system as soon as they are free. Before any other thread is there; without it nothing is refused. */
void memory_init(const long *ceiling_mb, size_t connections);

const char *memory_name(enum memory_share share);
size_t memory_limit(enum memory_share share); /* bytes of the share */
size_t memory_held(enum memory_share share);

/* False if it does not fit beside what is held; nothing is taken then. */
bool memory_take(enum memory_share share, size_t bytes);
void memory_give(enum memory_share share, size_t bytes);

/* How many rows of `row_bytes` fit `part` of a share, if each takes `copies` times its size; at least one. */
size_t memory_rows(enum memory_share share, double part, size_t row_bytes, size_t copies);

/* Bytes of the process that are in memory now; 0 if the system does not say. */
size_t memory_resident(void);

#endif
