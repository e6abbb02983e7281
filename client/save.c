/* A table that comes from the daemon, on its way into a file. */
#include "client/save.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli.h"
#include "client/h5.h"
#include "client/rows.h"
#include "proto/table.h"

enum { PIECE_ROWS = 16384 };

bool save_format_of(const struct cli *cli, const char *path, enum save_format *format)
{
    static const enum save_format formats[] = {
        [TWP_FORMAT_NPY] = SAVE_NPY, [TWP_FORMAT_CSV] = SAVE_CSV, [TWP_FORMAT_JSON] = SAVE_JSON};
    *format = cli->format == OUTPUT_JSON ? SAVE_JSON : SAVE_CSV;
    if (!path || !strcmp(path, "-"))
        return true;
    const char *ending = strrchr(path, '.');
    int known = twp_table_format_of_path(path);
    if (known >= 0)
        *format = formats[known];
    else if (ending && (!strcmp(ending, ".h5") || !strcmp(ending, ".hdf5")))
        *format = SAVE_H5;
    else
        cli_usage(cli, "--out takes a file that ends in .npy, .csv, .h5 or .json, or -");
    return known >= 0 || *format == SAVE_H5;
}

const char *save_media(enum save_format format)
{
    return format == SAVE_CSV ? "text/csv" : format == SAVE_JSON ? "application/json" : "application/x-npy";
}

bool save_open(struct save *save, const char *path, enum save_format format, int64_t rows, bool quiet,
               char problem[512])
{
    *save = (struct save){.path = path ? path : "-", .format = format, .rows = rows};
    progress_init(&save->progress, "sample", quiet);
    return file_create(&save->out, save->path, problem);
}

bool save_sink(void *context, const void *data, size_t size)
{
    struct save *save = context;
    char words[64];
    if (!file_write(&save->out, data, size))
        return false;
    save->bytes += (int64_t)size;
    for (const char *at = data, *end = at + size;
         save->format == SAVE_CSV && (at = memchr(at, '\n', (size_t)(end - at))); at++)
        save->lines++;
    snprintf(words, sizeof words, "%.1f MiB", (double)save->bytes / (1 << 20));
    progress_update(&save->progress, save->lines > 1 ? (double)(save->lines - 1) / (double)save->rows : -1, words);
    return true;
}

/* The rows of a .npy file into a table of a new HDF5 file. */
static bool copy_rows(struct rows *rows, struct h5_out *h5, char problem[512])
{
    float *values = malloc(PIECE_ROWS * rows_columns(rows) * sizeof *values);
    int64_t n = values ? 1 : -1;
    if (!values)
        snprintf(problem, 512, "out of memory");
    while (n > 0) {
        n = rows_read(rows, PIECE_ROWS, values, problem);
        if (n > 0 && !h5_append(h5, values, (size_t)n, problem))
            n = -1;
    }
    free(values);
    return n == 0;
}

static bool convert(const struct save *save, const char *path, const char *name, const struct rest_answer *answer,
                    char problem[512])
{
    struct rows *rows = rows_open(save->out.temporary, NULL, problem);
    struct h5_out *h5 = NULL;
    bool whole = rows && rows_left(rows) == save->rows;
    if (rows && !whole)
        snprintf(problem, 512, "what came is not %lld events", (long long)save->rows);
    bool fine = whole && (h5 = h5_create(path, name, rows_columns(rows), sizeof(float), problem)) &&
                copy_rows(rows, h5, problem) && h5_describe(h5, "columns", answer->columns) &&
                h5_describe(h5, "version", answer->version) && h5_describe(h5, "seed", answer->seed);
    rows_close(rows);
    return h5_finish(h5) && fine;
}

static bool commit_h5(struct save *save, const char *name, const struct rest_answer *answer, char problem[512])
{
    struct file_out table;
    snprintf(problem, 512, "%s: HDF5 could not write it", save->path);
    if (!file_create(&table, save->path, problem)) {
        save_abandon(save);
        return false;
    }
    bool fine = convert(save, table.temporary, name, answer, problem);
    save_abandon(save);
    if (fine)
        return file_commit(&table, problem);
    file_abandon(&table);
    return false;
}

bool save_commit(struct save *save, const char *name, const struct rest_answer *answer, char problem[512])
{
    progress_clear(&save->progress);
    if (save->format == SAVE_H5)
        return commit_h5(save, name, answer, problem);
    if (save->format == SAVE_JSON && !save->out.temporary && !file_write(&save->out, "\n", 1)) {
        snprintf(problem, 512, "standard output: %s", strerror(errno));
        return false;
    }
    return file_commit(&save->out, problem);
}

void save_abandon(struct save *save)
{
    progress_clear(&save->progress);
    file_abandon(&save->out);
}
