/* The judge and the joint decision: they find what is there, keep quiet on what is not, and never depend on timing. */
#include "toy.h"

#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "kernel/kernel.h"
#include "stat/drift.h"

#define ALL_DETECTORS (1u << TW_DETECT_C2ST | 1u << TW_DETECT_KS)
#define BY_FEATURE    (1u << TW_DETECT_KS | 1u << TW_DETECT_CVM | 1u << TW_DETECT_CHI2)

static const struct toy NOMINAL = {0, 0.6, 0.3};
static const struct tw_kernels *kernels;
static struct tw_schema *schema;

static int setup(void **state)
{
    kernels = tw_kernels_choose(getenv("TWIN_KERNELS"), NULL);
    schema = toy_schema();
    return kernels && schema ? 0 : 1;
}

static int teardown(void **state)
{
    tw_schema_free(schema);
    return 0;
}

static struct tw_data events(const struct toy *toy, uint64_t key, size_t n)
{
    struct tw_data data;
    tw_data_init(&data, schema);
    toy_append(&data, toy, key, 0, n);
    return data;
}

static struct tw_drift drift_of(const struct tw_data *reference, const struct tw_data *window, unsigned detectors,
                                struct tw_pool *pool)
{
    struct tw_drift_options options = {.detectors = detectors, .expected_run_time = 1000, .seed = 17};
    struct tw_drift drift;
    struct tw_error error;
    if (tw_drift(reference, window, &options, kernels, pool, &drift, &error))
        fail_msg("%s", error.text);
    return drift;
}

static void test_c2st_finds(void **state)
{
    struct toy other = {0, 0.2, 0.3}; /* the marginals of x, y, u stay */
    struct tw_data a = events(&NOMINAL, 1, 3000), b = events(&other, 2, 2000);
    struct tw_c2st found;
    struct tw_error error;
    assert_int_equal(tw_c2st(&a, &b, 5, kernels, NULL, &found, &error), TW_OK);
    assert_true(found.p_value < 1e-6 && found.auc > 0.56);
    assert_true(found.error > 0.005 && found.error < 0.03);
    assert_true(found.tested_a == 1500 && found.tested_b == 1000);
    assert_non_null(found.classifier);
    tw_c2st_fini(&found);
    tw_c2st_fini(&found);
    tw_data_fini(&a);
    tw_data_fini(&b);
}

/* P(p <= 1/20) on samples that are alike. */
static void test_c2st_null(void **state)
{
    enum { REPEAT = 40 };
    int small = 0;
    for (uint64_t r = 0; r < REPEAT; r++) {
        struct tw_data a = events(&NOMINAL, 100 + 2 * r, 400), b = events(&NOMINAL, 101 + 2 * r, 250);
        struct tw_c2st found;
        assert_int_equal(tw_c2st(&a, &b, r, kernels, NULL, &found, NULL), TW_OK);
        small += found.p_value <= 0.05;
        tw_c2st_fini(&found);
        tw_data_fini(&a);
        tw_data_fini(&b);
    }
    assert_in_range(small, 0, 6); /* 2 expected; 7 or more has a chance of 3e-3 */
}

static void test_few_rows(void **state)
{
    struct tw_data a = events(&NOMINAL, 1, 100), b = events(&NOMINAL, 2, 39), none;
    struct tw_c2st found;
    struct tw_error error = {""};
    tw_data_init(&none, schema);
    assert_int_equal(tw_c2st(&a, &b, 5, kernels, NULL, &found, &error), TW_INVALID);
    assert_true(strlen(error.text) > 0 && found.classifier == NULL && found.p_value == 1);
    struct tw_drift drift = drift_of(&a, &b, ALL_DETECTORS, NULL);
    assert_true(!drift.drift && drift.statistics[0].p_value == 1 && isnan(drift.statistics[0].value));
    tw_drift_fini(&drift);
    drift = drift_of(&a, &none, ALL_DETECTORS, NULL);
    assert_false(drift.drift);
    for (int i = 0; i < drift.count; i++)
        assert_true(drift.statistics[i].p_value == 1);
    tw_drift_fini(&drift);
    tw_data_fini(&a);
    tw_data_fini(&b);
}

/* The shares of what runs add up to alpha. */
static void test_shares(void **state)
{
    struct tw_data a = events(&NOMINAL, 1, 60), b = events(&NOMINAL, 2, 60);
    const unsigned masks[] = {0, 1u << TW_DETECT_C2ST, 1u << TW_DETECT_KS, ALL_DETECTORS,
                              ALL_DETECTORS | 1u << TW_DETECT_INVALID};
    const int counts[] = {1, 2, TOY_FEATURES + 1, TOY_FEATURES + 2, TOY_FEATURES + 2};
    for (int k = 0; k < 5; k++) {
        struct tw_drift drift = drift_of(&a, &b, masks[k], NULL);
        double sum = 0;
        assert_int_equal(drift.count, counts[k]);
        for (int i = 0; i < drift.count; i++)
            sum += drift.statistics[i].threshold;
        assert_true(fabs(sum - 1.0 / 2000) < 1e-15);
        assert_int_equal(drift.statistics[drift.count - 1].detector, TW_DETECT_INVALID);
        if (counts[k] == TOY_FEATURES + 2) {
            assert_true(fabs(drift.statistics[0].threshold - 0.5 / 2000) < 1e-15);
            for (int d = 0; d < TOY_FEATURES; d++)
                assert_int_equal(drift.statistics[1 + d].feature, d);
        }
        tw_drift_fini(&drift);
        tw_drift_fini(&drift);
    }
    struct tw_drift_options options = {.detectors = 0, .expected_run_time = 0.5};
    struct tw_drift drift;
    assert_int_equal(tw_drift(&a, &b, &options, kernels, NULL, &drift, NULL), TW_INVALID);
    tw_data_fini(&a);
    tw_data_fini(&b);
}

/* A tilt of u alone is named by the tests of u and by no other feature's. */
static void test_columns_named(void **state)
{
    struct toy other = {0, 0.6, -0.3};
    struct tw_data a = events(&NOMINAL, 1, 3000), b = events(&other, 2, 2000);
    struct tw_drift drift = drift_of(&a, &b, BY_FEATURE, NULL);
    assert_true(drift.drift && drift.count == 3 * TOY_FEATURES + 1);
    for (int d = 0; d < 3 * TOY_FEATURES; d++) {
        const struct tw_statistic *s = &drift.statistics[d];
        assert_int_equal(s->detector, TW_DETECT_KS + d / TOY_FEATURES);
        assert_int_equal(s->feature, d % TOY_FEATURES);
        assert_int_equal(s->alarm, s->feature == 3);
        assert_true(s->p_adjusted >= s->p_value && s->p_adjusted <= fmin(1, TOY_FEATURES * s->p_value) * (1 + 1e-15));
        assert_int_equal(s->p_adjusted <= TOY_FEATURES * s->threshold, s->feature == 3);
    }
    tw_drift_fini(&drift);
    tw_data_fini(&a);
    tw_data_fini(&b);
}

/* Weights below zero leave out what needs distribution functions that rise, with a reason; the rest goes on. Weights
 * that are all equal change nothing, to the last bit. */
static void test_weights(void **state)
{
    const unsigned all = ALL_DETECTORS | BY_FEATURE | 1u << TW_DETECT_MMD;
    struct toy other = {0.4, 0.6, 0.3};
    struct tw_data a = events(&NOMINAL, 1, 2000), b = events(&other, 2, 1500);
    struct tw_drift plain = drift_of(&a, &b, all, NULL);
    for (size_t i = 0; i < b.rows; i++)
        b.weights[i] = 0.7f;
    struct tw_drift equal = drift_of(&a, &b, all, NULL);
    for (int i = 0; i < plain.count; i++)
        assert_true(plain.statistics[i].p_value == equal.statistics[i].p_value);
    for (size_t i = 0; i < b.rows; i++)
        b.weights[i] = i % 12 ? 1 : -1;
    struct tw_drift signs = drift_of(&a, &b, all, NULL);
    assert_true(signs.drift);
    for (int i = 0; i < signs.count; i++) {
        const struct tw_statistic *s = &signs.statistics[i];
        bool sums = s->detector == TW_DETECT_CHI2 || s->detector == TW_DETECT_MMD || s->detector == TW_DETECT_INVALID;
        assert_true(sums || (s->p_value == 1 && !s->alarm));
        assert_true(s->threshold ==
                    plain.statistics[i].threshold); /* a share is kept: which run may not depend on data */
        assert_int_equal(strstr(signs.left_out[s->detector].text, "2007.11586") != NULL, !sums);
        assert_true(plain.left_out[s->detector].text[0] == 0);
        if (s->detector == TW_DETECT_MMD || (s->detector == TW_DETECT_CHI2 && s->feature == 0))
            assert_true(s->alarm);
    }
    /* weights that turn the window into the reference: what is compared are weighted distributions */
    for (size_t i = 0; i < b.rows; i++)
        b.weights[i] = (float)exp(toy_log_prob(&NOMINAL, b.features + TOY_FEATURES * i) -
                                  toy_log_prob(&other, b.features + TOY_FEATURES * i));
    struct tw_drift turned = drift_of(&a, &b, all, NULL);
    for (int i = 0; i < turned.count; i++)
        assert_true(plain.statistics[i].detector != TW_DETECT_C2ST || plain.statistics[i].alarm);
    assert_false(turned.drift);
    tw_drift_fini(&plain);
    tw_drift_fini(&equal);
    tw_drift_fini(&signs);
    tw_drift_fini(&turned);
    tw_data_fini(&a);
    tw_data_fini(&b);
}

/* Where only the share of events changes that have a feature, its presence names it and no other test does; where only
 * its values change, KS does, on the rows that have it. */
static void test_presence_names(void **state)
{
    json_t *json = json_loads("[{\"name\": \"x\"}, {\"name\": \"y\", \"optional\": true},"
                              " {\"name\": \"n\", \"kind\": \"discrete\", \"min\": 1, \"max\": 3}]",
                              0, NULL);
    struct tw_schema *optional;
    struct tw_data data[3];
    assert_int_equal(tw_schema_parse(json, NULL, &optional, NULL), TW_OK);
    for (int k = 0; k < 3; k++) {
        tw_data_init(&data[k], optional);
        for (uint64_t i = 0; i < 3000; i++) {
            tw_real normal[2];
            tw_rng_normal((uint64_t)k, 0, i, 1, normal);
            tw_rng_normal((uint64_t)k, 1, i, 1, normal + 1);
            bool there = tw_rng_uniform((uint64_t)k, 2, i) < (k == 1 ? 0.6 : 0.5);
            float row[3] = {(float)normal[0], there ? (float)(normal[1] + (k == 2 ? (tw_real)0.3 : 0)) : NAN,
                            (float)(1 + i % 3)};
            assert_int_equal(tw_data_append(&data[k], i, 0, 1, row, NULL, NULL), TW_OK);
        }
    }
    for (int k = 1; k < 3; k++) {
        struct tw_drift drift = drift_of(&data[0], &data[k], ALL_DETECTORS, NULL);
        assert_int_equal(drift.count, 1 + 3 + 1 + 1);
        const struct tw_statistic *presence = &drift.statistics[4];
        assert_true(presence->detector == TW_DETECT_PRESENCE && presence->feature == 1);
        assert_true(fabs(presence->value - (k == 1 ? 0.6 : 0.5)) < 0.04 && fabs(presence->floor - 0.5) < 0.04);
        double sum = 0;
        for (int i = 0; i < drift.count; i++) {
            sum += drift.statistics[i].threshold;
            if (i > 0)
                assert_int_equal(drift.statistics[i].alarm, i == (k == 1 ? 4 : 2));
        }
        assert_true(drift.drift && fabs(sum - 1.0 / 2000) < 1e-15);
        tw_drift_fini(&drift);
    }
    for (int k = 0; k < 3; k++)
        tw_data_fini(&data[k]);
    tw_schema_free(optional);
    json_decref(json);
}

/* Features that come and go together are one test: they share a threshold, and the shares of the tests add up. */
static void test_presence_groups(void **state)
{
    json_t *json = json_loads("[{\"name\": \"x\"}, {\"name\": \"a\", \"optional\": true},"
                              " {\"name\": \"b\", \"optional\": true}, {\"name\": \"c\", \"optional\": true}]",
                              0, NULL);
    struct tw_schema *optional;
    assert_int_equal(tw_schema_parse(json, NULL, &optional, NULL), TW_OK);
    for (int apart = 0; apart < 2; apart++) { /* in one row of the window */
        struct tw_data data[2];
        for (int k = 0; k < 2; k++) {
            tw_data_init(&data[k], optional);
            for (uint64_t i = 0; i < 200; i++) {
                float there = i % 3 ? 1 : NAN, row[4] = {0, there, i % 2 ? 1 : NAN, apart && k && i == 7 ? NAN : there};
                assert_int_equal(tw_data_append(&data[k], i, 0, 1, row, NULL, NULL), TW_OK);
            }
        }
        struct tw_drift drift = drift_of(&data[0], &data[1], 0, NULL);
        const struct tw_statistic *at = drift.statistics;
        assert_true(drift.count == 4 && at[0].feature == 1 && at[2].feature == 3);
        assert_true(at[0].threshold == at[1].threshold && at[1].threshold == at[2].threshold);
        assert_true(fabs(at[0].threshold * (apart ? 3 : 2) + at[3].threshold - 1.0 / 2000) < 1e-15);
        tw_drift_fini(&drift);
        tw_data_fini(&data[0]);
        tw_data_fini(&data[1]);
    }
    tw_schema_free(optional);
    json_decref(json);
}

/* An angle counted in [0, 2 pi) is the same angle. */
static void test_angles_wrap(void **state)
{
    struct tw_data a = events(&NOMINAL, 1, 1000), b = events(&NOMINAL, 2, 800), c;
    struct tw_drift plain = drift_of(&a, &b, 1u << TW_DETECT_KS, NULL);
    tw_data_init(&c, b.schema);
    for (size_t i = 0; i < b.rows; i++) {
        float row[TOY_FEATURES];
        memcpy(row, b.features + TOY_FEATURES * i, sizeof row);
        if (row[2] < 0)
            row[2] += (float)(2 * M_PI);
        assert_int_equal(tw_data_append(&c, 2, i, 1, row, NULL, NULL), TW_OK);
    }
    struct tw_drift turned = drift_of(&a, &c, 1u << TW_DETECT_KS, NULL);
    assert_true(fabs(plain.statistics[2].value - turned.statistics[2].value) < 2.0 / 800);
    tw_drift_fini(&plain);
    tw_drift_fini(&turned);
    tw_data_fini(&a);
    tw_data_fini(&b);
    tw_data_fini(&c);
}

static void test_invalid_rows(void **state)
{
    struct tw_data a = events(&NOMINAL, 1, 1000), b = events(&NOMINAL, 2, 1000);
    float bad[2 * TOY_FEATURES] = {0, 0, 0, NAN, 0, 0, 0, 2}; /* not a number; outside the hard edge */
    for (int i = 0; i < 20; i++)
        tw_data_append(&b, 1, 0, 2, bad, NULL, NULL);
    tw_data_append(&a, 1, 0, 2, bad, NULL, NULL);
    struct tw_drift drift = drift_of(&a, &b, 0, NULL);
    const struct tw_statistic *s = &drift.statistics[0];
    assert_true(drift.drift && s->alarm && s->p_value < 1e-5);
    assert_true(fabs(s->value - 40.0 / 1040) < 1e-12 && fabs(s->floor - 2.0 / 1002) < 1e-12 && s->feature == -1);
    tw_drift_fini(&drift);
    tw_data_fini(&a);
    tw_data_fini(&b);
}

/* A window without a valid row leaves the detector that accumulates where it was, and an alarm that it raises by its
 * invalid rows alone has its name. */
static void test_no_valid_rows(void **state)
{
    struct tw_data a = events(&NOMINAL, 1, 1000), b = events(&NOMINAL, 2, 500), none;
    float bad[TOY_FEATURES] = {0, 0, 0, NAN};
    struct tw_cusum cusum;
    struct tw_drift drift;
    tw_data_init(&none, schema);
    for (int i = 0; i < 20; i++)
        tw_data_append(&none, 9, (uint64_t)i, 1, bad, NULL, NULL);
    struct tw_cusum_sample sample = {&a, NULL};
    assert_int_equal(tw_cusum_init(&cusum, &sample, &sample), TW_OK);
    struct tw_drift_options options = {
        .detectors = 1u << TW_DETECT_CUSUM, .expected_run_time = 1000, .cusum = &cusum, .tag = 7};
    assert_int_equal(tw_drift(&a, &b, &options, kernels, NULL, &drift, NULL), TW_OK);
    assert_false(drift.drift);
    tw_drift_fini(&drift);
    assert_int_equal(tw_sketch_rows(&cusum.pool, 0), 1500);
    options.tag = 9;
    assert_int_equal(tw_drift(&a, &none, &options, kernels, NULL, &drift, NULL), TW_OK);
    assert_true(drift.drift && drift.statistics[0].detector == TW_DETECT_CUSUM && drift.statistics[0].p_value == 1 &&
                isnan(drift.statistics[0].value));
    tw_drift_fini(&drift);
    assert_int_equal(cusum.paused, 9);
    for (int quiet = 0; quiet < TW_CUSUM_UNREST; quiet++)
        tw_cusum_settle(&cusum, false, 1e-4);
    assert_int_equal(tw_sketch_rows(&cusum.pool, 0), 1500);
    tw_cusum_fini(&cusum);
    tw_data_fini(&a);
    tw_data_fini(&b);
    tw_data_fini(&none);
}

/* Bit for bit the same with any number of workers. */
static void test_workers(void **state)
{
    struct toy other = {0.05, 0.5, 0.3};
    struct tw_data a = events(&NOMINAL, 1, 1500), b = events(&other, 2, 1000);
    const unsigned all = ALL_DETECTORS | BY_FEATURE | 1u << TW_DETECT_MMD;
    struct tw_drift first = drift_of(&a, &b, all, NULL);
    for (unsigned threads = 1; threads <= 3; threads++) {
        struct tw_pool *pool = tw_pool_new(threads, false);
        struct tw_drift drift = drift_of(&a, &b, all, pool);
        for (int i = 0; i < drift.count; i++) {
            assert_true(drift.statistics[i].p_value == first.statistics[i].p_value);
            assert_memory_equal(&drift.statistics[i].value, &first.statistics[i].value, sizeof(double));
        }
        tw_drift_fini(&drift);
        tw_pool_free(pool);
    }
    tw_drift_fini(&first);
    tw_data_fini(&a);
    tw_data_fini(&b);
}

/* --- change point --- */

enum { BATCHES = 20, EACH = 400 };

static size_t change_point(uint64_t key, double from, double shift, size_t window, size_t last)
{
    double *scores = test_malloc(BATCHES * EACH * sizeof *scores);
    tw_real *draws = test_malloc(BATCHES * EACH * sizeof *draws);
    size_t offsets[BATCHES + 1];
    tw_rng_normal(key, 0, 0, BATCHES * EACH, draws);
    for (size_t i = 0; i < BATCHES * EACH; i++)
        scores[i] = -3 + (double)draws[i] + ((double)i >= from * EACH ? shift : 0);
    for (size_t b = 0; b <= BATCHES; b++)
        offsets[b] = b * EACH;
    scores[3] = NAN, scores[4] = -INFINITY; /* left out */
    size_t found = tw_drift_change_point(scores, offsets, BATCHES, window, last);
    test_free(draws);
    test_free(scores);
    return found;
}

static void test_change_point(void **state)
{
    int exact = 0, early = 0;
    for (uint64_t k = 0; k < 50; k++) {
        size_t found = change_point(k, 9, 0.4, 15, 17);
        exact += found == 9;
        early += found < 9;
    }
    assert_in_range(exact, 45, 50);
    assert_in_range(early, 0, 2);
    assert_int_equal(change_point(1, 9.3, 0.8, 15, 17), 10); /* the mixed batch is left out, though most of it is new */
    assert_int_equal(change_point(1, 16, 0.8, 15, 17), 16);  /* within the window that alarmed */
    assert_int_equal(change_point(1, 18, 0.8, 15, 17), 17);  /* not so late that few rows are left */
    for (uint64_t k = 0; k < 10; k++)
        assert_int_equal(change_point(k, BATCHES, 0.8, 15, 17), 15); /* nothing stands out */
    assert_int_equal(change_point(1, 9, -0.8, 15, 17), 15);          /* scores that fall are no drift */
    assert_int_equal(tw_drift_change_point(NULL, (size_t[]){0}, 0, 0, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_c2st_finds),      cmocka_unit_test(test_c2st_null),
        cmocka_unit_test(test_few_rows),        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_columns_named),   cmocka_unit_test(test_weights),
        cmocka_unit_test(test_angles_wrap),     cmocka_unit_test(test_presence_names),
        cmocka_unit_test(test_presence_groups), cmocka_unit_test(test_invalid_rows),
        cmocka_unit_test(test_no_valid_rows),   cmocka_unit_test(test_workers),
        cmocka_unit_test(test_change_point),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
