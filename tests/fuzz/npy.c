/* What the wire takes is an array of any numbers, and the same ones. An array that parses has exactly the bytes that
 * its shape says, and its own header parses to the same shape. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "proto/npy.h"

static void check_any(const uint8_t *data, size_t size, const struct twp_npy *wire, const float *expected)
{
    struct twp_npy_any any;
    int error = twp_npy_parse_any(data, size, &any);
    FUZZ_CHECK(twp_npy_strerror(error)[0] != '\0' && !(wire && error));
    if (error)
        return;
    size_t values = any.rows * any.cols;
    FUZZ_CHECK(any.data + values * (size_t)any.item == data + size);
    float *out = malloc(values * sizeof *out + 1);
    FUZZ_CHECK(out);
    twp_npy_any_floats(&any, any.data, values, 1, out);
    FUZZ_CHECK(!wire || memcmp(out, expected, values * sizeof *out) == 0);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct twp_npy npy, again;
    int error = twp_npy_parse(data, size, &npy);
    FUZZ_CHECK(twp_npy_strerror(error)[0] != '\0');
    if (error) {
        check_any(data, size, NULL, NULL);
        return 0;
    }
    size_t values = npy.rows * npy.cols, bytes = values * (size_t)npy.item;
    FUZZ_CHECK(npy.data + bytes == data + size);
    float *out = malloc(values * sizeof *out + 1);
    unsigned char *copy = malloc(TWP_NPY_HEADER + bytes);
    FUZZ_CHECK(out && copy);
    twp_npy_floats(&npy, 0, values, out);
    check_any(data, size, &npy, out);
    twp_npy_header(npy.dims, npy.rows, npy.cols, npy.item, copy);
    memcpy(copy + TWP_NPY_HEADER, npy.data, bytes);
    FUZZ_CHECK(twp_npy_parse(copy, TWP_NPY_HEADER + bytes, &again) == TWP_NPY_OK);
    FUZZ_CHECK(again.dims == npy.dims && again.rows == npy.rows && again.cols == npy.cols && again.item == npy.item);
    free(copy);
    free(out);
    return 0;
}
