/* The bytes of a segment as segment.h lists them, and what the files of the segment share. For segment*.c alone. */
#ifndef DAEMON_SEGMENT_FORMAT_H
#define DAEMON_SEGMENT_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/crc32c.h"
#include "base/status.h"
#include "daemon/segment.h"

#define SEGMENT_FORMAT       1u
#define SEGMENT_RECORD_MAGIC 0x31525754u /* "TWR1" */
#define SEGMENT_BODY_MAX     ((uint64_t)TWP_BATCH_BYTES_MAX + 8 * TWP_FRAMES_MAX)
enum { SEGMENT_MARK_AT = 24 };

struct segment_file_header {
    char magic[8];
    uint32_t format, crc;
    uint64_t first;
};

struct segment_mark {
    uint64_t ordinal;
    uint32_t crc, zero;
};

struct segment_record {
    uint32_t magic, crc;
    uint64_t ordinal;
    int64_t received_ms;
    uint64_t bytes;
    uint32_t body_crc, frames;
    uint64_t zero;
};
_Static_assert(sizeof(struct segment_record) == SEGMENT_RECORD && sizeof(struct segment_mark) == 16, "as on disk");
_Static_assert(sizeof(struct segment_file_header) == SEGMENT_MARK_AT, "as on disk");

static inline uint32_t segment_file_header_crc(const struct segment_file_header *header)
{
    return tw_crc32c(tw_crc32c(0, header, 12), &header->first, 8);
}

static inline uint32_t segment_mark_crc(const struct segment_mark *mark)
{
    return tw_crc32c(0, &mark->ordinal, 8);
}

static inline uint32_t segment_record_crc(const struct segment_record *record)
{
    return tw_crc32c(0, &record->ordinal, sizeof *record - 8);
}

static inline uint64_t segment_padded(uint64_t size)
{
    return (size + 7) / 8 * 8;
}

/* Is it the header of the record with this ordinal, which then ends within `room` bytes? */
static inline bool segment_record_ok(const struct segment_record *record, uint64_t ordinal, uint64_t room)
{
    return record->magic == SEGMENT_RECORD_MAGIC && record->crc == segment_record_crc(record) &&
           record->ordinal == ordinal && record->frames >= 1 && record->frames <= TWP_FRAMES_MAX &&
           record->bytes >= 8ull * record->frames && record->bytes <= SEGMENT_BODY_MAX &&
           segment_padded(SEGMENT_RECORD + record->bytes) <= room;
}

/* The status that fits errno; the sentence names what was tried. */
int segment_io_error(struct tw_error *error, const char *call, const char *what);
/* TW_IO, whatever errno is: what is there can't be read. */
int segment_read_failed(struct tw_error *error, const char *path);

/* Zeros everything behind the last whole record. Where the space can't be had again the segment is just full. */
int segment_cut(struct segment *segment, int fd, struct tw_error *error);

#endif
