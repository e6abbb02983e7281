/* The spool: what was appended is read again, the oldest goes, a full disk is met; beside readers and writers. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include "spool_records.h"

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
        CASE(eviction),
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
