/* Which sequence numbers of which feed and run are durable: sets of intervals, so that memory grows with the number of
 * gaps and not with the number of batches. Belongs to the twin; guarded by its lock.
 */
#ifndef DAEMON_FEEDS_H
#define DAEMON_FEEDS_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

struct feeds;

struct feeds *feeds_new(void);
void feeds_free(struct feeds *feeds);

bool feeds_has(const struct feeds *feeds, const char *feed, int64_t run, int64_t seq);
/* 0, or TW_NO_MEMORY. Adding what is there changes nothing. */
int feeds_add(struct feeds *feeds, const char *feed, int64_t run, int64_t seq, uint64_t events, uint64_t invalid_rows,
              int64_t received_ms);
void feeds_duplicate(struct feeds *feeds, const char *feed, int64_t run);

/* Largest s with all of 0..s durable, -1 if there is none. */
int64_t feeds_last_durable(const struct feeds *feeds, const char *feed, int64_t run);
/* Missing numbers below the largest seen, over all feeds and runs. */
uint64_t feeds_gaps(const struct feeds *feeds);

/* What is known of a feed's run apart from its batches: for the store, so that their rows may go. */
struct feeds_record {
    char feed[65];
    int64_t run;
    uint64_t batches, events, invalid_rows;
    int64_t received_ms; /* of the newest */
    uint64_t *intervals; /* first and last of each, in order */
    size_t count;        /* of intervals */
};
/* Everything that was added to since `mark` (0: all of it), malloc'd; *now is the mark for the next time.
 * TW_NO_MEMORY. */
int feeds_changes(const struct feeds *feeds, uint64_t mark, struct feeds_record **out, size_t *count, uint64_t *now);
void feeds_records_free(struct feeds_record *records, size_t count);
/* At a start, before anything else is added. TW_CORRUPT: the intervals are not in order, or do not fit the counts. */
int feeds_restore(struct feeds *feeds, const struct feeds_record *record);

/* The newest batches of a feed's run where, without a break, no row was valid; since the daemon started. */
struct feeds_invalid {
    char feed[65];
    int64_t run;
    uint64_t batches, rows;
    const char *column, *rule; /* what most rows of the newest broke, see batch_fault; NULL: not known. Borrowed */
};
/* Why no row of the batch that was added last is valid. Without memory it stays unknown. */
void feeds_invalid_why(struct feeds *feeds, const char *feed, int64_t run, const char *column, const char *rule);
/* The first `most` feeds whose latest batch is of that kind; returns how many there are of them. */
size_t feeds_invalid(const struct feeds *feeds, struct feeds_invalid *out, size_t most);
/* "no row of the last 3 batches of feed daq, run 1, is valid: pt is below min = 0: -3.5". */
void feeds_invalid_words(const struct feeds_invalid *invalid, char out[400]);
/* [{"feed", "run", "batches", "rows", "column", "rule", "words"}, ... at most 8]. */
json_t *feeds_invalid_json(const struct feeds *feeds);

/* Sums over the runs of a feed. */
struct feeds_total {
    char feed[65]; /* "": all feeds beyond the first ones by name, the last of the list */
    uint64_t batches, events, invalid_rows, duplicates;
};
/* Of at most `most` - 1 feeds and of the others; returns how many there are, at least 1. */
size_t feeds_totals(const struct feeds *feeds, struct feeds_total *out, size_t most);

/* [{"feed", "run", "batches", "events", "invalid_rows", "duplicates", "last_durable_seq", "highest_seq", "gaps",
 *   "missing": [[first, last], ... at most 100], "last_received", "all_invalid"}], at most `limit`, in order of feed
 * and run: of one feed (NULL: of all), after `cursor` (NULL: from the first). NULL: that is no cursor. *next, if it is
 * asked for, is the cursor of the rest, JSON null where there is none. */
json_t *feeds_json(const struct feeds *feeds, const char *feed, const char *cursor, size_t limit, json_t **next);

#endif
