/* Batches against a schema: which column goes where, which rows count, and what makes two batches the same. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "daemon/batch.h"

static struct tw_schema *schema;
static unsigned char payload[1 << 20], weights[1 << 18];

static int setup(void **state)
{
    struct tw_error error;
    json_t *features = json_loads("[{\"name\": \"pt\", \"transform\": \"log\", \"min\": 0},"
                                  " {\"name\": \"phi\", \"kind\": \"periodic\", \"min\": -3.2, \"max\": 3.2},"
                                  " {\"name\": \"eta\"}]",
                                  0, NULL);
    json_t *conditions = json_loads("[{\"name\": \"alpha_s\", \"min\": 0.1, \"max\": 0.15, \"value\": 0.13},"
                                    " {\"name\": \"beam\", \"min\": 0, \"max\": 20, \"value\": 13}]",
                                    0, NULL);
    int status = tw_schema_parse(features, conditions, &schema, &error);
    json_decref(features);
    json_decref(conditions);
    return status;
}

static int teardown(void **state)
{
    tw_schema_free(schema);
    return 0;
}

/* A decoded batch of `rows` x `cols` with the given values; header members beyond the key in `more`. */
static struct twp_batch decode(const char *more, size_t rows, size_t cols, const float *values, const float *weight)
{
    struct twp_batch batch;
    char header[1024], detail[200];
    snprintf(header, sizeof header, "{\"twin\":\"t\",\"feed\":\"f\",\"run\":0,\"seq\":0%s%s}", *more ? "," : "", more);
    twp_npy_header(2, rows, cols, 4, payload);
    memcpy(payload + TWP_NPY_HEADER, values, rows * cols * sizeof *values);
    struct twp_frame frames[4] = {
        {TWP_BATCH, 4}, {header, strlen(header)}, {payload, TWP_NPY_HEADER + rows * cols * sizeof *values}};
    if (weight) {
        twp_npy_header(1, rows, 1, 4, weights);
        memcpy(weights + TWP_NPY_HEADER, weight, rows * sizeof *weight);
        frames[3] = (struct twp_frame){weights, TWP_NPY_HEADER + rows * sizeof *weight};
    }
    if (twp_wire_batch(frames, weight ? 4 : 3, &batch, detail) != TWP_OK)
        fail_msg("%s", detail);
    return batch;
}

static void columns_are_mapped(void **state)
{
    static const float row[3] = {1, 2, 3};
    int map[3];
    char detail[200];
    struct twp_batch batch = decode("", 1, 3, row, NULL);
    assert_int_equal(batch_map(schema, &batch, map, detail), TWP_OK);
    assert_true(map[0] == 0 && map[1] == 1 && map[2] == 2);
    twp_wire_batch_fini(&batch);
    batch = decode("\"columns\": [\"eta\", \"pt\", \"phi\"]", 1, 3, row, NULL);
    assert_int_equal(batch_map(schema, &batch, map, detail), TWP_OK);
    assert_true(map[0] == 1 && map[1] == 2 && map[2] == 0);
    twp_wire_batch_fini(&batch);
}

static void what_does_not_fit_is_named(void **state)
{
    static const struct {
        const char *more;
        size_t cols;
        enum twp_code code;
        const char *says;
    } cases[] = {
        {"", 2, TWP_BAD_SHAPE, "2 columns instead of 3"},
        {"", 4, TWP_BAD_SHAPE, "4 columns instead of 3"},
        {"\"columns\": [\"pt\", \"phi\", \"eta\"]", 2, TWP_BAD_SHAPE, "2 columns instead of 3"},
        {"\"columns\": [\"pt\", \"phi\"]", 2, TWP_UNKNOWN_COLUMN, "\"eta\" is missing"},
        {"\"columns\": [\"pt\", \"phi\", \"mass\"]", 3, TWP_UNKNOWN_COLUMN, "\"mass\""},
        {"\"columns\": [\"pt\", \"phi\", \"eta\", \"pt\"]", 4, TWP_UNKNOWN_COLUMN, "\"pt\" is there twice"},
        {"\"columns\": [\"pt\", \"phi\", \"eta\", \"alpha_s\"]", 4, TWP_UNKNOWN_COLUMN, "condition"},
        {"\"conditions\": {\"mass\": 1}", 3, TWP_UNKNOWN_COLUMN, "\"mass\""},
        {"\"conditions\": {\"pt\": 1}", 3, TWP_UNKNOWN_COLUMN, "\"pt\""},
        {"\"conditions\": {\"beam\": 1e300}", 3, TWP_BAD_HEADER, "\"beam\""},
    };
    static const float row[4] = {1, 2, 3, 4};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int map[3];
        char detail[200];
        struct twp_batch batch = decode(cases[i].more, 1, cases[i].cols, row, NULL);
        struct tw_data data;
        tw_data_init(&data, schema);
        assert_int_equal(batch_map(schema, &batch, map, detail), cases[i].code);
        if (!strstr(detail, cases[i].says))
            fail_msg("\"%s\" does not say \"%s\"", detail, cases[i].says);
        assert_int_equal(batch_append(schema, &batch, 0, &data), TW_INVALID);
        tw_data_fini(&data);
        twp_wire_batch_fini(&batch);
    }
}

static void rows_arrive_in_schema_order(void **state)
{
    static const float values[4][3] = {{1, 10, 0.1f}, {2, -20, 0.2f}, {NAN, 30, 0.3f}, {4, 40, 0.4f}};
    static const float weight[4] = {1, 2, 3, 0.5f};
    struct twp_batch batch =
        decode("\"columns\": [\"eta\", \"pt\", \"phi\"], \"conditions\": {\"alpha_s\": 0.12}", 4, 3, values[0], weight);
    struct tw_data data;
    tw_data_init(&data, schema);
    assert_int_equal(batch_invalid_rows(schema, &batch), 2); /* pt = -20, eta = NaN */
    assert_int_equal(batch_append(schema, &batch, 7, &data), 0);
    assert_int_equal(data.rows, 2);
    assert_int_equal(data.invalid, 2);
    assert_true(data.features[0] == 10 && data.features[1] == 0.1f && data.features[2] == 1);
    assert_true(data.features[3] == 40 && data.features[4] == 0.4f && data.features[5] == 4);
    assert_true(data.weights[0] == 1 && data.weights[1] == 0.5f);
    assert_true(data.conditions[0] == 0.12f && data.conditions[1] == 13 && data.conditions[2] == 0.12f);
    assert_true(data.keys[0] == tw_data_key(7, 0) && data.keys[1] == tw_data_key(7, 3));
    tw_data_fini(&data);
    twp_wire_batch_fini(&batch);
}

/* The column that most rows break, and the rule with the first value that does. */
static void what_is_wrong_is_said(void **state)
{
    static const struct {
        float row[2][3];
        const char *column, *rule;
    } cases[] = {
        {{{-1, 0, NAN}, {-2, 0, 0}}, "pt", "is not above min = 0: -1"},
        {{{1, INFINITY, 0}, {1, 1, 0}}, "phi", "is infinite"},
        {{{1, 0, 0}, {1, 0, NAN}}, "eta", "is not a number"},
    };
    struct batch_fault fault;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct twp_batch batch = decode("", 2, 3, cases[i].row[0], NULL);
        assert_true(batch_fault(schema, &batch, &fault));
        assert_string_equal(fault.column, cases[i].column);
        assert_string_equal(fault.rule, cases[i].rule);
        twp_wire_batch_fini(&batch);
    }
    static const float good[3] = {1, 0, 0};
    struct twp_batch batch = decode("", 1, 3, good, NULL);
    assert_false(batch_fault(schema, &batch, &fault));
    twp_wire_batch_fini(&batch);
}

/* More rows than one block takes: each row keeps its place and its weight. */
static void blocks_join(void **state)
{
    enum { ROWS = 50000 };
    float *values = malloc(ROWS * 3 * sizeof *values), *weight = malloc(ROWS * sizeof *weight);
    for (int i = 0; i < ROWS; i++) {
        values[3 * i] = (float)i + 1;
        values[3 * i + 1] = 0;
        values[3 * i + 2] = i % 1000 == 999 ? INFINITY : (float)-i;
        weight[i] = (float)i;
    }
    struct twp_batch batch = decode("", ROWS, 3, values, weight);
    struct tw_data data;
    tw_data_init(&data, schema);
    assert_int_equal(batch_invalid_rows(schema, &batch), 50);
    assert_int_equal(batch_append(schema, &batch, 1, &data), 0);
    assert_int_equal(data.rows, ROWS - 50);
    for (size_t i = 0, row = 0; i < ROWS; i++) {
        if (i % 1000 == 999)
            continue;
        assert_true(data.features[3 * row] == (float)i + 1 && data.weights[row] == (float)i &&
                    data.keys[row] == tw_data_key(1, i));
        row++;
    }
    tw_data_fini(&data);
    twp_wire_batch_fini(&batch);
    free(values);
    free(weight);
}

static void digest(const char *more, const float *values, const float *weight, uint8_t out[16])
{
    struct twp_batch batch = decode(more, 2, 2, values, weight);
    batch_digest(&batch, out);
    twp_wire_batch_fini(&batch);
}

static void the_digest_is_of_the_content(void **state)
{
    static const float values[4] = {1, 2, 3, 4}, others[4] = {1, 2, 3, 5}, weight[2] = {1, 1};
    const char *header = "\"columns\": [\"a\", \"bc\"], \"conditions\": {\"x\": 1, \"y\": 2}";
    uint8_t first[16], second[16];
    digest(header, values, NULL, first);
    static const char *const same[] = {
        "\"conditions\": {\"y\": 2, \"x\": 1.0}, \"columns\": [\"a\", \"bc\"]",
        "\"columns\": [\"a\", \"bc\"], \"conditions\": {\"x\": 1, \"y\": 2}, \"time\": \"2026-03-01T12:00:00Z\"",
        "\"columns\": [\"a\", \"bc\"], \"conditions\": {\"x\": 1, \"y\": 2}, \"stream\": \"data\"",
    };
    for (size_t i = 0; i < 3; i++) {
        digest(same[i], values, NULL, second);
        assert_memory_equal(first, second, 16);
    }
    static const char *const different[] = {
        "",
        "\"columns\": [\"ab\", \"c\"], \"conditions\": {\"x\": 1, \"y\": 2}",
        "\"columns\": [\"bc\", \"a\"], \"conditions\": {\"x\": 1, \"y\": 2}",
        "\"columns\": [\"a\", \"bc\"], \"conditions\": {\"x\": 2, \"y\": 1}",
        "\"columns\": [\"a\", \"bc\"], \"conditions\": {\"x\": 1}",
        "\"columns\": [\"a\", \"bc\"], \"conditions\": {\"x\": 1, \"y\": 2}, \"stream\": \"simulation\"",
    };
    for (size_t i = 0; i < sizeof different / sizeof *different; i++) {
        digest(different[i], values, NULL, second);
        assert_memory_not_equal(first, second, 16);
    }
    digest(header, others, NULL, second);
    assert_memory_not_equal(first, second, 16);
    digest(header, values, weight, second);
    assert_memory_not_equal(first, second, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_mapped),           cmocka_unit_test(what_does_not_fit_is_named),
        cmocka_unit_test(rows_arrive_in_schema_order),  cmocka_unit_test(blocks_join),
        cmocka_unit_test(the_digest_is_of_the_content), cmocka_unit_test(what_is_wrong_is_said),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
