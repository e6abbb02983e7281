/* Command-line options from a table: one entry names the option, its argument, where the value goes and what the help
 * says, so that parser and help cannot disagree. What is mistyped gets a suggestion. */
#ifndef CLIENT_OPTIONS_H
#define CLIENT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum options_kind {
    OPTIONS_FLAG,     /* bool *target */
    OPTIONS_TEXT,     /* const char **target */
    OPTIONS_COUNT,    /* int64_t *target, >= 0 */
    OPTIONS_POSITIVE, /* int64_t *target, >= 1 */
    OPTIONS_NUMBER,   /* double *target, finite, >= 0 */
    OPTIONS_LIST,     /* struct options_list *target: may be given again */
};

struct options_entry {
    const char *name;
    char letter; /* 0: none */
    enum options_kind kind;
    void *target;
    const char *argument; /* as the help shows it; NULL for a flag */
    const char *help;
};

#define OPTIONS_LIST_MAX 64
struct options_list {
    const char *item[OPTIONS_LIST_MAX];
    size_t count;
};

/* Parses argv[1..]; the positional arguments end up at argv[*first..argc). With `leading` it stops at the first
 * positional argument. Returns false with a sentence in `problem`. */
bool options_parse(const struct options_entry *entries, size_t count, bool leading, int argc, char **argv, int *first,
                   char problem[256]);

void options_help(FILE *stream, const struct options_entry *entries, size_t count);

/* The candidate closest to `word` (insertions, deletions, exchanges, neighbours swapped), NULL if none is close. */
const char *options_suggest(const char *word, const char *const *candidates, size_t count);

/* Whole texts only. */
bool options_read_count(const char *text, int64_t *value);
bool options_read_number(const char *text, double *value);
/* "A:B", "A:", ":B": rows from A up to, not including, B; INT64_MAX where B is open. */
bool options_read_range(const char *text, int64_t *from, int64_t *to);
/* "NAME=VALUE"; name has room for `size` bytes. */
bool options_read_setting(const char *text, char *name, size_t size, double *value);

#endif
