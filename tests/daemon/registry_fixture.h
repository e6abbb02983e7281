/* A registry in a scratch folder with the twin "z", and batches that arrive. */
#ifndef TESTS_DAEMON_REGISTRY_FIXTURE_H
#define TESTS_DAEMON_REGISTRY_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "daemon/batch.h"
#include "daemon/clock.h"
#include "daemon/feeds.h"
#include "daemon/log.h"
#include "daemon/registry.h"
#include "daemon/spool.h"
#include "daemon/store.h"
#include "daemon/store_feeds.h"
#include "daemon/store_sql.h"
#include "model/trainer.h"
#include "tests/daemon/scratch.h"

enum { SEGMENT = 1 << 20 };

#define DEFINITION                                                                                                     \
    "{\"name\": \"%s\", \"features\": [{\"name\": \"x\"}, {\"name\": \"y\", \"min\": 0, \"max\": 1}],"                 \
    " \"model\": {\"blocks\": 2, \"hidden\": [8], \"bins\": 4}, \"loop\": {\"window\": 100}}"

struct fixture {
    char folder[64];
    struct store *store;
    struct registry *registry;
    struct twin *twin;
};

static inline void open_all(struct fixture *f)
{
    struct tw_error error = {""};
    if (store_open(f->folder, &f->store, &error) ||
        registry_open(f->store, f->folder, SEGMENT, tw_kernels_ref(), &f->registry, &error))
        fail_msg("%s", error.text);
    f->twin = registry_find(f->registry, "z");
}

static inline void close_all(struct fixture *f)
{
    registry_twin_unref(f->twin);
    registry_close(f->registry);
    store_close(f->store);
    *f = (struct fixture){.folder = {0}};
}

static inline void reopen(struct fixture *f)
{
    char folder[64];
    memcpy(folder, f->folder, sizeof folder);
    close_all(f);
    memcpy(f->folder, folder, sizeof folder);
    open_all(f);
}

static inline struct twin *create(struct fixture *f, const char *name)
{
    char text[600];
    struct tw_error error = {""};
    struct twin *twin = NULL;
    snprintf(text, sizeof text, DEFINITION, name);
    json_t *json = json_loads(text, 0, NULL);
    if (registry_create(f->registry, json, &twin, &error))
        fail_msg("%s", error.text);
    json_decref(json);
    return twin;
}

static inline int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    log_set_level(LOG_LEVEL_ERROR);
    if (!f || !scratch_make(f->folder))
        return -1;
    open_all(f);
    f->twin = create(f, "z");
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    char folder[64];
    memcpy(folder, f->folder, sizeof folder);
    close_all(f);
    scratch_remove(folder);
    free(f);
    return 0;
}

/* A batch as ingest takes it: rows of (0.5, 0.5), the first `invalid` of them with y outside [0, 1]. */
static inline void arrive(struct fixture *f, const char *feed, int64_t seq, size_t rows, size_t invalid, bool add_row)
{
    struct twp_key key = {.run = 1, .seq = seq};
    strcpy(key.twin, f->twin->name);
    strcpy(key.feed, feed);
    char *header = twp_wire_batch_header(&key, NULL, 0, NULL, 0, NULL);
    assert_non_null(header);
    size_t size = TWP_NPY_HEADER + rows * 2 * sizeof(float);
    unsigned char *payload = malloc(size);
    twp_npy_header(2, rows, 2, sizeof(float), payload);
    for (size_t i = 0; i < rows; i++) {
        float row[2] = {0.5f, i < invalid ? 7.0f : 0.5f};
        memcpy(payload + TWP_NPY_HEADER + i * sizeof row, row, sizeof row);
    }
    struct twp_frame frames[] = {{TWP_BATCH, strlen(TWP_BATCH)}, {header, strlen(header)}, {payload, size}};
    struct store_batch row = {.twin = f->twin->id, .run = 1, .seq = seq, .events = rows, .invalid_rows = invalid};
    row.received_ms = clock_ms();
    strcpy(row.feed, feed);
    assert_int_equal(spool_append(f->twin->spool, row.received_ms, frames, 3, &row.ordinal, NULL), 0);
    assert_int_equal(spool_sync(f->twin->spool, NULL), 0);
    if (strcmp(feed, "train")) {
        pthread_mutex_lock(&f->twin->lock);
        assert_int_equal(registry_arrived(f->twin, row.ordinal, feed, 1, seq, rows, invalid, row.received_ms), 0);
        pthread_mutex_unlock(&f->twin->lock);
    }
    struct twp_batch batch;
    char detail[200];
    assert_int_equal(twp_wire_batch(frames, 3, &batch, detail), TWP_OK);
    batch_digest(&batch, row.digest);
    twp_wire_batch_fini(&batch);
    if (add_row)
        assert_int_equal(store_batch_add(f->store, &row, 1), 0);
    free(header);
    free(payload);
}

static inline int run_sql(sqlite3 *db, void *context, struct tw_error *error)
{
    return store_sql_exec(db, context, error);
}

static inline void change(struct fixture *f, const char *sql)
{
    assert_int_equal(store_call(f->store, run_sql, (void *)(uintptr_t)sql, NULL), 0);
}

static inline void check_ingest(struct fixture *f, uint64_t batches, uint64_t events, uint64_t invalid, uint64_t gaps,
                                size_t pending, uint64_t lag)
{
    struct twin *twin = f->twin;
    assert_int_equal(twin->counters.batches, batches);
    assert_int_equal(twin->counters.events, events);
    assert_int_equal(twin->counters.invalid_rows, invalid);
    assert_int_equal(twin->counters.gaps, gaps);
    assert_int_equal(twin->pending_count, pending);
    assert_int_equal(registry_lag(twin).batches, lag);
}

#endif
