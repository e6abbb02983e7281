/* One file of the spool: making it, appending to it, reading a record of it. What a file holds when it is opened is
 * found in segment_walk.c. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "daemon/errno_status.h"
#include "daemon/read_at.h"
#include "daemon/segment.h"
#include "daemon/segment_format.h"

enum { SET_OFF_BYTES = 256 * 1024 };

int segment_io_error(struct tw_error *error, const char *call, const char *what)
{
    int code = errno;
    return tw_error_set(error, errno_status(code), "%s %.150s: %s", call, what, strerror(code));
}

int segment_read_failed(struct tw_error *error, const char *path)
{
    return tw_error_set(error, TW_IO, "reading %.150s: %s", path, strerror(errno));
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
        status = segment_io_error(error, "opening", dir);
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
        if (frames[i].size > SEGMENT_BODY_MAX - bytes)
            return 0;
        bytes += frames[i].size;
    }
    return (size_t)segment_padded(SEGMENT_RECORD + bytes);
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
    return code ? segment_io_error(error, "allocating", what) : 0;
}

static int write_header(int fd, uint64_t first, const char *path, struct tw_error *error)
{
    struct segment_file_header header = {
        .magic = {'T', 'W', 'S', 'P', 'O', 'O', 'L', '1'}, .format = SEGMENT_FORMAT, .first = first};
    header.crc = segment_file_header_crc(&header);
    struct iovec part = {&header, sizeof header};
    return write_at(fd, &part, 1, 0) ? 0 : segment_io_error(error, "writing", path);
}

/* The file gets its name only when it is whole, so that a crash in between leaves no half a segment. The folder is
 * opened before: once there is the name, nothing but the sync can fail, and that is final. Where one went on without
 * the file, a power cut might bring back the name, and what had been appended to the segment before meanwhile would be
 * beyond its end. */
int segment_create(const char *dir, uint64_t first, uint64_t capacity, struct segment *out, int *fd,
                   struct tw_error *error)
{
    char path[SEGMENT_PATH_MAX], temporary[SEGMENT_PATH_MAX + 4];
    int status = segment_path(dir, first, path, error);
    if (status)
        return status;
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    int folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return segment_io_error(error, "opening", dir);
    *fd = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (*fd < 0) {
        status = segment_io_error(error, "creating", temporary);
        close(folder);
        return status;
    }
    status = allocate(*fd, capacity, path, error);
    if (status == 0)
        status = write_header(*fd, first, path, error);
    if (status == 0 && fsync(*fd) != 0)
        status = tw_error_set(error, TW_IO, "fsync %.150s: %s", path, strerror(errno));
    if (status == 0 && rename(temporary, path) != 0)
        status = segment_io_error(error, "renaming", temporary);
    bool named = status == 0;
    if (status == 0 && fsync(folder) != 0)
        status = tw_error_set(error, TW_IO, "fsync %.150s: %s", dir, strerror(errno));
    close(folder);
    if (status) {
        unlink(named ? path : temporary); /* what follows may still go into the segment before */
        close(*fd);
        *fd = -1;
        return status;
    }
    *out = (struct segment){.first = first, .end = SEGMENT_HEADER, .capacity = capacity};
    return 0;
}

/* --- appending --- */

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

int segment_cut(struct segment *segment, int fd, struct tw_error *error)
{
    uint64_t capacity = segment->capacity;
    int status = segment_trim(segment, fd, error);
    if (status == 0)
        segment_grow(segment, fd, capacity, NULL);
    if (status == 0 && fsync(fd) != 0)
        status = tw_error_set(error, TW_IO, "fsync of a spool segment: %s", strerror(errno));
    return status;
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

/* The disk may begin with a large record while the next is still checked, so that the sync that makes both durable has
 * less to wait for. A small one shares its pages with the next, and would be written twice. */
static void set_off(int fd, uint64_t offset, uint64_t size)
{
    if (size >= SET_OFF_BYTES)
        (void)sync_file_range(fd, (off_t)offset, (off_t)size,
                              SYNC_FILE_RANGE_WRITE); /* what fails the sync will tell */
}

int segment_write(struct segment *segment, int fd, int64_t received_ms, const struct twp_frame *frames, size_t count,
                  struct tw_error *error)
{
    static const char zeros[8];
    uint64_t size[TWP_FRAMES_MAX], bytes = 8 * count;
    struct segment_record record = {.magic = SEGMENT_RECORD_MAGIC,
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
    record.crc = segment_record_crc(&record);
    parts[2 + count] = (struct iovec){(void *)(uintptr_t)zeros, segment_padded(bytes) - bytes};
    if (write_at(fd, parts, (int)count + 3, segment->end)) {
        set_off(fd, segment->end, SEGMENT_RECORD + bytes);
        return 0;
    }
    int status = segment_io_error(error, "writing", "a spool segment");
    int cleaned = segment_cut(segment, fd, error); /* what was written in part must not be met by a later chain */
    return cleaned ? cleaned : status;
}

int segment_sync(struct segment *segment, int fd, struct tw_error *error)
{
    if (fdatasync(fd) != 0)
        return tw_error_set(error, TW_IO, "fdatasync of a spool segment: %s", strerror(errno));
    struct segment_mark mark = {.ordinal = segment->first + segment->count};
    if (mark.ordinal == segment->mark || segment->damaged)
        return 0;
    mark.crc = segment_mark_crc(&mark);
    struct iovec part = {&mark, sizeof mark};
    if (!write_at(fd, &part, 1, SEGMENT_MARK_AT))
        return tw_error_set(error, TW_IO, "writing a spool segment: %s", strerror(errno));
    segment->mark = mark.ordinal;
    return 0;
}

void segment_header(uint64_t first, uint64_t next, unsigned char out[SEGMENT_HEADER])
{
    struct segment_file_header header = {
        .magic = {'T', 'W', 'S', 'P', 'O', 'O', 'L', '1'}, .format = SEGMENT_FORMAT, .first = first};
    struct segment_mark mark = {.ordinal = next};
    header.crc = segment_file_header_crc(&header);
    mark.crc = segment_mark_crc(&mark);
    memset(out, 0, SEGMENT_HEADER);
    memcpy(out, &header, sizeof header);
    memcpy(out + SEGMENT_MARK_AT, &mark, sizeof mark);
}

/* --- reading --- */

static int corrupt(struct tw_error *error, const char *path, uint64_t offset, const char *what)
{
    const char *name = strrchr(path, '/');
    return tw_error_set(error, TW_CORRUPT, "spool %.180s: %s at byte %llu",
                        name && strlen(path) > 180 ? name + 1 : path, what, (unsigned long long)offset);
}

/* Frames as the body lists them; false if their sizes do not add up. */
static bool split_body(const unsigned char *body, const struct segment_record *record, struct twp_frame *frames)
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
                       struct segment_record *record, struct tw_error *error)
{
    ssize_t got = read_at(fd, record, sizeof *record, offset);
    if (got < 0)
        return segment_read_failed(error, path);
    if (got != sizeof *record || !segment_record_ok(record, ordinal, UINT64_MAX))
        return corrupt(error, path, offset, "a record is damaged");
    *body = malloc((size_t)record->bytes);
    if (!*body)
        return tw_error_set(error, TW_NO_MEMORY, "out of memory");
    got = read_at(fd, *body, (size_t)record->bytes, offset + SEGMENT_RECORD);
    if (got < 0)
        return segment_read_failed(error, path);
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
    struct segment_record record;
    int status = segment_path(dir, first, path, error);
    if (status)
        return status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? tw_error_set(error, TW_NOT_FOUND, "opening %.150s: %s", path, strerror(errno))
                               : segment_io_error(error, "opening", path);
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

int64_t segment_received(const char *dir, uint64_t first)
{
    char path[SEGMENT_PATH_MAX];
    struct segment_record record;
    if (segment_path(dir, first, path, NULL) != 0)
        return 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && read_at(fd, &record, sizeof record, SEGMENT_HEADER) == sizeof record &&
              segment_record_ok(&record, first, UINT64_MAX);
    if (fd >= 0)
        close(fd);
    return ok ? record.received_ms : 0;
}
