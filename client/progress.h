/* Progress of long work on stderr: a bar that is redrawn on a terminal, a line every few seconds elsewhere. */
#ifndef CLIENT_PROGRESS_H
#define CLIENT_PROGRESS_H

#include <stdbool.h>

struct progress {
    const char *label;
    bool quiet, terminal;
    bool drawn;  /* a bar stands on the current line */
    double next; /* time of the next drawing */
};

void progress_init(struct progress *progress, const char *label, bool quiet);
/* `fraction` 0..1, or below 0 where the end is not known; `words` may be NULL. */
void progress_update(struct progress *progress, double fraction, const char *words);
/* Removes the bar, so that words or data can be printed. */
void progress_clear(struct progress *progress);

#endif
