/* Ingest as a feed sees it: real sockets on loopback, real spool, store and registry in a scratch folder. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>
#include <zmq.h>

#include "daemon/feeds.h"
#include "daemon/ingest.h"
#include "daemon/log.h"
#include "daemon/publish.h"
#include "daemon/registry.h"
#include "daemon/spool.h"
#include "daemon/store.h"
#include "tests/daemon/scratch.h"

enum { SEGMENT = 8 << 20, CREDIT = 1 << 20, PATIENCE_MS = 20000 };
static const long credit_mb = 1;

#define DEFINITION                                                                                                     \
    "{\"name\": \"z\", \"features\": [{\"name\": \"x\"}, {\"name\": \"y\", \"min\": 0, \"max\": 1}],"                  \
    " \"model\": {\"blocks\": 2, \"hidden\": [8], \"bins\": 4}, \"loop\": {\"window\": 100}}"

/* --- fdatasync of spool files, watched --- */

static atomic_int spool_syncs, sync_delay_ms, sync_fails, sync_running;

static bool is_spool(int fd)
{
    char link[64], path[256];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = '\0';
    return strstr(path, ".seg") != NULL;
}

/* Stands before the C library's. */
int fdatasync(int fd)
{
    if (is_spool(fd)) {
        sync_running++;
        usleep((useconds_t)sync_delay_ms * 1000);
        sync_running--;
        spool_syncs++;
        if (sync_fails) {
            errno = EIO;
            return -1;
        }
    }
    return (int)syscall(SYS_fdatasync, fd);
}

/* --- the daemon's side --- */

struct fixture {
    char folder[64];
    struct store *store;
    struct registry *registry;
    struct publisher *publisher;
    struct ingest *ingest;
    struct twin *twin;
    void *zmq, *feed;
    atomic_int arrived, failed;
};

static void on_arrived(void *context)
{
    ((struct fixture *)context)->arrived++;
}

static void on_failed(void *context, int status, const char *why)
{
    assert_true(strlen(why) > 0);
    ((struct fixture *)context)->failed++;
}

static struct ingest_options options_of(struct fixture *f)
{
    return (struct ingest_options){.endpoint = "tcp://127.0.0.1:*",
                                   .publish_endpoint = "tcp://127.0.0.1:*",
                                   .credit_mb = &credit_mb,
                                   .registry = f->registry,
                                   .store = f->store,
                                   .publisher = f->publisher,
                                   .arrived = on_arrived,
                                   .failed = on_failed,
                                   .context = f};
}

static void *connect_feed(struct fixture *f)
{
    int patience = PATIENCE_MS, none = 0;
    void *socket = zmq_socket(f->zmq, ZMQ_DEALER);
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &patience, sizeof patience);
    zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof none);
    assert_int_equal(zmq_connect(socket, ingest_endpoint(f->ingest)), 0);
    return socket;
}

static void open_all(struct fixture *f)
{
    struct tw_error error = {""};
    if (store_open(f->folder, &f->store, &error) ||
        registry_open(f->store, f->folder, SEGMENT, tw_kernels_ref(), &f->registry, &error))
        fail_msg("%s", error.text);
    f->publisher = publish_new();
    f->twin = registry_find(f->registry, "z");
    struct ingest_options options = options_of(f);
    if (ingest_start(&options, &f->ingest, &error))
        fail_msg("%s", error.text);
    f->zmq = zmq_ctx_new();
    f->feed = connect_feed(f);
}

static void close_all(struct fixture *f)
{
    zmq_close(f->feed);
    zmq_ctx_term(f->zmq);
    ingest_stop(f->ingest);
    publish_free(f->publisher);
    registry_twin_unref(f->twin);
    registry_close(f->registry);
    store_close(f->store);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct tw_error error = {""};
    *state = f;
    log_set_level(LOG_LEVEL_ERROR);
    if (!f || !scratch_make(f->folder))
        return -1;
    open_all(f);
    json_t *json = json_loads(DEFINITION, 0, NULL);
    int status = registry_create(f->registry, json, &f->twin, &error);
    json_decref(json);
    return status;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    close_all(f);
    scratch_remove(f->folder);
    free(f);
    return 0;
}

/* --- the feed's side --- */

/* .npy of rows of two columns, all of value `fill`; free with free(). */
static unsigned char *array_of(size_t rows, float fill, size_t *size)
{
    *size = TWP_NPY_HEADER + rows * 2 * sizeof(float);
    unsigned char *bytes = malloc(*size);
    twp_npy_header(2, rows, 2, 4, bytes);
    for (size_t i = 0; i < rows * 2; i++)
        memcpy(bytes + TWP_NPY_HEADER + 4 * i, &fill, 4);
    return bytes;
}

static void send_frame(void *socket, const void *data, size_t size, bool more)
{
    assert_int_equal(zmq_send(socket, data, size, more ? ZMQ_SNDMORE : 0), (int)size);
}

static void send_text(void *socket, const char *text, bool more)
{
    send_frame(socket, text, strlen(text), more);
}

static void send_header(void *socket, const char *header, size_t rows, float fill)
{
    size_t size;
    unsigned char *bytes = array_of(rows, fill, &size);
    send_text(socket, TWP_BATCH, true);
    send_text(socket, header, true);
    send_frame(socket, bytes, size, false);
    free(bytes);
}

static void send_batch(void *socket, const char *feed, int64_t seq, size_t rows, float fill)
{
    struct twp_key key = {"z", "", 1, seq};
    strcpy(key.feed, feed);
    char *header = twp_wire_batch_header(&key, NULL, 0, NULL, 0, NULL);
    send_header(socket, header, rows, fill);
    free(header);
}

static struct twp_reply receive(void *socket)
{
    zmq_msg_t parts[2];
    struct twp_frame frames[2];
    struct twp_reply reply;
    for (int i = 0; i < 2; i++) {
        zmq_msg_init(&parts[i]);
        if (zmq_msg_recv(&parts[i], socket, 0) < 0)
            fail_msg("no answer: %s", zmq_strerror(zmq_errno()));
        frames[i] = (struct twp_frame){zmq_msg_data(&parts[i]), zmq_msg_size(&parts[i])};
    }
    assert_false(zmq_msg_more(&parts[1]));
    assert_int_equal(twp_wire_reply(frames, 2, &reply), TWP_OK);
    for (int i = 0; i < 2; i++)
        zmq_msg_close(&parts[i]);
    return reply;
}

static void expect_ack(void *socket, int64_t seq)
{
    struct twp_reply reply = receive(socket);
    if (strcmp(reply.tag, TWP_ACK) != 0)
        fail_msg("%s %s: %s", reply.tag, reply.code, reply.detail);
    assert_int_equal(reply.key.seq, seq);
    assert_string_equal(reply.key.twin, "z");
}

static struct twp_reply expect_nack(void *socket, const char *code)
{
    struct twp_reply reply = receive(socket);
    assert_string_equal(reply.tag, TWP_NACK);
    if (strcmp(reply.code, code) != 0)
        fail_msg("%s (%s) instead of %s", reply.code, reply.detail, code);
    return reply;
}

static struct twp_reply say_hello(void *socket, const char *feed)
{
    struct twp_key key = {"z", "", 1, -1};
    strcpy(key.feed, feed);
    char *header = twp_wire_hello_header(&key);
    send_text(socket, TWP_HELLO, true);
    send_text(socket, header, false);
    free(header);
    struct twp_reply reply = receive(socket);
    assert_string_equal(reply.tag, TWP_WELCOME);
    return reply;
}

static struct twin_counters counters(struct fixture *f)
{
    pthread_mutex_lock(&f->twin->lock);
    struct twin_counters now = f->twin->counters;
    pthread_mutex_unlock(&f->twin->lock);
    return now;
}

/* --- */

static void an_ack_means_durable_and_known(void **state)
{
    struct fixture *f = *state;
    struct store_batch row;
    send_batch(f->feed, "daq", 0, 10, 0.5f);
    expect_ack(f->feed, 0);
    struct twin_counters now = counters(f);
    assert_true(now.batches == 1 && now.events == 10 && now.gaps == 0 && now.last_received_ms > 0);
    assert_int_equal(spool_next(f->twin->spool), 1);
    assert_int_equal(store_batch_find(f->store, f->twin->id, "daq", 1, 0, &row), 0);
    assert_true(row.ordinal == 0 && row.events == 10 && row.invalid_rows == 0);
    while (f->arrived == 0) /* comes right after the answer */
        usleep(1000);
}

static void no_ack_before_the_sync(void **state)
{
    struct fixture *f = *state;
    zmq_pollitem_t item = {.socket = f->feed, .events = ZMQ_POLLIN};
    sync_delay_ms = 300;
    send_batch(f->feed, "daq", 0, 10, 0.5f);
    while (!sync_running)
        usleep(1000);
    int syncs = spool_syncs;
    assert_int_equal(zmq_poll(&item, 1, 100), 0);
    assert_int_equal(counters(f).batches, 0); /* and nobody was told */
    assert_int_equal(spool_syncs, syncs);
    expect_ack(f->feed, 0);
    assert_int_equal(spool_syncs, syncs + 1);
    sync_delay_ms = 0;
}

static void a_failed_sync_stops_everything(void **state)
{
    struct fixture *f = *state;
    zmq_pollitem_t item = {.socket = f->feed, .events = ZMQ_POLLIN};
    struct ingest_result result;
    struct twp_frame frame = {TWP_BATCH, 4};
    sync_fails = 1;
    send_batch(f->feed, "daq", 0, 10, 0.5f);
    while (!f->failed)
        usleep(1000);
    sync_fails = 0;
    send_batch(f->feed, "daq", 1, 10, 0.5f);
    assert_int_equal(zmq_poll(&item, 1, 200), 0);
    assert_int_equal(ingest_submit(f->ingest, &frame, 1, false, &result), TW_BUSY);
    assert_int_equal(counters(f).batches, 0);
    assert_int_equal(f->failed, 1);
}

static void repeats_are_acked_and_counted_once(void **state)
{
    struct fixture *f = *state;
    send_batch(f->feed, "daq", 0, 10, 0.5f);
    expect_ack(f->feed, 0);
    send_batch(f->feed, "daq", 0, 10, 0.5f);
    expect_ack(f->feed, 0);
    send_header(f->feed, "{\"time\":\"2026-03-01T12:00:00Z\",\"seq\":0,\"run\":1,\"feed\":\"daq\",\"twin\":\"z\"}", 10,
                0.5f);
    expect_ack(f->feed, 0);
    send_batch(f->feed, "daq", 0, 10, 0.25f);
    struct twp_reply reply = expect_nack(f->feed, "conflict");
    assert_true(reply.key.seq == 0 && strcmp(reply.key.feed, "daq") == 0);
    send_batch(f->feed, "other", 0, 10, 0.25f); /* another feed's number */
    expect_ack(f->feed, 0);
    struct twin_counters now = counters(f);
    assert_true(now.batches == 2 && now.events == 20 && now.duplicates == 2);
    assert_int_equal(spool_next(f->twin->spool), 2);
}

/* Repeats that come before the first is durable: all in one group, as the sync is slow. */
static void repeats_within_a_group(void **state)
{
    struct fixture *f = *state;
    sync_delay_ms = 200;
    send_batch(f->feed, "daq", 0, 10, 0.5f);
    while (!sync_running)
        usleep(1000);
    for (int i = 0; i < 3; i++)
        send_batch(f->feed, "daq", 1, 10, 0.5f);
    send_batch(f->feed, "daq", 1, 11, 0.5f);
    for (int i = 0; i < 4; i++)
        expect_ack(f->feed, i > 0);
    expect_nack(f->feed, "conflict");
    sync_delay_ms = 0;
    struct twin_counters now = counters(f);
    assert_true(now.batches == 2 && now.duplicates == 2);
    assert_int_equal(spool_next(f->twin->spool), 2);
}

static void gaps_and_hello(void **state)
{
    static const int64_t order[] = {0, 1, 4, 6};
    struct fixture *f = *state;
    assert_int_equal(say_hello(f->feed, "daq").last_durable_seq, -1);
    for (int i = 0; i < 4; i++) {
        send_batch(f->feed, "daq", order[i], 1, 0);
        expect_ack(f->feed, order[i]);
    }
    assert_int_equal(counters(f).gaps, 3);
    struct twp_reply reply = say_hello(f->feed, "daq");
    assert_true(reply.last_durable_seq == 1 && reply.credit_bytes == CREDIT && reply.max_bytes == CREDIT);
    assert_true(strcmp(reply.key.feed, "daq") == 0 && reply.key.run == 1);
    assert_int_equal(say_hello(f->feed, "new").last_durable_seq, -1);
    send_batch(f->feed, "daq", 2, 1, 0);
    expect_ack(f->feed, 2);
    send_batch(f->feed, "daq", 3, 1, 0);
    expect_ack(f->feed, 3);
    assert_int_equal(say_hello(f->feed, "daq").last_durable_seq, 4);
    assert_int_equal(counters(f).gaps, 1);
}

static void bad_messages_touch_nothing(void **state)
{
    static const struct {
        const char *header, *code;
    } headers[] = {
        {"{\"twin\":\"z\",\"feed\":\"daq\",\"run\":1,\"seq\":0,\"colour\":1}", "bad_header"},
        {"{\"twin\":\"z\",\"feed\":\"train\",\"run\":1,\"seq\":0}", "bad_header"},
        {"{\"twin\":\"z\",\"feed\":\"daq\",\"run\":1,\"seq\":0,\"stream\":\"simulation\"}", "bad_header"},
        {"{\"twin\":\"y\",\"feed\":\"daq\",\"run\":1,\"seq\":0}", "unknown_twin"},
        {"{\"twin\":\"z\",\"feed\":\"daq\",\"run\":1,\"seq\":0,\"columns\":[\"x\",\"w\"]}", "unknown_column"},
        {"{\"twin\":\"z\",\"feed\":\"daq\",\"run\":1,\"seq\":0,\"columns\":[\"x\"]}", "bad_shape"},
        {"{\"twin\":\"z\",\"feed\":\"daq\",\"run\":1,\"seq\":0,\"conditions\":{\"alpha_s\":1}}", "unknown_column"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        send_header(f->feed, headers[i].header, 5, 0.5f);
        struct twp_reply reply = expect_nack(f->feed, headers[i].code);
        assert_int_equal(reply.key.seq, 0);
        assert_true(strlen(reply.detail) > 0);
    }
    const char *header = "{\"twin\":\"z\",\"feed\":\"daq\",\"run\":1,\"seq\":3}";
    send_text(f->feed, TWP_BATCH, true);
    send_text(f->feed, header, true);
    send_text(f->feed, "\x93NUMPY", false);
    assert_int_equal(expect_nack(f->feed, "bad_payload").key.seq, 3);
    send_text(f->feed, "", false);
    expect_nack(f->feed, "bad_frame");
    send_text(f->feed, TWP_HELLO, false);
    expect_nack(f->feed, "bad_frame");
    send_text(f->feed, TWP_HELLO, true);
    send_text(f->feed, "{\"twin\":\"y\",\"feed\":\"daq\",\"run\":1}", false);
    assert_string_equal(expect_nack(f->feed, "unknown_twin").key.twin, "y");
    send_text(f->feed, TWP_HELLO, true);
    send_text(f->feed, "{\"twin\":\"z\",\"feed\":\"train\",\"run\":1}", false);
    expect_nack(f->feed, "bad_header");
    send_text(f->feed, TWP_BATCH, true);
    send_text(f->feed, header, true);
    for (int i = 0; i < 5000; i++)
        send_text(f->feed, "more", i < 4999);
    assert_int_equal(expect_nack(f->feed, "bad_frame").key.seq, 3);
    assert_int_equal(spool_next(f->twin->spool), 0);
    assert_int_equal(counters(f).batches, 0);
    send_batch(f->feed, "daq", 0, 5, 0.5f);
    expect_ack(f->feed, 0);
}

/* Messages of random frames, and good ones with bytes changed: each is answered, and good ones still go in. */
static void random_messages_are_answered(void **state)
{
    struct fixture *f = *state;
    uint32_t seed = 7;
    size_t size;
    unsigned char *array = array_of(3, 0.5f, &size);
    for (int round = 0; round < 300; round++) {
        char header[] = "{\"twin\":\"z\",\"feed\":\"daq\",\"run\":1,\"seq\":9}";
        unsigned char frame[600];
        memcpy(frame, array, size);
        for (int changes = 0; changes < 4; changes++) {
            seed = seed * 1664525u + 1013904223u;
            header[(seed >> 8) % (sizeof header - 1)] ^= (char)(1u << (seed >> 24) % 7);
            frame[(seed >> 12) % 128] ^= (unsigned char)(1u << (seed >> 28) % 8);
        }
        bool random = round % 3 == 0;
        for (size_t i = 0; random && i < sizeof frame; i++)
            frame[i] = (unsigned char)((seed = seed * 1664525u + 1013904223u) >> 24);
        send_frame(f->feed, random ? (void *)frame : TWP_BATCH, random ? seed % 40 : 4, true);
        send_frame(f->feed, random ? frame + 40 : (unsigned char *)header, random ? seed % 77 : sizeof header - 1,
                   true);
        send_frame(f->feed, frame, random ? seed % sizeof frame : size, false);
        struct twp_reply reply = receive(f->feed);
        assert_string_equal(reply.tag, TWP_NACK);
    }
    free(array);
    assert_int_equal(spool_next(f->twin->spool), 0);
    send_batch(f->feed, "daq", 0, 5, 0.5f);
    expect_ack(f->feed, 0);
}

static void invalid_rows_are_counted(void **state)
{
    struct fixture *f = *state;
    send_batch(f->feed, "daq", 0, 10, 2.0f); /* y must be in [0, 1] */
    expect_ack(f->feed, 0);
    send_batch(f->feed, "daq", 1, 10, 1.0f);
    expect_ack(f->feed, 1);
    struct twin_counters now = counters(f);
    assert_true(now.invalid_rows == 10 && now.events == 20);
}

static void credit_bounds_a_batch(void **state)
{
    struct fixture *f = *state;
    size_t rows = TWP_FREE_CREDIT / 8;
    send_batch(f->feed, "daq", 0, rows, 0.5f); /* with its header just too large */
    assert_int_equal(expect_nack(f->feed, "no_credit").key.seq, 0);
    send_batch(f->feed, "daq", 0, rows - 100, 0.5f);
    expect_ack(f->feed, 0);
    say_hello(f->feed, "daq"); /* which here grants less */
    send_batch(f->feed, "daq", 1, CREDIT / 8, 0.5f);
    expect_nack(f->feed, "no_credit");
    send_batch(f->feed, "daq", 1, CREDIT / 8 - 100, 0.5f);
    expect_ack(f->feed, 1);
}

/* A feed that sends more than its credit while the disk is slow is refused, told when to go on, and loses nothing. */
static void credit_comes_back(void **state)
{
    enum { BATCHES = 8 };
    struct fixture *f = *state;
    bool acked[BATCHES] = {false};
    int left = BATCHES, credits = 0;
    say_hello(f->feed, "daq");
    sync_delay_ms = 200;
    send_batch(f->feed, "first", 0, 1, 0);
    while (!sync_running)
        usleep(1000);
    for (int i = 0; i < BATCHES; i++)
        send_batch(f->feed, "daq", i, CREDIT / 8 / 3, 0.5f);
    expect_ack(f->feed, 0);
    sync_delay_ms = 0;
    while (left > 0) {
        struct twp_reply reply = receive(f->feed);
        if (strcmp(reply.tag, TWP_CREDIT) == 0) {
            assert_int_equal(reply.credit_bytes, CREDIT);
            credits++;
            for (int i = 0; i < BATCHES; i++)
                if (!acked[i])
                    send_batch(f->feed, "daq", i, CREDIT / 8 / 3, 0.5f);
        } else if (strcmp(reply.tag, TWP_ACK) == 0) {
            left -= !acked[reply.key.seq];
            acked[reply.key.seq] = true;
        } else {
            assert_string_equal(reply.code, "no_credit");
        }
    }
    assert_true(credits > 0);
    assert_int_equal(counters(f).batches, 1 + BATCHES);
}

static void a_full_disk_is_said_and_recovers(void **state)
{
    struct fixture *f = *state;
    struct rlimit before, tight;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    tight = before;
    tight.rlim_cur = SEGMENT / 2; /* SQLite's files are far smaller */
    setrlimit(RLIMIT_FSIZE, &tight);
    send_batch(f->feed, "daq", 0, 10, 0.5f);
    struct twp_reply reply = expect_nack(f->feed, "full");
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(reply.key.seq, 0);
    send_batch(f->feed, "daq", 0, 10, 0.5f);
    expect_ack(f->feed, 0);
    assert_int_equal(f->failed, 0);
}

static int submit(struct fixture *f, const char *header, float fill, bool reserved, struct ingest_result *result)
{
    size_t size;
    unsigned char *bytes = array_of(4, fill, &size);
    struct twp_frame frames[3] = {{TWP_BATCH, 4}, {header, strlen(header)}, {bytes, size}};
    int status = ingest_submit(f->ingest, frames, 3, reserved, result);
    free(bytes);
    return status;
}

static void batches_over_http(void **state)
{
    struct fixture *f = *state;
    struct ingest_result result;
    const char *header = "{\"twin\":\"z\",\"feed\":\"web\",\"run\":1,\"seq\":0}";
    const char *train = "{\"twin\":\"z\",\"feed\":\"train\",\"run\":1,\"seq\":5}";
    send_batch(f->feed, "daq", 0, 10, 0.5f);
    expect_ack(f->feed, 0);
    assert_int_equal(submit(f, header, 0.5f, false, &result), 0);
    assert_true(result.code == TWP_OK && result.ordinal == 1 && !result.duplicate);
    assert_string_equal(result.key.feed, "web");
    assert_int_equal(submit(f, header, 0.5f, false, &result), 0);
    assert_true(result.code == TWP_OK && result.ordinal == 1 && result.duplicate);
    assert_int_equal(submit(f, header, 0.25f, false, &result), 0);
    assert_int_equal(result.code, TWP_CONFLICT);
    assert_int_equal(submit(f, "{}", 0.25f, false, &result), 0);
    assert_int_equal(result.code, TWP_BAD_HEADER);
    assert_true(strlen(result.detail) > 0 && result.key.seq == -1);
    assert_int_equal(submit(f, train, 0.5f, false, &result), 0);
    assert_int_equal(result.code, TWP_BAD_HEADER);
    assert_int_equal(submit(f, train, 0.5f, true, &result), 0);
    assert_true(result.code == TWP_OK && result.ordinal == 2);
    assert_int_equal(submit(f, train, 0.5f, true, &result), 0);
    assert_true(result.code == TWP_OK && result.duplicate && result.ordinal == 2);
    struct twin_counters now = counters(f); /* without the rows of train */
    assert_true(now.batches == 2 && now.events == 14 && now.duplicates == 1 && now.gaps == 0);
    assert_int_equal(spool_next(f->twin->spool), 3);
}

struct worker {
    struct fixture *f;
    char feed[8];
};

/* No assertions here: they belong to the main thread. */
static void *feed_along(void *context)
{
    struct worker *worker = context;
    void *socket = zmq_socket(worker->f->zmq, ZMQ_DEALER);
    int none = 0;
    zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof none);
    zmq_connect(socket, ingest_endpoint(worker->f->ingest));
    size_t size;
    unsigned char *bytes = array_of(20, 0.5f, &size);
    for (int i = 0; i < 100; i++) {
        char header[100];
        int length =
            snprintf(header, sizeof header, "{\"twin\":\"z\",\"feed\":\"%s\",\"run\":1,\"seq\":%d}", worker->feed, i);
        zmq_send(socket, TWP_BATCH, 4, ZMQ_SNDMORE);
        zmq_send(socket, header, (size_t)length, ZMQ_SNDMORE);
        zmq_send(socket, bytes, size, 0);
    }
    intptr_t acks = 0;
    for (int i = 0; i < 100; i++) {
        char tag[16], json[512];
        zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
        if (zmq_poll(&item, 1, PATIENCE_MS) <= 0)
            break;
        int length = zmq_recv(socket, tag, sizeof tag, 0);
        acks += length == 3 && memcmp(tag, TWP_ACK, 3) == 0;
        zmq_recv(socket, json, sizeof json, 0);
    }
    free(bytes);
    zmq_close(socket);
    return (void *)acks;
}

static void many_feeds_share_a_sync(void **state)
{
    struct fixture *f = *state;
    struct worker workers[4] = {{f, "a"}, {f, "b"}, {f, "c"}, {f, "d"}};
    pthread_t threads[4];
    int before = spool_syncs;
    sync_delay_ms = 2;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, feed_along, &workers[i]), 0);
    for (int i = 0; i < 4; i++) {
        void *acks;
        pthread_join(threads[i], &acks);
        assert_int_equal((intptr_t)acks, 100);
    }
    sync_delay_ms = 0;
    struct twin_counters now = counters(f);
    assert_true(now.batches == 400 && now.events == 8000 && now.gaps == 0 && now.duplicates == 0);
    assert_int_equal(spool_next(f->twin->spool), 400);
    assert_int_equal(store_batch_next(f->store, f->twin->id), 400);
    assert_true(spool_syncs - before < 300);
}

static void a_restart_remembers(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 5; i++) {
        send_batch(f->feed, "daq", i, 10, 0.5f);
        expect_ack(f->feed, i);
    }
    close_all(f);
    open_all(f);
    assert_int_equal(say_hello(f->feed, "daq").last_durable_seq, 4);
    send_batch(f->feed, "daq", 3, 10, 0.5f);
    expect_ack(f->feed, 3);
    send_batch(f->feed, "daq", 3, 10, 0.25f);
    expect_nack(f->feed, "conflict");
    send_batch(f->feed, "daq", 5, 10, 0.25f);
    expect_ack(f->feed, 5);
    assert_int_equal(counters(f).batches, 6);
    assert_int_equal(spool_next(f->twin->spool), 6);
}

static void announcements_go_out(void **state)
{
    struct fixture *f = *state;
    void *sub = zmq_socket(f->zmq, ZMQ_SUB);
    char topic[64] = "", body[64] = "";
    zmq_pollitem_t item = {.socket = sub, .events = ZMQ_POLLIN};
    zmq_setsockopt(sub, ZMQ_SUBSCRIBE, "twin/z/", 7);
    assert_int_equal(zmq_connect(sub, ingest_publish_endpoint(f->ingest)), 0);
    int tries = 0;
    do { /* what is sent before the subscription arrived is lost */
        publish_post(f->publisher, "other", "version", json_pack("{s:i}", "version", 1));
        publish_post(f->publisher, "z", "version", json_pack("{s:i}", "version", 2));
    } while (zmq_poll(&item, 1, 20) == 0 && ++tries < 1000);
    zmq_recv(sub, topic, sizeof topic - 1, 0);
    zmq_recv(sub, body, sizeof body - 1, 0);
    zmq_close(sub);
    assert_string_equal(topic, "twin/z/version");
    assert_string_equal(body, "{\"version\":2,\"twin\":\"z\"}");
}

static void the_queue_of_announcements_is_bounded(void **state)
{
    struct publisher *publisher = publish_new();
    char *topic, *body;
    int first = -1, count = 0;
    for (int i = 0; i < 1500; i++)
        publish_post(publisher, "z", "iteration", json_pack("{s:i}", "n", i));
    publish_post(NULL, "z", "iteration", json_object());
    while (publish_take(publisher, &topic, &body)) {
        first = count++ == 0 ? atoi(body + 5) : first;
        free(topic);
        free(body);
    }
    assert_true(count == 1024 && first == 1500 - 1024); /* the oldest went */
    publish_post(publisher, "z", "iteration", json_object());
    publish_free(publisher);
}

static void a_port_in_use(void **state)
{
    struct fixture *f = *state;
    struct ingest_options options = options_of(f);
    struct ingest *second;
    struct tw_error error = {""};
    options.endpoint = ingest_endpoint(f->ingest);
    assert_int_equal(ingest_start(&options, &second, &error), TW_BUSY);
    assert_non_null(strstr(error.text, ingest_endpoint(f->ingest)));
    options = options_of(f);
    options.publish_endpoint = ingest_publish_endpoint(f->ingest);
    assert_int_equal(ingest_start(&options, &second, &error), TW_BUSY);
    options = options_of(f);
    options.endpoint = "tcp://nowhere.invalid:x";
    assert_int_equal(ingest_start(&options, &second, &error), TW_INVALID);
    assert_null(second);
    ingest_stop(NULL);
}

static void a_deleted_twin_is_unknown(void **state)
{
    struct fixture *f = *state;
    struct tw_error error;
    send_batch(f->feed, "daq", 0, 10, 0.5f);
    expect_ack(f->feed, 0);
    assert_int_equal(registry_delete(f->registry, "z", &error), 0);
    send_batch(f->feed, "daq", 1, 10, 0.5f);
    expect_nack(f->feed, "unknown_twin");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_ack_means_durable_and_known),
        CASE(no_ack_before_the_sync),
        CASE(a_failed_sync_stops_everything),
        CASE(repeats_are_acked_and_counted_once),
        CASE(repeats_within_a_group),
        CASE(gaps_and_hello),
        CASE(bad_messages_touch_nothing),
        CASE(random_messages_are_answered),
        CASE(invalid_rows_are_counted),
        CASE(credit_bounds_a_batch),
        CASE(credit_comes_back),
        CASE(a_full_disk_is_said_and_recovers),
        CASE(batches_over_http),
        CASE(many_feeds_share_a_sync),
        CASE(a_restart_remembers),
        CASE(announcements_go_out),
        cmocka_unit_test(the_queue_of_announcements_is_bounded),
        CASE(a_port_in_use),
        CASE(a_deleted_twin_is_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
