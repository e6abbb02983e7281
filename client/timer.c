/* Monotonic time and the flag of the signals that say stop. */
#include "client/timer.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t last_signal, signals;

static void remember(int number)
{
    last_signal = number;
    signals = signals + 1;
}

/* That a peer of a socket has left is said by the call that writes; here it matters that nobody reads what we say. */
static void look_for_reader(int number)
{
    int before = errno;
    struct pollfd outputs[] = {{.fd = STDOUT_FILENO}, {.fd = STDERR_FILENO}};
    if (poll(outputs, 2, 0) > 0)
        remember(number);
    errno = before;
}

void timer_catch_signals(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = remember;
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGCONT); /* who goes on only to end knows it by then */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = look_for_reader;
    sigaction(SIGPIPE, &action, NULL);
}

int timer_signal(void)
{
    return last_signal;
}

int timer_signals(void)
{
    return signals;
}

double timer_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

bool timer_sleep(double seconds)
{
    double end = timer_now() + seconds, left;
    while (!last_signal && (left = end - timer_now()) > 0) {
        /* A signal between the look at the flag and the sleep costs a tenth of a second at most. */
        double nap = left < 0.1 ? left : 0.1;
        struct timespec wait = {0, (long)(nap * 1e9)};
        nanosleep(&wait, NULL);
    }
    return !last_signal;
}
