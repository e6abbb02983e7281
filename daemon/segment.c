/* One file of the spool: writing, walking, cutting and reading records. See segment.h for the format. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "daemon/errno_status.h"
#include "daemon/read_at.h"
#include "daemon/segment.h"

#define FORMAT       1u
#define RECORD_MAGIC 0x31525754u /* "TWR1" */
#define BODY_MAX     ((uint64_t)TWP_BATCH_BYTES_MAX + 8 * TWP_FRAMES_MAX)
enum { MARK_AT = 24, CHUNK = 1 << 16 };

struct file_header {
    char magic[8];
    uint32_t format, crc;
    uint64_t first;
};

struct mark {
    uint64_t ordinal;
    uint32_t crc, zero;
};

struct record {
    uint32_t magic, crc;
    uint64_t ordinal;
    int64_t received_ms;
    uint64_t bytes;
    uint32_t body_crc, frames;
    uint64_t zero;
};
_Static_assert(sizeof(struct record) == SEGMENT_RECORD && sizeof(struct mark) == 16, "as on disk");
_Static_assert(sizeof(struct file_header) == MARK_AT, "as on disk");

static uint32_t header_crc(const struct file_header *header)
{
    return tw_crc32c(tw_crc32c(0, header, 12), &header->first, 8);
}

static uint32_t record_crc(const struct record *record)
{
    return tw_crc32c(0, &record->ordinal, sizeof *record - 8);
}

static uint64_t padded(uint64_t size)
{
    return (size + 7) / 8 * 8;
}

/* The status that fits errno; the sentence names what was tried. */
static int io_error(struct tw_error *error, const char *call, const char *what)
{
    int code = errno;
    return tw_error_set(error, errno_status(code), "%s %.150s: %s", call, what, strerror(code));
}

static bool write_at(int fd, struct iovec *parts, int count, uint64_t offset)
{
    while (count > 0) {
        ssize_t put = pwritev(fd, parts, count, (off_t)offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return false;
        offset += (uint64_t)put;
        while (count > 0 && (size_t)put >= parts->iov_len) {
            put -= (ssize_t)parts->iov_len;
            parts++;
            count--;
        }
        if (count > 0) {
            parts->iov_base = (char *)parts->iov_base + put;
            parts->iov_len -= (size_t)put;
        }
    }
    return true;
}

int segment_path(const char *dir, uint64_t first, char path[SEGMENT_PATH_MAX], struct tw_error *error)
{
    int length = snprintf(path, SEGMENT_PATH_MAX, "%s/%016llx.seg", dir, (unsigned long long)first);
    return length < SEGMENT_PATH_MAX ? 0 : tw_error_set(error, TW_IO, "the path of the spool is too long");
}

int segment_sync_directory(const char *dir, struct tw_error *error)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int status = 0;
    if (fd < 0)
        status = io_error(error, "opening", dir);
    else if (fsync(fd) != 0)
        status = tw_error_set(error, TW_IO, "fsync %.150s: %s", dir, strerror(errno));
    if (fd >= 0)
        close(fd);
    return status;
}

size_t segment_record_size(const struct twp_frame *frames, size_t count)
{
    uint64_t bytes = 8 * count;
    if (count == 0 || count > TWP_FRAMES_MAX)
        return 0;
    for (size_t i = 0; i < count; i++) {
        if (frames[i].size > BODY_MAX - bytes)
            return 0;
        bytes += frames[i].size;
    }
    return (size_t)padded(SEGMENT_RECORD + bytes);
}

void segment_fini(struct segment *segment)
{
    free(segment->offset);
    *segment = (struct segment){0};
}

/* --- creating --- */

static int allocate(int fd, uint64_t capacity, const char *what, struct tw_error *error)
{
    int code;
    while ((code = posix_fallocate(fd, 0, (off_t)capacity)) == EINTR)
        ;
    errno = code;
    return code ? io_error(error, "allocating", what) : 0;
}

static int write_header(int fd, uint64_t first, const char *path, struct tw_error *error)
{
    struct file_header header = {.magic = {'T', 'W', 'S', 'P', 'O', 'O', 'L', '1'}, .format = FORMAT, .first = first};
    header.crc = header_crc(&header);
    struct iovec part = {&header, sizeof header};
    return write_at(fd, &part, 1, 0) ? 0 : io_error(error, "writing", path);
}

/* The file gets its name only when it is whole, so that a crash in between leaves no half a segment. */
int segment_create(const char *dir, uint64_t first, uint64_t capacity, struct segment *out, int *fd,
                   struct tw_error *error)
{
    char path[SEGMENT_PATH_MAX], temporary[SEGMENT_PATH_MAX + 4];
    int status = segment_path(dir, first, path, error);
    if (status)
        return status;
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    *fd = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (*fd < 0)
        return io_error(error, "creating", temporary);
    status = allocate(*fd, capacity, path, error);
    if (status == 0)
        status = write_header(*fd, first, path, error);
    if (status == 0 && fsync(*fd) != 0)
        status = tw_error_set(error, TW_IO, "fsync %.150s: %s", path, strerror(errno));
    if (status == 0 && rename(temporary, path) != 0)
        status = io_error(error, "renaming", temporary);
    bool named = status == 0;
    if (status == 0)
        status = segment_sync_directory(dir, error);
    if (status) {
        unlink(named ? path : temporary); /* what follows may still go into the segment before */
        close(*fd);
        *fd = -1;
        return status;
    }
    *out = (struct segment){.first = first, .end = SEGMENT_HEADER, .capacity = capacity};
    return 0;
}

/* --- walking --- */

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

static int read_failed(const char *path, struct tw_error *error)
{
    return tw_error_set(error, TW_IO, "reading %.150s: %s", path, strerror(errno));
}

/* A header that is broken says nothing; the records behind it say enough. */
static int read_header(struct opening *opening, struct tw_error *error)
{
    struct file_header header = {.crc = 0};
    struct mark at = {.crc = 0};
    struct segment *segment = opening->segment;
    if (read_at(opening->fd, &header, sizeof header, 0) < 0 || read_at(opening->fd, &at, sizeof at, MARK_AT) < 0)
        return read_failed(opening->path, error);
    bool ours = memcmp(header.magic, "TWSPOOL1", 8) == 0 && header.crc == header_crc(&header);
    if (ours && header.format != FORMAT)
        return tw_error_set(error, TW_CONFLICT, "spool %.150s has format %u; this program knows %u", opening->path,
                            header.format, FORMAT);
    if (!ours || header.first != segment->first)
        damaged(opening, 0, segment->first, segment->first, "the header is not valid");
    bool none = at.ordinal == 0 && at.crc == 0 && at.zero == 0;
    bool valid = at.crc == tw_crc32c(0, &at.ordinal, 8) && at.zero == 0;
    if (none || !valid)
        at.ordinal = 0;
    segment->mark = at.ordinal;
    if (opening->last)
        opening->promised = valid || (none && ours) ? at.ordinal : UINT64_MAX;
    if (!none && !valid)
        damaged(opening, MARK_AT, segment->first, segment->first, "the mark is not valid");
    return 0;
}

static bool record_ok(const struct record *record, uint64_t ordinal, uint64_t room)
{
    return record->magic == RECORD_MAGIC && record->crc == record_crc(record) && record->ordinal == ordinal &&
           record->frames >= 1 && record->frames <= TWP_FRAMES_MAX && record->bytes >= 8ull * record->frames &&
           record->bytes <= BODY_MAX && padded(SEGMENT_RECORD + record->bytes) <= room;
}

/* True if the body at `offset` has its checksum; *failed is set if it could not be read. */
static bool body_ok(int fd, const struct record *record, uint64_t offset, bool *failed)
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

int segment_reserve(struct segment *segment)
{
    if (segment->count < segment->room)
        return 0;
    size_t room = segment->room ? segment->room * 2 : 16;
    uint64_t *grown = reallocarray(segment->offset, room, sizeof *grown);
    if (!grown)
        return TW_NO_MEMORY;
    segment->offset = grown;
    segment->room = room;
    return 0;
}

void segment_push(struct segment *segment, size_t size)
{
    segment->offset[segment->count++] = segment->end;
    segment->end += size;
}

/* Reads what should be a record header at `offset`. */
static int read_record_header(const struct opening *opening, uint64_t offset, uint64_t ordinal, struct record *record,
                              bool *there, struct tw_error *error)
{
    ssize_t got = read_at(opening->fd, record, sizeof *record, offset);
    if (got < 0)
        return read_failed(opening->path, error);
    *there = got == sizeof *record && record_ok(record, ordinal, opening->segment->capacity - offset);
    return 0;
}

/* Could this be a later record of the chain that broke at `end`, before `ordinal`? No record is smaller than its header
 * and one size, which bounds how many can be in between. */
static bool resumes(const struct opening *opening, const struct record *record, uint64_t offset, uint64_t ordinal)
{
    const struct segment *segment = opening->segment;
    return record->ordinal > ordinal && record->ordinal < opening->promised &&
           record->ordinal - ordinal <= (offset - segment->end) / (SEGMENT_RECORD + 8) &&
           record_ok(record, record->ordinal, segment->capacity - offset);
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
            return read_failed(opening->path, error);
        for (ssize_t i = 0; i + SEGMENT_RECORD <= got; i += 8) {
            struct record record;
            memcpy(&record, chunk + i, sizeof record);
            if (record.magic == RECORD_MAGIC && resumes(opening, &record, at + (uint64_t)i, ordinal)) {
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
        struct record record;
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
            return read_failed(opening->path, error);
        if (!whole && ordinal >= opening->promised)
            return 0;
        if (!whole)
            damaged(opening, segment->end, ordinal, ordinal + 1, "a record is damaged");
        status = push(segment, whole ? segment->end : 0, error);
        if (status)
            return status;
        segment->end += padded(SEGMENT_RECORD + record.bytes);
    }
}

/* Bytes from `end` up to the last one that is not zero: what a torn write left. */
static int torn_bytes(int fd, const char *path, const struct segment *segment, size_t *torn, struct tw_error *error)
{
    unsigned char chunk[CHUNK];
    *torn = 0;
    for (uint64_t at = segment->end; at < segment->capacity; at += CHUNK) {
        off_t data = lseek(fd, (off_t)at, SEEK_DATA); /* space that was never written is not read */
        if (data < 0 && errno == ENXIO)
            break;
        if (data > (off_t)at)
            at = (uint64_t)data;
        size_t wanted = segment->capacity - at < CHUNK ? (size_t)(segment->capacity - at) : CHUNK;
        ssize_t got = read_at(fd, chunk, wanted, at);
        if (got < 0)
            return tw_error_set(error, TW_IO, "reading %.150s: %s", path, strerror(errno));
        for (ssize_t i = 0; i < got; i++) {
            if (chunk[i])
                *torn = (size_t)(at - segment->end) + (size_t)i + 1;
        }
    }
    return 0;
}

int segment_trim(struct segment *segment, int fd, struct tw_error *error)
{
    if (ftruncate(fd, (off_t)segment->end) != 0)
        return tw_error_set(error, TW_IO, "truncating a spool segment: %s", strerror(errno));
    segment->capacity = segment->end;
    return 0;
}

int segment_grow(struct segment *segment, int fd, uint64_t capacity, struct tw_error *error)
{
    if (capacity <= segment->capacity)
        return 0;
    int status = allocate(fd, capacity, "a spool segment", error);
    if (status == 0)
        segment->capacity = capacity;
    return status;
}

/* Zeros everything behind the last whole record. Where the space can't be had again the segment is just full. */
static int cut(struct segment *segment, int fd, struct tw_error *error)
{
    uint64_t capacity = segment->capacity;
    int status = segment_trim(segment, fd, error);
    if (status == 0)
        segment_grow(segment, fd, capacity, NULL);
    if (status == 0 && fsync(fd) != 0)
        status = tw_error_set(error, TW_IO, "fsync of a spool segment: %s", strerror(errno));
    return status;
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
    return status == 0 && *torn > 0 ? cut(segment, opening->fd, error) : status;
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
        return io_error(error, "opening", path);
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

int64_t segment_received(const char *dir, uint64_t first)
{
    char path[SEGMENT_PATH_MAX];
    struct record record;
    if (segment_path(dir, first, path, NULL) != 0)
        return 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && read_at(fd, &record, sizeof record, SEGMENT_HEADER) == sizeof record &&
              record_ok(&record, first, UINT64_MAX);
    if (fd >= 0)
        close(fd);
    return ok ? record.received_ms : 0;
}

/* --- appending --- */

int segment_write(struct segment *segment, int fd, int64_t received_ms, const struct twp_frame *frames, size_t count,
                  struct tw_error *error)
{
    static const char zeros[8];
    uint64_t size[TWP_FRAMES_MAX], bytes = 8 * count;
    struct record record = {.magic = RECORD_MAGIC,
                            .ordinal = segment->first + segment->count,
                            .received_ms = received_ms,
                            .frames = (uint32_t)count};
    struct iovec parts[TWP_FRAMES_MAX + 3] = {{&record, sizeof record}, {size, 8 * count}};
    for (size_t i = 0; i < count; i++) {
        size[i] = frames[i].size;
        bytes += frames[i].size;
        parts[2 + i] = (struct iovec){(void *)(uintptr_t)frames[i].data, frames[i].size};
    }
    record.bytes = bytes;
    for (size_t i = 1; i < 2 + count; i++)
        record.body_crc = tw_crc32c(record.body_crc, parts[i].iov_base, parts[i].iov_len);
    record.crc = record_crc(&record);
    parts[2 + count] = (struct iovec){(void *)(uintptr_t)zeros, padded(bytes) - bytes};
    if (write_at(fd, parts, (int)count + 3, segment->end))
        return 0;
    int status = io_error(error, "writing", "a spool segment");
    int cleaned = cut(segment, fd, error); /* what was written in part must not be met by a later chain */
    return cleaned ? cleaned : status;
}

int segment_sync(struct segment *segment, int fd, struct tw_error *error)
{
    if (fdatasync(fd) != 0)
        return tw_error_set(error, TW_IO, "fdatasync of a spool segment: %s", strerror(errno));
    struct mark mark = {.ordinal = segment->first + segment->count};
    if (mark.ordinal == segment->mark || segment->damaged)
        return 0;
    mark.crc = tw_crc32c(0, &mark.ordinal, 8);
    struct iovec part = {&mark, sizeof mark};
    if (!write_at(fd, &part, 1, MARK_AT))
        return tw_error_set(error, TW_IO, "writing a spool segment: %s", strerror(errno));
    segment->mark = mark.ordinal;
    return 0;
}

void segment_header(uint64_t first, uint64_t next, unsigned char out[SEGMENT_HEADER])
{
    struct file_header header = {.magic = {'T', 'W', 'S', 'P', 'O', 'O', 'L', '1'}, .format = FORMAT, .first = first};
    struct mark mark = {.ordinal = next};
    header.crc = header_crc(&header);
    mark.crc = tw_crc32c(0, &mark.ordinal, 8);
    memset(out, 0, SEGMENT_HEADER);
    memcpy(out, &header, sizeof header);
    memcpy(out + MARK_AT, &mark, sizeof mark);
}

/* --- reading --- */

static int corrupt(struct tw_error *error, const char *path, uint64_t offset, const char *what)
{
    const char *name = strrchr(path, '/');
    return tw_error_set(error, TW_CORRUPT, "spool %.180s: %s at byte %llu",
                        name && strlen(path) > 180 ? name + 1 : path, what, (unsigned long long)offset);
}

/* Frames as the body lists them; false if their sizes do not add up. */
static bool split_body(const unsigned char *body, const struct record *record, struct twp_frame *frames)
{
    uint64_t at = 8ull * record->frames;
    for (uint32_t i = 0; i < record->frames; i++) {
        uint64_t size;
        memcpy(&size, body + 8ull * i, sizeof size);
        if (size > record->bytes - at)
            return false;
        frames[i] = (struct twp_frame){body + at, (size_t)size};
        at += size;
    }
    return at == record->bytes;
}

static int read_record(int fd, const char *path, uint64_t offset, uint64_t ordinal, unsigned char **body,
                       struct record *record, struct tw_error *error)
{
    ssize_t got = read_at(fd, record, sizeof *record, offset);
    if (got < 0)
        return tw_error_set(error, TW_IO, "reading %.150s: %s", path, strerror(errno));
    if (got != sizeof *record || !record_ok(record, ordinal, UINT64_MAX))
        return corrupt(error, path, offset, "a record is damaged");
    *body = malloc((size_t)record->bytes);
    if (!*body)
        return tw_error_set(error, TW_NO_MEMORY, "out of memory");
    got = read_at(fd, *body, (size_t)record->bytes, offset + SEGMENT_RECORD);
    if (got < 0)
        return tw_error_set(error, TW_IO, "reading %.150s: %s", path, strerror(errno));
    if ((uint64_t)got != record->bytes || tw_crc32c(0, *body, (size_t)record->bytes) != record->body_crc)
        return corrupt(error, path, offset, "a record is damaged");
    return 0;
}

int segment_read(const char *dir, uint64_t first, uint64_t offset, uint64_t ordinal, void **memory,
                 int64_t *received_ms, struct twp_frame *frames, size_t max_frames, size_t *count,
                 struct tw_error *error)
{
    char path[SEGMENT_PATH_MAX];
    unsigned char *body = NULL;
    struct record record;
    int status = segment_path(dir, first, path, error);
    if (status)
        return status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? tw_error_set(error, TW_NOT_FOUND, "opening %.150s: %s", path, strerror(errno))
                               : io_error(error, "opening", path);
    status = read_record(fd, path, offset, ordinal, &body, &record, error);
    if (status == 0 && (record.frames > max_frames || !split_body(body, &record, frames)))
        status = corrupt(error, path, offset, "the frames of a record do not add up");
    close(fd);
    if (status) {
        free(body);
        return status;
    }
    *memory = body;
    *received_ms = record.received_ms;
    *count = record.frames;
    return 0;
}
