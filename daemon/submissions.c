/* A list under a lock. A submission lives on the stack of the thread that waits for it. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/status.h"
#include "daemon/submissions.h"

struct submissions {
    int bell;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t finished;
    struct submission *first, **last;
    bool stopped;
};

struct submissions *submissions_new(void)
{
    struct submissions *submissions = calloc(1, sizeof *submissions);
    if (!submissions)
        return NULL;
    submissions->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (submissions->bell < 0) {
        free(submissions);
        return NULL;
    }
    submissions->last = &submissions->first;
    pthread_mutex_init(&submissions->lock, NULL);
    pthread_cond_init(&submissions->finished, NULL);
    return submissions;
}

void submissions_free(struct submissions *submissions)
{
    if (!submissions)
        return;
    close(submissions->bell);
    pthread_cond_destroy(&submissions->finished);
    pthread_mutex_destroy(&submissions->lock);
    free(submissions);
}

int submissions_bell(const struct submissions *submissions)
{
    return submissions->bell;
}

int submissions_put(struct submissions *submissions, struct submission *submission)
{
    submission->done = false;
    submission->next = NULL;
    pthread_mutex_lock(&submissions->lock);
    if (submissions->stopped) {
        pthread_mutex_unlock(&submissions->lock);
        return TW_BUSY;
    }
    *submissions->last = submission;
    submissions->last = &submission->next;
    eventfd_write(submissions->bell, 1);
    while (!submission->done)
        pthread_cond_wait(&submissions->finished, &submissions->lock);
    pthread_mutex_unlock(&submissions->lock);
    return submission->status;
}

struct submission *submissions_take(struct submissions *submissions)
{
    pthread_mutex_lock(&submissions->lock);
    struct submission *submission = submissions->first;
    if (submission) {
        submissions->first = submission->next;
        if (!submissions->first)
            submissions->last = &submissions->first;
    }
    pthread_mutex_unlock(&submissions->lock);
    return submission;
}

void submissions_finish(struct submissions *submissions, struct submission *submission, int status)
{
    pthread_mutex_lock(&submissions->lock);
    submission->status = status;
    submission->done = true;
    pthread_cond_broadcast(&submissions->finished);
    pthread_mutex_unlock(&submissions->lock);
}

void submissions_stop(struct submissions *submissions)
{
    pthread_mutex_lock(&submissions->lock);
    submissions->stopped = true;
    pthread_mutex_unlock(&submissions->lock);
    eventfd_write(submissions->bell, 1);
}

bool submissions_stopped(struct submissions *submissions)
{
    pthread_mutex_lock(&submissions->lock);
    bool stopped = submissions->stopped;
    pthread_mutex_unlock(&submissions->lock);
    return stopped;
}
