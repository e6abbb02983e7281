/* The distance from a reference: nothing where nothing moved, at most what is there, and the region where it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "stat/distance.h"

static struct tw_schema *schema;

static int make_schema(void **state)
{
    json_t *json = json_pack("[{s:s}, {s:s}]", "name", "a", "name", "b");
    int status = tw_schema_parse(json, NULL, &schema, NULL);
    json_decref(json);
    return status;
}

static int free_schema(void **state)
{
    tw_schema_free(schema);
    return 0;
}

/* Uniform rows, two columns. Of those with b in [low, high) only the share `kept` is there, weight `weight`. */
static void fill(struct tw_data *data, uint64_t key, size_t n, double low, double high, double kept, double weight)
{
    tw_data_init(data, schema);
    for (uint64_t i = 0; data->rows < n; i++) {
        tw_real u[3];
        tw_rng_uniforms(key, i, 0, 3, u);
        float row[2] = {(float)u[0], (float)u[1]}, weights[1] = {(float)weight};
        if (!(row[1] >= low && row[1] < high) || (double)u[2] < kept)
            assert_int_equal(tw_data_append(data, 0, data->rows, 1, row, NULL, weights), TW_OK);
    }
}

static void measure(const struct tw_data *reference, const struct tw_data *data, double level, struct tw_distance *out)
{
    assert_int_equal(tw_distance(reference, data, level, out), TW_OK);
}

static void nothing_moved(void **state)
{
    int alarms = 0;
    for (uint64_t i = 0; i < 100; i++) {
        struct tw_data a, b;
        struct tw_distance d;
        fill(&a, 2 * i, 1000, 0, 0, 1, 1);
        fill(&b, 2 * i + 1, 500 + 20 * i, 0, 0, 1, 1);
        measure(&a, &b, 0.1, &d);
        alarms += d.bound > 0;
        assert_true(d.bound == 0 ? d.column == -1 && isnan(d.value) : d.column >= 0);
        tw_data_fini(&a);
        tw_data_fini(&b);
    }
    assert_in_range(alarms, 0, 10); /* 10 expected at most, far fewer by Chernoff and Bonferroni */
}

/* What is shown is below the truth, and comes near to it as rows grow. */
static void a_region_that_changed(void **state)
{
    static const double kept[] = {0, 0.3, 0.6};
    struct tw_data reference;
    fill(&reference, 7, 20000, 0, 0, 1, 1);
    for (size_t i = 0; i < 3; i++) {
        double before = 0, truth = kept[i] > 0 ? -log(kept[i] / (1 - 0.08 * (1 - kept[i]))) : INFINITY;
        for (size_t n = 1000; n <= 30000; n *= 30) {
            struct tw_data data;
            struct tw_distance d;
            fill(&data, n + i, n, 0.4, 0.48, kept[i], 1);
            measure(&reference, &data, 0.01, &d);
            assert_true(d.bound >= before && d.bound < truth);
            before = d.bound;
            if (n > 1000) {
                assert_int_equal(d.column, 1);
                assert_true(d.low > 0.39 && d.high < 0.49);
                assert_true(d.value < 0 && d.expected > 1000 && d.found < 0.8 * d.expected);
                assert_true(isinf(truth) ? d.bound > 3.5 : d.bound > truth - 0.4);
            }
            tw_data_fini(&data);
        }
        assert_true(kept[i] > 0 || before > 1);
    }
    tw_data_fini(&reference);
}

static void more_is_as_far_as_less(void **state)
{
    struct tw_data few, many;
    struct tw_distance d, back;
    fill(&few, 1, 5000, 0.4, 0.48, 0.2, 1);
    fill(&many, 2, 5000, 0, 0, 1, 1);
    measure(&many, &few, 0.01, &d);
    measure(&few, &many, 0.01, &back);
    assert_true(d.value < 0 && back.value > 0 && back.column == 1);
    assert_true(back.bound > 0.3 && d.bound > 0.3);
    tw_data_fini(&few);
    tw_data_fini(&many);
}

/* A common weight changes nothing; unequal ones make the rows count for fewer. */
static void weights(void **state)
{
    struct tw_data reference, data;
    struct tw_distance d, w;
    fill(&reference, 1, 5000, 0, 0, 1, 1);
    fill(&data, 2, 3000, 0.4, 0.48, 0.2, 1);
    measure(&reference, &data, 0.01, &d);
    for (size_t i = 0; i < data.rows; i++)
        data.weights[i] = 0.25f;
    measure(&reference, &data, 0.01, &w);
    assert_true(fabs(w.bound - d.bound) < 1e-6 && fabs(w.found - d.found) < 1e-6);
    for (size_t i = 0; i < data.rows; i++)
        data.weights[i] = i % 4 ? 0.1f : 4;
    measure(&reference, &data, 0.01, &w);
    assert_true(w.expected < 0.4 * d.expected);
    tw_data_fini(&reference);
    tw_data_fini(&data);
}

static void absent_values(void **state)
{
    struct tw_data reference, data;
    struct tw_distance d;
    fill(&reference, 1, 5000, 0, 0, 1, 1);
    fill(&data, 2, 5000, 0, 0, 1, 1);
    for (size_t i = 0; i < 5000; i++) {
        if (i % 10 == 0)
            reference.features[2 * i] = NAN;
        if (i % 2 == 0)
            data.features[2 * i] = NAN;
    }
    measure(&reference, &data, 0.01, &d);
    assert_true(d.column == 0 && isnan(d.low) && isnan(d.high));
    assert_true(d.bound > 1.2 && d.bound < log(5));
    tw_data_fini(&reference);
    tw_data_fini(&data);
}

static void a_discrete_column(void **state)
{
    struct tw_data reference, data;
    struct tw_distance d;
    fill(&reference, 1, 5000, 0, 0, 1, 1);
    fill(&data, 2, 5000, 0, 0, 1, 1);
    for (size_t i = 0; i < 5000; i++) { /* 0, 1, 2 with shares 0.6, 0.3, 0.1, then 0.6, 0.1, 0.3 */
        reference.features[2 * i] = reference.features[2 * i] < 0.6f ? 0 : reference.features[2 * i] < 0.9f ? 1 : 2;
        data.features[2 * i] = data.features[2 * i] < 0.6f ? 0 : data.features[2 * i] < 0.7f ? 1 : 2;
    }
    measure(&reference, &data, 0.01, &d);
    assert_true(d.column == 0 && d.bound > 0.7 && d.bound < log(3));
    tw_data_fini(&reference);
    tw_data_fini(&data);
}

/* What comes where there was nothing is far, however few they are, once they are more than chance puts there. */
static void beyond_the_reference(void **state)
{
    struct tw_data reference, data;
    struct tw_distance d;
    fill(&reference, 1, 5000, 0, 0, 1, 1);
    for (int side = 0; side < 2; side++) {
        for (size_t n = 1; n <= 100; n += 99) {
            fill(&data, 2, 5000, 0, 0, 1, 1);
            for (size_t i = 0; i < n; i++)
                data.features[2 * i] = side ? 1.5f + (float)i : -1.5f;
            measure(&reference, &data, 0.01, &d);
            assert_true(n > 1 ? d.bound > 1.5 && d.bound < log(100) : d.bound == 0);
            tw_data_fini(&data);
        }
        assert_int_equal(d.column, 0);
        assert_true(d.found >= 100 && d.found < 105 && d.expected == 0);
        assert_true(side ? d.low > 0.99 && d.low <= 1.5 && d.high == INFINITY : d.low == -INFINITY && d.high < 0.01);
    }
    for (size_t i = 0; i < 5000; i++)
        reference.features[2 * i] = 0;
    fill(&data, 2, 5000, 0, 0, 1, 1);
    for (size_t i = 0; i < 5000; i++) /* a region that somebody looks at, and that was empty */
        data.features[2 * i] = i % 50 == 0;
    measure(&reference, &data, 0.01, &d);
    assert_true(d.bound > 1.5 && d.found == 100 && d.low == 1);
    tw_data_fini(&reference);
    tw_data_fini(&data);
}

static void edges(void **state)
{
    struct tw_data none, one, some;
    struct tw_distance d;
    tw_data_init(&none, schema);
    fill(&one, 1, 1, 0, 0, 1, 1);
    fill(&some, 2, 100, 0, 0, 1, 1);
    measure(&none, &some, 0.01, &d);
    assert_int_equal(d.column, -1);
    measure(&some, &none, 0.01, &d);
    assert_int_equal(d.column, -1);
    measure(&one, &some, 0.01, &d);
    assert_int_equal(d.column, -1);
    assert_int_equal(tw_distance(&some, &some, 0, &d), TW_INVALID);
    tw_data_fini(&one);
    tw_data_fini(&some);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_moved),          cmocka_unit_test(a_region_that_changed),
        cmocka_unit_test(more_is_as_far_as_less), cmocka_unit_test(weights),
        cmocka_unit_test(absent_values),          cmocka_unit_test(a_discrete_column),
        cmocka_unit_test(beyond_the_reference),   cmocka_unit_test(edges),
    };
    return cmocka_run_group_tests(tests, make_schema, free_schema);
}
