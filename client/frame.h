/* A screen of text that is made line by line, and shown in place: only lines that differ from what is there are
 * written, so that nothing flickers. What does not fit into the width is cut. */
#ifndef CLIENT_FRAME_H
#define CLIENT_FRAME_H

#include <stdbool.h>
#include <stddef.h>

#include "client/output.h"

enum { FRAME_ROWS = 400, FRAME_LINE = 4096 };

struct frame_line {
    char text[FRAME_LINE];
    size_t used;
};

struct frame {
    int rows, columns;
    bool colours, utf8;
    int row, column;                /* where the next text goes */
    struct frame_line *now, *shown; /* (FRAME_ROWS) each */
};

/* False when memory is out. */
bool frame_init(struct frame *frame);
void frame_fini(struct frame *frame);

/* Begins a new picture. */
void frame_begin(struct frame *frame, int rows, int columns);
/* Text in a colour; control characters become spaces. */
void frame_put(struct frame *frame, enum output_colour colour, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Bold text, for headings; as it is where there are no colours. */
void frame_bold(struct frame *frame, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Spaces up to a column. */
void frame_to(struct frame *frame, int column);
void frame_end_line(struct frame *frame);
/* Begins a row anew, whatever stands in it. */
void frame_row(struct frame *frame, int row);
/* One cell of a curve: `level` 0 to 1, from 1 on full; NaN is empty. */
void frame_level(struct frame *frame, enum output_colour colour, double level);

/* Writes what differs, or with `all` everything. False when the terminal has gone. */
bool frame_show(struct frame *frame, bool all);

#endif
