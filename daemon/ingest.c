/* The ingest thread: gathers what is there into a group, has it committed, answers. One group is at most some messages
 * or bytes, so that an answer never waits for long, and one fdatasync serves all of it.
 *
 * Credit is a window of bytes per connection: what the thread holds of a feed and has not answered. It is the free
 * credit until the feed says hello. A feed whose twin can keep no more, as its loop is behind, has none until there is
 * room: its batches are refused, and it is told when to send again. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <zmq.h>

#include "daemon/clock.h"
#include "daemon/config.h"
#include "daemon/endpoint.h"
#include "daemon/feeds.h"
#include "daemon/group.h"
#include "daemon/heartbeat.h"
#include "daemon/ingest.h"
#include "daemon/log.h"
#include "daemon/message.h"
#include "daemon/peers.h"
#include "daemon/publish.h"
#include "daemon/shortage.h"
#include "daemon/space.h"
#include "daemon/trouble.h"
#include "daemon/waiters.h"

enum {
    GROUP_MAX = 64,
    GROUP_BYTES = 8 * 1024 * 1024,
    ROUND_MS = 1000,
    LOOK_AGAIN_MS = 200,   /* is there space again, on the disk or in a spool? */
    WAITERS_MS = 5,        /* the same between two groups: room must not go to whoever sends again, always */
    LISTENER_FRAME = 1024, /* what a listener may send: subscriptions */
};

/* Where a job of the group came from. */
struct source {
    struct message message;
    struct submission *submission; /* NULL: a message */
};

struct submission {
    const struct twp_frame *frames;
    size_t count;
    bool reserved;
    struct ingest_result *result;
    int status;
    bool done;
    struct submission *next;
};

struct ingest {
    struct ingest_options options;
    void *zmq, *router, *pub;
    struct guard *guard;
    char endpoint[ENDPOINT_MAX], publish_endpoint[ENDPOINT_MAX];
    pthread_t thread;
    int bell; /* eventfd: a submission, or the end */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t answered;
    struct submission *first, **last;
    bool stopping;

    /* the thread's own */
    struct job jobs[GROUP_MAX];
    struct source sources[GROUP_MAX];
    size_t count, bytes;
    struct peers *peers;
    struct waiters *waiters;
    double waiters_at;       /* when to look after them */
    int64_t credit;          /* of a feed that said hello, at the moment */
    bool disk_full;          /* trouble stands */
    double refusal_logged_s; /* monotonic; 0: none yet */
    uint64_t refusals_unlogged;
};

/* --- gathering --- */

static int64_t window_of(const struct ingest *ingest, const struct message *sender)
{
    return peers_known(ingest->peers, sender) ? ingest->credit : TWP_FREE_CREDIT;
}

/* What all feeds together may have in flight is the memory that they may take; each has a fair share, but no less than
 * one that did not say hello. */
static int64_t fair_credit(struct ingest *ingest)
{
    const struct ingest_options *options = &ingest->options;
    int64_t credit = (int64_t)config_live(options->credit_mb) << 20;
    struct guard_counts counts;
    guard_counts(ingest->guard, &counts);
    if (options->memory_mb && counts.connections[GUARD_FEEDS] > 0) {
        int64_t share = ((int64_t)config_live(options->memory_mb) << 18) / (int64_t)counts.connections[GUARD_FEEDS];
        share = share > TWP_FREE_CREDIT ? share : TWP_FREE_CREDIT;
        credit = credit < share ? credit : share;
    }
    return credit;
}

static uint64_t spool_limit(const struct ingest *ingest)
{
    return ingest->options.spool_mb ? (uint64_t)config_live(ingest->options.spool_mb) << 20 : 0;
}

static bool first_is(const struct job *job, const char *tag)
{
    return job->count > 0 && job->frames[0].size == strlen(tag) &&
           memcmp(job->frames[0].data, tag, job->frames[0].size) == 0;
}

/* Bytes of the sender that this group holds already. */
static int64_t in_flight(const struct ingest *ingest, const struct message *sender)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < ingest->count; i++) {
        const struct source *source = &ingest->sources[i];
        if (!source->submission && ingest->jobs[i].code == TWP_OK && message_same_sender(&source->message, sender))
            bytes += (int64_t)source->message.bytes;
    }
    return bytes;
}

static void refuse_beforehand(struct ingest *ingest, struct job *job, const struct message *message)
{
    int64_t window = window_of(ingest, message), held = in_flight(ingest, message);
    if (held == 0 && peers_known(ingest->peers, message)) /* a fair share must not shut out a large batch */
        window = (int64_t)config_live(ingest->options.credit_mb) << 20;
    if (message->dropped) {
        job->code = TWP_BAD_FRAME;
        snprintf(job->detail, sizeof job->detail, "a message has at most %d frames and %u bytes", TWP_FRAMES_MAX,
                 TWP_BATCH_BYTES_MAX);
    } else if (held + (int64_t)message->bytes > window) {
        job->code = TWP_NO_CREDIT;
        snprintf(job->detail, sizeof job->detail,
                 "%zu bytes with %lld in flight are beyond the credit of %lld bytes; send again%s", message->bytes,
                 (long long)held, (long long)window,
                 peers_known(ingest->peers, message) ? "" : ", after a hello for more");
    }
}

static bool gather_message(struct ingest *ingest)
{
    struct job *job = &ingest->jobs[ingest->count];
    struct source *source = &ingest->sources[ingest->count];
    if (!message_receive(ingest->router, &source->message))
        return false;
    guard_delivered(ingest->guard, source->message.fd);
    *job = (struct job){.key = {.run = -1, .seq = -1}};
    job->count = message_frames(&source->message, job->frames);
    source->submission = NULL;
    job->hello = first_is(job, TWP_HELLO);
    refuse_beforehand(ingest, job, &source->message);
    ingest->bytes += source->message.bytes;
    ingest->count++;
    return true;
}

static bool gather_submission(struct ingest *ingest)
{
    pthread_mutex_lock(&ingest->lock);
    struct submission *submission = ingest->first;
    if (submission) {
        ingest->first = submission->next;
        if (!ingest->first)
            ingest->last = &ingest->first;
    }
    pthread_mutex_unlock(&ingest->lock);
    if (!submission)
        return false;
    struct job *job = &ingest->jobs[ingest->count];
    *job = (struct job){.count = submission->count, .reserved = submission->reserved};
    for (size_t i = 0; i < submission->count; i++) {
        job->frames[i] = submission->frames[i];
        ingest->bytes += submission->frames[i].size;
    }
    ingest->sources[ingest->count].submission = submission;
    ingest->sources[ingest->count].message.count = 0;
    ingest->count++;
    return true;
}

static bool room(const struct ingest *ingest)
{
    return ingest->count < GROUP_MAX && ingest->bytes < GROUP_BYTES;
}

static bool gather(struct ingest *ingest)
{
    ingest->count = ingest->bytes = 0;
    ingest->credit = fair_credit(ingest);
    while (room(ingest) && gather_submission(ingest))
        ;
    while (room(ingest) && gather_message(ingest))
        ;
    return ingest->count > 0;
}

/* --- answering --- */

/* At most one line a second: a feed that is wrong is wrong with every batch. */
static void log_refusal(struct ingest *ingest, const struct job *job)
{
    char quoted[400];
    double now = clock_monotonic();
    if (ingest->refusal_logged_s > 0 && now - ingest->refusal_logged_s < 1) {
        ingest->refusals_unlogged++;
        return;
    }
    log_warning("batch_refused", "twin=%s feed=%s run=%lld seq=%lld code=%s detail=%s unlogged=%llu", job->key.twin,
                job->key.feed, (long long)job->key.run, (long long)job->key.seq, twp_wire_code(job->code),
                log_quote(job->detail, quoted, sizeof quoted), (unsigned long long)ingest->refusals_unlogged);
    ingest->refusal_logged_s = now;
    ingest->refusals_unlogged = 0;
}

static void nack(struct ingest *ingest, const struct job *job, const struct message *to)
{
    log_refusal(ingest, job);
    message_reply(ingest->router, to, TWP_NACK, twp_wire_nack(&job->key, job->code, job->detail));
}

/* Answered after the group is durable, so that last_durable_seq holds what came before the hello. */
static void answer_hello(struct ingest *ingest, struct job *job, const struct message *from)
{
    int64_t last = -1, credit = ingest->credit;
    struct twin *twin = NULL;
    unsigned before = shortage_count();
    enum twp_code code = twp_wire_hello(job->frames, job->count, &job->key, job->detail);
    if (code != TWP_OK && shortage_count() != before) {
        code = TWP_FULL;
        snprintf(job->detail, sizeof job->detail, "out of memory; send again");
    }
    if (code == TWP_OK && strcmp(job->key.feed, GROUP_TRAIN_FEED) == 0) {
        code = TWP_BAD_HEADER;
        snprintf(job->detail, sizeof job->detail, "the feed name \"%s\" is reserved", GROUP_TRAIN_FEED);
    } else if (code == TWP_OK && !(twin = registry_find(ingest->options.registry, job->key.twin))) {
        code = TWP_UNKNOWN_TWIN;
        snprintf(job->detail, sizeof job->detail, "there is no twin \"%s\"", job->key.twin);
    }
    job->code = code;
    if (code != TWP_OK) {
        nack(ingest, job, from);
        return;
    }
    pthread_mutex_lock(&twin->lock);
    last = feeds_last_durable(twin->feeds, job->key.feed, job->key.run);
    pthread_mutex_unlock(&twin->lock);
    bool behind = group_behind(twin, spool_limit(ingest));
    registry_twin_unref(twin);
    peers_greet(ingest->peers, from);
    guard_valid(ingest->guard, from->fd);
    log_info("feed_hello", "twin=%s feed=%s run=%lld last_durable_seq=%lld", job->key.twin, job->key.feed,
             (long long)job->key.run, (long long)last);
    int64_t most = (int64_t)config_live(ingest->options.credit_mb) << 20;
    most = most < (int64_t)TWP_BATCH_BYTES_MAX ? most : (int64_t)TWP_BATCH_BYTES_MAX;
    message_reply(ingest->router, from, TWP_WELCOME, twp_wire_welcome(&job->key, last, behind ? 0 : credit, most));
    if (behind)
        waiters_add(ingest->waiters, &job->key, from);
}

static void finish_submission(struct ingest *ingest, struct submission *submission, int status)
{
    pthread_mutex_lock(&ingest->lock);
    submission->status = status;
    submission->done = true;
    pthread_cond_broadcast(&ingest->answered);
    pthread_mutex_unlock(&ingest->lock);
}

static void answer_submission(struct ingest *ingest, const struct job *job, struct submission *submission)
{
    struct ingest_result *result = submission->result;
    *result = (struct ingest_result){.code = job->code,
                                     .key = job->key,
                                     .ordinal = job->ordinal,
                                     .duplicate = job->duplicate,
                                     .pruned = job->pruned};
    memcpy(result->detail, job->detail, sizeof result->detail);
    finish_submission(ingest, submission, 0);
}

/* A feed that was refused for want of credit, and would fit now that the group is answered, is told so. */
static void return_credit(struct ingest *ingest, const struct job *job, const struct message *to)
{
    int64_t window = window_of(ingest, to);
    if (!job->behind && job->code == TWP_NO_CREDIT && (int64_t)to->bytes <= window && peers_known(ingest->peers, to))
        message_reply(ingest->router, to, TWP_CREDIT, twp_wire_credit(&job->key, window));
}

/* The loop of a twin is behind: its feeds are told to stop, and when to go on. */
static void hold_back(struct ingest *ingest, const struct job *job, const struct source *source)
{
    const struct message *to = source->submission ? NULL : &source->message;
    if (waiters_add(ingest->waiters, &job->key, to) && to && peers_known(ingest->peers, to))
        message_reply(ingest->router, to, TWP_CREDIT, twp_wire_credit(&job->key, 0));
    if (waiters_has(ingest->waiters, job->key.twin)) /* else nobody would clear it */
        trouble_raise("feeds_wait", job->key.twin, TROUBLE_DEGRADED, "%s", job->detail);
}

static void let_go(struct ingest *ingest, const char *name)
{
    struct twp_key key;
    struct message to;
    char twin[sizeof key.twin];
    strcpy(twin, name);
    while (waiters_take(ingest->waiters, twin, &key, &to)) {
        if (to.sender_size > 0 && peers_known(ingest->peers, &to))
            message_reply(ingest->router, &to, TWP_CREDIT, twp_wire_credit(&key, ingest->credit));
    }
    trouble_clear("feeds_wait", twin);
}

/* Whose twin has room again, or is no more? */
static void look_after_waiters(struct ingest *ingest)
{
    const char *name;
    double now = clock_monotonic();
    if (now < ingest->waiters_at)
        return;
    ingest->waiters_at = now + 1e-3 * WAITERS_MS;
    for (size_t i = 0; (name = waiters_twin(ingest->waiters, i));) {
        struct twin *twin = registry_find(ingest->options.registry, name);
        if (twin && group_behind(twin, spool_limit(ingest)))
            i++;
        else
            let_go(ingest, name);
        registry_twin_unref(twin);
    }
}

static void answer(struct ingest *ingest)
{
    for (size_t i = 0; i < ingest->count; i++) {
        struct job *job = &ingest->jobs[i];
        struct source *source = &ingest->sources[i];
        if (!source->submission && job->code == TWP_OK && !job->hello)
            guard_valid(ingest->guard, source->message.fd);
        if (source->submission)
            answer_submission(ingest, job, source->submission);
        else if (job->hello)
            answer_hello(ingest, job, &source->message);
        else if (job->code != TWP_OK)
            nack(ingest, job, &source->message);
        else
            message_reply(ingest->router, &source->message, TWP_ACK, twp_wire_ack(&job->key));
    }
    for (size_t i = 0; i < ingest->count; i++) {
        if (ingest->jobs[i].behind)
            hold_back(ingest, &ingest->jobs[i], &ingest->sources[i]);
        if (!ingest->sources[i].submission)
            return_credit(ingest, &ingest->jobs[i], &ingest->sources[i].message);
    }
}

/* --- the thread --- */

static void release_group(struct ingest *ingest)
{
    for (size_t i = 0; i < ingest->count; i++)
        message_fini(&ingest->sources[i].message);
}

/* Nothing of the group may be answered: feeds send again, to the next daemon. */
static void abandon_group(struct ingest *ingest)
{
    for (size_t i = 0; i < ingest->count; i++) {
        if (ingest->sources[i].submission)
            finish_submission(ingest, ingest->sources[i].submission, TW_BUSY);
    }
}

static void set_stopping(struct ingest *ingest)
{
    pthread_mutex_lock(&ingest->lock);
    ingest->stopping = true;
    pthread_mutex_unlock(&ingest->lock);
}

static bool is_stopping(struct ingest *ingest)
{
    pthread_mutex_lock(&ingest->lock);
    bool stopping = ingest->stopping;
    pthread_mutex_unlock(&ingest->lock);
    return stopping;
}

static bool any_arrived(const struct ingest *ingest)
{
    for (size_t i = 0; i < ingest->count; i++) {
        if (ingest->jobs[i].appended)
            return true;
    }
    return false;
}

/* Readiness says so from the first refusal on, and until a segment fits again, whether feeds try or not. */
static void raise_full_disk(struct ingest *ingest)
{
    for (size_t i = 0; i < ingest->count; i++) {
        if (!ingest->jobs[i].no_space)
            continue;
        trouble_raise("disk_full", "spool", TROUBLE_UNREADY, "%s", ingest->jobs[i].detail);
        ingest->disk_full = true;
    }
}

static void clear_full_disk(struct ingest *ingest)
{
    if (ingest->disk_full && space_for(ingest->options.segment_bytes)) {
        trouble_clear("disk_full", "spool");
        ingest->disk_full = false;
    }
}

static void run_group(struct ingest *ingest)
{
    struct tw_error error = {""};
    int status = group_commit(ingest->options.registry, ingest->options.store, spool_limit(ingest), ingest->jobs,
                              ingest->count, &error);
    if (status) {
        set_stopping(ingest);
        abandon_group(ingest);
        ingest->options.failed(ingest->options.context, status, error.text);
    } else {
        raise_full_disk(ingest);
        answer(ingest);
        if (any_arrived(ingest))
            ingest->options.arrived(ingest->options.context);
    }
    release_group(ingest);
}

static void send_announcements(struct ingest *ingest)
{
    char *topic, *body;
    while (publish_take(ingest->options.publisher, &topic, &body)) {
        if (zmq_send(ingest->pub, topic, strlen(topic), ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0)
            zmq_send(ingest->pub, body, strlen(body), ZMQ_DONTWAIT);
        free(topic);
        free(body);
    }
}

static void *run(void *context)
{
    struct ingest *ingest = context;
    zmq_pollitem_t items[] = {
        {.socket = ingest->router, .events = ZMQ_POLLIN},
        {.fd = ingest->bell, .events = ZMQ_POLLIN},
        {.fd = publish_fd(ingest->options.publisher), .events = ZMQ_POLLIN},
    };
    int count = ingest->options.publisher ? 3 : 2;
    heartbeat_start("ingest", HEARTBEAT_LIMIT_S);
    while (!is_stopping(ingest)) {
        eventfd_t rung;
        bool wait = !ingest->disk_full && !waiters_any(ingest->waiters);
        zmq_poll(items, count, wait ? ROUND_MS : LOOK_AGAIN_MS);
        eventfd_read(ingest->bell, &rung);
        clear_full_disk(ingest);
        do {
            heartbeat_mark();
            look_after_waiters(ingest);
            send_announcements(ingest);
        } while (!is_stopping(ingest) && gather(ingest) && (run_group(ingest), true));
    }
    send_announcements(ingest);
    ingest->count = 0; /* a group that failed has been answered, or never will be */
    ingest->bytes = 0;
    while (gather_submission(ingest)) /* what came too late */
        finish_submission(ingest, ingest->sources[--ingest->count].submission, TW_BUSY);
    return NULL;
}

/* --- start and stop --- */

/* Signals belong to the main thread. */
static int start_thread(struct ingest *ingest, struct tw_error *error)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&ingest->thread, NULL, run, ingest);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code ? tw_error_set(error, TW_NO_MEMORY, "no thread for ingest: %s", strerror(code)) : 0;
}

static void release(struct ingest *ingest)
{
    guard_stop(ingest->guard);
    if (ingest->router)
        zmq_close(ingest->router);
    if (ingest->pub)
        zmq_close(ingest->pub);
    if (ingest->zmq)
        zmq_ctx_term(ingest->zmq);
    if (ingest->bell >= 0)
        close(ingest->bell);
    pthread_cond_destroy(&ingest->answered);
    pthread_mutex_destroy(&ingest->lock);
    peers_free(ingest->peers);
    waiters_free(ingest->waiters);
    free(ingest);
}

void ingest_counts(struct ingest *ingest, struct guard_counts *out)
{
    guard_counts(ingest->guard, out);
}

/* A frame may be as large as what libzmq may hold of all feeds together: a quarter of the memory. */
static int open_sockets(struct ingest *ingest, struct tw_error *error)
{
    const struct ingest_options *options = &ingest->options;
    int64_t largest = 2 * (int64_t)TWP_BATCH_BYTES_MAX;
    if (options->memory_mb && config_live(options->memory_mb) << 18 < largest)
        largest = config_live(options->memory_mb) << 18;
    struct guard_options guard = {
        .zmq = ingest->zmq, .memory_mb = options->memory_mb, .connections = options->connections};
    int status = endpoint_open(ingest->zmq, ZMQ_ROUTER, largest, &ingest->router, error);
    if (status == 0)
        status = endpoint_open(ingest->zmq, ZMQ_PUB, LISTENER_FRAME, &ingest->pub, error);
    guard.router = ingest->router;
    guard.pub = ingest->pub;
    if (status == 0)
        status = guard_start(&guard, &ingest->guard, error);
    if (status == 0)
        status = endpoint_bind(ingest->router, options->endpoint, ingest->endpoint, error);
    if (status == 0)
        status = endpoint_bind(ingest->pub, options->publish_endpoint, ingest->publish_endpoint, error);
    return status;
}

int ingest_start(const struct ingest_options *options, struct ingest **out, struct tw_error *error)
{
    *out = NULL;
    struct ingest *ingest = calloc(1, sizeof *ingest);
    if (!ingest)
        return tw_error_set(error, TW_NO_MEMORY, "out of memory");
    ingest->options = *options;
    ingest->last = &ingest->first;
    pthread_mutex_init(&ingest->lock, NULL);
    pthread_cond_init(&ingest->answered, NULL);
    ingest->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    ingest->zmq = zmq_ctx_new();
    ingest->peers = peers_new();
    ingest->waiters = waiters_new();
    int status = 0;
    if (ingest->bell < 0 || !ingest->zmq || !ingest->peers || !ingest->waiters)
        status = tw_error_set(error, TW_NO_MEMORY, "out of memory");
    if (status == 0)
        status = open_sockets(ingest, error);
    if (status == 0)
        status = start_thread(ingest, error);
    if (status)
        release(ingest);
    else
        *out = ingest;
    return status;
}

void ingest_stop(struct ingest *ingest)
{
    if (!ingest)
        return;
    set_stopping(ingest);
    eventfd_write(ingest->bell, 1);
    pthread_join(ingest->thread, NULL);
    if (ingest->disk_full)
        trouble_clear("disk_full", "spool");
    release(ingest);
}

const char *ingest_endpoint(const struct ingest *ingest)
{
    return ingest->endpoint;
}

const char *ingest_publish_endpoint(const struct ingest *ingest)
{
    return ingest->publish_endpoint;
}

int ingest_submit(struct ingest *ingest, const struct twp_frame *frames, size_t count, bool reserved,
                  struct ingest_result *result)
{
    struct submission submission = {.frames = frames, .count = count, .reserved = reserved, .result = result};
    *result = (struct ingest_result){.key = {.run = -1, .seq = -1}};
    if (count > TWP_FRAMES_MAX) {
        result->code = TWP_BAD_FRAME;
        snprintf(result->detail, sizeof result->detail, "a message has at most %d frames", TWP_FRAMES_MAX);
        return 0;
    }
    pthread_mutex_lock(&ingest->lock);
    if (ingest->stopping) {
        pthread_mutex_unlock(&ingest->lock);
        return TW_BUSY;
    }
    *ingest->last = &submission;
    ingest->last = &submission.next;
    eventfd_write(ingest->bell, 1);
    while (!submission.done)
        pthread_cond_wait(&ingest->answered, &ingest->lock);
    pthread_mutex_unlock(&ingest->lock);
    return submission.status;
}
