/* Data on stdout: JSON values from the daemon shown as a table, as CSV or as they are.
 *
 * Texts that came from elsewhere never reach a terminal with control characters in them.
 */
#ifndef CLIENT_OUTPUT_H
#define CLIENT_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <jansson.h>

enum output_format { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_CSV };

enum output_kind {
    OUTPUT_TEXT,   /* as it is; also whole numbers and booleans */
    OUTPUT_NUMBER, /* four digits in tables */
    OUTPUT_TIME,   /* RFC 3339 in, local time in tables */
    OUTPUT_CLOCK,  /* the same, without its date */
    OUTPUT_HASH,   /* the first 12 digits in tables */
};

enum output_colour { OUTPUT_PLAIN, OUTPUT_GOOD, OUTPUT_BAD, OUTPUT_UNSURE };

struct output_column {
    const char *title;
    const char *path; /* "champion.version": members of members */
    enum output_kind kind;
    enum output_colour (*colour)(const json_t *row); /* NULL: plain */
};

bool output_format_read(const char *text, enum output_format *format);

/* True where colours may be used: a terminal, NO_COLOR unset or empty, TERM not dumb. */
bool output_colours(FILE *stream);
/* The escape sequence of a colour, and the one that ends it. */
const char *output_paint(enum output_colour colour);
#define OUTPUT_END "\033[0m"

/* Rows are JSON objects in an array. `heading` false leaves the titles out. */
void output_items(FILE *stream, enum output_format format, const json_t *items, const struct output_column *columns,
                  size_t count, bool heading);
/* One object: "member  value" lines with dotted names, CSV "member,value", or JSON. */
void output_object(FILE *stream, enum output_format format, const json_t *object);
void output_json(FILE *stream, const json_t *value);

/* The member at a dotted path, NULL if there is none or it is null. */
const json_t *output_at(const json_t *object, const char *path);
/* Text of the member at a dotted path as a table shows it; "-" where there is none. Returns `text`. */
const char *output_cell(const json_t *object, const char *path, enum output_kind kind, char *text, size_t size);
/* "batch" or "batches": the noun that fits the number before it. */
const char *output_noun(int64_t count, const char *one, const char *many);
/* Replaces control characters, in place. Returns `text`. */
char *output_clean(char *text);

#endif
