/* Progress of long work on stderr. */
#include "client/progress.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client/timer.h"

static const double REDRAW = 0.1, LINE = 5.0; /* seconds */

void progress_init(struct progress *progress, const char *label, bool quiet)
{
    *progress = (struct progress){.label = label, .quiet = quiet, .terminal = isatty(STDERR_FILENO)};
    progress->next = progress->terminal ? 0 : timer_now() + LINE;
}

static int terminal_width(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || size.ws_col < 20)
        return 80;
    return size.ws_col;
}

static void draw(const struct progress *progress, double fraction, const char *words)
{
    enum { CELLS = 24 };
    char line[256];
    if (fraction >= 0) {
        char bar[CELLS + 1];
        for (int i = 0; i < CELLS; i++)
            bar[i] = i < (int)(fraction * CELLS) ? '#' : '.';
        bar[CELLS] = 0;
        snprintf(line, sizeof line, "%s [%s] %3.0f %%  %s", progress->label, bar, 100 * fraction, words);
    } else {
        snprintf(line, sizeof line, "%s  %s", progress->label, words);
    }
    fprintf(stderr, "\r\033[K%.*s", terminal_width() - 1, line);
    fflush(stderr);
}

void progress_update(struct progress *progress, double fraction, const char *words)
{
    double now = timer_now();
    if (progress->quiet || now < progress->next)
        return;
    if (!words)
        words = "";
    if (fraction > 1)
        fraction = 1;
    progress->next = now + (progress->terminal ? REDRAW : LINE);
    if (progress->terminal) {
        draw(progress, fraction, words);
        progress->drawn = true;
    } else if (fraction >= 0) {
        fprintf(stderr, "%s: %.0f %%  %s\n", progress->label, 100 * fraction, words);
    } else {
        fprintf(stderr, "%s: %s\n", progress->label, words);
    }
}

void progress_clear(struct progress *progress)
{
    if (progress->drawn)
        fputs("\r\033[K", stderr);
    progress->drawn = false;
}
