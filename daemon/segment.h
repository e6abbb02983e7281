/* One file of the spool. Little-endian throughout:
 *
 *     0  "TWSPOOL1"            magic
 *     8  u32                   1, the format
 *    12  u32                   CRC32C of bytes 0..11 and 16..23
 *    16  u64                   ordinal of the first record
 *    24  u64, u32, u32         the mark: records with ordinals below it were synced; its CRC32C; 0
 *    64  records, each at a multiple of 8:
 *         u32 "TWR1"  u32 CRC32C of the 40 bytes that follow
 *         u64 ordinal   i64 milliseconds of arrival   u64 bytes of the body   u32 CRC32C of the body   u32 frames
 *         u64 0
 *         body: u64 size of each frame, then the frames; zeros up to a multiple of 8
 *
 * The chain of records ends at the first that is not valid: beyond it lie the zeros of the preallocation, or the torn
 * end of a write that was never synced. The mark tells the two apart from damage: it is written after a sync has
 * returned, so a record below it was promised to a feed and must be whole. Of a file that is not the last every record
 * was promised.
 *
 * Damage costs the records that it hit and no others. One whose body is broken keeps its place. Where a record's header
 * is broken, the next whole one is looked for behind it: its ordinal says how many are lost in between. A header of the
 * file that is broken is not needed: the name has the first ordinal. A damaged file is never written to again.
 */
#ifndef DAEMON_SEGMENT_H
#define DAEMON_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "proto/wire.h"

enum { SEGMENT_HEADER = 64, SEGMENT_RECORD = 48, SEGMENT_PATH_MAX = 4096 };

struct segment {
    uint64_t first;     /* ordinal of the first record */
    uint64_t *offset;   /* where each record starts; 0: lost. NULL: not known yet, segment_index finds it */
    size_t count, room; /* records, and entries that `offset` has; of a sealed segment what lies beyond is lost */
    uint64_t end;       /* where the next record goes */
    uint64_t capacity;  /* bytes that are allocated */
    uint64_t mark;      /* as read or written last */
    uint64_t used;      /* the spool's: when the index was last asked for */
    bool damaged;       /* nothing is appended to it any more */
};

/* Something in a file is not what was written. */
struct segment_damage {
    uint64_t segment;     /* the file, by its first ordinal */
    uint64_t offset;      /* where in it */
    uint64_t first, last; /* the records that are lost; none if last < first */
    const char *what;     /* half a sentence, static */
};
typedef void (*segment_report)(void *context, const struct segment_damage *damage);

/* Bytes that a record of these frames takes, its padding included; 0 if there are too many or they are too large. */
size_t segment_record_size(const struct twp_frame *frames, size_t count);

/* "<dir>/<first ordinal as 16 hex digits>.seg" */
int segment_path(const char *dir, uint64_t first, char path[SEGMENT_PATH_MAX], struct tw_error *error);

/* Creates a file of `capacity` bytes, all allocated, with header and no record; durable on return, in its directory
 * too. *fd is open for writing. TW_FULL: no space, nothing is left. */
int segment_create(const char *dir, uint64_t first, uint64_t capacity, struct segment *out, int *fd,
                   struct tw_error *error);

/* Opens a file. `last` is the segment that is appended to: its chain is walked and all its records are checked whole, a
 * torn end is cut off (*torn gets its bytes) and the space is allocated again, unless it is damaged; it ends with the
 * last whole record, also where the mark promises more. Of others, which reach up to the ordinal `next`, only the
 * header is read: opening costs the same however much is stored. Damage is no error: each piece is reported. *fd is
 * open for writing if `last`, else not touched. */
int segment_open(const char *dir, uint64_t first, bool last, uint64_t next, struct segment *out, int *fd, size_t *torn,
                 segment_report report, void *context, struct tw_error *error);
void segment_fini(struct segment *segment);

/* Where the records of a sealed segment, which reaches up to the ordinal `next`, start, from the records' headers:
 * malloc'd. Fewer entries (*known) than ordinals: the rest is lost. Damage is reported. TW_NOT_FOUND: there is no such
 * file. */
int segment_index(const char *dir, uint64_t first, uint64_t next, uint64_t **offset, size_t *known,
                  segment_report report, void *context, struct tw_error *error);
/* When the segment's first record arrived; 0 if it can't be read. */
int64_t segment_received(const char *dir, uint64_t first);

/* Writes a record at `end`; there must be room. Does not change the segment's index: segment_push does. On TW_FULL the
 * file is as before. */
int segment_write(struct segment *segment, int fd, int64_t received_ms, const struct twp_frame *frames, size_t count,
                  struct tw_error *error);
/* Makes room in the index for one more record. TW_NO_MEMORY. */
int segment_reserve(struct segment *segment);
/* Takes the record that was just written into the index; room must have been reserved. */
void segment_push(struct segment *segment, size_t size);

/* Allocates at least `capacity` bytes. TW_FULL. */
int segment_grow(struct segment *segment, int fd, uint64_t capacity, struct tw_error *error);
/* Cuts the file at `end`, gives the rest back. */
int segment_trim(struct segment *segment, int fd, struct tw_error *error);

/* fdatasync, then the mark: everything up to the last record was promised. A damaged file keeps the mark it has. */
int segment_sync(struct segment *segment, int fd, struct tw_error *error);

/* The header of a copy that holds the records from `first` up to `next`, all of them promised. */
void segment_header(uint64_t first, uint64_t next, unsigned char out[SEGMENT_HEADER]);

/* Reads the record at `offset` of the file whose first ordinal is `first`, as spool_read. TW_NOT_FOUND: there is no
 * such file. */
int segment_read(const char *dir, uint64_t first, uint64_t offset, uint64_t ordinal, void **memory,
                 int64_t *received_ms, struct twp_frame *frames, size_t max_frames, size_t *count,
                 struct tw_error *error);

/* Makes the entries of a directory durable. */
int segment_sync_directory(const char *dir, struct tw_error *error);

#endif
