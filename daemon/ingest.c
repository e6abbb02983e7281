/* The ingest thread: gathers what is there into a group, has it committed, has it answered. One group is at most some
 * messages or bytes, so that an answer never waits for long, and one fdatasync serves all of it. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include <zmq.h>

#include "base/slice.h"
#include "daemon/answers.h"
#include "daemon/config.h"
#include "daemon/credit.h"
#include "daemon/endpoint.h"
#include "daemon/group.h"
#include "daemon/heartbeat.h"
#include "daemon/ingest.h"
#include "daemon/message.h"
#include "daemon/publish.h"
#include "daemon/space.h"
#include "daemon/submissions.h"
#include "daemon/trouble.h"

enum {
    GROUP_MAX = 64,
    GROUP_BYTES = 8 * 1024 * 1024,
    ROUND_MS = 1000,
    LOOK_AGAIN_MS = 200,   /* is there space again, on the disk or in a spool? */
    LISTENER_FRAME = 1024, /* what a listener may send: subscriptions */
};

struct ingest {
    struct ingest_options options;
    void *zmq, *router, *pub;
    struct guard *guard;
    char endpoint[ENDPOINT_MAX], publish_endpoint[ENDPOINT_MAX];
    pthread_t thread;
    struct submissions *submissions;

    /* the thread's own */
    struct job jobs[GROUP_MAX];
    struct source sources[GROUP_MAX];
    size_t count, bytes;
    struct credit *credit;
    struct answers answers;
    bool disk_full; /* trouble stands */
};

/* --- gathering --- */

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
    int64_t held = in_flight(ingest, message), window = credit_window(ingest->credit, message, held);
    if (message->dropped) {
        job->code = TWP_BAD_FRAME;
        snprintf(job->detail, sizeof job->detail, "a message has at most %d frames and %u bytes", TWP_FRAMES_MAX,
                 TWP_BATCH_BYTES_MAX);
    } else if (held + (int64_t)message->bytes > window) {
        job->code = TWP_NO_CREDIT;
        snprintf(job->detail, sizeof job->detail,
                 "%zu bytes with %lld in flight are beyond the credit of %lld bytes; send again%s", message->bytes,
                 (long long)held, (long long)window,
                 credit_greeted(ingest->credit, message) ? "" : ", after a hello for more");
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
    struct submission *submission = submissions_take(ingest->submissions);
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
    credit_share_out(ingest->credit);
    while (room(ingest) && gather_submission(ingest))
        ;
    while (room(ingest) && gather_message(ingest))
        ;
    return ingest->count > 0;
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
            submissions_finish(ingest->submissions, ingest->sources[i].submission, TW_BUSY);
    }
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
    int status = group_commit(ingest->options.registry, ingest->options.store, credit_spool(ingest->credit),
                              ingest->jobs, ingest->count, &error);
    if (status) {
        submissions_stop(ingest->submissions);
        abandon_group(ingest);
        ingest->options.failed(ingest->options.context, status, error.text);
    } else {
        raise_full_disk(ingest);
        answers_send(&ingest->answers, ingest->jobs, ingest->sources, ingest->count);
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
        {.fd = submissions_bell(ingest->submissions), .events = ZMQ_POLLIN},
        {.fd = publish_fd(ingest->options.publisher), .events = ZMQ_POLLIN},
    };
    int count = ingest->options.publisher ? 3 : 2;
    heartbeat_start("ingest", HEARTBEAT_LIMIT_S);
    tw_slice_shortest(); /* feeds wait for answers, also while a training has every core */
    while (!submissions_stopped(ingest->submissions)) {
        eventfd_t rung;
        bool wait = !ingest->disk_full && !credit_awaited(ingest->credit);
        zmq_poll(items, count, wait ? ROUND_MS : LOOK_AGAIN_MS);
        eventfd_read(submissions_bell(ingest->submissions), &rung);
        clear_full_disk(ingest);
        do {
            heartbeat_mark();
            credit_look(ingest->credit);
            send_announcements(ingest);
        } while (!submissions_stopped(ingest->submissions) && gather(ingest) && (run_group(ingest), true));
    }
    send_announcements(ingest);
    ingest->count = 0; /* a group that failed has been answered, or never will be */
    ingest->bytes = 0;
    while (gather_submission(ingest)) /* what came too late */
        submissions_finish(ingest->submissions, ingest->sources[--ingest->count].submission, TW_BUSY);
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
    submissions_free(ingest->submissions);
    credit_free(ingest->credit);
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

static int prepare_answers(struct ingest *ingest, struct tw_error *error)
{
    const struct ingest_options *options = &ingest->options;
    struct credit_options credit = {.router = ingest->router,
                                    .guard = ingest->guard,
                                    .registry = options->registry,
                                    .credit_mb = options->credit_mb,
                                    .spool_mb = options->spool_mb,
                                    .memory_mb = options->memory_mb};
    ingest->credit = credit_new(&credit);
    ingest->answers = (struct answers){.router = ingest->router,
                                       .guard = ingest->guard,
                                       .registry = options->registry,
                                       .credit = ingest->credit,
                                       .submissions = ingest->submissions};
    return ingest->credit ? 0 : tw_error_set(error, TW_NO_MEMORY, "out of memory");
}

int ingest_start(const struct ingest_options *options, struct ingest **out, struct tw_error *error)
{
    *out = NULL;
    struct ingest *ingest = calloc(1, sizeof *ingest);
    if (!ingest)
        return tw_error_set(error, TW_NO_MEMORY, "out of memory");
    ingest->options = *options;
    ingest->submissions = submissions_new();
    ingest->zmq = zmq_ctx_new();
    int status = 0;
    if (!ingest->submissions || !ingest->zmq)
        status = tw_error_set(error, TW_NO_MEMORY, "out of memory");
    if (status == 0)
        status = open_sockets(ingest, error);
    if (status == 0)
        status = prepare_answers(ingest, error);
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
    submissions_stop(ingest->submissions);
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
    return submissions_put(ingest->submissions, &submission);
}
