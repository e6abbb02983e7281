/* The spool: a torn end is cut; damage to what was promised is named, and costs no more than what it hit. */
#include <fcntl.h>

#include "spool_records.h"

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

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(torn_tail),
        CASE(foreign_bytes_far_behind),
        CASE(torn_group),
        CASE(whole_records_count),
        CASE(flipped_bits),
        CASE(missing_files_and_ends),
        CASE(overwritten_stretches),
        CASE(damage_in_a_sealed_segment),
        CASE(an_empty_segment_is_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
