/* Densities that jump at a hard edge: no sample crosses it, none is missing on its inner side, and the density is
 * normalised. */
#include "common.h"

#define FEATURES                                                                                                       \
    "[{\"name\": \"a\", \"transform\": \"log\", \"min\": 20}, {\"name\": \"b\", \"min\": 0, \"max\": 1}, {\"name\": "  \
    "\"c\"}]"
#define D       3
#define SAMPLES 40000

/* Above 20 an exponential of mean 30; between 0 and 1 rising from 1/2 to 3/2; and what hangs on the first. */
static struct tw_data made(const struct tw_schema *schema)
{
    enum { ROWS = 8000 };
    struct tw_data data;
    float *x = malloc(ROWS * D * sizeof *x);

    for (uint64_t i = 0; i < ROWS; i++) {
        tw_real n[1];

        tw_rng_normal(3, 0, i, 1, n);
        x[i * D] = (float)(20 - 30 * log(1 - tw_rng_uniform(3, i, 1)));
        x[i * D + 1] = (float)(-0.5 + sqrt(0.25 + 2 * tw_rng_uniform(3, i, 2)));
        x[i * D + 2] = (float)n[0] + 0.02f * x[i * D];
    }
    tw_data_init(&data, schema);
    assert_int_equal(tw_data_append(&data, 1, 0, ROWS, x, NULL, NULL), 0);
    free(x);
    return data;
}

static double share(const float *x, size_t rows, int f, double low, double high)
{
    size_t count = 0;

    for (size_t i = 0; i < rows; i++)
        count += (double)x[i * D + (size_t)f] >= low && (double)x[i * D + (size_t)f] < high;
    return (double)count / (double)rows;
}

static void test_jumps(void **state)
{
    static const char *const flows[] = {"{\"blocks\": 4, \"hidden\": [16, 16], \"bound\": 8, \"bins\": 10}",
                                        "{\"blocks\": 4, \"hidden\": [16, 16]}"};
    static const double bins[][3] = {{0, 20, 21}, {0, 21, 23}, {1, 0, 0.05}, {1, 0.95, 1.01}}; /* feature, from, to */
    const struct tw_kernels *kernels = tw_kernels_choose(NULL, NULL);
    struct tw_schema *schema = schema_of(FEATURES, NULL);
    struct tw_data data = made(schema);
    struct tw_model *models[2];
    float *x = malloc(2 * SAMPLES * D * sizeof *x);
    double *log_p[2], sum = 0;

    for (int k = 0; k < 2; k++) {
        models[k] = train_small("flow", flows[k], schema, &data, 24);
        assert_int_equal(tw_model_sample(models[k], kernels, NULL, 5, 0, SAMPLES, NULL, x + k * SAMPLES * D), 0);
        log_p[k] = malloc(2 * SAMPLES * sizeof *log_p[k]);
    }
    for (size_t i = 0; i < 2 * SAMPLES; i++)
        assert_true(x[i * D] > 20 && x[i * D + 1] >= 0 && x[i * D + 1] <= 1);
    for (size_t b = 0; b < sizeof bins / sizeof *bins; b++)
        for (int k = 0; k < 2; k++) {
            double truth = share(data.features, data.rows, (int)bins[b][0], bins[b][1], bins[b][2]);
            double got = share(x + k * SAMPLES * D, SAMPLES, (int)bins[b][0], bins[b][1], bins[b][2]);

            if (!(fabs(got - truth) < 0.2 * truth))
                fail_msg("flow %d, feature %g from %g to %g: %.4f of the data, %.4f of the samples", k, bins[b][0],
                         bins[b][1], bins[b][2], truth, got);
        }
    for (int k = 0; k < 2; k++) /* E_r[p / r] = 1 with r = (p + q) / 2: at most 2 everywhere, so within a per cent */
        assert_int_equal(tw_model_log_prob(models[k], kernels, NULL, 2 * SAMPLES, x, NULL, log_p[k]), 0);
    for (int i = 0; i < 2 * SAMPLES; i++)
        sum += 2 / (1 + exp(log_p[1][i] - log_p[0][i])) / (2 * SAMPLES);
    assert_float_equal(sum, 1, 0.01);
    for (int k = 0; k < 2; k++) {
        tw_model_unref(models[k]);
        free(log_p[k]);
    }
    free(x);
    tw_data_fini(&data);
    tw_schema_free(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_jumps)};

    return cmocka_run_group_tests_name("model/edges", tests, NULL, NULL);
}
