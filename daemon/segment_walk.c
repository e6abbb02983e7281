/* Opening a file of the spool: following its chain of records, finding it again behind damage, cutting what a torn
 * write left at its end. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/errno_status.h"
#include "daemon/read_at.h"
#include "daemon/segment.h"
#include "daemon/segment_format.h"

enum { CHUNK = 1 << 16 };

/* Opening one file: what is read, how far it was promised, whom to tell of damage. */
struct opening {
    int fd;
    const char *path;
    struct segment *segment;
    bool last;
    uint64_t promised; /* records with ordinals below it must be there; UINT64_MAX: as many as there are */
    segment_report report;
    void *context;
};

static void damaged(struct opening *opening, uint64_t offset, uint64_t first, uint64_t end, const char *what)
{
    struct segment_damage damage = {opening->segment->first, offset, first, end - 1, what};
    if (first == end && first == 0)
        damage.first = 1, damage.last = 0;
    opening->segment->damaged = true;
    opening->report(opening->context, &damage);
}

/* --- walking --- */

/* True if the body at `offset` has its checksum; *failed is set if it could not be read. */
static bool body_ok(int fd, const struct segment_record *record, uint64_t offset, bool *failed)
{
    unsigned char chunk[CHUNK];
    uint32_t crc = 0;
    for (uint64_t done = 0; done < record->bytes;) {
        size_t wanted = record->bytes - done < CHUNK ? (size_t)(record->bytes - done) : CHUNK;
        ssize_t got = read_at(fd, chunk, wanted, offset + done);
        *failed = got < 0;
        if (got != (ssize_t)wanted)
            return false;
        crc = tw_crc32c(crc, chunk, wanted);
        done += wanted;
    }
    return crc == record->body_crc;
}

/* Reads what should be a record header at `offset`. */
static int read_record_header(const struct opening *opening, uint64_t offset, uint64_t ordinal,
                              struct segment_record *record, bool *there, struct tw_error *error)
{
    ssize_t got = read_at(opening->fd, record, sizeof *record, offset);
    if (got < 0)
        return segment_read_failed(error, opening->path);
    *there = got == sizeof *record && segment_record_ok(record, ordinal, opening->segment->capacity - offset);
    return 0;
}

/* Could this be a later record of the chain that broke at `end`, before `ordinal`? No record is smaller than its header
 * and one size, which bounds how many can be in between. */
static bool resumes(const struct opening *opening, const struct segment_record *record, uint64_t offset,
                    uint64_t ordinal)
{
    const struct segment *segment = opening->segment;
    return record->ordinal > ordinal && record->ordinal < opening->promised &&
           record->ordinal - ordinal <= (offset - segment->end) / (SEGMENT_RECORD + 8) &&
           segment_record_ok(record, record->ordinal, segment->capacity - offset);
}

/* The next whole record header behind a broken one; *offset gets its place, 0 if there is none. */
static int find_next(const struct opening *opening, uint64_t ordinal, uint64_t *offset, uint64_t *found,
                     struct tw_error *error)
{
    const struct segment *segment = opening->segment;
    unsigned char chunk[CHUNK];
    *offset = 0;
    for (uint64_t at = segment->end + 8; at + SEGMENT_RECORD <= segment->capacity; at += CHUNK - SEGMENT_RECORD + 8) {
        off_t data = lseek(opening->fd, (off_t)at, SEEK_DATA); /* space that was never written holds nothing */
        if (data < 0 && errno == ENXIO)
            return 0;
        if (data > (off_t)at)
            at = (uint64_t)data / 8 * 8;
        ssize_t got = read_at(opening->fd, chunk, sizeof chunk, at);
        if (got < 0)
            return segment_read_failed(error, opening->path);
        for (ssize_t i = 0; i + SEGMENT_RECORD <= got; i += 8) {
            struct segment_record record;
            memcpy(&record, chunk + i, sizeof record);
            if (record.magic == SEGMENT_RECORD_MAGIC && resumes(opening, &record, at + (uint64_t)i, ordinal)) {
                *offset = at + (uint64_t)i;
                *found = record.ordinal;
                return 0;
            }
        }
    }
    return 0;
}

static int push(struct segment *segment, uint64_t offset, struct tw_error *error)
{
    if (segment_reserve(segment))
        return tw_error_set(error, TW_NO_MEMORY, "out of memory");
    segment->offset[segment->count++] = offset;
    return 0;
}

/* The chain is broken at `end`, and more was promised: it goes on with the next record that is whole. *resumed is false
 * if there is none. */
static int skip_damage(struct opening *opening, bool *resumed, struct tw_error *error)
{
    struct segment *segment = opening->segment;
    uint64_t ordinal = segment->first + segment->count, offset, found;
    int status = find_next(opening, ordinal, &offset, &found, error);
    *resumed = status == 0 && offset > 0;
    if (status)
        return status;
    if (*resumed)
        damaged(opening, segment->end, ordinal, found, "a record is damaged");
    else if (opening->promised != UINT64_MAX)
        damaged(opening, segment->end, ordinal, opening->promised,
                segment->end < segment->capacity ? "records are damaged" : "records are missing");
    for (; *resumed && ordinal < found && status == 0; ordinal++)
        status = push(segment, 0, error);
    if (*resumed)
        segment->end = offset;
    return status;
}

/* Follows the chain to where it ends. */
static int walk(struct opening *opening, struct tw_error *error)
{
    struct segment *segment = opening->segment;
    for (;;) {
        struct segment_record record;
        bool there = false, failed = false, go_on = true;
        uint64_t ordinal = segment->first + segment->count;
        if (!opening->last && ordinal >= opening->promised)
            return 0;
        int status = read_record_header(opening, segment->end, ordinal, &record, &there, error);
        if (status)
            return status;
        if (!there) {
            if (ordinal < opening->promised)
                status = skip_damage(opening, &go_on, error);
            if (status || ordinal >= opening->promised || !go_on)
                return status;
            continue;
        }
        bool whole = !opening->last || body_ok(opening->fd, &record, segment->end + SEGMENT_RECORD, &failed);
        if (failed)
            return segment_read_failed(error, opening->path);
        if (!whole && ordinal >= opening->promised)
            return 0;
        if (!whole)
            damaged(opening, segment->end, ordinal, ordinal + 1, "a record is damaged");
        status = push(segment, whole ? segment->end : 0, error);
        if (status)
            return status;
        segment->end += segment_padded(SEGMENT_RECORD + record.bytes);
    }
}

/* --- opening --- */

/* A header that is broken says nothing; the records behind it say enough. */
static int read_header(struct opening *opening, struct tw_error *error)
{
    struct segment_file_header header = {.crc = 0};
    struct segment_mark at = {.crc = 0};
    struct segment *segment = opening->segment;
    if (read_at(opening->fd, &header, sizeof header, 0) < 0 ||
        read_at(opening->fd, &at, sizeof at, SEGMENT_MARK_AT) < 0)
        return segment_read_failed(error, opening->path);
    bool ours = memcmp(header.magic, "TWSPOOL1", 8) == 0 && header.crc == segment_file_header_crc(&header);
    if (ours && header.format != SEGMENT_FORMAT)
        return tw_error_set(error, TW_CONFLICT, "spool %.150s has format %u; this program knows %u", opening->path,
                            header.format, SEGMENT_FORMAT);
    if (!ours || header.first != segment->first)
        damaged(opening, 0, segment->first, segment->first, "the header is not valid");
    bool none = at.ordinal == 0 && at.crc == 0 && at.zero == 0;
    bool valid = at.crc == segment_mark_crc(&at) && at.zero == 0;
    if (none || !valid)
        at.ordinal = 0;
    segment->mark = at.ordinal;
    if (opening->last)
        opening->promised = valid || (none && ours) ? at.ordinal : UINT64_MAX;
    if (!none && !valid)
        damaged(opening, SEGMENT_MARK_AT, segment->first, segment->first, "the mark is not valid");
    return 0;
}

/* Where data begin and end at or behind `at`: the whole rest for a file system that does not know. False: there are
 * none. */
static bool next_data(int fd, uint64_t at, uint64_t capacity, uint64_t *begin, uint64_t *end)
{
    off_t data = lseek(fd, (off_t)at, SEEK_DATA);
    if (at >= capacity || (data < 0 && errno == ENXIO))
        return false;
    off_t hole = data < 0 ? data : lseek(fd, data, SEEK_HOLE);
    *begin = data < 0 ? at : (uint64_t)data;
    *end = hole <= data ? capacity : (uint64_t)hole;
    return true;
}

/* One more than the place of the last byte that is not zero; 0 if all are. */
static size_t last_written(const unsigned char *bytes, size_t size)
{
    if (size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0))
        return 0;
    while (bytes[size - 1] == 0)
        size--;
    return size;
}

/* Bytes from `end` up to the last one that is not zero: what a torn write left. Space that was allocated and never
 * written is not read. It would seem to be data, though, where its zeros are in the page cache: what the walk had read
 * ahead is dropped (what was written and has not reached the disk stays), and nothing is read ahead here. */
static int torn_bytes(int fd, const char *path, const struct segment *segment, size_t *torn, struct tw_error *error)
{
    unsigned char chunk[CHUNK];
    uint64_t begin, end = segment->end;
    *torn = 0;
    posix_fadvise(fd, (off_t)end, 0, POSIX_FADV_DONTNEED);
    posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
    while (next_data(fd, end, segment->capacity, &begin, &end)) {
        for (uint64_t at = begin; at < end; at += CHUNK) {
            ssize_t got = read_at(fd, chunk, end - at < CHUNK ? (size_t)(end - at) : CHUNK, at);
            if (got < 0)
                return segment_read_failed(error, path);
            size_t written = last_written(chunk, (size_t)got);
            if (written > 0)
                *torn = (size_t)(at - segment->end) + written;
        }
    }
    posix_fadvise(fd, 0, 0, POSIX_FADV_NORMAL);
    return 0;
}

static int open_checked(struct opening *opening, size_t *torn, struct tw_error *error)
{
    struct stat stat;
    struct segment *segment = opening->segment;
    if (fstat(opening->fd, &stat) != 0)
        return tw_error_set(error, TW_IO, "stat %.150s: %s", opening->path, strerror(errno));
    segment->capacity = (uint64_t)stat.st_size;
    int status = read_header(opening, error);
    if (status == 0 && !opening->last) {
        segment->count = (size_t)(opening->promised - segment->first);
        segment->end = segment->capacity;
        return 0;
    }
    if (status == 0)
        status = walk(opening, error);
    if (status || segment->damaged)
        return status;
    status = torn_bytes(opening->fd, opening->path, segment, torn, error);
    return status == 0 && *torn > 0 ? segment_cut(segment, opening->fd, error) : status;
}

int segment_open(const char *dir, uint64_t first, bool last, uint64_t next, struct segment *out, int *fd, size_t *torn,
                 segment_report report, void *context, struct tw_error *error)
{
    char path[SEGMENT_PATH_MAX];
    *out = (struct segment){.first = first, .end = SEGMENT_HEADER};
    int status = segment_path(dir, first, path, error);
    if (status)
        return status;
    int file = open(path, (last ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (file < 0)
        return segment_io_error(error, "opening", path);
    *torn = 0;
    struct opening opening = {
        .fd = file, .path = path, .segment = out, .last = last, .promised = next, .report = report, .context = context};
    status = open_checked(&opening, torn, error);
    if (status)
        segment_fini(out);
    if (status || !last)
        close(file);
    else
        *fd = file;
    return status;
}

int segment_index(const char *dir, uint64_t first, uint64_t next, uint64_t **offset, size_t *known,
                  segment_report report, void *context, struct tw_error *error)
{
    char path[SEGMENT_PATH_MAX];
    struct segment walked = {.first = first, .end = SEGMENT_HEADER};
    struct stat stat;
    int status = segment_path(dir, first, path, error);
    if (status)
        return status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &stat) != 0)
        status = tw_error_set(error, fd < 0 && errno == ENOENT ? TW_NOT_FOUND : errno_status(errno),
                              "opening %.150s: %s", path, strerror(errno));
    if (status == 0) {
        struct opening opening = {
            .fd = fd, .path = path, .segment = &walked, .promised = next, .report = report, .context = context};
        walked.capacity = (uint64_t)stat.st_size;
        status = segment_reserve(&walked) ? tw_error_set(error, TW_NO_MEMORY, "out of memory") : walk(&opening, error);
    }
    if (status)
        segment_fini(&walked);
    if (fd >= 0)
        close(fd);
    *offset = walked.offset;
    *known = walked.count;
    return status;
}
