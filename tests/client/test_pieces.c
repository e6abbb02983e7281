/* The pieces of twinctl that are easier to test alone: options, the outbox, rows of files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/options.h"
#include "client/outbox.h"
#include "client/output.h"
#include "client/rows.h"
#include "proto/npy.h"
#ifdef HAVE_HDF5
#include <hdf5.h>
#endif

/* ---- options ---- */

struct wanted {
    bool flag;
    const char *text;
    int64_t count;
    double number;
    struct options_list list;
};

static bool parse(struct wanted *w, int argc, const char **argv, int *first, char problem[256])
{
    struct options_entry entries[] = {
        {"flag", 'f', OPTIONS_FLAG, &w->flag, NULL, ""},   {"text", 't', OPTIONS_TEXT, &w->text, "T", ""},
        {"count", 0, OPTIONS_COUNT, &w->count, "N", ""},   {"number", 0, OPTIONS_NUMBER, &w->number, "X", ""},
        {"list", 'l', OPTIONS_LIST, &w->list, "ITEM", ""},
    };
    *w = (struct wanted){0};
    *problem = 0;
    return options_parse(entries, 5, false, argc, (char **)(void *)argv, first, problem);
}

static void options_of_every_kind(void **state)
{
    struct wanted w;
    int first;
    char problem[256];
    const char *argv[] = {"cmd", "a",   "-ft", "word", "--count=12", "b", "--number",
                          "2.5", "-l1", "-l",  "2",    "--",         "-f"};
    assert_true(parse(&w, 13, argv, &first, problem));
    assert_true(w.flag);
    assert_string_equal(w.text, "word");
    assert_int_equal(w.count, 12);
    assert_true(w.number == 2.5);
    assert_int_equal(w.list.count, 2);
    assert_string_equal(w.list.item[1], "2");
    assert_int_equal(first, 10);
    assert_string_equal(argv[10], "a");
    assert_string_equal(argv[12], "-f");
}

static void options_refused(void **state)
{
    static const struct {
        const char *word, *says;
    } cases[] = {
        {"--count=x", "--count takes a whole number"},
        {"--count=-1", "--count takes a whole number"},
        {"--count=99999999999999999999", "--count takes a whole number"},
        {"--number=nan", "--number takes a number"},
        {"--number=1x", "--number takes a number"},
        {"--text", "--text needs T"},
        {"-t", "--text needs T"},
        {"--flag=1", "--flag takes no value"},
        {"--coutn=1", "did you mean --count?"},
        {"--zzzzzz", "no option \"--zzzzzz\""},
        {"-z", "no option \"-z\""},
    };
    struct wanted w;
    int first;
    char problem[256];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *argv[] = {"cmd", cases[i].word, NULL};
        assert_false(parse(&w, 2, argv, &first, problem));
        if (!strstr(problem, cases[i].says))
            fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].word, problem, cases[i].says);
    }
}

static void options_suggestions(void **state)
{
    const char *const names[] = {"status", "create", "train", "watch"};
    assert_string_equal(options_suggest("staus", names, 4), "status");
    assert_string_equal(options_suggest("tarin", names, 4), "train");
    assert_string_equal(options_suggest("wtach", names, 4), "watch");
    assert_null(options_suggest("banana", names, 4));
    char *longest = malloc(10001);
    memset(longest, 'a', 10000);
    longest[10000] = 0;
    options_suggest(longest, names, 4); /* however long, nothing breaks */
    free(longest);
}

static void options_values(void **state)
{
    int64_t from, to;
    char name[8];
    double value;
    assert_true(options_read_range("3:5", &from, &to) && from == 3 && to == 5);
    assert_true(options_read_range(":5", &from, &to) && from == 0 && to == 5);
    assert_true(options_read_range("3:", &from, &to) && from == 3 && to == INT64_MAX);
    assert_false(options_read_range("3", &from, &to));
    assert_false(options_read_range("5:5", &from, &to));
    assert_false(options_read_range("-1:5", &from, &to));
    assert_true(options_read_setting("a=0.5", name, sizeof name, &value) && value == 0.5 && !strcmp(name, "a"));
    assert_false(options_read_setting("=1", name, sizeof name, &value));
    assert_false(options_read_setting("a=", name, sizeof name, &value));
    assert_false(options_read_setting("toolongname=1", name, sizeof name, &value));
}

/* ---- outbox ---- */

static void put(struct outbox *outbox, int64_t seq)
{
    assert_true(outbox_add(outbox, seq, 10, strdup("{}"), calloc(1, 100), 100));
}

enum { COST = 4 + 2 + 100 };

static void outbox_counts_bytes_and_batches(void **state)
{
    struct outbox outbox = {0};
    struct outbox_batch *batch;
    for (int64_t seq = 0; seq < 5; seq++)
        put(&outbox, seq);
    assert_int_equal(outbox.waiting, 5);
    while ((batch = outbox_next(&outbox)) && batch->seq < 4)
        outbox_mark_sent(&outbox, batch, 1.0);
    assert_int_equal(outbox.bytes, 4 * COST);
    assert_false(outbox_ack(&outbox, 4)); /* was never sent */
    assert_true(outbox_ack(&outbox, 2));
    assert_false(outbox_ack(&outbox, 2));
    assert_int_equal(outbox.bytes, 3 * COST);
    assert_int_equal(outbox_first_seq(&outbox, -1), 0);
    assert_true(outbox_ack_through(&outbox, 1));
    assert_int_equal(outbox_first_seq(&outbox, -1), 3);
    assert_int_equal(outbox.bytes, COST);
    assert_int_equal(outbox.acked, 3);
    assert_int_equal(outbox_drop_unsent(&outbox), 1);
    assert_int_equal(outbox.waiting, 0);
    assert_true(outbox_ack(&outbox, 3));
    assert_true(outbox_empty(&outbox));
    assert_int_equal(outbox.bytes, 0);
    put(&outbox, 5); /* usable after it was empty */
    assert_int_equal(outbox_next(&outbox)->seq, 5);
    outbox_fini(&outbox);
}

static void outbox_retries_in_order(void **state)
{
    struct outbox outbox = {0};
    for (int64_t seq = 0; seq < 4; seq++) {
        put(&outbox, seq);
        outbox_mark_sent(&outbox, outbox_next(&outbox), 1.0);
    }
    assert_int_equal(outbox_retry(&outbox, 2), 1);
    assert_int_equal(outbox_retry(&outbox, 2), 0);
    assert_int_equal(outbox_retry(&outbox, 9), 0);
    assert_int_equal(outbox.bytes, 3 * COST);
    assert_int_equal(outbox_retry_all(&outbox), 3);
    assert_int_equal(outbox.bytes, 0);
    for (int64_t seq = 0; seq < 4; seq++) {
        assert_int_equal(outbox_next(&outbox)->seq, seq);
        outbox_mark_sent(&outbox, outbox_next(&outbox), 2.0);
    }
    assert_int_equal(outbox.bytes, 4 * COST);
    assert_true(outbox_ack(&outbox, 1)); /* an ACK of the first sending is as good */
    outbox_fini(&outbox);
}

/* ---- output ---- */

static void output_reads_paths(void **state)
{
    char text[64];
    json_t *object =
        json_loads("{\"a\": {\"b\": 3, \"n\": null}, \"t\": \"2026-03-01T12:00:00.5Z\", \"x\": 1.23456789}", 0, NULL);
    setenv("TZ", "UTC", 1);
    assert_string_equal(output_cell(object, "a.b", OUTPUT_TEXT, text, sizeof text), "3");
    assert_string_equal(output_cell(object, "a.n", OUTPUT_TEXT, text, sizeof text), "-");
    assert_string_equal(output_cell(object, "a.b.c", OUTPUT_TEXT, text, sizeof text), "-");
    assert_string_equal(output_cell(object, "t", OUTPUT_TIME, text, sizeof text), "2026-03-01 12:00:00");
    assert_string_equal(output_cell(object, "x", OUTPUT_NUMBER, text, sizeof text), "1.235");
    assert_string_equal(output_cell(object, "t", OUTPUT_TEXT, text, 10), "2026-0…");
    json_decref(object);
}

/* ---- rows ---- */

static const char *scratch(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "twinctl-rows-%ld-%s", (long)getpid(), name);
    return path;
}

static void write_file(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

/* Reads what is left in pieces of `piece` rows; checks values k, k + 1, ... */
static void check_rows(struct rows *rows, size_t piece, size_t cols, int64_t from, int64_t to)
{
    float values[64];
    char problem[512];
    int64_t n, row = from;
    assert_int_equal(rows_columns(rows), cols);
    while ((n = rows_read(rows, piece, values, problem)) > 0)
        for (int64_t i = 0; i < n; i++, row++)
            for (size_t c = 0; c < cols; c++)
                assert_true(values[(size_t)i * cols + c] == (float)(row * 10 + (int64_t)c));
    assert_int_equal(n, 0);
    assert_int_equal(row, to);
}

static void rows_of_npy(void **state)
{
    unsigned char bytes[TWP_NPY_HEADER + 20 * 3 * 8];
    char problem[512];
    const char *path = scratch("a.npy");
    twp_npy_header(2, 20, 3, 8, bytes);
    for (int i = 0; i < 60; i++) {
        double value = i / 3 * 10 + i % 3;
        memcpy(bytes + TWP_NPY_HEADER + i * 8, &value, 8);
    }
    write_file(path, bytes, sizeof bytes);
    struct rows *rows = rows_open(path, NULL, problem);
    assert_non_null(rows);
    assert_int_equal(rows_left(rows), 20);
    assert_null(rows_names(rows));
    assert_int_equal(rows_skip(rows, 2, problem), 2);
    check_rows(rows, 7, 3, 2, 20);
    assert_int_equal(rows_skip(rows, 5, problem), 0);
    rows_close(rows);
    rows = rows_open(path, "a, b,c", problem);
    assert_string_equal(rows_names(rows)[1], "b");
    assert_true(rows_slice(rows, 5, 11, problem));
    check_rows(rows, 4, 3, 5, 11);
    rows_close(rows);
    assert_null(rows_open(path, "a,b", problem));
    assert_non_null(strstr(problem, "--columns names 2"));
    write_file(path, bytes, sizeof bytes - 1);
    assert_null(rows_open(path, NULL, problem));
    write_file(path, bytes, 9);
    assert_null(rows_open(path, NULL, problem));
    unlink(path);
}

/* A file that becomes shorter while it is read is an error, not a signal. */
static void rows_of_npy_cut_later(void **state)
{
    static unsigned char bytes[TWP_NPY_HEADER + 10000 * 4];
    static float values[10000];
    char problem[512];
    const char *path = scratch("cut.npy");
    twp_npy_header(2, 10000, 1, 4, bytes);
    write_file(path, bytes, sizeof bytes);
    struct rows *rows = rows_open(path, NULL, problem);
    assert_non_null(rows);
    assert_int_equal(truncate(path, 200), 0);
    assert_int_equal(rows_read(rows, 10000, values, problem), -1);
    assert_non_null(strstr(problem, "shorter"));
    rows_close(rows);
    unlink(path);
}

static void rows_of_csv(void **state)
{
    static const char text[] = "\"x\", y\r\n0,1\r\n10,11\n20,21\n30,31"; /* quotes, CRLF, no newline at the end */
    char problem[512];
    const char *path = scratch("a.csv");
    write_file(path, text, sizeof text - 1);
    struct rows *rows = rows_open(path, NULL, problem);
    assert_non_null(rows);
    assert_string_equal(rows_names(rows)[0], "x");
    assert_string_equal(rows_names(rows)[1], "y");
    assert_int_equal(rows_left(rows), -1);
    assert_int_equal(rows_skip(rows, 1, problem), 1);
    check_rows(rows, 2, 2, 1, 4);
    rows_close(rows);
    write_file(path, "x,y\n0,1\n10,11\n\n\n", 16);
    rows = rows_open(path, NULL, problem);
    check_rows(rows, 1, 2, 0, 2);
    rows_close(rows);
    rows = rows_open(path, NULL, problem);
    assert_false(rows_slice(rows, 9, 10, problem));
    rows_close(rows);
    write_file(path, "x,y\n", 4);
    rows = rows_open(path, NULL, problem);
    assert_non_null(rows);
    check_rows(rows, 2, 2, 0, 0);
    rows_close(rows);
    write_file(path, "x,y", 3);
    rows = rows_open(path, NULL, problem);
    assert_non_null(rows);
    check_rows(rows, 2, 2, 0, 0);
    rows_close(rows);
    write_file(path, "x\n0\n10\n2,3\n", 11);
    rows = rows_open(path, NULL, problem);
    float values[8];
    assert_int_equal(rows_read(rows, 2, values, problem), 2);
    assert_int_equal(rows_read(rows, 2, values, problem), -1);
    assert_non_null(strstr(problem, "counted from row 2"));
    rows_close(rows);
    unlink(path);
}

/* Random bytes are refused or read, and never more than that. */
static void rows_of_anything(void **state)
{
    unsigned char bytes[400];
    char problem[512];
    float *values = malloc(100 * 1024 * sizeof *values);
    const char *path = scratch("noise");
    unsigned seed = 1;
    for (int round = 0; round < 300; round++) {
        for (size_t i = 0; i < sizeof bytes; i++) {
            seed = seed * 1664525u + 1013904223u;
            bytes[i] = round % 3 ? "0123456789,.-\n\"naife"[(seed >> 20) % 20] : (unsigned char)(seed >> 20);
        }
        if (round % 3 == 0)
            memcpy(bytes, round % 2 ? "\x93NUMPY\x01" : "\x89HDF\r\n\x1a\n", 7);
        write_file(path, bytes, sizeof bytes);
        struct rows *rows = rows_open(path, NULL, problem);
        while (rows && rows_columns(rows) < 1024 && rows_read(rows, 100, values, problem) > 0) {
        }
        rows_close(rows);
    }
    free(values);
    unlink(path);
}

#ifdef HAVE_HDF5
static void add_table(hid_t file, const char *name, int dims, hsize_t rows, hsize_t cols)
{
    hsize_t size[2] = {rows, cols};
    double values[120];
    for (hsize_t i = 0; i < rows * cols; i++)
        values[i] = (double)(i / cols * 10 + i % cols);
    hid_t space = H5Screate_simple(dims, size, NULL);
    hid_t set = H5Dcreate2(file, name, H5T_IEEE_F64BE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Dwrite(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(set);
    H5Sclose(space);
}

static void rows_of_hdf5(void **state)
{
    char problem[512], named[300];
    const char *path = scratch("a.h5");
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    add_table(file, "events", 2, 20, 3);
    H5Fclose(file);
    struct rows *rows = rows_open(path, "a,b,c", problem);
    assert_non_null(rows);
    assert_int_equal(rows_left(rows), 20);
    assert_true(rows_slice(rows, 2, 15, problem));
    check_rows(rows, 6, 3, 2, 15);
    rows_close(rows);
    file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    add_table(file, "weights", 1, 20, 1);
    H5Fclose(file);
    assert_null(rows_open(path, NULL, problem));
    assert_non_null(strstr(problem, "events, weights"));
    snprintf(named, sizeof named, "%s::weights", path);
    rows = rows_open(named, NULL, problem);
    assert_non_null(rows);
    check_rows(rows, 6, 1, 0, 20);
    rows_close(rows);
    snprintf(named, sizeof named, "%s::nothing", path);
    assert_null(rows_open(named, NULL, problem));
    assert_non_null(strstr(problem, "nothing"));
    unlink(path);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_of_every_kind),
        cmocka_unit_test(options_refused),
        cmocka_unit_test(options_suggestions),
        cmocka_unit_test(options_values),
        cmocka_unit_test(outbox_counts_bytes_and_batches),
        cmocka_unit_test(outbox_retries_in_order),
        cmocka_unit_test(output_reads_paths),
        cmocka_unit_test(rows_of_npy),
        cmocka_unit_test(rows_of_npy_cut_later),
        cmocka_unit_test(rows_of_csv),
        cmocka_unit_test(rows_of_anything),
#ifdef HAVE_HDF5
        cmocka_unit_test(rows_of_hdf5),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
