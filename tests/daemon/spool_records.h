/* A spool in a folder of its own, with records whose content follows from their number. */
#ifndef TESTS_DAEMON_SPOOL_RECORDS_H
#define TESTS_DAEMON_SPOOL_RECORDS_H

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/folder.h"
#include "daemon/segment.h"
#include "daemon/spool.h"

static char dir[64], file[128];

static inline int setup(void **state)
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

static inline int teardown(void **state)
{
    int status = spool_remove(dir, NULL);
    for (int i = 0; i < 2; i++) {
        *strrchr(dir, '/') = '\0';
        status |= rmdir(dir);
    }
    return status;
}

static inline struct spool *open_spool(size_t segment_bytes, size_t *torn)
{
    struct spool *spool;
    struct tw_error error = {""};
    int status = spool_open(dir, segment_bytes, &spool, torn, &error);
    if (status)
        fail_msg("spool_open: %s", error.text);
    return spool;
}

/* Record `n` has n % 4 + 1 frames of sizes and bytes that follow from n. */
static inline size_t make_frames(uint64_t n, unsigned char *bytes, struct twp_frame frames[TWP_FRAMES_MAX])
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

static inline size_t append(struct spool *spool, uint64_t n)
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

static inline void check_frames(uint64_t n, int64_t received_ms, const struct twp_frame *frames, size_t count)
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

static inline void check_read(struct spool *spool, uint64_t n)
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

static inline int visit(void *context, uint64_t ordinal, int64_t received_ms, const struct twp_frame *frames,
                        size_t count)
{
    uint64_t *next = context;
    assert_int_equal(ordinal, (*next)++);
    check_frames(ordinal, received_ms, frames, count);
    return 0;
}

static inline size_t segment_files(void)
{
    size_t count = 0;
    DIR *open = opendir(dir);
    struct dirent *entry;
    while ((entry = readdir(open)))
        count += strstr(entry->d_name, ".seg") != NULL;
    closedir(open);
    return count;
}

static inline unsigned char *slurp(size_t *size)
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

static inline void overwrite(const unsigned char *bytes, size_t size)
{
    FILE *out = fopen(file, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, size, out), size);
    fclose(out);
}

/* Makes these bytes the only segment. */
static inline void spill(const unsigned char *bytes, size_t size)
{
    assert_int_equal(spool_remove(dir, NULL), 0);
    assert_int_equal(mkdir(dir, 0700), 0);
    overwrite(bytes, size);
}

#endif
