/* One thread that waits for a signal while the daemon starts, and one that waits for the end. Neither touches anything
 * of the daemon's. */
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/patience.h"

static pthread_t watcher;
static bool watching;
static struct sigaction before_term, before_int;
static bool ready; /* atomic */

static struct {
    double seconds;
    int status;
} end;

static void *watch_start(void *unused)
{
    const struct timespec moment = {.tv_nsec = 50 * 1000000};
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    while (!__atomic_load_n(&ready, __ATOMIC_ACQUIRE)) {
        int number = sigtimedwait(&signals, NULL, &moment);
        if (number > 0) {
            log_info("stopped", "signal=%s reason=\"told to while starting\"", sigabbrev_np(number));
            _exit(EXIT_SUCCESS);
        }
    }
    return NULL;
}

/* OpenBLAS starts a thread when it is loaded, before anything can be blocked: the signal may come there. */
static void leave(int number)
{
    _exit(EXIT_SUCCESS);
}

void patience_start(void)
{
    const struct sigaction leaving = {.sa_handler = leave};
    sigaction(SIGTERM, &leaving, &before_term);
    sigaction(SIGINT, &leaving, &before_int);
    watching = pthread_create(&watcher, NULL, watch_start, NULL) == 0;
}

void patience_ready(void)
{
    __atomic_store_n(&ready, true, __ATOMIC_RELEASE);
    if (watching)
        pthread_join(watcher, NULL);
    watching = false;
    sigaction(SIGTERM, &before_term, NULL);
    sigaction(SIGINT, &before_int, NULL);
}

static void *watch_end(void *unused)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)end.seconds;
    until.tv_nsec += (long)((end.seconds - (double)(time_t)end.seconds) * 1e9);
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0)
        ;
    log_warning("stop_cut_short", "seconds=%.1f reason=\"what was under way is repeated at the next start\"",
                end.seconds);
    _exit(end.status);
}

void patience_end(double seconds, int status)
{
    pthread_t thread;
    end.seconds = seconds;
    end.status = status;
    if (pthread_create(&thread, NULL, watch_end, NULL) == 0)
        pthread_detach(thread);
}
