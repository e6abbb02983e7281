/* Limits by size and age: what a twin keeps of its spool, its rows and its versions. A step of the loop's thread, which
 * knows what it still needs; each step is short, and what is left to do waits for the next.
 *
 * Before a segment of the spool goes, the keys of its batches are in the table `feeds`; the file goes after that, and
 * the rows of its batches after the file. So a kill at any point leaves too much, never too little.
 */
#ifndef DAEMON_RETENTION_H
#define DAEMON_RETENTION_H

#include <stdbool.h>

struct config;
struct loop;

/* What is remembered of a twin from one step to the next. */
struct retention {
    double due;                 /* clock_monotonic() of the next step */
    unsigned long long counted; /* as stored */
    unsigned long long mark;    /* of the feeds that were stored */
    int version_cursor;
};

/* One step for the loop's twin, if it is due: every few seconds, or soon after one that had more to do. config NULL: no
 * limits. Errors are logged and the step repeated later; those of the database end the daemon by store_failed. */
void retention_step(struct loop *loop, const struct config *config);
/* Stores what is known of the feeds, so that the next start need not read the rows since the last time. */
void retention_checkpoint(struct loop *loop);

#endif
