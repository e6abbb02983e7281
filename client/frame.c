/* A screen of text that is made line by line, and shown in place. */
#include "client/frame.h"

#include <langinfo.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "client/terminal.h"

#define BOLD "\033[1m"

bool frame_init(struct frame *frame)
{
    *frame = (struct frame){.colours = output_colours(stdout), .utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8")};
    frame->now = calloc(FRAME_ROWS, sizeof *frame->now);
    frame->shown = calloc(FRAME_ROWS, sizeof *frame->shown);
    return frame->now && frame->shown;
}

void frame_fini(struct frame *frame)
{
    free(frame->now);
    free(frame->shown);
    memset(frame, 0, sizeof *frame);
}

void frame_begin(struct frame *frame, int rows, int columns)
{
    frame->rows = rows < FRAME_ROWS ? rows : FRAME_ROWS;
    frame->columns = columns;
    frame->row = frame->column = 0;
    for (int i = 0; i < frame->rows; i++)
        frame->now[i].used = 0;
}

/* Room is kept for the end of a colour. */
static void append(struct frame *frame, const char *bytes, size_t size)
{
    struct frame_line *line = &frame->now[frame->row];
    if (line->used + size + sizeof OUTPUT_END > sizeof line->text)
        return;
    memcpy(line->text + line->used, bytes, size);
    line->used += size;
}

/* Character by character, with the cells that each takes; what the locale does not know is a question mark. */
static void append_clipped(struct frame *frame, const char *text)
{
    mbstate_t state;
    memset(&state, 0, sizeof state);
    while (*text) {
        wchar_t c;
        size_t size = mbrtowc(&c, text, MB_LEN_MAX, &state);
        bool known = size && size <= MB_LEN_MAX;
        int cells = known ? wcwidth(c) : 1;
        if (!known) {
            memset(&state, 0, sizeof state);
            size = 1;
        }
        if (frame->column + (cells < 0 ? 1 : cells) > frame->columns) {
            frame->column = frame->columns;
            return;
        }
        if (known && cells >= 0)
            append(frame, text, size);
        else
            append(frame, "?", 1);
        frame->column += cells < 0 ? 1 : cells;
        text += size;
    }
}

static void put(struct frame *frame, const char *paint, const char *format, va_list arguments)
{
    char text[1024];
    if (frame->row >= frame->rows || frame->column >= frame->columns)
        return;
    vsnprintf(text, sizeof text, format, arguments);
    output_clean(text);
    bool painted = frame->colours && *paint && *text;
    if (painted)
        append(frame, paint, strlen(paint));
    append_clipped(frame, text);
    if (painted) {
        struct frame_line *line = &frame->now[frame->row];
        memcpy(line->text + line->used, OUTPUT_END, sizeof OUTPUT_END - 1);
        line->used += sizeof OUTPUT_END - 1;
    }
}

void frame_put(struct frame *frame, enum output_colour colour, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    put(frame, output_paint(colour), format, arguments);
    va_end(arguments);
}

void frame_bold(struct frame *frame, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    put(frame, BOLD, format, arguments);
    va_end(arguments);
}

void frame_to(struct frame *frame, int column)
{
    if (column > frame->column)
        frame_put(frame, OUTPUT_PLAIN, "%*s", column - frame->column, "");
}

void frame_end_line(struct frame *frame)
{
    frame->row++;
    frame->column = 0;
}

void frame_row(struct frame *frame, int row)
{
    frame->row = row;
    frame->column = 0;
    if (row < frame->rows)
        frame->now[row].used = 0;
}

void frame_level(struct frame *frame, enum output_colour colour, double level)
{
    static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const letters[] = {"_", ".", ":", "-", "=", "+", "*", "#"};
    int step = level >= 1 ? 7 : level > 0 ? (int)(level * 7) : 0;
    frame_put(frame, colour, "%s", isnan(level) ? " " : frame->utf8 ? blocks[step] : letters[step]);
}

bool frame_show(struct frame *frame, bool all)
{
    char *out = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&out, &size);
    if (!stream)
        return true; /* the next picture may find memory */
    if (all)
        fputs("\033[2J", stream);
    for (int i = 0; i < frame->rows; i++) {
        struct frame_line *now = &frame->now[i], *shown = &frame->shown[i];
        if (!all && now->used == shown->used && !memcmp(now->text, shown->text, now->used))
            continue;
        fprintf(stream, "\033[%d;1H%.*s\033[K", i + 1, (int)now->used, now->text);
        memcpy(shown->text, now->text, now->used);
        shown->used = now->used;
    }
    bool fine = !fclose(stream) ? terminal_write(out, size) : true;
    free(out);
    return fine;
}
