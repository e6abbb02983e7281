/* Rows: invalid ones are counted, parts follow from identities, blobs come back or are refused. */
#include "common.h"

static void test_append(void **state)
{
    struct tw_schema *schema = schema_of(MIXED, CONDITIONS);
    struct tw_data data;
    float values[4 * 5] = {21, 0, 0, 0.5, 0, 19, 0, 0, 0.5, 0, 22, NAN, 0, 0.5, 0, 23, 1, 2, 1, 3};
    float weights[] = {1, 2, 3, -4}, condition = 0.15f;

    tw_data_init(&data, schema);
    assert_int_equal(tw_data_append(&data, 7, 100, 4, values, &condition, weights), 0);
    assert_int_equal(data.rows, 2);
    assert_int_equal(data.invalid, 2);
    assert_true(data.features[5] == 23 && data.weights[1] == -4 && data.conditions[1] == 0.15f);
    assert_true(data.keys[1] == tw_data_key(7, 103));
    assert_int_equal(tw_data_append(&data, 8, 0, 1, values, NULL, NULL), 0);
    assert_true(data.conditions[2] == 0.12f && data.weights[2] == 1);
    tw_data_fini(&data);
    tw_schema_free(schema);
}

/* 80, 10, 10 per cent; a part is a function of the identity alone. */
static void test_parts(void **state)
{
    struct tw_schema *schema = schema_of(MIXED, CONDITIONS);
    struct tw_data data = mixed_data(schema, 3, 20000, 0), part;
    size_t total = 0;
    static const double share[] = {0.8, 0.1, 0.1};

    for (int p = 0; p < 3; p++) {
        tw_data_init(&part, schema);
        assert_int_equal(tw_data_append_parts(&part, &data, 1u << p), 0);
        assert_float_equal((double)part.rows / 20000, share[p], 0.01);
        for (size_t i = 0; i < part.rows; i++)
            assert_int_equal(tw_data_part(part.keys[i]), p);
        total += part.rows;
        tw_data_fini(&part);
    }
    assert_int_equal(total, 20000);
    tw_data_init(&part, schema);
    assert_int_equal(tw_data_append_parts(&part, &data, 7), 0);
    assert_memory_equal(part.features, data.features, data.rows * 5 * sizeof(float));
    tw_data_fini(&part);
    tw_data_fini(&data);
    tw_schema_free(schema);
}

static void test_labels(void **state)
{
    struct tw_schema *schema = schema_of(MIXED, CONDITIONS);
    struct tw_data a = mixed_data(schema, 1, 300, 0), both;

    tw_data_init(&both, schema);
    assert_int_equal(tw_data_append_rows(&both, &a, 0, 200, 0), 0);
    assert_int_equal(tw_data_append_rows(&both, &a, 100, 200, 1), 0);
    assert_int_equal(tw_data_append_rows(&both, &a, 200, 101, 1), TW_INVALID);
    assert_int_equal(both.rows, 400);
    assert_true(both.labels[199] == 0 && both.labels[200] == 1 && both.labels[399] == 1);
    assert_memory_equal(both.features + 200 * 5, a.features + 100 * 5, 5 * sizeof(float));
    tw_data_fini(&a);
    tw_data_fini(&both);
    tw_schema_free(schema);
}

static void test_blob(void **state)
{
    struct tw_schema *schema = schema_of(MIXED, CONDITIONS), *other = schema_of("[{\"name\": \"x\"}]", NULL);
    struct tw_data data = mixed_data(schema, 1, 123, 0), back;
    unsigned char *blob;
    size_t size;

    data.invalid = 5;
    assert_int_equal(tw_data_to_blob(&data, &blob, &size), 0);
    assert_int_equal(tw_data_from_blob(&back, schema, blob, size), 0);
    assert_int_equal(back.rows, 123);
    assert_int_equal(back.invalid, 5);
    assert_memory_equal(back.features, data.features, 123 * 5 * sizeof(float));
    assert_memory_equal(back.conditions, data.conditions, 123 * sizeof(float));
    assert_memory_equal(back.keys, data.keys, 123 * sizeof(uint64_t));
    assert_memory_equal(back.weights, data.weights, 123 * sizeof(float));
    tw_data_fini(&back);
    assert_int_equal(tw_data_from_blob(&back, other, blob, size), TW_CORRUPT);
    for (size_t cut = 0; cut < size; cut += cut < 200 ? 1 : 97) {
        unsigned char *part = malloc(cut + 1); /* exact size, for the sanitizer */

        memcpy(part, blob, cut);
        assert_int_equal(tw_data_from_blob(&back, schema, part, cut), TW_CORRUPT);
        free(part);
    }
    for (size_t bit = 0; bit < 8 * 40; bit++) { /* the counts */
        blob[bit / 8] ^= (unsigned char)(1u << bit % 8);
        if (!tw_data_from_blob(&back, schema, blob, size))
            tw_data_fini(&back);
        blob[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    free(blob);
    tw_data_fini(&data);
    tw_schema_free(schema);
    tw_schema_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_blob),
    };

    return cmocka_run_group_tests_name("model/data", tests, NULL, NULL);
}
