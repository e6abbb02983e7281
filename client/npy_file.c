/* A .npy file is parsed once through a mapping (proto checks sizes), then read with pread, so that a file which is cut
 * short while we read is an error and not a signal. In Fortran order the rows of a batch are a run of each column. */
#include "client/npy_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/npy.h"

struct npy_file {
    int file;
    const char *name;
    struct twp_npy_any array; /* data: not used, as the mapping is gone */
    size_t data;              /* where the values begin */
};

bool npy_file_is(const void *bytes, size_t size)
{
    return size >= 6 && !memcmp(bytes, "\x93NUMPY", 6);
}

static bool parse(struct npy_file *npy, char problem[512])
{
    struct stat info;
    void *map = MAP_FAILED;
    errno = EINVAL;
    if (!fstat(npy->file, &info) && info.st_size > 0)
        map = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, npy->file, 0);
    if (map == MAP_FAILED) {
        snprintf(problem, 512, "%s: %s", npy->name, strerror(errno));
        return false;
    }
    int error = twp_npy_parse_any(map, (size_t)info.st_size, &npy->array);
    if (error)
        snprintf(problem, 512, "%s: %s", npy->name, twp_npy_strerror(error));
    else
        npy->data = (size_t)(npy->array.data - (const unsigned char *)map);
    npy->array.data = NULL;
    munmap(map, (size_t)info.st_size);
    return !error;
}

struct npy_file *npy_file_open(int file, const char *name, char problem[512])
{
    struct npy_file *npy = calloc(1, sizeof *npy);
    if (!npy) {
        snprintf(problem, 512, "out of memory");
        return NULL;
    }
    npy->file = file;
    npy->name = name;
    if (!parse(npy, problem)) {
        npy_file_close(npy);
        return NULL;
    }
    return npy;
}

void npy_file_close(struct npy_file *npy)
{
    free(npy);
}

void npy_file_shape(const struct npy_file *npy, size_t *rows, size_t *cols)
{
    *rows = npy->array.rows;
    *cols = npy->array.cols;
}

/* `count` values from the `first` one on, as they lie in the file. */
static bool read_values(const struct npy_file *npy, size_t first, size_t count, unsigned char *bytes)
{
    size_t item = (size_t)npy->array.item, size = count * item, done = 0;
    while (done < size) {
        ssize_t n = pread(npy->file, bytes + done, size - done, (off_t)(npy->data + first * item + done));
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

bool npy_file_read(struct npy_file *npy, size_t first, size_t count, float *values, char problem[512])
{
    const struct twp_npy_any *array = &npy->array;
    size_t runs = array->fortran ? array->cols : 1, length = count * array->cols / runs;
    unsigned char *bytes = malloc(length * (size_t)array->item + 1);
    bool fine = bytes != NULL;
    for (size_t run = 0; fine && run < runs; run++) {
        fine = read_values(npy, array->fortran ? run * array->rows + first : first * array->cols, length, bytes);
        if (fine)
            twp_npy_any_floats(array, bytes, length, runs, values + run);
    }
    if (!fine)
        snprintf(problem, 512, "%s: %s", npy->name, bytes ? "it became shorter while it was read" : "out of memory");
    free(bytes);
    return fine;
}
