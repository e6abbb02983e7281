/* Lines of a file that may be a pipe. */
#include "client/lines.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/timer.h"

enum { PIECE = 1 << 16, LINE_MAX_BYTES = 1 << 20 };

static bool make_room(struct lines *lines)
{
    if (lines->capacity - lines->used >= PIECE)
        return true;
    size_t capacity = 2 * lines->capacity + PIECE;
    char *text = realloc(lines->text, capacity + 1);
    if (!text)
        return false;
    lines->text = text;
    lines->capacity = capacity;
    return true;
}

bool lines_fill(struct lines *lines, char problem[512])
{
    ssize_t n;
    if (lines->ended)
        return false;
    if (!make_room(lines)) {
        snprintf(problem, 512, "out of memory");
        return false;
    }
    do {
        n = read(lines->file, lines->text + lines->used, PIECE);
    } while (n < 0 && errno == EINTR && !timer_signal());
    if (n < 0 && errno != EINTR)
        snprintf(problem, 512, "%s: %s", lines->name, strerror(errno));
    lines->ended = n <= 0;
    lines->used += n > 0 ? (size_t)n : 0;
    lines->text[lines->used] = 0;
    return n > 0;
}

size_t lines_take(struct lines *lines, int64_t count, int64_t *found, char problem[512])
{
    size_t at = lines->header;
    *found = 0;
    while (*found < count) {
        char *end = lines->used > at ? memchr(lines->text + at, '\n', lines->used - at) : NULL;
        if (!end && !lines->ended && lines->used - at > LINE_MAX_BYTES) {
            snprintf(problem, 512, "%s: a line of more than a megabyte: is that CSV?", lines->name);
            return at;
        }
        if (!end && lines_fill(lines, problem))
            continue;
        if (*problem || (!end && at == lines->used))
            return at;
        at = end ? (size_t)(end - lines->text) + 1 : lines->used;
        ++*found;
    }
    return at;
}

bool lines_head(struct lines *lines, char problem[512])
{
    int64_t found;
    size_t end = lines_take(lines, 1, &found, problem);
    if (*problem || !found)
        return false;
    lines->header = end;
    if (lines->text[end - 1] != '\n') { /* a header and nothing else; looking for its end has made room for a byte */
        strcpy(lines->text + end, "\n");
        lines->header = lines->used = end + 1;
    }
    return true;
}

bool lines_rename(struct lines *lines, size_t old, const char *header)
{
    size_t length = strlen(header) + 1, rest = lines->used - old;
    char *text = malloc(length + rest + PIECE + 1);
    if (!text)
        return false;
    memcpy(text, header, length - 1);
    text[length - 1] = '\n';
    memcpy(text + length, lines->text + old, rest + 1);
    free(lines->text);
    lines->text = text;
    lines->header = length;
    lines->used = length + rest;
    lines->capacity = length + rest + PIECE;
    return true;
}

void lines_cut(struct lines *lines, size_t bytes)
{
    memmove(lines->text, lines->text + bytes, lines->used - bytes + 1);
    lines->header -= bytes;
    lines->used -= bytes;
}

void lines_drop(struct lines *lines, size_t end)
{
    memmove(lines->text + lines->header, lines->text + end, lines->used - end + 1);
    lines->used -= end - lines->header;
}

void lines_fini(struct lines *lines)
{
    free(lines->text);
    memset(lines, 0, sizeof *lines);
}
