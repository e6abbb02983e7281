/* Lines of a file that may be a pipe: a header line that stays, and behind it what was read and not used yet. */
#ifndef CLIENT_LINES_H
#define CLIENT_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lines {
    const char *name; /* for sentences */
    int file;
    char *text;    /* ends in 0 */
    size_t header; /* bytes of the header line, its newline included */
    size_t used, capacity;
    bool ended; /* nothing comes any more */
};

/* Reads a piece more. False at the end, on a signal, or with a sentence in `problem`, which is not touched else. */
bool lines_fill(struct lines *lines, char problem[512]);
/* Where the `count`-th line behind the header ends, reading on as needed; *found: how many lines there are up to it.
 * The last line of the file may lack its newline. On failure there is a sentence in `problem`. */
size_t lines_take(struct lines *lines, int64_t count, int64_t *found, char problem[512]);
/* Makes the first line the header. False if there is none, or with a sentence. */
bool lines_head(struct lines *lines, char problem[512]);
/* Puts `header` in place of the first `old` bytes: of the header there is, or of nothing. False when memory is out. */
bool lines_rename(struct lines *lines, size_t old, const char *header);
/* Forgets the first bytes of the header, less than all of it. */
void lines_cut(struct lines *lines, size_t bytes);
/* Forgets what is between the header and `end`. */
void lines_drop(struct lines *lines, size_t end);
void lines_fini(struct lines *lines);

#endif
