/* A table that comes from the daemon, on its way into a file: .npy, .csv and .json as they come; .h5 is made of .npy
 * when all of it is there. The file appears when it is whole. Progress is shown while it comes. */
#ifndef CLIENT_SAVE_H
#define CLIENT_SAVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/file.h"
#include "client/progress.h"

struct cli;
struct rest_answer;

enum save_format { SAVE_NPY, SAVE_CSV, SAVE_JSON, SAVE_H5 };

/* By the file's ending; standard output, which NULL and "-" are, gets CSV, or JSON with -o json. False after a
 * sentence about usage. */
bool save_format_of(const struct cli *cli, const char *path, enum save_format *format);
/* The media type to ask for. */
const char *save_media(enum save_format format);

struct save {
    struct file_out out;
    enum save_format format;
    const char *path;
    struct progress progress;
    int64_t rows; /* that are expected */
    int64_t bytes, lines;
};

/* False with a sentence. After a success exactly one of save_commit and save_abandon. */
bool save_open(struct save *save, const char *path, enum save_format format, int64_t rows, bool quiet,
               char problem[512]);
/* As rest_request.sink; the context is the struct save. */
bool save_sink(void *context, const void *data, size_t size);
/* `name` of the table in HDF5; the answer tells its columns, the version and the seed. */
bool save_commit(struct save *save, const char *name, const struct rest_answer *answer, char problem[512]);
void save_abandon(struct save *save);

#endif
