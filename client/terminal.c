/* The terminal while a view fills it.
 *
 * The handlers call write, tcsetattr, sigaction, pthread_sigmask and raise, which POSIX allows in them. A sequence that
 * a signal cuts in two does no harm: the one that follows begins with ESC, which ends it.
 */
#include "client/terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "client/timer.h"

/* Another screen, no cursor, lines that are cut and not wrapped; and all of it back. */
#define ENTER "\033[?1049h\033[?25l\033[?7l\033[2J"
#define LEAVE "\033[0m\033[?7h\033[?25h\033[?1049l"

static const int fatal[] = {SIGHUP, SIGQUIT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
enum { FATAL = sizeof fatal / sizeof *fatal };

static volatile sig_atomic_t opened, entered, changed;
static bool keys;             /* standard input is the terminal, too */
static struct termios before; /* with `keys` */
static struct termios during;

static void put(const char *text)
{
    ssize_t ignored = write(STDOUT_FILENO, text, strlen(text));
    (void)ignored;
}

/* In the background tcsetattr stops the program until it is continued. What says then that it is to end, as `kill %1`
 * does, finds the terminal as it was left, and it stays so. */
static void enter(void)
{
    while (keys && tcsetattr(STDIN_FILENO, TCSANOW, &during) && errno == EINTR)
        if (timer_signal())
            return;
    put(ENTER);
    entered = 1;
    changed = 1;
}

static void leave(void)
{
    if (!entered)
        return;
    entered = 0;
    put(LEAVE);
    if (keys)
        tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

/* ---- signals ---- */

/* Of a signal that came while the program was stopped and the SIGCONT behind it, the signal is handled first: see also
 * timer_catch_signals. */
static void handle(int number, void (*handler)(int))
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGCONT);
    sigaction(number, &action, NULL);
}

/* The default action of a signal whose handler is running. */
static void default_action(int number)
{
    sigset_t only;
    handle(number, SIG_DFL);
    sigemptyset(&only);
    sigaddset(&only, number);
    raise(number);
    pthread_sigmask(SIG_UNBLOCK, &only, NULL);
}

static void on_end(int number)
{
    leave();
    default_action(number);
}

static void on_stop(int number)
{
    int error = errno;
    leave();
    default_action(number); /* goes on at SIGCONT, whose handler enters again */
    if (opened)
        handle(number, on_stop);
    errno = error;
}

static void on_continue(int number)
{
    int error = errno;
    if (opened && !timer_signal())
        enter();
    errno = error;
}

static void on_size(int number)
{
    changed = 1;
}

/* What the program was started to ignore, as by nohup, stays ignored. */
static void handle_unless_ignored(int number, void (*handler)(int))
{
    struct sigaction now;
    if (!sigaction(number, NULL, &now) && now.sa_handler != SIG_IGN)
        handle(number, handler);
}

static void set_handlers(bool ours)
{
    handle_unless_ignored(SIGTSTP, ours ? on_stop : SIG_DFL);
    handle_unless_ignored(SIGCONT, ours ? on_continue : SIG_DFL);
    handle_unless_ignored(SIGWINCH, ours ? on_size : SIG_DFL);
    for (int i = 0; i < FATAL; i++)
        handle_unless_ignored(fatal[i], ours ? on_end : SIG_DFL);
}

/* ---- life ---- */

bool terminal_able(void)
{
    const char *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

void terminal_open(void)
{
    keys = isatty(STDIN_FILENO) && !tcgetattr(STDIN_FILENO, &before);
    during = before;
    during.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    during.c_cc[VMIN] = 0;
    during.c_cc[VTIME] = 0;
    opened = 1;
    set_handlers(true);
    atexit(terminal_close);
    enter();
}

void terminal_close(void)
{
    if (!opened)
        return;
    bool was_entered = entered;
    opened = 0;
    leave();
    if (keys && was_entered)
        tcflush(STDIN_FILENO, TCIFLUSH); /* what was typed at the view is not for the shell */
    set_handlers(false);
}

/* ---- output and keys ---- */

bool terminal_changed(void)
{
    bool was = changed;
    changed = 0;
    return was;
}

void terminal_size(int *rows, int *columns)
{
    struct winsize size;
    bool known = !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_row && size.ws_col;
    *rows = known ? size.ws_row : 24;
    *columns = known ? size.ws_col : 80;
}

bool terminal_write(const char *bytes, size_t size)
{
    while (size) {
        ssize_t n = write(STDOUT_FILENO, bytes, size);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return false;
        if (n > 0) {
            bytes += n;
            size -= (size_t)n;
        }
        if (timer_signal())
            return true; /* a terminal that takes nothing must not keep us */
    }
    return true;
}

/* ESC [ A and ESC O A are the arrow up, and so on; of other sequences nothing is left. */
static int read_key(void)
{
    static const int arrows[] = {TERMINAL_UP, TERMINAL_DOWN, TERMINAL_RIGHT, TERMINAL_LEFT};
    static enum { PLAIN, ESCAPE, SEQUENCE } state;
    unsigned char c;
    while (read(STDIN_FILENO, &c, 1) == 1) {
        switch (state) {
        case PLAIN:
            if (c != 033)
                return c;
            state = ESCAPE;
            break;
        case ESCAPE:
            state = c == '[' || c == 'O' ? SEQUENCE : PLAIN;
            break;
        case SEQUENCE:
            if (c >= 0x40)
                state = PLAIN;
            if (c >= 'A' && c <= 'D')
                return arrows[c - 'A'];
            break;
        }
    }
    return TERMINAL_NONE;
}

int terminal_key(double seconds)
{
    double end = timer_now() + seconds, left;
    do {
        int key = keys ? read_key() : TERMINAL_NONE;
        if (key != TERMINAL_NONE || changed)
            return key;
        left = end - timer_now();
        /* A signal between the look at the flags and the wait costs a tenth of a second at most. */
        int nap = left < 0 ? 0 : left < 0.1 ? (int)(left * 1e3) + 1 : 100;
        struct pollfd input = {.fd = keys ? STDIN_FILENO : -1, .events = POLLIN};
        poll(&input, 1, nap);
        if (input.revents & (POLLHUP | POLLERR | POLLNVAL))
            keys = false;
    } while (left > 0 && !timer_signal());
    return TERMINAL_NONE;
}
