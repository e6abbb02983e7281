#include "daemon/answers.h"

#include <stdio.h>
#include <string.h>

#include "daemon/clock.h"
#include "daemon/feeds.h"
#include "daemon/ingest.h"
#include "daemon/log.h"
#include "daemon/shortage.h"

/* At most one line a second: a feed that is wrong is wrong with every batch. */
static void log_refusal(struct answers *answers, const struct job *job)
{
    char quoted[400];
    double now = clock_monotonic();
    if (answers->refusal_logged_s > 0 && now - answers->refusal_logged_s < 1) {
        answers->refusals_unlogged++;
        return;
    }
    log_warning("batch_refused", "twin=%s feed=%s run=%lld seq=%lld code=%s detail=%s unlogged=%llu", job->key.twin,
                job->key.feed, (long long)job->key.run, (long long)job->key.seq, twp_wire_code(job->code),
                log_quote(job->detail, quoted, sizeof quoted), (unsigned long long)answers->refusals_unlogged);
    answers->refusal_logged_s = now;
    answers->refusals_unlogged = 0;
}

static void nack(struct answers *answers, const struct job *job, const struct message *to)
{
    log_refusal(answers, job);
    message_reply(answers->router, to, TWP_NACK, twp_wire_nack(&job->key, job->code, job->detail));
}

/* --- hello --- */

/* The twin that a hello is about, or NULL with the job refused. */
static struct twin *read_hello(struct answers *answers, struct job *job)
{
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
    } else if (code == TWP_OK && !(twin = registry_find(answers->registry, job->key.twin))) {
        code = TWP_UNKNOWN_TWIN;
        snprintf(job->detail, sizeof job->detail, "there is no twin \"%s\"", job->key.twin);
    }
    job->code = code;
    return twin;
}

static void answer_hello(struct answers *answers, struct job *job, const struct message *from)
{
    struct credit *credit = answers->credit;
    struct twin *twin = read_hello(answers, job);
    if (!twin) {
        nack(answers, job, from);
        return;
    }
    pthread_mutex_lock(&twin->lock);
    int64_t last = feeds_last_durable(twin->feeds, job->key.feed, job->key.run);
    pthread_mutex_unlock(&twin->lock);
    bool behind = group_behind(twin, credit_spool(credit));
    registry_twin_unref(twin);
    credit_greet(credit, from);
    guard_valid(answers->guard, from->fd);
    log_info("feed_hello", "twin=%s feed=%s run=%lld last_durable_seq=%lld", job->key.twin, job->key.feed,
             (long long)job->key.run, (long long)last);
    int64_t most = credit_most(credit);
    most = most < (int64_t)TWP_BATCH_BYTES_MAX ? most : (int64_t)TWP_BATCH_BYTES_MAX;
    message_reply(answers->router, from, TWP_WELCOME,
                  twp_wire_welcome(&job->key, last, behind ? 0 : credit_share(credit), most));
    if (behind)
        credit_wait(credit, &job->key, from);
}

/* --- batches --- */

static void answer_submission(struct answers *answers, const struct job *job, struct submission *submission)
{
    struct ingest_result *result = submission->result;
    *result = (struct ingest_result){.code = job->code,
                                     .key = job->key,
                                     .ordinal = job->ordinal,
                                     .duplicate = job->duplicate,
                                     .pruned = job->pruned};
    memcpy(result->detail, job->detail, sizeof result->detail);
    submissions_finish(answers->submissions, submission, 0);
}

static void answer_message(struct answers *answers, struct job *job, const struct message *from)
{
    if (job->hello) {
        answer_hello(answers, job, from);
    } else if (job->code != TWP_OK) {
        nack(answers, job, from);
    } else {
        guard_valid(answers->guard, from->fd);
        message_reply(answers->router, from, TWP_ACK, twp_wire_ack(&job->key));
    }
}

/* A feed that was refused for want of credit, and would fit now that the group is answered, is told so. */
static void return_credit(struct answers *answers, const struct job *job, const struct message *to)
{
    int64_t share = credit_share(answers->credit);
    if (!job->behind && job->code == TWP_NO_CREDIT && (int64_t)to->bytes <= share &&
        credit_greeted(answers->credit, to))
        message_reply(answers->router, to, TWP_CREDIT, twp_wire_credit(&job->key, share));
}

void answers_send(struct answers *answers, struct job *jobs, const struct source *sources, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (sources[i].submission)
            answer_submission(answers, &jobs[i], sources[i].submission);
        else
            answer_message(answers, &jobs[i], &sources[i].message);
    }
    for (size_t i = 0; i < count; i++) {
        const struct message *to = sources[i].submission ? NULL : &sources[i].message;
        if (jobs[i].behind)
            credit_hold_back(answers->credit, &jobs[i].key, to, jobs[i].detail);
        if (to)
            return_credit(answers, &jobs[i], to);
    }
}
