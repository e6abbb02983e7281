/* Whole files in; out, files that appear complete or not at all. "-" is standard input or output. */
#ifndef CLIENT_FILE_H
#define CLIENT_FILE_H

#include <stdbool.h>
#include <stddef.h>

/* The bytes of a file, at most `most`; malloc'd, with a 0 after them. NULL with a sentence. */
char *file_read(const char *path, size_t most, size_t *size, char problem[512]);

struct file_out {
    int file;
    const char *path;
    char *temporary; /* NULL for standard output */
};

/* False with a sentence. After a success exactly one of commit and abandon. */
bool file_create(struct file_out *out, const char *path, char problem[512]);
bool file_write(struct file_out *out, const void *data, size_t size); /* false: errno says why */
bool file_commit(struct file_out *out, char problem[512]);
void file_abandon(struct file_out *out);

#endif
