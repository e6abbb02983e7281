/* The spool: what was appended is read again; a torn end is cut; damage to what was promised is named. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/folder.h"
#include "daemon/segment.h"
#include "daemon/spool.h"

static char dir[64], file[128];

static int setup(void **state)
{
    strcpy(dir, "/tmp/test_spool.XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    strcat(dir, "/inner");
    if (folder_make(dir, NULL) != 0)
        return -1;
    strcat(dir, "/spool");
    snprintf(file, sizeof file, "%s/0000000000000000.seg", dir);
    return 0;
}

static int teardown(void **state)
{
    int status = spool_remove(dir, NULL);
    for (int i = 0; i < 2; i++) {
        *strrchr(dir, '/') = '\0';
        status |= rmdir(dir);
    }
    return status;
}

static struct spool *open_spool(size_t segment_bytes, size_t *torn)
{
    struct spool *spool;
    struct tw_error error = {""};
    int status = spool_open(dir, segment_bytes, &spool, torn, &error);
    if (status)
        fail_msg("spool_open: %s", error.text);
    return spool;
}

/* Record `n` has n % 4 + 1 frames of sizes and bytes that follow from n. */
static size_t make_frames(uint64_t n, unsigned char *bytes, struct twp_frame frames[TWP_FRAMES_MAX])
{
    size_t count = n % 4 + 1, at = 0;
    for (size_t i = 0; i < count; i++) {
        size_t size = (n * 37 + i * 11) % 90;
        for (size_t k = 0; k < size; k++)
            bytes[at + k] = (unsigned char)(n * 7 + i * 3 + k);
        frames[i] = (struct twp_frame){bytes + at, size};
        at += size;
    }
    return count;
}

static size_t append(struct spool *spool, uint64_t n)
{
    unsigned char bytes[512];
    struct twp_frame frames[TWP_FRAMES_MAX];
    struct tw_error error = {""};
    uint64_t ordinal = 0;
    size_t count = make_frames(n, bytes, frames);
    if (spool_append(spool, 1000 + (int64_t)n, frames, count, &ordinal, &error))
        fail_msg("spool_append: %s", error.text);
    assert_int_equal(ordinal, n);
    return segment_record_size(frames, count);
}

static void check_frames(uint64_t n, int64_t received_ms, const struct twp_frame *frames, size_t count)
{
    unsigned char bytes[512];
    struct twp_frame expected[TWP_FRAMES_MAX];
    assert_int_equal(count, make_frames(n, bytes, expected));
    assert_int_equal(received_ms, 1000 + (int64_t)n);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(frames[i].size, expected[i].size);
        assert_memory_equal(frames[i].data, expected[i].data, expected[i].size);
    }
}

static void check_read(struct spool *spool, uint64_t n)
{
    struct twp_frame frames[TWP_FRAMES_MAX];
    struct tw_error error = {""};
    int64_t received_ms;
    size_t count;
    void *memory;
    if (spool_read(spool, n, &memory, &received_ms, frames, TWP_FRAMES_MAX, &count, &error))
        fail_msg("spool_read: %s", error.text);
    check_frames(n, received_ms, frames, count);
    free(memory);
}

static int visit(void *context, uint64_t ordinal, int64_t received_ms, const struct twp_frame *frames, size_t count)
{
    uint64_t *next = context;
    assert_int_equal(ordinal, (*next)++);
    check_frames(ordinal, received_ms, frames, count);
    return 0;
}

static size_t segment_files(void)
{
    size_t count = 0;
    DIR *open = opendir(dir);
    struct dirent *entry;
    while ((entry = readdir(open)))
        count += strstr(entry->d_name, ".seg") != NULL;
    closedir(open);
    return count;
}

static unsigned char *slurp(size_t *size)
{
    FILE *in = fopen(file, "rb");
    struct stat stat;
    assert_non_null(in);
    assert_int_equal(fstat(fileno(in), &stat), 0);
    unsigned char *bytes = malloc((size_t)stat.st_size);
    *size = fread(bytes, 1, (size_t)stat.st_size, in);
    fclose(in);
    return bytes;
}

static void overwrite(const unsigned char *bytes, size_t size)
{
    FILE *out = fopen(file, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, size, out), size);
    fclose(out);
}

/* Makes these bytes the only segment. */
static void spill(const unsigned char *bytes, size_t size)
{
    assert_int_equal(spool_remove(dir, NULL), 0);
    assert_int_equal(mkdir(dir, 0700), 0);
    overwrite(bytes, size);
}

/* --- */

static void records_come_back(void **state)
{
    size_t torn = 99;
    struct tw_error error;
    struct spool *spool = open_spool(4096, &torn);
    assert_int_equal(torn, 0);
    assert_int_equal(spool_next(spool), 0);
    for (uint64_t n = 0; n < 200; n++) {
        append(spool, n);
        if (n % 7 == 0)
            assert_int_equal(spool_sync(spool, &error), 0);
        check_read(spool, n);
        check_read(spool, n / 2);
    }
    assert_int_equal(spool_sync(spool, &error), 0);
    assert_true(segment_files() > 5);
    for (int again = 0; again < 2; again++) {
        for (uint64_t from = 0; from < 200; from += 67) {
            uint64_t next = from;
            assert_int_equal(spool_scan(spool, from, visit, &next, &error), 0);
            assert_int_equal(next, 200);
        }
        spool_close(spool);
        spool = open_spool(4096, &torn);
        assert_int_equal(torn, 0);
        assert_int_equal(spool_next(spool), 200);
    }
    append(spool, 200);
    check_read(spool, 200);
    check_read(spool, 3);
    void *memory;
    int64_t received_ms;
    size_t count;
    struct twp_frame frames[TWP_FRAMES_MAX];
    assert_int_equal(spool_read(spool, 201, &memory, &received_ms, frames, TWP_FRAMES_MAX, &count, &error),
                     TW_NOT_FOUND);
    spool_close(spool);
}

static void a_large_record_gets_a_segment_of_its_size(void **state)
{
    size_t torn, size = 100000;
    unsigned char *bytes = malloc(size);
    memset(bytes, 7, size);
    struct twp_frame frame = {bytes, size};
    struct tw_error error;
    uint64_t ordinal;
    struct spool *spool = open_spool(4096, &torn);
    assert_int_equal(spool_append(spool, 1, &frame, 1, &ordinal, &error), 0);
    assert_int_equal(spool_append(spool, 1, &frame, 1, &ordinal, &error), 0);
    assert_int_equal(ordinal, 1);
    assert_int_equal(segment_files(), 2);
    assert_int_equal(spool_append(spool, 1, &frame, 0, &ordinal, &error), TW_INVALID);
    assert_int_equal(spool_append(spool, 1, &frame, TWP_FRAMES_MAX + 1, &ordinal, &error), TW_INVALID);
    frame.size = (size_t)TWP_BATCH_BYTES_MAX * 2;
    assert_int_equal(spool_append(spool, 1, &frame, 1, &ordinal, &error), TW_INVALID);
    spool_close(spool);
    spool = open_spool(4096, &torn);
    assert_int_equal(spool_next(spool), 2);
    spool_close(spool);
    free(bytes);
}

/* Writes `synced` records that are promised and `loose` that are not; *first_loose gets where those begin. */
static void write_records(uint64_t synced, uint64_t loose, size_t *first_loose, size_t *end)
{
    size_t torn, at = SEGMENT_HEADER;
    struct tw_error error;
    struct spool *spool = open_spool(8192, &torn);
    for (uint64_t n = 0; n < synced; n++)
        at += append(spool, n);
    assert_int_equal(spool_sync(spool, &error), 0);
    *first_loose = at;
    for (uint64_t n = synced; n < synced + loose; n++)
        at += append(spool, n);
    *end = at;
    spool_close(spool);
}

/* A write that was cut at any byte, with zeros or the end of the file behind it: what was synced is there, the rest is
 * gone, and appending goes on. */
static void torn_tail(void **state)
{
    size_t first, end, size, torn;
    write_records(5, 1, &first, &end);
    unsigned char *whole = slurp(&size), *cut = malloc(size);
    for (size_t at = first; at < end; at++) {
        for (int shorter = 0; shorter < 2; shorter++) {
            memcpy(cut, whole, size);
            memset(cut + at, 0, size - at);
            spill(cut, shorter ? at : size);
            struct spool *spool = open_spool(8192, &torn);
            bool padding = spool_next(spool) == 6; /* only zeros were cut off */
            if (padding)
                assert_memory_equal(cut, whole, size);
            else
                assert_int_equal(spool_next(spool), 5);
            if (at == first)
                assert_int_equal(torn, 0);
            for (uint64_t n = 0; n < spool_next(spool); n++)
                check_read(spool, n);
            append(spool, spool_next(spool));
            spool_close(spool);
            spool = open_spool(8192, &torn);
            assert_int_equal(torn, 0);
            assert_int_equal(spool_next(spool), padding ? 7 : 6);
            spool_close(spool);
        }
    }
    free(cut);
    free(whole);
}

/* Nothing is read of space that was allocated and never written: bytes far behind the chain, with such space between
 * them, are found wherever they are, in the memory or on the disk, and cut. */
static void foreign_bytes_far_behind(void **state)
{
    enum { CAPACITY = 1 << 20, CASES = 7 };
    static const int at[CASES][3] = {{-1}, {0}, {1}, {70000}, {65535, 65536}, {5000, 300000, 900000}, {CAPACITY - 1}};
    struct tw_error error = {""};
    assert_int_equal(mkdir(dir, 0700), 0);
    for (int i = 0; i < 2 * CASES; i++) {
        const int *places = at[i / 2];
        struct segment segment;
        size_t torn, expected = 0;
        int fd;
        unsigned char bytes[512];
        struct twp_frame frames[TWP_FRAMES_MAX];
        size_t count = make_frames(3, bytes, frames);
        assert_int_equal(segment_create(dir, 0, CAPACITY, &segment, &fd, &error), 0);
        assert_int_equal(segment_reserve(&segment), 0);
        assert_int_equal(segment_write(&segment, fd, 1, frames, count, &error), 0);
        segment_push(&segment, segment_record_size(frames, count));
        assert_int_equal(segment_sync(&segment, fd, &error), 0);
        size_t end = segment.end;
        for (int k = 0; k < 3 && places[k] >= 0 && (k == 0 || places[k] > 0); k++) {
            size_t place = places[k] == CAPACITY - 1 ? CAPACITY - 1 : end + (size_t)places[k];
            assert_int_equal(pwrite(fd, "x", 1, (off_t)place), 1);
            expected = place + 1 - end;
        }
        if (i % 2 == 1) { /* to the disk, and out of memory */
            assert_int_equal(fsync(fd), 0);
            posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        }
        close(fd);
        segment_fini(&segment);
        assert_int_equal(segment_open(dir, 0, true, UINT64_MAX, &segment, &fd, &torn, NULL, NULL, &error), 0);
        assert_int_equal(torn, expected);
        assert_int_equal(segment.end, end);
        assert_int_equal(segment.count, 1);
        close(fd);
        segment_fini(&segment);
        size_t size;
        unsigned char *whole = slurp(&size);
        assert_int_equal(size, CAPACITY);
        for (size_t k = end; k < size; k++)
            assert_int_equal(whole[k], 0);
        free(whole);
        assert_int_equal(unlink(file), 0);
    }
}

/* Of a group that was never synced any page may be missing, also one before a whole record. */
static void torn_group(void **state)
{
    size_t first, end, size, torn;
    write_records(3, 3, &first, &end);
    unsigned char *whole = slurp(&size);
    whole[first + 60] ^= 1;
    spill(whole, size);
    struct spool *spool = open_spool(8192, &torn);
    assert_int_equal(spool_next(spool), 3);
    assert_true(torn > 0 && torn <= end - first);
    append(spool, 3);
    append(spool, 4);
    spool_close(spool);
    spool = open_spool(8192, &torn);
    assert_int_equal(spool_next(spool), 5); /* nothing of the old group has come back */
    spool_close(spool);
    free(whole);
}

/* A process that was killed between write and sync: the records are whole and count. */
static void whole_records_count(void **state)
{
    size_t first, end, torn;
    write_records(2, 2, &first, &end);
    struct spool *spool = open_spool(8192, &torn);
    assert_int_equal(torn, 0);
    assert_int_equal(spool_next(spool), 4);
    spool_close(spool);
}

struct reports {
    size_t count;
    struct segment_damage last;
    uint64_t lost; /* ordinals */
};

static void note_damage(void *context, const struct segment_damage *damage)
{
    struct reports *reports = context;
    reports->count++;
    reports->last = *damage;
    if (damage->last >= damage->first)
        reports->lost += damage->last - damage->first + 1;
}

static int read_status(struct spool *spool, uint64_t n)
{
    struct twp_frame frames[TWP_FRAMES_MAX];
    struct tw_error error;
    int64_t received_ms;
    size_t count;
    void *memory;
    int status = spool_read(spool, n, &memory, &received_ms, frames, TWP_FRAMES_MAX, &count, &error);
    free(memory);
    return status;
}

/* One bit anywhere in what was promised costs one record at most, is reported with its place, and does no more harm
 * when the spool goes on. */
static void flipped_bits(void **state)
{
    size_t first, end, size, torn, damaged = 0;
    write_records(6, 0, &first, &end);
    unsigned char *whole = slurp(&size);
    for (size_t at = 0; at < end; at += at < SEGMENT_HEADER + 2 * SEGMENT_RECORD ? 1 : 5) {
        whole[at] ^= (unsigned char)(1u << at % 8);
        spill(whole, size);
        whole[at] ^= (unsigned char)(1u << at % 8);
        for (int open = 0; open < 2; open++) { /* as last segment, then as a sealed one with a seventh record behind */
            struct reports reports = {0};
            struct spool *spool = open_spool(8192, &torn);
            assert_int_equal(torn, 0);
            assert_int_equal(spool_next(spool), 6 + open);
            spool_watch(spool, note_damage, &reports);
            uint64_t lost = 0;
            for (uint64_t n = 0; n < 6; n++) {
                if (read_status(spool, n) == 0)
                    check_read(spool, n);
                else
                    lost++;
            }
            assert_true(lost <= 1);
            assert_int_equal(reports.lost, lost);
            if (lost)
                assert_true(reports.last.offset <= at && reports.last.segment == 0);
            damaged += reports.count;
            if (open == 0)
                append(spool, 6);
            struct tw_error error;
            assert_int_equal(spool_sync(spool, &error), 0);
            check_read(spool, 6);
            spool_close(spool);
        }
        char second[300];
        snprintf(second, sizeof second, "%s/0000000000000006.seg", dir);
        unlink(second);
    }
    assert_true(damaged > 2 * (end - SEGMENT_HEADER) / 5 * 9 / 10);
    free(whole);
}

/* Files that are cut, emptied or gone: what they held is lost, nothing else, and no ordinal comes back. */
static void missing_files_and_ends(void **state)
{
    size_t torn;
    struct tw_error error;
    struct spool *spool = open_spool(1024, &torn);
    for (uint64_t n = 0; n < 30; n++)
        append(spool, n);
    assert_int_equal(spool_sync(spool, &error), 0);
    spool_close(spool);
    struct reports before = {0};
    spool = open_spool(1024, &torn);
    spool_watch(spool, note_damage, &before);
    assert_int_equal(before.count, 0);
    spool_close(spool);

    char path[300];
    uint64_t starts[30], count = 0;
    for (uint64_t n = 0; n < 30; n++) {
        snprintf(path, sizeof path, "%s/%016llx.seg", dir, (unsigned long long)n);
        if (access(path, F_OK) == 0)
            starts[count++] = n;
    }
    assert_true(count >= 4);
    snprintf(path, sizeof path, "%s/%016llx.seg", dir, (unsigned long long)starts[1]);
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof path, "%s/%016llx.seg", dir, (unsigned long long)starts[2]);
    assert_int_equal(truncate(path, 0), 0);
    snprintf(path, sizeof path, "%s/%016llx.seg", dir, (unsigned long long)starts[count - 1]);
    assert_int_equal(truncate(path, SEGMENT_HEADER + 10), 0);

    for (int open = 0; open < 2; open++) {
        struct reports reports = {0};
        spool = open_spool(1024, &torn);
        spool_watch(spool, note_damage, &reports);
        assert_int_equal(spool_next(spool), 30 + open);
        for (uint64_t n = 0; n < 30; n++) {
            bool gone = (n >= starts[1] && n < starts[3]) || n >= starts[count - 1];
            assert_int_equal(spool_has(spool, n), !gone);
            assert_int_equal(read_status(spool, n), gone ? TW_CORRUPT : 0);
        }
        assert_int_equal(reports.lost, starts[3] - starts[1] + 30 - starts[count - 1]);
        if (open == 0)
            append(spool, 30);
        assert_int_equal(spool_sync(spool, &error), 0);
        check_read(spool, 30);
        spool_close(spool);
    }
    spool = open_spool(1024, &torn); /* the database knows of more */
    spool_skip(spool, 40);
    assert_int_equal(spool_next(spool), 40);
    append(spool, 40);
    check_read(spool, 40);
    assert_int_equal(read_status(spool, 35), TW_CORRUPT);
    spool_close(spool);
}

/* Zeroes or noise over a stretch of a file: the chain is found again behind it. */
static void overwritten_stretches(void **state)
{
    size_t first, end, size, torn;
    write_records(40, 0, &first, &end);
    unsigned char *whole = slurp(&size);
    unsigned char *broken = malloc(size);
    for (size_t at = 0; at < end; at += 61) {
        memcpy(broken, whole, size);
        for (size_t i = at; i < at + 512 && i < end; i++)
            broken[i] = at % 2 ? 0 : (unsigned char)(i * 37 + 11);
        spill(broken, size);
        struct reports reports = {0};
        struct spool *spool = open_spool(1 << 16, &torn);
        spool_watch(spool, note_damage, &reports);
        assert_true(at < SEGMENT_HEADER || spool_next(spool) == 40);
        uint64_t whole_records = 0;
        for (uint64_t n = 0; n < 40; n++)
            if (read_status(spool, n) == 0)
                whole_records++, check_read(spool, n);
        assert_true(whole_records >= 40 - 1 - 512 / (SEGMENT_RECORD + 8) || at < SEGMENT_HEADER);
        assert_true(reports.count > 0);
        spool_close(spool);
    }
    free(whole);
    free(broken);
}

/* met[0]: the next ordinal; met[1]: one that is missing. */
static int visit_around(void *context, uint64_t ordinal, int64_t received_ms, const struct twp_frame *frames,
                        size_t count)
{
    uint64_t *met = context;
    if (met[0] == met[1])
        met[0]++;
    assert_int_equal(ordinal, met[0]++);
    return 0;
}

/* In a sealed segment the headers are checked at open, the bodies when they are read. */
static void damage_in_a_sealed_segment(void **state)
{
    size_t torn, size, first_size;
    struct tw_error error;
    struct spool *spool = open_spool(1024, &torn);
    first_size = append(spool, 0);
    for (uint64_t n = 1; n < 30; n++)
        append(spool, n);
    assert_int_equal(spool_sync(spool, &error), 0);
    spool_close(spool);
    assert_true(segment_files() > 3);
    unsigned char *whole = slurp(&size);

    whole[SEGMENT_HEADER + first_size + SEGMENT_RECORD + 20] ^= 4;
    overwrite(whole, size);
    spool = open_spool(1024, &torn);
    struct reports reports = {0};
    spool_watch(spool, note_damage, &reports);
    check_read(spool, 0);
    assert_int_equal(reports.count, 0);
    assert_int_equal(read_status(spool, 1), TW_CORRUPT);
    assert_int_equal(read_status(spool, 1), TW_CORRUPT);
    assert_int_equal(reports.count, 1); /* said once */
    assert_int_equal(reports.last.offset, SEGMENT_HEADER + first_size);
    assert_int_equal(reports.last.first, 1);
    assert_int_equal(reports.last.last, 1);
    check_read(spool, 2);
    spool_close(spool);

    spool = open_spool(1024, &torn);
    spool_watch(spool, note_damage, &reports);
    uint64_t met[2] = {0, 1}; /* all but record 1 */
    assert_int_equal(spool_scan(spool, 0, visit_around, met, &error), 0);
    assert_int_equal(met[0], 30);
    spool_close(spool);

    whole[SEGMENT_HEADER + first_size + 9] ^= 4;
    overwrite(whole, size);
    spool = open_spool(1024, &torn);
    assert_int_equal(read_status(spool, 1), TW_CORRUPT);
    check_read(spool, 2);
    spool_close(spool);
    assert_int_equal(unlink(file), 0); /* the first segment was pruned: the spool begins later */
    spool = open_spool(1024, &torn);
    assert_int_equal(spool_next(spool), 30);
    assert_int_equal(read_status(spool, 0), TW_NOT_FOUND);
    spool_close(spool);
    free(whole);
}

/* The oldest segments go, never one that is pinned, needed or appended to; what is left reads as before. */
static void eviction(void **state)
{
    size_t torn;
    uint64_t next = 0, total = 0;
    int64_t received;
    struct tw_error error;
    struct spool *spool = open_spool(1024, &torn);
    assert_false(spool_oldest(spool, &next, &received));
    assert_int_equal(spool_evict(spool, UINT64_MAX, &error), TW_NOT_FOUND);
    for (uint64_t n = 0; n < 100; n++)
        total += append(spool, n);
    assert_int_equal(spool_sync(spool, &error), 0);
    size_t files = segment_files();
    assert_int_equal(spool_bytes(spool), total + files * SEGMENT_HEADER);
    assert_int_equal(spool_bytes_from(spool, 0), spool_bytes(spool));
    assert_true(spool_bytes_from(spool, 99) <= 1024);
    assert_int_equal(spool_bytes_from(spool, 100), 0);

    assert_true(spool_oldest(spool, &next, &received));
    assert_true(next > 1 && received == 1000 + (int64_t)next);
    assert_int_equal(spool_evict(spool, next - 1, &error), TW_NOT_FOUND);
    spool_pin(spool);
    assert_int_equal(spool_evict(spool, next, &error), TW_BUSY);
    assert_int_equal(segment_files(), files);
    spool_unpin(spool);
    assert_int_equal(spool_evict(spool, next, &error), 0);
    assert_int_equal(segment_files(), files - 1);
    assert_int_equal(spool_first(spool), next);
    assert_true(spool_bytes(spool) < total + (files - 1) * SEGMENT_HEADER);

    while (spool_evict(spool, UINT64_MAX, &error) == 0)
        check_read(spool, 99);
    assert_int_equal(segment_files(), 1);
    assert_int_equal(spool_next(spool), 100);
    append(spool, 100);
    uint64_t first = spool_first(spool), bytes = spool_bytes(spool);
    spool_close(spool);
    spool = open_spool(1024, &torn);
    assert_int_equal(spool_first(spool), first);
    assert_int_equal(spool_bytes(spool), bytes);
    assert_int_equal(spool_scan(spool, 0, visit, &first, &error), 0);
    assert_int_equal(first, 101);
    spool_close(spool);
}

/* A segment that was made, got no record, and was damaged then: the next one takes over its name, not its place in the
 * list, where it would be removed as the older of two. */
static void an_empty_segment_is_damaged(void **state)
{
    size_t torn, size;
    struct tw_error error;
    struct segment made;
    int fd;
    spool_close(open_spool(1024, &torn));
    assert_int_equal(segment_create(dir, 0, 1024, &made, &fd, &error), 0);
    close(fd);
    unsigned char *bytes = slurp(&size);
    bytes[9] ^= 1;
    overwrite(bytes, size);
    free(bytes);

    struct spool *spool = open_spool(1024, &torn);
    for (uint64_t n = 0; n < 5; n++)
        append(spool, n);
    assert_int_equal(spool_sync(spool, &error), 0);
    assert_int_equal(segment_files(), 1);
    assert_int_equal(spool_evict(spool, UINT64_MAX, &error), TW_NOT_FOUND);
    assert_int_equal(segment_files(), 1);
    spool_close(spool);
    spool = open_spool(1024, &torn);
    for (uint64_t n = 0; n < 5; n++)
        check_read(spool, n);
    spool_close(spool);
}

/* Of many segments only the last few are indexed; all can be read. A limit makes them smaller. */
static void indices_and_limit(void **state)
{
    size_t torn;
    struct spool *spool = open_spool(1 << 20, &torn);
    spool_limit(spool, 1);
    for (uint64_t n = 0; n < 6000; n++)
        append(spool, n);
    assert_true(segment_files() > 10);
    spool_close(spool);
    spool = open_spool(1 << 20, &torn);
    for (uint64_t n = 0; n < 2000; n++)
        check_read(spool, (n * 7919) % 6000);
    spool_close(spool);
}

struct race {
    struct spool *spool;
    bool over;
};

static void *evict_all(void *context)
{
    struct race *race = context;
    while (!__atomic_load_n(&race->over, __ATOMIC_ACQUIRE)) {
        struct tw_error error;
        int status = spool_evict(race->spool, UINT64_MAX, &error);
        assert_true(status == 0 || status == TW_NOT_FOUND);
    }
    return NULL;
}

/* Appending, reading and removing at once: a record is whole or gone. */
static void eviction_beside_appends(void **state)
{
    size_t torn, gone = 0;
    struct race race = {open_spool(4096, &torn), false};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, evict_all, &race), 0);
    for (uint64_t n = 0; n < 3000; n++) {
        struct twp_frame frames[TWP_FRAMES_MAX];
        struct tw_error error;
        int64_t received_ms;
        size_t count;
        void *memory;
        append(race.spool, n);
        check_read(race.spool, n);
        int status = spool_read(race.spool, n / 2, &memory, &received_ms, frames, TWP_FRAMES_MAX, &count, &error);
        assert_true(status == 0 || status == TW_NOT_FOUND);
        gone += status != 0;
        free(memory);
    }
    __atomic_store_n(&race.over, true, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    assert_true(gone > 0);
    spool_close(race.spool);
}

static void leftovers_are_removed(void **state)
{
    size_t torn;
    struct spool *spool = open_spool(4096, &torn);
    append(spool, 0);
    spool_close(spool);
    char path[256];
    snprintf(path, sizeof path, "%s/0000000000000001.seg.tmp", dir);
    FILE *out = fopen(path, "w");
    fputs("half", out);
    fclose(out);
    spool = open_spool(4096, &torn);
    assert_int_equal(spool_next(spool), 1);
    assert_int_not_equal(access(path, F_OK), 0);
    spool_close(spool);
}

/* A file size limit stands in for a full disk. */
static void a_full_disk_refuses_and_recovers(void **state)
{
    struct rlimit before, tight;
    struct tw_error error = {""};
    size_t torn;
    uint64_t ordinal;
    static unsigned char bytes[6000];
    struct twp_frame frame = {bytes, sizeof bytes};
    signal(SIGXFSZ, SIG_IGN);
    struct spool *spool = open_spool(4096, &torn);
    append(spool, 0);
    getrlimit(RLIMIT_FSIZE, &before);
    tight = before;
    tight.rlim_cur = 4096;
    setrlimit(RLIMIT_FSIZE, &tight);
    int status = spool_append(spool, 1, &frame, 1, &ordinal, &error);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(status, TW_FULL);
    assert_int_equal(segment_files(), 1);
    assert_int_equal(spool_next(spool), 1);
    append(spool, 1); /* what fits still does */
    assert_int_equal(spool_append(spool, 1, &frame, 1, &ordinal, &error), 0);
    assert_int_equal(ordinal, 2);
    spool_close(spool);
    spool = open_spool(4096, &torn);
    assert_int_equal(spool_next(spool), 3);
    check_read(spool, 1);
    spool_close(spool);
}

/* A write that fails half way leaves nothing that a later chain could run into. */
static void a_failed_write_leaves_nothing(void **state)
{
    struct rlimit before, tight;
    struct tw_error error = {""};
    size_t torn, size;
    uint64_t ordinal;
    static unsigned char bytes[3000];
    struct twp_frame frame = {bytes, sizeof bytes};
    memset(bytes, 0x5a, sizeof bytes);
    signal(SIGXFSZ, SIG_IGN);
    struct spool *spool = open_spool(8192, &torn);
    size_t end = SEGMENT_HEADER + append(spool, 0);
    getrlimit(RLIMIT_FSIZE, &before);
    tight = before;
    tight.rlim_cur = 2000;
    setrlimit(RLIMIT_FSIZE, &tight);
    int status = spool_append(spool, 1, &frame, 1, &ordinal, &error);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(status, TW_FULL);
    unsigned char *whole = slurp(&size);
    for (size_t at = end; at < size; at++)
        assert_int_equal(whole[at], 0);
    free(whole);
    append(spool, 1);
    spool_close(spool);
    spool = open_spool(8192, &torn);
    assert_int_equal(torn, 0);
    assert_int_equal(spool_next(spool), 2);
    spool_close(spool);
}

struct reader {
    struct spool *spool;
    bool failed;
};

static void *read_along(void *context)
{
    struct reader *reader = context;
    uint64_t next;
    do {
        next = spool_next(reader->spool);
        for (uint64_t n = next > 20 ? next - 20 : 0; n < next; n++) {
            struct twp_frame frames[TWP_FRAMES_MAX];
            int64_t received_ms;
            size_t count;
            void *memory;
            int status = spool_read(reader->spool, n, &memory, &received_ms, frames, TWP_FRAMES_MAX, &count, NULL);
            reader->failed |= status != 0 || received_ms != 1000 + (int64_t)n || count != n % 4 + 1;
            free(memory);
        }
    } while (next < 1000 && !reader->failed);
    return NULL;
}

static void readers_run_beside_the_writer(void **state)
{
    size_t torn;
    struct tw_error error;
    struct spool *spool = open_spool(4096, &torn);
    struct reader readers[2] = {{spool, false}, {spool, false}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_along, &readers[i]), 0);
    for (uint64_t n = 0; n < 1000; n++)
        append(spool, n);
    assert_int_equal(spool_sync(spool, &error), 0);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        assert_false(readers[i].failed);
    }
    spool_close(spool);
}

/* Bytes that this process has read by system calls; -1 where nobody counts them. */
static long long bytes_read(void)
{
    long long bytes;
    FILE *io = fopen("/proc/self/io", "r");
    if (!io || fscanf(io, "rchar: %lld", &bytes) != 1)
        bytes = -1;
    if (io)
        fclose(io);
    return bytes;
}

/* Does the file system tell space that was never written from data? */
static bool holes_are_known(void)
{
    int fd = open(file, O_RDONLY);
    off_t hole = lseek(fd, 0, SEEK_HOLE);
    close(fd);
    return hole > 0 && hole < 1 << 20;
}

/* What was allocated and never written is not read, also where somebody else has read it before; what was written far
 * behind the end is found, also before it reached the disk. */
static void opening_reads_what_was_written(void **state)
{
    enum { SEGMENT = 64 << 20, FAR = 40 << 20 };
    size_t size, torn;
    struct spool *spool = open_spool(SEGMENT, NULL);
    for (uint64_t n = 0; n < 200; n++)
        append(spool, n);
    assert_int_equal(spool_sync(spool, NULL), 0);
    spool_close(spool);
    if (bytes_read() < 0 || !holes_are_known())
        skip();
    free(slurp(&size));
    assert_int_equal(size, SEGMENT);
    long long before = bytes_read();
    spool_close(open_spool(SEGMENT, &torn));
    assert_in_range(bytes_read() - before, 1, 1 << 20);
    assert_int_equal(torn, 0);

    int fd = open(file, O_WRONLY);
    assert_int_equal(pwrite(fd, "x", 1, FAR), 1);
    close(fd);
    before = bytes_read();
    spool = open_spool(SEGMENT, &torn);
    assert_in_range(bytes_read() - before, 1, 1 << 20);
    assert_in_range(torn, FAR - (1 << 20), FAR);
    assert_int_equal(spool_next(spool), 200);
    spool_close(spool);
    spool_close(open_spool(SEGMENT, &torn));
    assert_int_equal(torn, 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(records_come_back),
        CASE(a_large_record_gets_a_segment_of_its_size),
        CASE(torn_tail),
        CASE(foreign_bytes_far_behind),
        CASE(torn_group),
        CASE(whole_records_count),
        CASE(flipped_bits),
        CASE(missing_files_and_ends),
        CASE(overwritten_stretches),
        CASE(damage_in_a_sealed_segment),
        CASE(eviction),
        CASE(an_empty_segment_is_damaged),
        CASE(indices_and_limit),
        CASE(eviction_beside_appends),
        CASE(leftovers_are_removed),
        CASE(a_full_disk_refuses_and_recovers),
        CASE(a_failed_write_leaves_nothing),
        CASE(opening_reads_what_was_written),
        CASE(readers_run_beside_the_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
