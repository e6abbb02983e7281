/* Command-line options: the table becomes what getopt_long wants, its errors become sentences. */
#include "client/options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ENTRIES_MAX = 64, WORD_MAX = 64, FIRST_VALUE = 256 };

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment: edit distance with swaps of neighbours,
 * https://en.wikipedia.org/wiki/Damerau-Levenshtein_distance */
static size_t distance(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b), row[3][WORD_MAX + 1];
    if (la > WORD_MAX || lb > WORD_MAX)
        return WORD_MAX;
    for (size_t j = 0; j <= lb; j++)
        row[0][j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t *now = row[i % 3], *before = row[(i + 2) % 3], *two = row[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            now[j] = smaller(smaller(before[j], now[j - 1]) + 1, before[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = smaller(now[j], two[j - 2] + 1);
        }
    }
    return row[la % 3][lb];
}

const char *options_suggest(const char *word, const char *const *candidates, size_t count)
{
    const char *best = NULL;
    size_t nearest = 1 + strlen(word) / 3;
    for (size_t i = 0; i < count; i++) {
        size_t d = distance(word, candidates[i]);
        if (d < nearest || (d == nearest && !best)) {
            best = candidates[i];
            nearest = d;
        }
    }
    return best;
}

bool options_read_count(const char *text, int64_t *value)
{
    char *end;
    errno = 0;
    long long read = strtoll(text, &end, 10);
    if (errno || end == text || *end || read < 0)
        return false;
    *value = read;
    return true;
}

bool options_read_number(const char *text, double *value)
{
    char *end;
    double read = strtod(text, &end);
    if (end == text || *end || !isfinite(read))
        return false;
    *value = read;
    return true;
}

bool options_read_range(const char *text, int64_t *from, int64_t *to)
{
    char left[32];
    const char *colon = strchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof left)
        return false;
    memcpy(left, text, (size_t)(colon - text));
    left[colon - text] = 0;
    *from = 0;
    *to = INT64_MAX;
    return (!*left || options_read_count(left, from)) && (!colon[1] || options_read_count(colon + 1, to)) &&
           *from < *to;
}

bool options_read_setting(const char *text, char *name, size_t size, double *value)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text || (size_t)(equals - text) >= size)
        return false;
    memcpy(name, text, (size_t)(equals - text));
    name[equals - text] = 0;
    return options_read_number(equals + 1, value);
}

static bool store(const struct options_entry *entry, const char *text, char problem[256])
{
    struct options_list *list;
    double number;
    switch (entry->kind) {
    case OPTIONS_FLAG:
        *(bool *)entry->target = true;
        return true;
    case OPTIONS_TEXT:
        *(const char **)entry->target = text;
        return true;
    case OPTIONS_COUNT:
        if (options_read_count(text, entry->target))
            return true;
        snprintf(problem, 256, "--%s takes a whole number, not \"%.64s\"", entry->name, text);
        return false;
    case OPTIONS_POSITIVE:
        if (options_read_count(text, entry->target) && *(int64_t *)entry->target > 0)
            return true;
        snprintf(problem, 256, "--%s takes a whole number from 1 on, not \"%.64s\"", entry->name, text);
        return false;
    case OPTIONS_NUMBER:
        if (options_read_number(text, &number) && number >= 0) {
            *(double *)entry->target = number;
            return true;
        }
        snprintf(problem, 256, "--%s takes a number, not \"%.64s\"", entry->name, text);
        return false;
    case OPTIONS_LIST:
        list = entry->target;
        if (list->count == OPTIONS_LIST_MAX) {
            snprintf(problem, 256, "--%s is given more than %d times", entry->name, OPTIONS_LIST_MAX);
            return false;
        }
        list->item[list->count++] = text;
        return true;
    }
    return false;
}

/* An option may be cut short as long as it is one: the names that this one could be, "" unless there are several. */
static void several_names(const struct options_entry *entries, size_t count, const char *bare, char list[160])
{
    size_t found = 0, used = 0;
    *list = 0;
    for (size_t i = 0; i < count && *bare; i++) {
        if (strncmp(entries[i].name, bare, strlen(bare)) != 0)
            continue;
        int length = snprintf(list + used, 160 - used, "%s--%s", used ? ", " : "", entries[i].name);
        used = used + (size_t)length < 160 ? used + (size_t)length : 159;
        found++;
    }
    if (found < 2)
        *list = 0;
}

static void explain_unknown(const struct options_entry *entries, size_t count, const char *word, char problem[256])
{
    const char *names[ENTRIES_MAX], *guess = NULL;
    char bare[WORD_MAX], several[160] = "";
    if (!strncmp(word, "--", 2)) {
        snprintf(bare, sizeof bare, "%.*s", (int)strcspn(word + 2, "="), word + 2);
        for (size_t i = 0; i < count; i++)
            names[i] = entries[i].name;
        guess = options_suggest(bare, names, count);
        several_names(entries, count, bare, several);
    }
    if (*several)
        snprintf(problem, 256, "\"%.32s\" is short for several: %s", word, several);
    else if (guess)
        snprintf(problem, 256, "no option \"%.64s\"; did you mean --%s?", word, guess);
    else
        snprintf(problem, 256, "no option \"%.64s\"", word);
}

/* What getopt_long refused: an option that wants an argument, one that takes none, or one that is not there. */
static void explain(const struct options_entry *entries, size_t count, int code, const char *word, char problem[256])
{
    for (size_t i = 0; i < count; i++) {
        bool named = optopt == FIRST_VALUE + (int)i || (optopt && optopt == entries[i].letter);
        if (named && code == ':') {
            snprintf(problem, 256, "--%s needs %s", entries[i].name, entries[i].argument);
            return;
        }
        if (named) {
            snprintf(problem, 256, "--%s takes no value", entries[i].name);
            return;
        }
    }
    if (optopt && optopt < FIRST_VALUE && strncmp(word, "--", 2))
        snprintf(problem, 256, "no option \"-%c\"", optopt);
    else
        explain_unknown(entries, count, word, problem);
}

bool options_parse(const struct options_entry *entries, size_t count, bool leading, int argc, char **argv, int *first,
                   char problem[256])
{
    struct option wanted[ENTRIES_MAX + 1] = {{0}};
    char letters[2 * ENTRIES_MAX + 3] = ":", *next = letters;
    int code;
    if (count > ENTRIES_MAX)
        abort();
    if (leading)
        *next++ = '+';
    *next++ = ':'; /* tells a missing argument from an unknown option */
    for (size_t i = 0; i < count; i++) {
        bool flag = entries[i].kind == OPTIONS_FLAG;
        wanted[i] =
            (struct option){entries[i].name, flag ? no_argument : required_argument, NULL, FIRST_VALUE + (int)i};
        if (entries[i].letter) {
            *next++ = entries[i].letter;
            if (!flag)
                *next++ = ':';
        }
    }
    *next = 0;
    opterr = 0;
    optind = 0; /* starts afresh: main options first, then the command's */
    while ((code = getopt_long(argc, argv, letters, wanted, NULL)) != -1) {
        size_t i = 0;
        while (i < count && code != FIRST_VALUE + (int)i && (code != entries[i].letter || !code))
            i++;
        if (i == count) {
            explain(entries, count, code, argv[optind - 1], problem);
            return false;
        }
        if (!store(&entries[i], optarg, problem))
            return false;
    }
    *first = optind;
    return true;
}

void options_help(FILE *stream, const struct options_entry *entries, size_t count)
{
    char left[64];
    for (size_t i = 0; i < count; i++) {
        const struct options_entry *e = &entries[i];
        int length = e->letter ? snprintf(left, sizeof left, "-%c, --%s", e->letter, e->name)
                               : snprintf(left, sizeof left, "    --%s", e->name);
        if (e->argument)
            snprintf(left + length, sizeof left - (size_t)length, " %s", e->argument);
        fprintf(stream, "  %-28s %s\n", left, e->help);
    }
}
