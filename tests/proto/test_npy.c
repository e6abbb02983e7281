/* .npy: what numpy writes is read; everything else has its own error. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/npy.h"

/* An array with the given dictionary, as numpy pads it, and `data_size` bytes of data. */
static size_t build(unsigned char *out, int major, const char *dictionary, const void *data, size_t data_size)
{
    size_t start = major == 1 ? 10 : 12, length = strlen(dictionary) + 1;
    memcpy(out, "\x93NUMPY", 6);
    out[6] = (unsigned char)major;
    out[7] = 0;
    memset(out + 8, 0, 4);
    out[8] = (unsigned char)length;
    out[9] = (unsigned char)(length >> 8);
    memcpy(out + start, dictionary, length - 1);
    out[start + length - 1] = '\n';
    if (data_size)
        memcpy(out + start + length, data, data_size);
    return start + length + data_size;
}

static int parse(const char *dictionary, size_t data_size, struct twp_npy *npy)
{
    static unsigned char bytes[512];
    static const unsigned char zeros[256];
    return twp_npy_parse(bytes, build(bytes, 1, dictionary, zeros, data_size), npy);
}

static void reads_all_versions(void **state)
{
    static const float values[6] = {1, 2, 3, 4, 5, 6.5f};
    unsigned char bytes[256];
    for (int major = 1; major <= 3; major++) {
        struct twp_npy npy;
        float out[4];
        size_t size = build(bytes, major, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", values, 24);
        assert_int_equal(twp_npy_parse(bytes, size, &npy), TWP_NPY_OK);
        assert_int_equal(npy.dims, 2);
        assert_int_equal(npy.rows, 2);
        assert_int_equal(npy.cols, 3);
        assert_int_equal(npy.item, 4);
        twp_npy_floats(&npy, 2, 4, out);
        assert_memory_equal(out, values + 2, sizeof out);
    }
}

static void reads_any_order_and_spacing(void **state)
{
    struct twp_npy npy;
    assert_int_equal(parse("{\"shape\":(4,),\"fortran_order\":False,\"descr\":\"<f8\"}", 32, &npy), TWP_NPY_OK);
    assert_int_equal(npy.dims, 1);
    assert_int_equal(npy.rows, 4);
    assert_int_equal(npy.cols, 1);
    assert_int_equal(npy.item, 8);
}

static void names_each_error(void **state)
{
    static const struct {
        const char *dictionary;
        size_t data;
        int error;
    } cases[] = {
        {"{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), }", 24, TWP_NPY_BAD_DTYPE},
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3), }", 24, TWP_NPY_BAD_DTYPE},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 3), }", 24, TWP_NPY_BAD_DTYPE},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", 24, TWP_NPY_FORTRAN},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (), }", 4, TWP_NPY_BAD_SHAPE},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 3), }", 24, TWP_NPY_BAD_SHAPE},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 0), }", 0, TWP_NPY_BAD_SHAPE},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 3), }", 24, TWP_NPY_BAD_SHAPE},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }", 0, TWP_NPY_BAD_SHAPE},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (2305843009213693952, 1), }", 0, TWP_NPY_BAD_SHAPE},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 23, TWP_NPY_BAD_LENGTH},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 25, TWP_NPY_BAD_LENGTH},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-2, 3), }", 24, TWP_NPY_BAD_HEADER},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (6), }", 24, TWP_NPY_BAD_HEADER},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2 3), }", 24, TWP_NPY_BAD_HEADER},
        {"{'descr': '<f4', 'fortran_order': 0, 'shape': (2, 3), }", 24, TWP_NPY_BAD_HEADER},
        {"{'descr': '<f4', 'shape': (2, 3), }", 24, TWP_NPY_BAD_HEADER},
        {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 24, TWP_NPY_BAD_HEADER},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'more': '1'}", 24, TWP_NPY_BAD_HEADER},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } x", 24, TWP_NPY_BAD_HEADER},
        {"{'descr': '<f4' 'fortran_order': False, 'shape': (2, 3), }", 24, TWP_NPY_BAD_HEADER},
        {"", 24, TWP_NPY_BAD_HEADER},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct twp_npy npy;
        int error = parse(cases[i].dictionary, cases[i].data, &npy);
        if (error != cases[i].error)
            fail_msg("%s: error %d, not %d", cases[i].dictionary, error, cases[i].error);
        assert_true(strlen(twp_npy_strerror(error)) > 2);
    }
}

static void refuses_foreign_bytes(void **state)
{
    struct twp_npy npy;
    unsigned char bytes[256];
    size_t size = build(bytes, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3), }", NULL, 0);
    assert_int_equal(twp_npy_parse(bytes, size, &npy), TWP_NPY_OK);
    assert_int_equal(npy.rows, 0);
    for (size_t cut = 0; cut < size; cut++)
        assert_int_not_equal(twp_npy_parse(bytes, cut, &npy), TWP_NPY_OK);
    bytes[6] = 4;
    assert_int_equal(twp_npy_parse(bytes, size, &npy), TWP_NPY_BAD_MAGIC);
    assert_int_equal(twp_npy_parse(NULL, 0, &npy), TWP_NPY_BAD_MAGIC);
}

static void doubles_become_floats(void **state)
{
    static const double values[5] = {0.1, -1e300, 1e-320, 3.5, NAN};
    unsigned char bytes[256];
    struct twp_npy npy;
    float out[5];
    size_t size = build(bytes, 1, "{'descr': '<f8', 'fortran_order': False, 'shape': (5,), }", values, sizeof values);
    assert_int_equal(twp_npy_parse(bytes, size, &npy), TWP_NPY_OK);
    twp_npy_floats(&npy, 0, 5, out);
    assert_true(out[0] == 0.1f && out[1] == -INFINITY && out[2] == 0 && out[3] == 3.5f && isnan(out[4]));
}

static void takes_any_numbers(void **state)
{
    static const struct {
        const char *dtype;
        unsigned char bytes[8];
        float value;
    } cases[] = {
        {"|u1", {200}, 200},
        {"|i1", {200}, -56},
        {"<i2", {0xfe, 0xff}, -2},
        {">u2", {0xff, 0xfe}, 65534},
        {">i4", {0x80, 0, 0, 0}, -2147483648.0f},
        {"<u8", {255, 255, 255, 255, 255, 255, 255, 255}, 18446744073709551616.0f},
        {">i8", {255, 255, 255, 255, 255, 255, 255, 253}, -3},
        {">f4", {0x3f, 0xc0, 0, 0}, 1.5f},
        {">f8", {0xc0, 0x04, 0, 0, 0, 0, 0, 0}, -2.5f},
        {"<f2", {0xff, 0x7b}, 65504}, /* the largest, the smallest, the smallest normal one and the limit of halves */
        {"<f2", {0x01, 0x80}, -0x1p-24f},
        {">f2", {0x04, 0x00}, 0x1p-14f},
        {"<f2", {0x00, 0xfc}, -INFINITY},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned char bytes[256];
        char dictionary[100];
        struct twp_npy_any any;
        float out[3] = {0};
        size_t item = (size_t)(cases[i].dtype[2] - '0');
        snprintf(dictionary, sizeof dictionary, "{'descr': '%s', 'fortran_order': True, 'shape': (1, 1), }",
                 cases[i].dtype);
        size_t size = build(bytes, 1, dictionary, cases[i].bytes, item);
        assert_int_equal(twp_npy_parse_any(bytes, size, &any), TWP_NPY_OK);
        assert_true(any.fortran && any.item == (int)item && any.kind == cases[i].dtype[1]);
        for (size_t stride = 1; stride <= 2; stride++) {
            twp_npy_any_floats(&any, any.data, 1, stride, out);
            if (out[0] != cases[i].value)
                fail_msg("%s: %g, not %g", cases[i].dtype, (double)out[0], (double)cases[i].value);
        }
    }
    for (const char *const *wrong = (const char *const[]){"|b1", "<f1", "|f1", "<i3", "<f16", "<c8", "<U3", "|O", "=f4",
                                                          "<i1", "|i2", "<f", "", NULL};
         *wrong; wrong++) {
        static const unsigned char zeros[64];
        unsigned char bytes[256];
        char dictionary[100];
        struct twp_npy_any any;
        snprintf(dictionary, sizeof dictionary, "{'descr': '%s', 'fortran_order': False, 'shape': (1,), }", *wrong);
        assert_int_equal(twp_npy_parse_any(bytes, build(bytes, 1, dictionary, zeros, 4), &any), TWP_NPY_NO_NUMBERS);
    }
}

static void own_header_is_read(void **state)
{
    static const size_t shapes[][2] = {{0, 1}, {1, 1}, {3, 7}, {1000000, 16}};
    for (size_t i = 0; i < 4; i++) {
        for (int dims = 1; dims <= 2; dims++) {
            for (int item = 4; item <= 8; item += 4) {
                size_t cols = dims == 1 ? 1 : shapes[i][1], size = shapes[i][0] * cols * (size_t)item;
                unsigned char *bytes = calloc(1, TWP_NPY_HEADER + size);
                struct twp_npy npy;
                twp_npy_header(dims, shapes[i][0], cols, item, bytes);
                assert_int_equal(bytes[TWP_NPY_HEADER - 1], '\n');
                assert_int_equal(twp_npy_parse(bytes, TWP_NPY_HEADER + size, &npy), TWP_NPY_OK);
                assert_true(npy.dims == dims && npy.rows == shapes[i][0] && npy.cols == cols && npy.item == item);
                free(bytes);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_all_versions),    cmocka_unit_test(reads_any_order_and_spacing),
        cmocka_unit_test(names_each_error),      cmocka_unit_test(refuses_foreign_bytes),
        cmocka_unit_test(doubles_become_floats), cmocka_unit_test(takes_any_numbers),
        cmocka_unit_test(own_header_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
