/* Rows of events from a file or standard input.
 *
 * Standard input that is .npy goes to an unlinked temporary file first. CSV is read by lines: those of one batch, with
 * the header line before them, are parsed together.
 */
#include "client/rows.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/h5.h"
#include "client/lines.h"
#include "client/npy_file.h"
#include "client/output.h"
#include "client/timer.h"
#include "proto/table.h"

enum { PIECE = 1 << 16 };

struct rows {
    const char *path; /* as the user wrote it; "standard input" for "-" */
    int file;
    struct npy_file *npy; /* NULL: not .npy */
    struct h5 *h5;        /* NULL: not HDF5 */
    size_t cols;
    char **names;       /* (cols), NULL: none; without units */
    char **units;       /* (cols) with the names; each NULL: none */
    int64_t limit;      /* rows that may still be read */
    bool bounded;       /* rows_slice gave the limit */
    int64_t next;       /* row; of CSV below the header */
    int64_t total;      /* rows in the file, -1 where that is not known: CSV */
    struct lines lines; /* CSV; of others the first bytes */
};

static bool problem_errno(const struct rows *rows, char problem[512])
{
    snprintf(problem, 512, "%s: %s", rows->path, strerror(errno));
    return false;
}

/* ---- names ---- */

/* "e_cal [GeV]", "e_cal (GeV)": cuts the unit off the name. False when memory is out. */
static bool split_unit(char *name, char **unit)
{
    size_t length = strlen(name);
    char close = length ? name[length - 1] : 0, *open = close == ']' ? strrchr(name, '[') : NULL;
    if (close == ')')
        open = strrchr(name, '(');
    size_t left = open ? (size_t)(open - name) : 0;
    if (!left || (close == ')' && !strchr(" \t", name[left - 1]))) /* "f(x)" is a name */
        return true;
    if (!(*unit = strndup(open + 1, length - left - 2)))
        return false;
    while (left && strchr(" \t", name[left - 1]))
        left--;
    name[left] = 0;
    return true;
}

static bool set_names(struct rows *rows, const char *line, size_t length)
{
    size_t count = 1;
    for (size_t i = 0; i < length; i++)
        count += line[i] == ',';
    rows->names = calloc(count, sizeof *rows->names);
    rows->units = calloc(count, sizeof *rows->units);
    for (size_t c = 0; rows->names && rows->units && c < count; c++) {
        const char *comma = memchr(line, ',', length);
        size_t part = comma ? (size_t)(comma - line) : length, left = 0, right = part;
        while (left < right && strchr(" \t\r\"", line[left]))
            left++;
        while (right > left && strchr(" \t\r\"", line[right - 1]))
            right--;
        if (!(rows->names[c] = strndup(line + left, right - left)) || !split_unit(rows->names[c], &rows->units[c]))
            return false;
        line += part + (comma != NULL);
        length -= part + (comma != NULL);
    }
    rows->cols = count;
    return rows->names && rows->units;
}

static void free_names(struct rows *rows)
{
    for (size_t c = 0; rows->names && c < rows->cols; c++)
        free(rows->names[c]);
    for (size_t c = 0; rows->units && c < rows->cols; c++)
        free(rows->units[c]);
    free(rows->names);
    free(rows->units);
    rows->names = rows->units = NULL;
}

/* Names for an array, which carries none. */
static bool name_columns(struct rows *rows, const char *columns, const char *source, char problem[512])
{
    size_t cols = rows->cols;
    if (columns && !set_names(rows, columns, strlen(columns))) {
        snprintf(problem, 512, "out of memory");
        return false;
    }
    if (rows->cols != cols) {
        snprintf(problem, 512, "%s has %zu %s, and %s names %zu", rows->path, cols,
                 output_noun((int64_t)cols, "column", "columns"), source, rows->cols);
        return false;
    }
    return true;
}

/* ---- .npy and HDF5 ---- */

static bool open_npy(struct rows *rows, const char *columns, char problem[512])
{
    size_t total;
    if (!(rows->npy = npy_file_open(rows->file, rows->path, problem)))
        return false;
    npy_file_shape(rows->npy, &total, &rows->cols);
    rows->total = rows->limit = (int64_t)total;
    return name_columns(rows, columns, "--columns", problem);
}

static int64_t read_npy(struct rows *rows, size_t count, float *values, char problem[512])
{
    return npy_file_read(rows->npy, (size_t)rows->next, count, values, problem) ? (int64_t)count : -1;
}

static bool open_h5(struct rows *rows, const char *columns, char problem[512])
{
    size_t total;
    if (!(rows->h5 = h5_open(rows->path, problem)))
        return false;
    h5_shape(rows->h5, &total, &rows->cols);
    rows->total = rows->limit = (int64_t)total;
    char *own = columns ? NULL : h5_columns(rows->h5);
    bool fine = name_columns(rows, columns ? columns : own, columns ? "--columns" : "its attribute", problem);
    free(own);
    return fine;
}

static int64_t read_h5(struct rows *rows, size_t count, float *values, char problem[512])
{
    if (h5_read(rows->h5, (size_t)rows->next, count, values))
        return (int64_t)count;
    snprintf(problem, 512, "%s: row %lld and what follows cannot be read", rows->path, (long long)rows->next);
    return -1;
}

/* ---- CSV ---- */

static bool starts_with_number(const char *line)
{
    char *end;
    while (*line == ' ' || *line == '"')
        line++;
    strtod(line, &end);
    return end != line && strchr(" \t\",\r\n", *end);
}

/* What else people give by mistake, by how it begins, and what to do; NULL if it may well be CSV. */
static const char *taken_for_csv(const struct lines *lines)
{
#define BEGINS(magic) magic, sizeof magic - 1
    static const struct {
        const char *magic;
        size_t size;
        const char *words;
    } others[] = {
        {BEGINS("PK\3\4"), "is a zip archive, as .npz is; one array of it, saved as .npy, is taken"},
        {BEGINS("\x1f\x8b"), "is compressed; unpack it first"},
        {BEGINS("\x89HDF\r\n\x1a\n"), "is HDF5, which is read from a file that has a name"},
        {BEGINS("root\0"), "is a ROOT file; python -m twin feed reads it"},
        {BEGINS("{"), "is JSON; rows come as .npy, .csv or .h5"},
    };
#undef BEGINS
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (lines->used >= others[i].size && !memcmp(lines->text, others[i].magic, others[i].size))
            return others[i].words;
    }
    bool commas = memchr(lines->text, ',', lines->header);
    if (!commas && (memchr(lines->text, ';', lines->header) || memchr(lines->text, '\t', lines->header)))
        return "has semicolons or tabs between its columns; commas are needed";
    return NULL;
}

/* What is no array but has the name of one: a broken copy, a pointer to a file elsewhere, or a slip of the pen. Its
 * first line would be taken for names of columns. */
static bool misnamed(const struct rows *rows, char problem[512])
{
    static const char *const arrays[] = {".npy", ".h5", ".hdf5"};
    const char *dot = strrchr(rows->path, '.');
    for (size_t i = 0; dot && i < sizeof arrays / sizeof *arrays; i++) {
        if (!strcmp(dot, arrays[i])) {
            snprintf(problem, 512, "%s does not begin as a %s file; text is read from any other name", rows->path, dot);
            return true;
        }
    }
    return false;
}

static bool open_csv(struct rows *rows, const char *columns, char problem[512])
{
    struct lines *lines = &rows->lines;
    if (!lines_head(lines, problem)) {
        if (!*problem)
            snprintf(problem, 512, "%s is empty", rows->path);
        return false;
    }
    const char *other = taken_for_csv(lines);
    if (other) {
        snprintf(problem, 512, "%s %s", rows->path, other);
        return false;
    }
    if (misnamed(rows, problem))
        return false;
    rows->limit = INT64_MAX;
    rows->total = -1;
    if (!strncmp(lines->text, "\xef\xbb\xbf", 3)) /* the mark of UTF-8, as spreadsheets write it */
        lines_cut(lines, 3);
    if (*lines->text == '#') /* as numpy.savetxt writes its header */
        lines_cut(lines, 1 + strspn(lines->text + 1, " \t"));
    bool numbers = starts_with_number(lines->text);
    if (numbers && !columns) {
        snprintf(problem, 512, "%s has no line of column names at its top; give them with --columns", rows->path);
        return false;
    }
    if ((columns && !lines_rename(lines, numbers ? 0 : lines->header, columns)) ||
        !set_names(rows, lines->text, lines->header - 1)) {
        snprintf(problem, 512, "out of memory");
        return false;
    }
    return true;
}

static bool ends_line(char c)
{
    return c == '\n' || c == '\r';
}

/* Empty lines just before `end`. At the end of the file they are no rows; elsewhere they are, as the rows behind them
 * must be counted alike however the file is cut into pieces. */
static int64_t empty_lines(const struct lines *lines, size_t end)
{
    int64_t count = 0;
    size_t at = end;
    while (at > lines->header && ends_line(lines->text[at - 1]))
        at--;
    const char *newline = at > lines->header ? memchr(lines->text + at, '\n', end - at) : NULL;
    if (at > lines->header)
        at = newline ? (size_t)(newline - lines->text) + 1 : end;
    for (size_t i = at; i < end; i++)
        count += lines->text[i] == '\n';
    return count + (end > at && lines->text[end - 1] != '\n');
}

static bool only_empty_lines_follow(struct lines *lines, size_t end, char problem[512])
{
    do {
        while (end < lines->used && ends_line(lines->text[end]))
            end++;
    } while (end == lines->used && lines_fill(lines, problem));
    return end == lines->used;
}

/* Fills up what parsing left out of `found` lines. Returns the rows there are now, -1 with a sentence. */
static int64_t add_empty(struct rows *rows, size_t end, int64_t have, int64_t found, float *values, char problem[512])
{
    if (have == found || only_empty_lines_follow(&rows->lines, end, problem))
        return *problem ? -1 : have;
    if (rows->cols > 1) {
        snprintf(problem, 512, "%s: row %lld is an empty line", rows->path, (long long)(rows->next + have));
        return -1;
    }
    while (have < found)
        values[have++] = NAN;
    return have;
}

static int64_t read_csv(struct rows *rows, size_t count, float *values, char problem[512])
{
    int64_t found;
    struct twp_table table;
    char detail[200];
    size_t end = lines_take(&rows->lines, (int64_t)count, &found, problem);
    if (*problem)
        return -1;
    if (!found || timer_signal()) /* what a signal cut short may end in half a line */
        return 0;
    if (twp_table_parse(TWP_FORMAT_CSV, rows->lines.text, end, &table, detail)) {
        if (rows->next)
            snprintf(problem, 512, "%s, counted from row %lld on: %s", rows->path, (long long)rows->next, detail);
        else
            snprintf(problem, 512, "%s: %s", rows->path, detail);
        return -1;
    }
    int64_t have = (int64_t)(table.rows < count ? table.rows : count);
    if (table.cols != rows->cols) {
        snprintf(problem, 512, "%s: --columns names %zu %s, and there are %zu", rows->path, rows->cols,
                 output_noun((int64_t)rows->cols, "column", "columns"), table.cols);
        have = -1;
    } else if (have) {
        memcpy(values, table.values, (size_t)have * table.cols * sizeof *values);
    }
    twp_table_fini(&table);
    if (have >= 0)
        have = add_empty(rows, end, have, found, values, problem);
    lines_drop(&rows->lines, end);
    return have;
}

/* Piece by piece, so that memory stays small. */
static int64_t skip_csv(struct rows *rows, int64_t count, char problem[512])
{
    enum { LINES = 4096 };
    int64_t have = 0, found = LINES;
    while (have < count && found == LINES) {
        size_t end = lines_take(&rows->lines, count - have < LINES ? count - have : LINES, &found, problem);
        int64_t empty = *problem ? 0 : empty_lines(&rows->lines, end);
        have += found;
        if (empty && only_empty_lines_follow(&rows->lines, end, problem)) {
            have -= empty;
            found = 0;
        }
        if (*problem)
            return -1;
        lines_drop(&rows->lines, end);
    }
    return have;
}

/* ---- both ---- */

/* A file that can be mapped and read at places, with everything that standard input holds. */
static bool spool_input(struct rows *rows, const char *begin, size_t size, char problem[512])
{
    static char piece[PIECE];
    FILE *temporary = tmpfile();
    bool fine = temporary && fwrite(begin, 1, size, temporary) == size;
    ssize_t n = 1;
    while (fine && n > 0 && !timer_signal()) {
        n = read(rows->file, piece, sizeof piece);
        fine = n >= 0 && fwrite(piece, 1, (size_t)n, temporary) == (size_t)n;
    }
    if (!fine || fflush(temporary)) {
        problem_errno(rows, problem);
        if (temporary)
            fclose(temporary);
        return false;
    }
    rows->file = dup(fileno(temporary));
    fclose(temporary);
    return rows->file >= 0 || problem_errno(rows, problem);
}

static bool open_any(struct rows *rows, const char *path, const char *columns, char problem[512])
{
    bool input = !strcmp(path, "-");
    rows->path = input ? "standard input" : path;
    if (!input && strstr(path, "::") && access(path, F_OK))
        return open_h5(rows, columns, problem);
    rows->file = input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (rows->file < 0)
        return problem_errno(rows, problem);
    rows->lines.name = rows->path;
    rows->lines.file = rows->file;
    while (rows->lines.used < 8 && lines_fill(&rows->lines, problem)) {
    }
    if (*problem)
        return false;
    if (!input && h5_is(rows->lines.text, rows->lines.used))
        return open_h5(rows, columns, problem);
    if (!npy_file_is(rows->lines.text, rows->lines.used))
        return open_csv(rows, columns, problem);
    struct stat info;
    if (fstat(rows->file, &info) || !S_ISREG(info.st_mode) || input) {
        if (!spool_input(rows, rows->lines.text, rows->lines.used, problem))
            return false;
    }
    return open_npy(rows, columns, problem);
}

struct rows *rows_open(const char *path, const char *columns, char problem[512])
{
    struct rows *rows = calloc(1, sizeof *rows);
    *problem = 0;
    if (!rows) {
        snprintf(problem, 512, "out of memory");
        return NULL;
    }
    rows->file = -1;
    if (!open_any(rows, path, columns, problem)) {
        rows_close(rows);
        return NULL;
    }
    return rows;
}

void rows_close(struct rows *rows)
{
    if (!rows)
        return;
    if (rows->file > STDIN_FILENO)
        close(rows->file);
    npy_file_close(rows->npy);
    h5_close(rows->h5);
    free_names(rows);
    lines_fini(&rows->lines);
    free(rows);
}

size_t rows_columns(const struct rows *rows)
{
    return rows->cols;
}

const char *const *rows_names(const struct rows *rows)
{
    return (const char *const *)rows->names;
}

const char *rows_unit(const struct rows *rows, size_t column)
{
    return rows->units ? rows->units[column] : NULL;
}

int64_t rows_left(const struct rows *rows)
{
    return rows->total >= 0 ? rows->limit : -1;
}

double rows_fraction(const struct rows *rows)
{
    struct stat info;
    if (rows->total > 0)
        return (double)rows->next / (double)rows->total;
    if (rows->total == 0)
        return 1;
    off_t at = lseek(rows->file, 0, SEEK_CUR);
    if (at < 0 || fstat(rows->file, &info) || !S_ISREG(info.st_mode) || info.st_size <= 0)
        return -1;
    return ((double)at - (double)(rows->lines.used - rows->lines.header)) / (double)info.st_size;
}

static int64_t too_few(const struct rows *rows, char problem[512])
{
    snprintf(problem, 512, "%s has fewer rows than --rows asks for", rows->path);
    return -1;
}

/* The end of CSV is known only where it is met. */
static bool ends_early(const struct rows *rows)
{
    return rows->total < 0 && rows->bounded && !timer_signal();
}

bool rows_slice(struct rows *rows, int64_t from, int64_t to, char problem[512])
{
    int64_t skipped = rows_skip(rows, from, problem);
    if (skipped < 0)
        return false;
    if (skipped < from || (rows->total >= 0 && to != INT64_MAX && to > rows->total)) {
        too_few(rows, problem);
        return false;
    }
    rows->bounded = to != INT64_MAX;
    if (to - from < rows->limit)
        rows->limit = to - from;
    return true;
}

int64_t rows_read(struct rows *rows, size_t count, float *values, char problem[512])
{
    *problem = 0;
    if ((int64_t)count > rows->limit)
        count = (size_t)rows->limit;
    if (!count || timer_signal())
        return 0;
    int64_t have = rows->npy  ? read_npy(rows, count, values, problem)
                   : rows->h5 ? read_h5(rows, count, values, problem)
                              : read_csv(rows, count, values, problem);
    if (!have && ends_early(rows))
        return too_few(rows, problem);
    if (have > 0) {
        rows->limit -= have;
        rows->next += have;
    }
    return have;
}

int64_t rows_skip(struct rows *rows, int64_t count, char problem[512])
{
    *problem = 0;
    if (count > rows->limit)
        count = rows->limit;
    int64_t have = rows->total >= 0 ? count : skip_csv(rows, count, problem);
    if (have < 0)
        return -1;
    if (have < count && ends_early(rows))
        return too_few(rows, problem);
    rows->limit -= have;
    rows->next += have;
    return have;
}
