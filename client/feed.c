/* The sending end of the wire: one DEALER socket, one loop. */
#include "client/feed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

#include "client/link.h"
#include "client/outbox.h"
#include "client/output.h"
#include "client/progress.h"
#include "client/timer.h"

static const double HELLO_EVERY = 1.0, RESYNC_FIRST = 3.0, RESYNC_MOST = 30.0, BACKOFF_FIRST = 0.05, BACKOFF_MOST = 1.0,
                    CREDIT_ASK = 2.0, LAST_ACKS = 3.0, BURST = 0.25; /* seconds */

enum { GO_ON = -1 };

struct sender {
    const struct feed_options *options;
    const struct feed_source *source;
    struct feed_result *result;
    struct outbox outbox;
    struct progress progress;
    struct link link;

    bool welcomed;    /* the first WELCOME came: we know where to begin */
    bool asked;       /* a hello has no answer yet */
    bool resync;      /* ... and its answer sends everything that is in flight again */
    bool ended;       /* the source has no more, or a signal came */
    int64_t next_seq; /* of the next batch of the source */
    int64_t durable;  /* the last that was there before us */
    int64_t credit, max_bytes;
    double began, heard, acked_at; /* the last answer; the last news of durable batches */
    double hello_at;               /* when a hello may be sent (again) */
    double resync_after;
    double retry_at, backoff; /* after no_credit or full */
    double send_at;           /* not before, for the rate */
    double stop_at;           /* after a signal: wait for acknowledgements until then */
    bool said_credit, said_full;
};

static int give_up(struct sender *sender, int code, const char *text)
{
    snprintf(sender->result->problem, sizeof sender->result->problem, "%s", text);
    return code;
}

/* ---- hello ---- */

static void say_hello(struct sender *sender, double now)
{
    char *header = twp_wire_hello_header(&sender->options->key);
    if (header) {
        struct twp_frame frames[] = {{TWP_HELLO, strlen(TWP_HELLO)}, {header, strlen(header)}};
        if (link_send(&sender->link, frames, 2))
            sender->asked = true;
    }
    free(header);
    sender->hello_at = now + HELLO_EVERY;
}

static void say_hello_again(struct sender *sender, double now, bool resync)
{
    sender->resync |= resync;
    if (now >= sender->hello_at)
        say_hello(sender, now);
}

/* The first WELCOME. */
static int begin(struct sender *sender, int64_t durable)
{
    sender->durable = durable;
    sender->welcomed = true;
    return GO_ON;
}

static int on_welcome(struct sender *sender, const struct twp_reply *reply, double now)
{
    sender->asked = false;
    if (reply->credit_bytes >= 0)
        sender->credit = reply->credit_bytes;
    if (reply->max_bytes > 0)
        sender->max_bytes = reply->max_bytes;
    if (!sender->welcomed)
        return begin(sender, reply->last_durable_seq);
    if (outbox_ack_through(&sender->outbox, reply->last_durable_seq))
        sender->acked_at = now;
    if (sender->resync) {
        sender->resync = false;
        sender->result->resent += outbox_retry_all(&sender->outbox);
    }
    return GO_ON;
}

/* ---- answers ---- */

static int on_nack(struct sender *sender, const struct twp_reply *reply, double now)
{
    struct feed_result *result = sender->result;
    bool full = !strcmp(reply->code, twp_wire_code(TWP_FULL));
    if (full && !sender->said_full) {
        char detail[256];
        snprintf(detail, sizeof detail, "%s", reply->detail);
        output_clean(detail);
        sender->said_full = true;
        progress_clear(&sender->progress);
        fprintf(stderr, "waiting: the daemon has no room now: %s\n", detail);
    }
    if (full || !strcmp(reply->code, twp_wire_code(TWP_NO_CREDIT))) {
        result->resent += outbox_retry(&sender->outbox, reply->key.seq);
        sender->retry_at = now + sender->backoff;
        sender->backoff = sender->backoff * 2 < BACKOFF_MOST ? sender->backoff * 2 : BACKOFF_MOST;
        return GO_ON;
    }
    if (reply->key.seq >= 0 && reply->key.seq <= sender->durable && !strcmp(reply->code, twp_wire_code(TWP_CONFLICT)))
        snprintf(result->problem, sizeof result->problem,
                 "run %lld of feed %s holds other data at batch %lld: choose another --run",
                 (long long)sender->options->key.run, sender->options->key.feed, (long long)reply->key.seq);
    else if ((result->refused = reply->key.seq) >= 0)
        snprintf(result->problem, sizeof result->problem, "batch %lld was refused: %s: %s", (long long)reply->key.seq,
                 reply->code, reply->detail);
    else
        snprintf(result->problem, sizeof result->problem, "refused: %s: %s", reply->code, reply->detail);
    output_clean(result->problem);
    return CLI_FAILED;
}

static int on_reply(struct sender *sender, const struct twp_reply *reply, double now)
{
    sender->heard = now;
    if (!strcmp(reply->tag, TWP_ACK)) {
        if (outbox_ack(&sender->outbox, reply->key.seq)) {
            sender->acked_at = now;
            sender->resync_after = RESYNC_FIRST;
            sender->backoff = BACKOFF_FIRST;
        }
    } else if (!strcmp(reply->tag, TWP_WELCOME)) {
        return on_welcome(sender, reply, now);
    } else if (!strcmp(reply->tag, TWP_CREDIT)) {
        if (reply->credit_bytes >= 0)
            sender->credit = reply->credit_bytes;
    } else if (!strcmp(reply->tag, TWP_NACK)) {
        return on_nack(sender, reply, now);
    }
    return GO_ON;
}

/* After the first connection, the daemon may have lost what was on its way. */
static void watch_connection(struct sender *sender, double now)
{
    bool again = sender->link.connections > 0;
    if (!link_news(&sender->link))
        return;
    sender->hello_at = now;
    if (again)
        say_hello_again(sender, now, sender->welcomed);
}

/* ---- sending ---- */

/* Of what is durable the first and the last batch of the source are sent as a check; between them nothing is. */
static int pass_over(struct sender *sender)
{
    struct feed_result *result = sender->result;
    int64_t skip = sender->next_seq > sender->options->key.seq ? sender->durable - sender->next_seq : 0;
    if (skip <= 0)
        return GO_ON;
    int64_t skipped = sender->source->skip(sender->source->context, skip, result->problem);
    if (skipped < 0)
        return CLI_FAILED;
    result->skipped += skipped;
    sender->next_seq += skipped;
    sender->ended = skipped < skip; /* everything that we could send is there */
    return GO_ON;
}

/* Takes the next batch from the source into the outbox. */
static int prepare(struct sender *sender)
{
    const float *values;
    const char *const *names;
    size_t rows, cols;
    struct twp_key key = sender->options->key;
    int rc = pass_over(sender);
    if (rc != GO_ON || sender->ended)
        return rc;
    int more = sender->source->next(sender->source->context, &values, &rows, &cols, &names, sender->result->problem);
    if (more <= 0) {
        sender->ended = true;
        return more < 0 ? CLI_FAILED : GO_ON;
    }
    size_t bytes = rows * cols * sizeof *values;
    unsigned char *payload = malloc(TWP_NPY_HEADER + bytes);
    if (payload) {
        twp_npy_header(2, rows, cols, sizeof *values, payload);
        memcpy(payload + TWP_NPY_HEADER, values, bytes);
    }
    key.seq = sender->next_seq;
    char *header = twp_wire_batch_header(&key, names, names ? cols : 0, sender->options->condition,
                                         sender->options->conditions, NULL);
    if (!outbox_add(&sender->outbox, key.seq, rows, header, payload, TWP_NPY_HEADER + bytes))
        return give_up(sender, CLI_FAILED, "out of memory");
    sender->outbox.last->check = key.seq <= sender->durable;
    sender->result->skipped += sender->outbox.last->check;
    sender->next_seq++;
    if (sender->max_bytes > 0 && outbox_cost(sender->outbox.last) > sender->max_bytes) {
        snprintf(sender->result->problem, sizeof sender->result->problem,
                 "a batch takes %lld bytes, and the daemon takes %lld at most: use a smaller --batch",
                 (long long)outbox_cost(sender->outbox.last), (long long)sender->max_bytes);
        return CLI_FAILED;
    }
    return GO_ON;
}

static bool has_credit(const struct sender *sender, const struct outbox_batch *batch)
{
    int64_t after = sender->outbox.bytes + outbox_cost(batch);
    if (after > sender->credit)
        return false;
    return !sender->options->in_flight || after <= sender->options->in_flight || !sender->outbox.bytes;
}

/* Sends what may be sent now. False: the socket takes no more for the moment. */
static bool send_batch(struct sender *sender, struct outbox_batch *batch, double now)
{
    struct twp_frame frames[] = {
        {TWP_BATCH, strlen(TWP_BATCH)}, {batch->header, batch->header_size}, {batch->payload, batch->payload_size}};
    if (!link_send(&sender->link, frames, 3))
        return false;
    if (!sender->outbox.bytes) { /* we begin to wait for answers */
        sender->heard = now;
        sender->acked_at = now;
    }
    if (!batch->sent) {
        sender->result->batches += !batch->check;
        sender->result->events += batch->check ? 0 : (int64_t)batch->rows;
        if (sender->options->rate > 0) {
            double from = sender->send_at > now - BURST ? sender->send_at : now - BURST;
            sender->send_at = from + (double)batch->rows / sender->options->rate;
        }
    }
    outbox_mark_sent(&sender->outbox, batch, now);
    return true;
}

/* Nothing new goes out before we know that it belongs to what is there. */
static bool checking(const struct sender *sender)
{
    return sender->next_seq > sender->durable && sender->outbox.first && sender->outbox.first->check;
}

/* Returns GO_ON or why not; *blocked: waits for the socket; *wake: no need to look again before. */
static int send_all(struct sender *sender, double now, bool *blocked, double *wake)
{
    *blocked = false;
    while (sender->welcomed) {
        struct outbox_batch *batch = outbox_next(&sender->outbox);
        if (!batch) {
            if (sender->ended || checking(sender))
                break;
            int rc = prepare(sender);
            if (rc != GO_ON)
                return rc;
            continue;
        }
        double at = batch->sent                          ? sender->retry_at
                    : sender->send_at > sender->retry_at ? sender->send_at
                                                         : sender->retry_at;
        if (at > now) {
            *wake = at < *wake ? at : *wake;
            break;
        }
        if (!has_credit(sender, batch))
            break;
        if (!send_batch(sender, batch, now)) {
            *blocked = true;
            break;
        }
    }
    return GO_ON;
}

/* ---- time ---- */

static void stop_sending(struct sender *sender, double now)
{
    sender->result->stopped = true;
    sender->ended = true;
    sender->stop_at = now + LAST_ACKS;
    sender->next_seq -= outbox_drop_unsent(&sender->outbox);
}

/* Nothing moves though batches wait and the daemon is there: it gave too little credit. */
static void wait_for_credit(struct sender *sender, double now)
{
    struct outbox_batch *batch = outbox_next(&sender->outbox);
    if (!batch || sender->outbox.bytes || outbox_cost(batch) <= sender->credit)
        return;
    if (now - sender->acked_at > CREDIT_ASK && now - sender->hello_at > CREDIT_ASK - HELLO_EVERY)
        say_hello_again(sender, now, false);
    if (now - sender->acked_at > CREDIT_ASK && !sender->said_credit) {
        sender->said_credit = true;
        progress_clear(&sender->progress);
        fprintf(stderr, "waiting for credit: a batch takes %lld bytes, and the daemon allows %lld now\n",
                (long long)outbox_cost(batch), (long long)sender->credit);
    }
}

/* All is quiet though batches are in flight, or the oldest was overtaken for long: something did not arrive. */
static bool lost(const struct sender *sender, double now)
{
    const struct outbox_batch *oldest = sender->outbox.first;
    return now - sender->heard > sender->resync_after || (!oldest->waiting && now - oldest->sent_at > RESYNC_MOST);
}

static int keep_time(struct sender *sender, double now)
{
    bool waits = sender->outbox.bytes || sender->asked || !sender->welcomed;
    if (timer_signal() && !sender->result->stopped)
        stop_sending(sender, now);
    if (sender->result->stopped && (now > sender->stop_at || timer_signals() > 1 || !sender->welcomed))
        return CLI_AGAIN;
    if (!waits)
        sender->heard = now;
    if (now - sender->heard > sender->options->patience) {
        snprintf(sender->result->problem, sizeof sender->result->problem, "no answer from %s%s",
                 sender->options->endpoint,
                 sender->link.connections ? "" : "; is twind running? (--ingest, TWIN_INGEST)");
        return CLI_UNAVAILABLE;
    }
    if (outbox_empty(&sender->outbox))
        sender->acked_at = now;
    if (sender->options->stall > 0 && now - sender->acked_at > sender->options->stall)
        return give_up(sender, CLI_AGAIN, "nothing was acknowledged within --timeout");
    if (!sender->welcomed || sender->resync || sender->asked)
        say_hello_again(sender, now, false);
    if (sender->outbox.bytes && !sender->resync && lost(sender, now)) {
        sender->resync_after = 2 * sender->resync_after < RESYNC_MOST ? 2 * sender->resync_after : RESYNC_MOST;
        say_hello_again(sender, now, true);
    }
    wait_for_credit(sender, now);
    return GO_ON;
}

static void show(struct sender *sender, double now)
{
    char words[200], left[32] = "";
    struct feed_result *result = sender->result;
    double fraction = sender->source->fraction ? sender->source->fraction(sender->source->context) : -1;
    double seconds = now - sender->began;
    if (fraction > 0.02 && fraction < 1)
        snprintf(left, sizeof left, ", %.0f s left", seconds * (1 - fraction) / fraction);
    snprintf(words, sizeof words, "%lld %s, %.0f events/s, %lld of %lld %s acked%s", (long long)result->events,
             output_noun(result->events, "event", "events"), seconds > 0 ? (double)result->events / seconds : 0.0,
             (long long)sender->outbox.acked, (long long)result->batches,
             output_noun(result->batches, "batch", "batches"), left);
    progress_update(&sender->progress, fraction, sender->welcomed ? words : "waiting for the daemon");
}

/* All answers that are there. */
static int receive_all(struct sender *sender, double now)
{
    struct twp_reply reply;
    int rc = GO_ON;
    while (rc == GO_ON && link_receive(&sender->link, &reply))
        rc = on_reply(sender, &reply, now);
    return rc;
}

static int loop(struct sender *sender)
{
    for (;;) {
        double now = timer_now(), wake = now + 0.1;
        bool blocked = false;
        int rc = receive_all(sender, now);
        watch_connection(sender, now);
        if (rc == GO_ON)
            rc = keep_time(sender, now);
        if (rc == GO_ON)
            rc = send_all(sender, now, &blocked, &wake);
        if (rc != GO_ON)
            return rc;
        if (sender->ended && outbox_empty(&sender->outbox))
            return CLI_OK;
        show(sender, now);
        if (!link_wait(&sender->link, blocked, wake - now))
            return give_up(sender, CLI_FAILED, zmq_strerror(errno));
    }
}

int feed_run(const struct feed_options *options, const struct feed_source *source, bool quiet,
             struct feed_result *result)
{
    double now = timer_now();
    struct sender sender = {.options = options,
                            .source = source,
                            .result = result,
                            .next_seq = options->key.seq,
                            .durable = -1,
                            .credit = TWP_FREE_CREDIT,
                            .began = now,
                            .heard = now,
                            .acked_at = now,
                            .hello_at = now,
                            .resync_after = RESYNC_FIRST,
                            .backoff = BACKOFF_FIRST,
                            .send_at = now};
    int rc;
    *result = (struct feed_result){.refused = -1};
    progress_init(&sender.progress, "feed", quiet);
    if (link_open(&sender.link, options->endpoint)) {
        rc = loop(&sender);
    } else {
        rc = CLI_USAGE;
        snprintf(result->problem, sizeof result->problem, "%s: %s", options->endpoint, zmq_strerror(errno));
    }
    progress_clear(&sender.progress);
    link_close(&sender.link);
    result->acked = sender.outbox.acked;
    result->stopped |= timer_signal() != 0;
    result->resumed_from = options->key.seq + result->skipped;
    result->next_seq = outbox_first_seq(&sender.outbox, sender.next_seq);
    if (result->next_seq < result->resumed_from)
        result->next_seq = result->resumed_from; /* a check waits for its answer */
    result->seconds = timer_now() - sender.began;
    outbox_fini(&sender.outbox);
    return rc;
}
