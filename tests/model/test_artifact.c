/* The artifact: back to an equal model with equal bytes; truncations, bit flips and foreign headers are refused
 * without harm. */
#include "common.h"
#include "model/artifact.h"

static struct tw_model *small_model(struct tw_schema **schema)
{
    *schema = schema_of(MIXED, CONDITIONS);

    struct tw_data data = mixed_data(*schema, 1, 600, 0);
    struct tw_model *model = train_small("flow", "{\"blocks\": 2, \"hidden\": [4], \"bins\": 3}", *schema, &data, 1);

    tw_data_fini(&data);
    return model;
}

static void test_round_trip(void **state)
{
    struct tw_schema *schema;
    struct tw_model *model = small_model(&schema), *again;
    struct tw_model_record record;
    struct tw_error error;
    unsigned char *bytes, *second;
    size_t size, second_size;
    float row[] = {25, 0, 0, 0.5f, 1};
    double a, b;

    save_model(model, &bytes, &size);
    assert_int_equal(tw_model_load(bytes, size, &again, &record, &error), 0);
    assert_string_equal(record.twin, "test");
    assert_string_equal(record.cause, "train");
    assert_true(record.seed == 18446744073709551615u);
    assert_true(tw_schema_equal(tw_model_schema(again), schema));
    assert_int_equal(tw_model_parameters(again), tw_model_parameters(model));
    save_model(again, &second, &second_size);
    assert_int_equal(size, second_size);
    assert_memory_equal(bytes, second, size);
    assert_int_equal(tw_model_log_prob(model, tw_kernels_ref(), NULL, 1, row, NULL, &a), 0);
    assert_int_equal(tw_model_log_prob(again, tw_kernels_ref(), NULL, 1, row, NULL, &b), 0);
    assert_true(a == b);
    tw_model_unref(tw_model_ref(again));
    tw_model_unref(again);
    tw_model_unref(model);
    tw_model_unref(NULL);
    free(bytes);
    free(second);
    tw_schema_free(schema);
}

/* Loads a copy of exactly this size, so that a sanitizer sees any read beyond it. */
static int load_copy(const unsigned char *bytes, size_t size, char *why)
{
    unsigned char *copy = malloc(size ? size : 1);
    struct tw_model *model = NULL;
    struct tw_error error = {""};
    int status;

    memcpy(copy, bytes, size);
    status = tw_model_load(copy, size, &model, NULL, &error);
    if (why)
        strcpy(why, error.text);
    if (status)
        assert_null(model);
    tw_model_unref(model);
    free(copy);
    return status;
}

static void test_truncations(void **state)
{
    struct tw_schema *schema;
    struct tw_model *model = small_model(&schema);
    unsigned char *bytes;
    size_t size;

    save_model(model, &bytes, &size);
    for (size_t cut = 0; cut < size; cut += cut < 64 ? 1 : 61)
        assert_int_equal(load_copy(bytes, cut, NULL), TW_CORRUPT);
    bytes = realloc(bytes, size + 4);
    memset(bytes + size, 0, 4);
    assert_int_equal(load_copy(bytes, size + 4, NULL), TW_CORRUPT);
    free(bytes);
    tw_model_unref(model);
    tw_schema_free(schema);
}

/* A flipped bit is refused, or leaves a model that answers; it never does harm. */
static void test_bit_flips(void **state)
{
    struct tw_schema *schema;
    struct tw_model *model = small_model(&schema), *flipped;
    struct tw_error error;
    unsigned char *bytes;
    float row[] = {25, 0, 0, 0.5f, 1};
    size_t size, refused = 0;
    double value;

    save_model(model, &bytes, &size);
    for (size_t i = 0; i < 3000; i++) {
        size_t byte = (size_t)(tw_rng_uniform(1, i, 0) * (double)(i % 2 ? size : 2200));
        unsigned char bit = (unsigned char)(1u << (i / 2 % 8));

        bytes[byte] ^= bit;
        if (tw_model_load(bytes, size, &flipped, NULL, &error)) {
            refused++;
        } else {
            if (tw_model_schema(flipped)->features == 5)
                assert_int_equal(tw_model_log_prob(flipped, tw_kernels_ref(), NULL, 1, row, NULL, &value), 0);
            tw_model_unref(flipped);
        }
        bytes[byte] ^= bit;
    }
    assert_true(refused > 700);
    free(bytes);
    tw_model_unref(model);
    tw_schema_free(schema);
}

/* Replaces one piece of the header's text by another of the same length. */
static void swapped(const unsigned char *bytes, size_t size, const char *from, const char *to, const char *word)
{
    unsigned char *copy = malloc(size);
    char why[256];

    assert_int_equal(strlen(from), strlen(to));
    memcpy(copy, bytes, size);

    unsigned char *at = memmem(copy, size, from, strlen(from));

    if (!at)
        fail_msg("no \"%s\" in the header", from);
    memcpy(at, to, strlen(to));
    if (load_copy(copy, size, why) != TW_CORRUPT)
        fail_msg("accepted: %s", to);
    if (!strstr(why, word))
        fail_msg("\"%s\" does not say \"%s\"", why, word);
    free(copy);
}

static void test_foreign_headers(void **state)
{
    struct tw_schema *schema;
    struct tw_model *model = small_model(&schema);
    unsigned char *bytes;
    size_t size;

    save_model(model, &bytes, &size);
    swapped(bytes, size, "\\\"kind\\\":\\\"flow\\\",\\\"model", "\\\"kind\\\":\\\"flaw\\\",\\\"model", "kind");
    swapped(bytes, size, "\\\"format\\\":1", "\\\"format\\\":9", "format");
    swapped(bytes, size, "__metadata__", "__metodata__", "metadata");
    swapped(bytes, size, "\\\"blocks\\\":2", "\\\"blocks\\\":3", "masks");
    swapped(bytes, size, "\\\"bins\\\":3", "\\\"bins\\\":4", "artifact");
    swapped(bytes, size, "\"F32\"", "\"F64\"", "statistics/mean");
    swapped(bytes, size, "[0,20]", "[4,24]", "statistics/mean");
    swapped(bytes, size, "parameters/block1/0/bias", "parameters/block9/0/bias", "block1/0/bias");
    swapped(bytes, size, "\\\"features\\\"", "\\\"featured\\\"", "features");
    swapped(bytes, size, "18446744073709551615", "1844674407370955161x", "seed");
    bytes[7] = 0xff; /* a header of 2^63 bytes */
    assert_int_equal(load_copy(bytes, size, NULL), TW_CORRUPT);
    free(bytes);
    tw_model_unref(model);
    tw_schema_free(schema);
}

static void test_not_finite(void **state)
{
    struct tw_schema *schema;
    struct tw_model *model = small_model(&schema);
    float bad[] = {NAN, INFINITY};
    unsigned char *bytes;
    size_t size;

    save_model(model, &bytes, &size);
    for (int i = 0; i < 2; i++) {
        memcpy(bytes + size - 4, &bad[i], 4);
        assert_int_equal(load_copy(bytes, size, NULL), TW_CORRUPT);
    }
    free(bytes);
    tw_model_unref(model);
    tw_schema_free(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),      cmocka_unit_test(test_truncations), cmocka_unit_test(test_bit_flips),
        cmocka_unit_test(test_foreign_headers), cmocka_unit_test(test_not_finite),
    };

    return cmocka_run_group_tests_name("model/artifact", tests, NULL, NULL);
}
