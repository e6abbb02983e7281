/* Rows of a .npy file of any integers or floats, in C or Fortran order. */
#ifndef CLIENT_NPY_FILE_H
#define CLIENT_NPY_FILE_H

#include <stdbool.h>
#include <stddef.h>

struct npy_file;

/* The file's first bytes. */
bool npy_file_is(const void *bytes, size_t size);

/* `file`, which stays the caller's, is one that can be mapped; `name` is what sentences call it, and is kept. NULL with
 * a sentence. */
struct npy_file *npy_file_open(int file, const char *name, char problem[512]);
void npy_file_close(struct npy_file *npy);
void npy_file_shape(const struct npy_file *npy, size_t *rows, size_t *cols);
/* Rows [first, first + count), which must be there, as floats. False with a sentence. */
bool npy_file_read(struct npy_file *npy, size_t first, size_t count, float *values, char problem[512]);

#endif
