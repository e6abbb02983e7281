/* A backup while batches come: what was durable when the database had been copied is in it, what came later is not, and
 * what comes out opens as a spool without damage. Nothing that it needs is removed, and nothing stays behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "daemon/backup.h"
#include "daemon/log.h"
#include "daemon/segment.h"
#include "daemon/spool.h"
#include "proto/tar.h"
#include "tests/daemon/scratch.h"

enum { SEGMENT = 1 << 16, BYTES = 3000 };

#define DEFINITION                                                                                                     \
    "{\"name\": \"z\", \"features\": [{\"name\": \"x\"}], \"model\": {\"blocks\": 2, \"hidden\": [8], \"bins\": 4}}"

struct fixture {
    char folder[64], state[80], out[80];
    struct store *store;
    struct registry *registry;
    struct twin *twin;
    FILE *file; /* being unpacked */
    bool manifest;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct tw_error error = {""};
    char path[100];
    *state = f;
    log_set_level(LOG_LEVEL_ERROR);
    if (!f || !scratch_make(f->folder))
        return -1;
    snprintf(f->state, sizeof f->state, "%s/state", f->folder);
    snprintf(f->out, sizeof f->out, "%s/out", f->folder);
    static const char *const folders[] = {"", "/spool", "/spool/1"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s%s", f->out, folders[i]);
        mkdir(path, 0700);
    }
    json_t *definition = json_loads(DEFINITION, 0, NULL);
    int status = store_open(f->state, &f->store, &error);
    if (!status)
        status = registry_open(f->store, f->state, SEGMENT, tw_kernels_ref(), &f->registry, &error);
    if (!status)
        status = registry_create(f->registry, definition, &f->twin, &error);
    json_decref(definition);
    if (status)
        print_error("%s\n", error.text);
    return status;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    registry_twin_unref(f->twin);
    registry_close(f->registry);
    store_close(f->store);
    scratch_remove(f->folder);
    free(f);
    return 0;
}

static void append(struct fixture *f, int count, bool sync)
{
    static unsigned char bytes[BYTES];
    struct twp_frame frame = {bytes, sizeof bytes};
    struct tw_error error = {""};
    for (int i = 0; i < count; i++) {
        uint64_t ordinal;
        memset(bytes, 'a' + i % 26, sizeof bytes);
        assert_int_equal(spool_append(f->twin->spool, 1, &frame, 1, &ordinal, &error), 0);
    }
    if (sync)
        assert_int_equal(spool_sync(f->twin->spool, &error), 0);
}

/* --- unpacking --- */

static bool entry(void *context, const char *name, uint64_t size)
{
    struct fixture *f = context;
    char path[200];
    snprintf(path, sizeof path, "%s/%s", f->out, name);
    f->file = fopen(path, "we");
    f->manifest = !strcmp(name, "manifest.json");
    return f->file != NULL;
}

static bool data(void *context, const void *bytes, size_t size)
{
    return fwrite(bytes, 1, size, ((struct fixture *)context)->file) == size;
}

static bool end(void *context)
{
    return fclose(((struct fixture *)context)->file) == 0;
}

static void drain(struct fixture *f, struct backup *backup)
{
    struct twp_tar tar = {.visitor = {entry, data, end, f}};
    for (;;) {
        void *bytes;
        size_t size;
        assert_int_equal(backup_next(backup, &bytes, &size), 0);
        if (!bytes)
            break;
        assert_true(twp_tar_push(&tar, bytes, size));
        free(bytes);
    }
    assert_true(twp_tar_finish(&tar) && f->manifest);
}

static void no_damage(void *context, const struct segment_damage *damage)
{
    fail_msg("segment %llu at %llu: %s", (unsigned long long)damage->segment, (unsigned long long)damage->offset,
             damage->what);
}

static void test_watermark(void **state)
{
    struct fixture *f = *state;
    struct backup *backup, *second;
    struct tw_error error = {""};
    void *bytes;
    size_t size, torn;
    append(f, 70, true); /* several segments */
    append(f, 3, false); /* written, but promised to nobody */
    assert_int_equal(backup_begin(f->store, f->registry, f->state, &backup, &error), 0);
    assert_int_equal(backup_begin(f->store, f->registry, f->state, &second, &error), TW_BUSY);
    assert_int_equal(backup_next(backup, &bytes, &size), 0); /* the database is small: one step copies it */
    assert_int_equal(size, 0);
    free(bytes);
    append(f, 40, true); /* too late */
    assert_int_equal(spool_evict(f->twin->spool, UINT64_MAX, &error), TW_BUSY);
    drain(f, backup);
    backup_free(backup);
    assert_int_equal(spool_evict(f->twin->spool, UINT64_MAX, &error), 0);

    struct spool *copy;
    char path[100];
    snprintf(path, sizeof path, "%s/spool/1", f->out);
    assert_int_equal(spool_open(path, SEGMENT, &copy, &torn, &error), 0);
    spool_watch(copy, no_damage, NULL);
    assert_int_equal(torn, 0);
    assert_int_equal(spool_next(copy), 70);
    for (uint64_t ordinal = 0; ordinal < 70; ordinal++) {
        struct twp_frame frame;
        void *memory;
        int64_t received;
        size_t count;
        assert_int_equal(spool_read(copy, ordinal, &memory, &received, &frame, 1, &count, &error), 0);
        assert_int_equal(frame.size, BYTES);
        assert_int_equal(*(const char *)frame.data, 'a' + (int)ordinal % 26);
        free(memory);
    }
    spool_close(copy);
}

/* What a backup leaves behind is nothing, whether it ended, was broken off, or was killed. */
static void test_nothing_stays(void **state)
{
    struct fixture *f = *state;
    struct backup *backup;
    struct tw_error error = {""};
    char path[100];
    snprintf(path, sizeof path, "%s/backup.tmp", f->state);
    for (int steps = 0; steps < 3; steps++) {
        assert_int_equal(backup_begin(f->store, f->registry, f->state, &backup, &error), 0);
        assert_int_equal(access(path, F_OK), 0);
        for (int i = 0; i < steps; i++) {
            void *bytes;
            size_t size;
            assert_int_equal(backup_next(backup, &bytes, &size), 0);
            free(bytes);
        }
        backup_free(backup);
        assert_int_not_equal(access(path, F_OK), 0);
    }
    fclose(fopen(path, "we"));
    backup_clean(f->state);
    assert_int_not_equal(access(path, F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_watermark, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_stays, setup, teardown),
    };
    return cmocka_run_group_tests_name("backup", tests, NULL, NULL);
}
