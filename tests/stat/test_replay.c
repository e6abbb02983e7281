/* Old rows with their weights have the law of the new ones, and weights of one where nothing has changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "kernel/kernel.h"
#include "stat/replay.h"

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

static void fill(struct tw_data *data, uint64_t key, size_t n, float mean)
{
    tw_data_init(data, schema);
    for (size_t i = 0; i < n; i++) {
        tw_real z[2];
        tw_rng_normal(key, i, 0, 2, z);
        float row[2] = {(float)z[0] + mean, (float)z[1]};
        assert_int_equal(tw_data_append(data, 0, i, 1, row, NULL, NULL), TW_OK);
    }
}

static void learn(size_t n, size_t m, float shift, uint64_t seed, double *weights, struct tw_data *old,
                  struct tw_replay *report)
{
    struct tw_data fresh;
    struct tw_error error = {""};
    const struct tw_kernels *kernels = tw_kernels_choose(getenv("TWIN_KERNELS"), NULL);
    struct tw_pool *pool = tw_pool_new(1, false);
    fill(old, 1, n, 0);
    fill(&fresh, 2, m, shift);
    assert_int_equal(tw_replay_weights(old, &fresh, seed, kernels, pool, weights, report, &error), TW_OK);
    tw_pool_free(pool);
    tw_data_fini(&fresh);
}

static double weighted_mean(const struct tw_data *data, const double *weights, size_t column)
{
    double sum = 0, total = 0;
    for (size_t i = 0; i < data->rows; i++) {
        sum += weights[i] * (double)data->features[2 * i + column];
        total += weights[i];
    }
    assert_true(fabs(total / (double)data->rows - 1) < 1e-6);
    return sum / total;
}

static void old_rows_become_new(void **state)
{
    enum { N = 4000, M = 3000 };
    double *weights = test_malloc(N * sizeof *weights), *again = test_malloc(N * sizeof *again);
    struct tw_data old, same;
    struct tw_replay report, second;
    learn(N, M, 0.6f, 5, weights, &old, &report);
    assert_true(fabs(weighted_mean(&old, weights, 0) - 0.6) < 0.1);
    assert_true(fabs(weighted_mean(&old, weights, 1)) < 0.1);
    /* exp(0.6 x) has an effective share of exp(-0.36) */
    assert_true(fabs(report.rows / N - exp(-0.36)) < 0.1);
    assert_true(report.largest > 2 && report.largest <= TW_REPLAY_MAX && report.scale > 0.5);
    learn(N, M, 0.6f, 5, again, &same, &second);
    assert_memory_equal(weights, again, N * sizeof *weights);
    tw_data_fini(&old);
    tw_data_fini(&same);
    test_free(weights);
    test_free(again);
}

static void nothing_changed(void **state)
{
    enum { N = 2000 };
    double *weights = test_malloc(N * sizeof *weights);
    struct tw_data old;
    struct tw_replay report;
    learn(N, N, 0, 5, weights, &old, &report);
    assert_true(report.rows > 0.97 * N && report.largest < 2);
    tw_data_fini(&old);
    test_free(weights);
}

static void too_few_rows(void **state)
{
    struct tw_data old, fresh;
    struct tw_replay report;
    struct tw_error error = {""};
    double weights[300];
    fill(&old, 1, 300, 0);
    fill(&fresh, 2, 199, 0);
    assert_int_equal(tw_replay_weights(&old, &fresh, 1, NULL, NULL, weights, &report, &error), TW_INVALID);
    assert_non_null(strstr(error.text, "199 new rows"));
    tw_data_fini(&old);
    tw_data_fini(&fresh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(old_rows_become_new),
        cmocka_unit_test(nothing_changed),
        cmocka_unit_test(too_few_rows),
    };
    return cmocka_run_group_tests(tests, make_schema, free_schema);
}
