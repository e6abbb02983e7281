/* What is written is read back, whatever the pieces; names that leave a folder, damage and cut ends are refused. That
 * other programs read it too is shown by the system test, which lists a backup with Python's tarfile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "proto/tar.h"

struct seen {
    char text[400]; /* name:size=data; */
    bool stop;
};

static bool entry(void *context, const char *name, uint64_t size)
{
    struct seen *seen = context;
    size_t used = strlen(seen->text);
    snprintf(seen->text + used, sizeof seen->text - used, "%s:%llu=", name, (unsigned long long)size);
    return !seen->stop;
}

static bool data(void *context, const void *bytes, size_t size)
{
    struct seen *seen = context;
    strncat(seen->text, bytes, size);
    return true;
}

static bool end(void *context)
{
    strcat(((struct seen *)context)->text, ";");
    return true;
}

static size_t add(unsigned char *at, const char *name, const char *text)
{
    size_t size = strlen(text);
    assert_true(twp_tar_header(at, name, size, 1772366400));
    memcpy(at + TWP_TAR_BLOCK, text, size);
    return TWP_TAR_BLOCK + size + twp_tar_padding(size);
}

static size_t make(unsigned char *archive)
{
    size_t size = add(archive, "twin.db", "hello");
    size += add(archive + size, "spool/1/0.seg", "");
    return size + add(archive + size, "z", "x") + TWP_TAR_END;
}

static unsigned char archive[8192];

static const char *read_in(size_t size, size_t step, struct seen *seen)
{
    static struct twp_tar tar;
    tar = (struct twp_tar){.visitor = {entry, data, end, seen}};
    for (size_t at = 0; at < size; at += step)
        if (!twp_tar_push(&tar, archive + at, size - at < step ? size - at : step))
            return tar.problem;
    twp_tar_finish(&tar);
    return tar.problem;
}

static void test_there_and_back(void **state)
{
    memset(archive, 0, sizeof archive);
    size_t size = make(archive);
    assert_int_equal(size % TWP_TAR_BLOCK, 0);
    for (size_t step = 1; step < size + 2; step += step < 600 ? 1 : 511) {
        struct seen seen = {.stop = false};
        assert_null(read_in(size, step, &seen));
        assert_string_equal(seen.text, "twin.db:5=hello;spool/1/0.seg:0=;z:1=x;");
    }
}

static void test_every_cut_and_every_flip(void **state)
{
    memset(archive, 0, sizeof archive);
    size_t size = make(archive);
    for (size_t cut = 0; cut < size; cut++) {
        struct seen seen = {.stop = false};
        assert_non_null(read_in(cut, 4096, &seen));
    }
    for (size_t at = 0; at < TWP_TAR_BLOCK; at++) { /* a header's sum is about all of its bytes */
        struct seen seen = {.stop = false};
        if (at == 154 || at == 155) /* what ends the sum, a NUL or a blank */
            continue;
        archive[at] ^= 0x20;
        assert_non_null(read_in(size, 4096, &seen));
        archive[at] ^= 0x20;
    }
    struct seen seen = {.stop = true};
    assert_string_equal(read_in(size, 4096, &seen), "stopped");
    archive[size - 1] = 1;
    seen = (struct seen){.stop = false};
    assert_non_null(read_in(size, 4096, &seen));
}

static void test_names(void **state)
{
    static const char *const good[] = {"a", "twin.db", "spool/12/00ff.seg", "A-b_c.d/e"};
    static const char *const wrong[] = {"",     "/a",   "a/",  "a//b", ".",    "..",       "../a", "a/../b",
                                        "a/.b", ".a/b", "a b", "a\\b", "a\nb", "\xc3\xa4", "a/..", "~/a:b"};
    unsigned char block[TWP_TAR_BLOCK];
    char name[TWP_TAR_NAME_MAX + 2];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(twp_tar_name_ok(good[i]));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(twp_tar_name_ok(wrong[i]));
        assert_false(twp_tar_header(block, wrong[i], 0, 0));
    }
    memset(name, 'a', sizeof name);
    name[TWP_TAR_NAME_MAX] = 0;
    assert_false(twp_tar_name_ok(name));
    name[TWP_TAR_NAME_MAX - 1] = 0;
    assert_true(twp_tar_name_ok(name));
}

/* The size of an archive's next file; its data do not come. */
static bool note_size(void *context, const char *name, uint64_t size)
{
    *(uint64_t *)context = size;
    return true;
}

static void test_large_sizes(void **state)
{
    static const uint64_t sizes[] = {1, (1ull << 33) - 1, 1ull << 33, 1ull << 40, INT64_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char block[TWP_TAR_BLOCK];
        uint64_t size = 12345;
        struct twp_tar tar = {.visitor = {note_size, data, end, &size}};
        assert_true(twp_tar_header(block, "f", sizes[i], 0));
        assert_true(twp_tar_push(&tar, block, sizeof block));
        assert_true(size == sizes[i]);
        assert_false(twp_tar_finish(&tar));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_every_cut_and_every_flip),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_large_sizes),
    };
    return cmocka_run_group_tests_name("tar", tests, NULL, NULL);
}
