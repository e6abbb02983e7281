/* Input: a file of events as twinctl reads it, .npy or CSV. Read whole or a few rows at a time it gives the same, and
 * names and values are those that the server would read in the same bytes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/h5.h"
#include "client/rows.h"
#include "file.h"
#include "fuzz.h"
#include "proto/table.h"

enum { ROWS_MAX = 512, COLUMNS_MAX = 64 };

static int same(const float *a, const float *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!(a[i] == b[i] || (isnan(a[i]) && isnan(b[i]))))
            return 0;
    return 1;
}

/* Up to ROWS_MAX rows, `step` at a time: malloc'd, *rows counts them, -1 where the file is refused. */
static float *read_all(const char *path, const char *columns, size_t step, int64_t *rows, char problem[512])
{
    struct rows *in = rows_open(path, columns, problem);
    *rows = -1;
    if (!in) {
        FUZZ_CHECK(problem[0] != '\0');
        return NULL;
    }
    size_t cols = rows_columns(in);
    float *values = cols <= COLUMNS_MAX ? malloc(ROWS_MAX * cols * sizeof *values) : NULL;
    int64_t have = 1, done = 0;
    while (values && have > 0 && done + (int64_t)step <= ROWS_MAX) {
        have = rows_read(in, step, values + (size_t)done * cols, problem);
        FUZZ_CHECK(have >= -1 && have <= (int64_t)step && (have < 0) == (problem[0] != '\0'));
        done += have > 0 ? have : 0;
    }
    if (values && have >= 0)
        *rows = done;
    rows_close(in);
    return values;
}

static void check_names(const struct rows *in, const struct twp_table *table)
{
    const char *const *names = rows_names(in);
    FUZZ_CHECK(!table->column || names);
    for (size_t c = 0; table->column && c < table->cols; c++) {
        size_t length = strlen(names[c]);
        FUZZ_CHECK(rows_unit(in, c) ? strncmp(names[c], table->column[c], length) == 0
                                    : strcmp(names[c], table->column[c]) == 0);
    }
}

static void check_server(const char *path, const uint8_t *data, size_t size, const float *values, int64_t rows)
{
    struct twp_table table;
    char detail[200], problem[512];
    enum twp_format format = size >= 6 && memcmp(data, "\x93NUMPY", 6) == 0 ? TWP_FORMAT_NPY : TWP_FORMAT_CSV;
    if (twp_table_parse(format, data, size, &table, detail))
        return;
    struct rows *in = rows_open(path, NULL, problem);
    if (in) { /* the guess whether there is a line of names is more careful here */
        FUZZ_CHECK(rows_columns(in) == table.cols);
        check_names(in, &table);
    }
    rows_close(in);
    if (rows >= 0 && table.rows <= ROWS_MAX - 64)
        FUZZ_CHECK((size_t)rows == table.rows && same(values, table.values, table.rows * table.cols));
    twp_table_fini(&table);
}

/* A feed that resumes in the middle sends what it would have sent. */
static void check_resumed(const char *path, const float *values, int64_t rows, size_t cols)
{
    char problem[512];
    int64_t from = rows / 3, to = rows - rows / 4;
    struct rows *in = rows_open(path, NULL, problem);
    float *rest = malloc((size_t)rows * cols * sizeof *rest + 1);
    FUZZ_CHECK(in && rest);
    FUZZ_CHECK(rows_slice(in, from, to, problem) && (rows_left(in) == -1 || rows_left(in) == to - from));
    if (to > from) {
        FUZZ_CHECK(rows_skip(in, 1, problem) == 1);
        FUZZ_CHECK(rows_read(in, (size_t)rows, rest, problem) == to - from - 1);
        FUZZ_CHECK(same(rest, values + (size_t)(from + 1) * cols, (size_t)(to - from - 1) * cols));
        FUZZ_CHECK(rows_read(in, 1, rest, problem) == 0);
    }
    rows_close(in);
    in = rows_open(path, NULL, problem);
    FUZZ_CHECK(in && !rows_slice(in, rows + 1, INT64_MAX, problem) && problem[0] != '\0');
    rows_close(in);
    free(rest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[40], problem[512];
    int64_t rows, again;
    if (h5_is((const char *)data, size)) /* the HDF5 library's own business */
        return 0;
    int fd = file_make(data, size, path);
    float *values = read_all(path, NULL, 64, &rows, problem);
    float *slowly = read_all(path, NULL, 3, &again, problem);
    if (rows >= 0 && again >= 0 && rows < ROWS_MAX - 64) {
        FUZZ_CHECK(rows == again);
        struct rows *in = rows_open(path, NULL, problem);
        FUZZ_CHECK(in && same(values, slowly, (size_t)rows * rows_columns(in)));
        check_resumed(path, values, rows, rows_columns(in));
        rows_close(in);
    }
    check_server(path, data, size, values, rows);
    free(values);
    free(slowly);
    values = read_all(path, "a,b [GeV]", 64, &rows, problem);
    free(values);
    close(fd);
    return 0;
}
