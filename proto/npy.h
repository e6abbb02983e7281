/* NumPy's .npy format (version 1.0 to 3.0) for arrays of one or two dimensions: on the wire float32 or float64, little
 * endian, C order; in a file that is converted before it is sent, any integer or float of at most 64 bits, either byte
 * order, C or Fortran order. https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */
#ifndef PROTO_NPY_H
#define PROTO_NPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum twp_npy_error {
    TWP_NPY_OK = 0,
    TWP_NPY_BAD_MAGIC = 1,
    TWP_NPY_BAD_HEADER = 2, /* not the dictionary that the format demands */
    TWP_NPY_BAD_DTYPE = 3,  /* not <f4 or <f8 */
    TWP_NPY_FORTRAN = 4,
    TWP_NPY_BAD_SHAPE = 5,  /* not one or two dimensions, or a size that overflows */
    TWP_NPY_BAD_LENGTH = 6, /* data shorter or longer than the shape says */
    TWP_NPY_NO_NUMBERS = 7, /* twp_npy_parse_any: neither integers nor floats of at most 64 bits */
};

struct twp_npy {
    int dims;                  /* 1 or 2 */
    size_t rows, cols;         /* cols = 1 for one dimension */
    int item;                  /* bytes a value: 4 or 8 */
    const unsigned char *data; /* inside the given bytes, not necessarily aligned */
};

/* Parses without copying. `size` must be the exact size of the array. */
int twp_npy_parse(const void *bytes, size_t size, struct twp_npy *out);
const char *twp_npy_strerror(int error);

/* Copies values [first, first+count) (in C order) to float. Values beyond float's range become inf. */
void twp_npy_floats(const struct twp_npy *npy, size_t first, size_t count, float *out);

/* An array of any numbers, as NumPy saves what it holds. */
struct twp_npy_any {
    int dims;                  /* 1 or 2 */
    size_t rows, cols;         /* cols = 1 for one dimension */
    char kind;                 /* 'i', 'u': signed, unsigned integers; 'f' */
    int item;                  /* bytes a value: 1 (not of 'f'), 2, 4 or 8 */
    bool big_endian, fortran;  /* fortran: column after column */
    const unsigned char *data; /* inside the given bytes, not necessarily aligned */
};

/* As twp_npy_parse. bool is no number, and what is wider than 64 bits is not the same everywhere. */
int twp_npy_parse_any(const void *bytes, size_t size, struct twp_npy_any *out);

/* Converts `count` values that follow each other at `values`, an array's data or a part of them, to out[0],
 * out[stride], ..., rounded to nearest; beyond float's range they become inf. */
void twp_npy_any_floats(const struct twp_npy_any *npy, const void *values, size_t count, size_t stride, float *out);

#define TWP_NPY_HEADER 128 /* size of every header that is written here, a multiple of 64 */
/* Header of a C-order array; dims 1 or 2; item 4 or 8 (floats). */
void twp_npy_header(int dims, size_t rows, size_t cols, int item, unsigned char out[TWP_NPY_HEADER]);

#endif
