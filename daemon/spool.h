/* The spool: every accepted batch of one twin, in the order of its ordinals. The spool is the truth; rows in SQLite
 * are derived from it.
 *
 * Files <dir>/<first ordinal, 16 hex digits>.seg: a header (magic, format, first ordinal, CRC) and records, each with
 * its length, ordinal, CRC32C and the original frames. Segments are preallocated with posix_fallocate, so that a full
 * disk shows before anything is accepted; their creation fsyncs the directory. The end of a segment is where the chain
 * of valid records stops. A record that is damaged is lost, reported, and its ordinal is not given again; all others
 * can still be read.
 *
 * Appending belongs to one thread (ingest); reading may be done by any thread for ordinals from spool_first() up to
 * below spool_next(). The memory that an open spool takes does not grow with what is stored: where the records of a
 * sealed segment lie is found when one of them is read, and known for the last few segments only.
 */
#ifndef DAEMON_SPOOL_H
#define DAEMON_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "daemon/segment.h"
#include "proto/wire.h"

struct spool;

/* Called at open for each valid record from `from_ordinal` on, in order. frames borrow memory for the call. */
typedef int (*spool_visit)(void *context, uint64_t ordinal, int64_t received_ms, const struct twp_frame *frames,
                           size_t count);

/* Opens or creates the spool in `dir` (created if absent; the folders above it are there, and durable). Truncates a
 * torn tail (says how many bytes in *torn_bytes). Damage is no error: see spool_watch. */
int spool_open(const char *dir, size_t segment_bytes, struct spool **out, size_t *torn_bytes, struct tw_error *error);
void spool_close(struct spool *spool);

/* Tells of the damage that was found at open (at most 256 pieces of it), then of each piece that a reader meets: once,
 * on the reader's thread. `context` must live as long as the spool. */
void spool_watch(struct spool *spool, segment_report report, void *context);
/* "<dir>/<first ordinal>.seg" of a file, as in segment_path. */
int spool_file(struct spool *spool, uint64_t segment, char path[SEGMENT_PATH_MAX], struct tw_error *error);

/* Damaged records are left out (and reported). */
int spool_scan(struct spool *spool, uint64_t from_ordinal, spool_visit visit, void *context, struct tw_error *error);

uint64_t spool_next(struct spool *spool); /* ordinal that the next record will get; ordinals count from 0 */
/* Nothing below `next` will be given to a record: what is known elsewhere of ordinals that are missing here must not be
 * said of others. Before the first append. */
void spool_skip(struct spool *spool, uint64_t next);
/* False: it was never there, was removed with its segment, or is lost. True if that cannot be found out now, for want
 * of memory or of descriptors: reading it says so. */
bool spool_has(struct spool *spool, uint64_t ordinal);

/* Appends a record; not durable before spool_sync returns 0. TW_FULL: no space, nothing was written. TW_IO: fail-stop.
 * *ordinal gets its place. */
int spool_append(struct spool *spool, int64_t received_ms, const struct twp_frame *frames, size_t count,
                 uint64_t *ordinal, struct tw_error *error);
int spool_sync(struct spool *spool, struct tw_error *error); /* fdatasync; a failure is never retried */

/* Reads one record into malloc'd memory (*memory, to be freed); frames point into it. Any thread. Checks the CRC.
 * TW_CORRUPT: the record is lost. TW_NOT_FOUND: its segment was removed, or there is no such ordinal yet. */
int spool_read(struct spool *spool, uint64_t ordinal, void **memory, int64_t *received_ms, struct twp_frame *frames,
               size_t max_frames, size_t *count, struct tw_error *error);

/* --- limits: the oldest segments go when nobody needs them any more. Any thread. --- */

uint64_t spool_first(struct spool *spool); /* ordinal of the oldest record that is kept */
/* Bytes of all records that are kept, and of those segments that reach up to `ordinal` or beyond: with the first
 * unprocessed ordinal, what no eviction can free before the loop has come further. */
uint64_t spool_bytes(struct spool *spool);
uint64_t spool_bytes_from(struct spool *spool, uint64_t ordinal);
/* Segments are made no larger than an eighth of this, so that the spool can be kept near it. 0: no limit. */
void spool_limit(struct spool *spool, uint64_t bytes);
/* The oldest segment, if it is sealed: the first ordinal after it and when its newest record had arrived, at the
 * latest. False if there is only the one that is appended to. */
bool spool_oldest(struct spool *spool, uint64_t *next, int64_t *received_ms);
/* Removes the oldest segment, if it is sealed and holds only ordinals below `below`; durable on return. TW_NOT_FOUND:
 * it is not; TW_BUSY: the spool is pinned. A crash leaves the segment or leaves it out, both harmless. */
int spool_evict(struct spool *spool, uint64_t below, struct tw_error *error);

/* While a spool is pinned, no segment of it is removed (a backup reads them). Any thread; pins count. */
void spool_pin(struct spool *spool);
void spool_unpin(struct spool *spool);

/* What a copy of the spool takes: each segment, with the bytes of it that are durable now and the ordinal behind them.
 * Of a pinned spool; *out malloc'd. Any thread. TW_NO_MEMORY. */
struct spool_piece {
    uint64_t first, next, bytes;
};
int spool_pieces(struct spool *spool, struct spool_piece **out, size_t *count);

/* Removes a spool's directory (twin deleted); 0: it is gone for good; TW_BUSY: not now; TW_IO: a sync failed. */
int spool_remove(const char *dir, struct tw_error *error);

#endif
