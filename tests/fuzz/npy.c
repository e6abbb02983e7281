/* An array that parses has exactly the bytes that its shape says, and its own header parses to the same shape. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "proto/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct twp_npy npy, again;
    int error = twp_npy_parse(data, size, &npy);
    FUZZ_CHECK(twp_npy_strerror(error)[0] != '\0');
    if (error)
        return 0;
    size_t values = npy.rows * npy.cols, bytes = values * (size_t)npy.item;
    FUZZ_CHECK(npy.data + bytes == data + size);
    float *out = malloc(values * sizeof *out + 1);
    unsigned char *copy = malloc(TWP_NPY_HEADER + bytes);
    FUZZ_CHECK(out && copy);
    twp_npy_floats(&npy, 0, values, out);
    twp_npy_header(npy.dims, npy.rows, npy.cols, npy.item, copy);
    memcpy(copy + TWP_NPY_HEADER, npy.data, bytes);
    FUZZ_CHECK(twp_npy_parse(copy, TWP_NPY_HEADER + bytes, &again) == TWP_NPY_OK);
    FUZZ_CHECK(again.dims == npy.dims && again.rows == npy.rows && again.cols == npy.cols && again.item == npy.item);
    free(copy);
    free(out);
    return 0;
}
