/* Input: a byte of options and a spool segment. Option 1 makes the checksums, magics and ordinals right, so that sizes
 * and counts are what is tried. What is whole can be read record by record, also where the rest is damaged; what opens
 * without damage is appended to, and opened again. */
#include <stdlib.h>
#include <string.h>

#include "../daemon/scratch.h"
#include "base/crc32c.h"
#include "daemon/segment.h"
#include "fuzz.h"

enum { FIRST = 7, REPAIR = 1 };

static void put(uint8_t *at, const void *value, size_t size)
{
    memcpy(at, value, size);
}

static void repair_record(uint8_t *at, uint64_t ordinal, uint64_t bytes, uint64_t room)
{
    uint32_t magic = 0x31525754u, crc;
    put(at, &magic, 4);
    put(at + 8, &ordinal, 8);
    if (bytes <= room - SEGMENT_RECORD) {
        crc = tw_crc32c(0, at + SEGMENT_RECORD, bytes);
        put(at + 32, &crc, 4);
    }
    crc = tw_crc32c(0, at + 8, 40);
    put(at + 4, &crc, 4);
}

/* As segment.h describes the format. */
static void repair(uint8_t *file, size_t size)
{
    uint32_t format = 1, crc;
    uint64_t first = FIRST, bytes;
    if (size < SEGMENT_HEADER)
        return;
    put(file, "TWSPOOL1", 8);
    put(file + 8, &format, 4);
    put(file + 16, &first, 8);
    crc = tw_crc32c(tw_crc32c(0, file, 12), file + 16, 8);
    put(file + 12, &crc, 4);
    crc = tw_crc32c(0, file + 24, 8);
    put(file + 32, &crc, 4);
    memset(file + 36, 0, 4);
    for (size_t at = SEGMENT_HEADER, i = 0; size - at >= SEGMENT_RECORD; i++) {
        memcpy(&bytes, file + at + 24, 8);
        repair_record(file + at, FIRST + i, bytes, size - at);
        if (bytes > size - at - SEGMENT_RECORD)
            return;
        at += (SEGMENT_RECORD + bytes + 7) / 8 * 8;
        if (at > size)
            return;
    }
}

static const char *folder(void)
{
    static char path[64];
    static const char *made;
    if (!made) {
        if (access("/dev/shm", W_OK) == 0)
            setenv("TMPDIR", "/dev/shm", 0); /* syncs cost nothing there */
        made = scratch_make(path);
        FUZZ_CHECK(made);
    }
    return made;
}

static void leave(void)
{
    scratch_remove(folder());
}

static void write_file(const uint8_t *data, size_t size)
{
    static int registered;
    char path[SEGMENT_PATH_MAX];
    if (!registered++)
        atexit(leave);
    FUZZ_CHECK(segment_path(folder(), FIRST, path, NULL) == 0);
    FILE *file = fopen(path, "wb");
    FUZZ_CHECK(file && fwrite(data, 1, size, file) == size && fclose(file) == 0);
}

/* Damage has a place in the file, and costs ordinals that the file could have. */
static void check_damage(void *context, const struct segment_damage *damage)
{
    const uint64_t *end = context;
    FUZZ_CHECK(damage->segment == FIRST && damage->what);
    FUZZ_CHECK(damage->last < damage->first || (damage->first >= FIRST && damage->last < *end));
}

/* Reads the records at these places; returns how many could be. */
static size_t read_all(const uint64_t *offset, size_t records)
{
    size_t good = 0;
    for (size_t i = 0; i < records; i++) {
        struct twp_frame frames[TWP_FRAMES_MAX];
        struct tw_error error = {""};
        void *memory = NULL;
        int64_t received;
        size_t count, zeros = 0;
        if (offset[i] == 0) /* lost */
            continue;
        int status = segment_read(folder(), FIRST, offset[i], FIRST + i, &memory, &received, frames, TWP_FRAMES_MAX,
                                  &count, &error);
        FUZZ_CHECK(status == 0 || (status == TW_CORRUPT && error.text[0] != '\0'));
        if (status)
            continue;
        FUZZ_CHECK(count >= 1 && count <= TWP_FRAMES_MAX && segment_record_size(frames, count) > 0);
        for (size_t f = 0; f < count; f++)
            for (size_t b = 0; b < frames[f].size; b++) /* a sanitizer sees what lies outside */
                zeros += ((const unsigned char *)frames[f].data)[b] == 0;
        FUZZ_CHECK(zeros <= segment_record_size(frames, count));
        free(memory);
        good++;
    }
    return good;
}

/* As a sealed segment with `count` records. Returns how many can be read. */
static size_t read_sealed(size_t count)
{
    struct segment segment;
    struct tw_error error = {""};
    uint64_t *offset = NULL;
    uint64_t end = FIRST + count;
    size_t torn, known = 0;
    int fd = -1, status = segment_open(folder(), FIRST, false, end, &segment, &fd, &torn, check_damage, &end, &error);
    FUZZ_CHECK(status == 0 || (status == TW_CONFLICT && error.text[0] != '\0'));
    FUZZ_CHECK(segment_index(folder(), FIRST, end, &offset, &known, check_damage, &end, &error) == 0);
    FUZZ_CHECK(offset && known <= count);
    size_t good = read_all(offset, known);
    free(offset);
    segment_fini(&segment);
    return good;
}

/* What a daemon does next: append, sync, and start again. */
static void go_on(struct segment *segment, int fd, size_t good)
{
    const struct twp_frame frame = {"abc", 3};
    struct segment again;
    struct tw_error error = {""};
    size_t size = segment_record_size(&frame, 1), torn;
    int second = -1;
    FUZZ_CHECK(segment_reserve(segment) == 0 && segment_write(segment, fd, 1, &frame, 1, &error) == 0);
    segment_push(segment, size);
    FUZZ_CHECK(segment_sync(segment, fd, &error) == 0);
    uint64_t end = segment->first + segment->count;
    FUZZ_CHECK(segment_open(folder(), FIRST, true, 0, &again, &second, &torn, check_damage, &end, &error) == 0);
    FUZZ_CHECK(!again.damaged);
    FUZZ_CHECK(again.count == segment->count && again.end == segment->end && torn == 0);
    FUZZ_CHECK(read_all(again.offset, again.count) == good + 1 && read_sealed(again.count) == good + 1);
    segment_fini(&again);
    close(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct segment segment;
    struct tw_error error = {""};
    size_t torn;
    int fd = -1;
    if (size == 0)
        return 0;
    uint8_t *file = malloc(size);
    FUZZ_CHECK(file);
    memcpy(file, data + 1, size - 1);
    if (data[0] & REPAIR)
        repair(file, size - 1);
    write_file(file, size - 1);
    free(file);
    FUZZ_CHECK(read_sealed(1) <= 1);
    read_sealed(1 << 20);
    segment_received(folder(), FIRST);
    uint64_t end = UINT64_MAX;
    int status = segment_open(folder(), FIRST, true, 0, &segment, &fd, &torn, check_damage, &end, &error);
    if (status) {
        FUZZ_CHECK(status == TW_CONFLICT && error.text[0] != '\0');
        return 0;
    }
    size_t good = read_all(segment.offset, segment.count);
    if (!segment.damaged)
        go_on(&segment, fd, good);
    segment_fini(&segment);
    close(fd);
    return 0;
}
