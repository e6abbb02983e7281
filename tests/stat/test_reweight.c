/* Weights: the exact ratio of two normal laws, calibration, normalisation, folds, and what a model with weights is. */
#include "learn.h"

#include <stdlib.h>
#include <string.h>

#include "kernel/kernel.h"
#include "stat/reweight.h"

static const struct tw_kernels *kernels;

static int setup(void **state)
{
    kernels = tw_kernels_choose(getenv("TWIN_KERNELS"), NULL);
    return kernels ? 0 : 1;
}

static struct tw_schema *normal_schema(void)
{
    json_t *json = json_loads("[{\"name\": \"x\"}]", 0, NULL);
    struct tw_schema *schema = NULL;
    struct tw_error error = {""};
    if (tw_schema_parse(json, NULL, &schema, &error))
        fail_msg("%s", error.text);
    json_decref(json);
    return schema;
}

static void normal_append(struct tw_data *data, uint64_t key, double mean, size_t n)
{
    tw_real *draws = test_malloc(n * sizeof *draws);
    float *values = test_malloc(n * sizeof *values);
    tw_rng_normal(key, 0, 0, n, draws);
    for (size_t i = 0; i < n; i++)
        values[i] = (float)((double)draws[i] + mean);
    assert_int_equal(tw_data_append(data, key, 0, n, values, NULL, NULL), TW_OK);
    test_free(values);
    test_free(draws);
}

/* A flow that was not trained: the normal law with the mean and width of its rows. */
static struct tw_model *normal_model(const struct tw_schema *schema, uint64_t key, size_t n)
{
    struct tw_data rows;
    struct tw_train_options options;
    tw_data_init(&rows, schema);
    normal_append(&rows, key, 0, n);
    tw_trainer_defaults(&options, tw_kind_find("flow"), rows.rows, false);
    options.epochs = 0;
    struct tw_model *model = learn("{\"kind\": \"flow\", \"blocks\": 1, \"hidden\": [8], \"bins\": 4}", &rows, NULL,
                                   &options, kernels, NULL);
    tw_data_fini(&rows);
    return model;
}

static struct tw_model *reweight(struct tw_model *model, const struct tw_data *data,
                                 const struct tw_reweight_options *options, struct tw_pool *pool, double slice,
                                 struct tw_reweight_report *report)
{
    struct tw_reweight *r = NULL;
    struct tw_model *out = NULL;
    struct tw_error error = {""};
    bool done = false;
    if (tw_reweight_new(model, data, NULL, options, kernels, pool, &r, &error))
        fail_msg("%s", error.text);
    while (!done)
        assert_int_equal(tw_reweight_run(r, pool, slice, &done), TW_OK);
    assert_true(tw_reweight_progress(r) == 1);
    struct tw_data samples;
    double *log_weights;
    tw_data_init(&samples, data->schema);
    if (tw_reweight_finish(r, pool, &out, report, &samples, &log_weights, &error))
        fail_msg("%s", error.text);
    assert_int_equal(samples.rows, report->samples);
    tw_data_fini(&samples);
    free(log_weights);
    tw_reweight_free(r);
    return out;
}

/* N(m, s) against N(mu, 1): log ratio = log s + (x - m)^2 / 2 s^2 - (x - mu)^2 / 2, which is mu x - mu^2 / 2 at m = 0
 * and s = 1 (METHODS D11c). */
static void test_exact_ratio(void **state)
{
    const double mu = 0.6;
    struct tw_schema *schema = normal_schema();
    struct tw_model *base = normal_model(schema, 1, 100000);
    struct tw_kind_state of = tw_model_state(base, 0);
    double m = (double)of.statistics->block[of.statistics->tensors[0].offset];
    double s = (double)of.statistics->block[of.statistics->tensors[1].offset];
    struct tw_data data;
    tw_data_init(&data, schema);
    normal_append(&data, 2, mu, 60000);
    struct tw_reweight_options options = {.seed = 5, .epochs = 8, .samples = 30000};
    struct tw_reweight_report report;
    struct tw_model *model = reweight(base, &data, &options, NULL, 0, &report);

    /* root mean square over the samples, against that of the log ratio itself */
    enum { N = 20000 };
    float *x = test_malloc(N * sizeof *x);
    double *log_weights = test_malloc(N * sizeof *log_weights), off = 0, of_ratio = 0, sum = 0, exact_sum = 0,
           exact_squares = 0;
    assert_int_equal(tw_model_sample(base, kernels, NULL, 77, 0, N, NULL, x), TW_OK);
    assert_int_equal(tw_reweighting_log_weights(tw_model_reweighting(model), kernels, NULL, N, x, NULL, log_weights),
                     TW_OK);
    for (int i = 0; i < N; i++) {
        double z = ((double)x[i] - m) / s, exact = log(s) + z * z / 2 - ((double)x[i] - mu) * ((double)x[i] - mu) / 2;
        off += (log_weights[i] - exact) * (log_weights[i] - exact);
        of_ratio += exact * exact;
        sum += exp(log_weights[i]);
        exact_sum += exp(exact);
        exact_squares += exp(2 * exact);
    }
    if (!(sqrt(off / of_ratio) < 0.02))
        fail_msg("off by %.4f of the log ratio", sqrt(off / of_ratio));
    assert_true(fabs(sum / N - 1) < 4 * sqrt(1 / report.ess - 1) / sqrt(N));
    assert_true(fabs(report.ess - exact_sum * exact_sum / N / exact_squares) < 0.03);
    test_free(x);
    test_free(log_weights);
    tw_model_unref(model);
    tw_model_unref(base);
    tw_data_fini(&data);
    tw_schema_free(schema);
}

/* What the other tests share: a base, rows of N(0.6, 1) to go to, and a short training. */
struct case_of {
    struct tw_schema *schema;
    struct tw_model *base, *model;
    struct tw_data data;
    struct tw_reweight_report report;
};

static void case_init(struct case_of *c, double mean, size_t rows, const struct tw_reweight_options *options)
{
    c->schema = normal_schema();
    c->base = normal_model(c->schema, 1, 20000);
    tw_data_init(&c->data, c->schema);
    normal_append(&c->data, 3, mean, rows);
    c->model = reweight(c->base, &c->data, options, NULL, 0, &c->report);
}

static void case_fini(struct case_of *c)
{
    tw_model_unref(c->model);
    tw_model_unref(c->base);
    tw_data_fini(&c->data);
    tw_schema_free(c->schema);
}

/* Networks of many columns learn few rows by heart, where there is nothing else to learn: they are found out by the
 * rows that they have not seen. */
static void test_nothing_to_learn(void **state)
{
    enum { WIDE = 60, N = 1500 };
    json_t *json = json_array();
    struct tw_schema *schema = NULL;
    struct tw_error error = {""};
    for (int f = 0; f < WIDE; f++)
        json_array_append_new(json, json_pack("{s:o}", "name", json_sprintf("x%d", f)));
    assert_int_equal(tw_schema_parse(json, NULL, &schema, &error), TW_OK);
    json_decref(json);
    struct tw_data data;
    tw_data_init(&data, schema);
    for (uint64_t i = 0; i < N; i++) {
        tw_real draws[WIDE];
        float row[WIDE];
        tw_rng_normal(5, i, 0, WIDE, draws);
        for (int f = 0; f < WIDE; f++)
            row[f] = (float)draws[f];
        assert_int_equal(tw_data_append(&data, 1, i, 1, row, NULL, NULL), TW_OK);
    }
    struct tw_train_options untrained;
    tw_trainer_defaults(&untrained, tw_kind_find("flow"), N, false);
    untrained.epochs = 0;
    struct tw_model *base = learn("{\"kind\": \"flow\", \"blocks\": 1, \"hidden\": [8], \"bins\": 4}", &data, NULL,
                                  &untrained, kernels, NULL);
    struct tw_reweight_options options = {.seed = 9, .samples = 4000};
    struct tw_reweight_report report;
    struct tw_model *model = reweight(base, &data, &options, NULL, 0, &report);
    if (!(report.scale < 3 * report.scale_error) || !(report.ess > 0.97))
        fail_msg("scale %g +- %g, ess %g", report.scale, report.scale_error, report.ess);
    assert_int_equal(report.rows, N);
    assert_int_equal(report.samples, 4000);
    tw_model_unref(model);
    tw_model_unref(base);
    tw_data_fini(&data);
    tw_schema_free(schema);
}

static void test_density(void **state)
{
    struct tw_reweight_options options = {.seed = 4, .epochs = 4};
    enum { N = 20000 };
    struct case_of c;
    float *x = test_malloc(N * sizeof *x);
    double *base = test_malloc(3 * N * sizeof *base), *with = base + N, *log_weights = with + N, sum = 0;
    case_init(&c, 0.6, 8000, &options);
    for (int i = 0; i < N; i++)
        x[i] = (float)(-10 + 20.0 * i / N);
    const struct tw_reweighting *weights = tw_model_reweighting(c.model);
    assert_null(tw_model_reweighting(c.base));
    assert_ptr_equal(tw_model_base(c.model), c.base);
    assert_int_equal(tw_model_log_prob(c.base, kernels, NULL, N, x, NULL, base), TW_OK);
    assert_int_equal(tw_model_log_prob(c.model, kernels, NULL, N, x, NULL, with), TW_OK);
    assert_int_equal(tw_reweighting_log_weights(weights, kernels, NULL, N, x, NULL, log_weights), TW_OK);
    for (int i = 0; i < N; i++) {
        assert_true(fabs(with[i] - base[i] - log_weights[i]) < 1e-12);
        assert_true(log_weights[i] <= log(tw_reweighting_largest(weights)) + 1e-12);
        sum += exp(with[i]) * 20 / N;
    }
    assert_true(fabs(sum - 1) < 4 * weights->log_mean_error);
    assert_true(weights->log_mean_error > 1e-3 && weights->log_mean_error < 1e-2);
    test_free(x);
    test_free(base);
    case_fini(&c);
}

/* Events follow the density of p w: their histogram against the integral of exp(log_prob). */
static void test_events(void **state)
{
    struct tw_reweight_options options = {.seed = 4, .epochs = 4};
    enum { N = 30000, BINS = 20, FINE = 50 };
    struct case_of c;
    float *x = test_malloc(N * sizeof *x);
    double counts[BINS] = {0}, chi2 = 0, log_prob[FINE];
    case_init(&c, 0.6, 8000, &options);
    assert_int_equal(tw_model_sample(c.model, kernels, NULL, 8, 0, N, NULL, x), TW_OK);
    for (int i = 0; i < N; i++)
        if (x[i] >= -1.5f && x[i] < 2.5f)
            counts[(int)(((double)x[i] + 1.5) * BINS / 4)]++;
    for (int b = 0; b < BINS; b++) {
        float grid[FINE];
        double expected = 0;
        for (int i = 0; i < FINE; i++)
            grid[i] = (float)(-1.5 + 4.0 / BINS * (b + (i + 0.5) / FINE));
        assert_int_equal(tw_model_log_prob(c.model, kernels, NULL, FINE, grid, NULL, log_prob), TW_OK);
        for (int i = 0; i < FINE; i++)
            expected += N * exp(log_prob[i]) * 4 / BINS / FINE;
        chi2 += (counts[b] - expected) * (counts[b] - expected) / expected;
    }
    assert_true(chi2 < 45); /* 1e-3 for 20 */

    /* any cut, any number of workers */
    struct tw_pool *pool = tw_pool_new(2, false);
    static const size_t cuts[] = {0, 1, 7, 256, 300, 511, 512, 1300, 2000};
    float *again = test_malloc(2000 * sizeof *again);
    for (size_t i = 0; i + 1 < sizeof cuts / sizeof *cuts; i++)
        assert_int_equal(tw_model_sample(c.model, kernels, i % 2 ? pool : NULL, 8, cuts[i], cuts[i + 1] - cuts[i], NULL,
                                         again + cuts[i]),
                         TW_OK);
    assert_memory_equal(x, again, 2000 * sizeof *x);
    assert_int_equal(tw_model_sample(c.model, kernels, NULL, 9, 0, 2000, NULL, again), TW_OK);
    assert_memory_not_equal(x, again, 2000 * sizeof *x);
    tw_pool_free(pool);
    test_free(again);
    test_free(x);
    case_fini(&c);
}

/* The same bytes with one worker or two, at once or in slices; back from them an equal model. */
static void test_same_bytes(void **state)
{
    struct tw_reweight_options options = {.seed = 4, .epochs = 2, .folds = 3, .samples = 5000};
    struct tw_model_record record = {.twin = "toy", .cause = "reweight", .seed = 4};
    struct tw_pool *pool = tw_pool_new(2, false);
    struct tw_reweight_report report;
    struct case_of c;
    unsigned char *bytes, *sliced, *again;
    size_t size, sliced_size, again_size;
    struct tw_error error = {""};
    case_init(&c, 0.6, 2000, &options);
    struct tw_model *other = reweight(c.base, &c.data, &options, pool, 1e-4, &report), *loaded;
    assert_int_equal(tw_model_save(c.model, &record, &bytes, &size), TW_OK);
    assert_int_equal(tw_model_save(other, &record, &sliced, &sliced_size), TW_OK);
    assert_int_equal(size, sliced_size);
    assert_memory_equal(bytes, sliced, size);
    assert_memory_equal(&report, &c.report, sizeof report);

    if (tw_model_load(bytes, size, &loaded, NULL, &error))
        fail_msg("%s", error.text);
    assert_int_equal(tw_model_reweighting(loaded)->members, 3);
    assert_int_equal(tw_model_save(loaded, &record, &again, &again_size), TW_OK);
    assert_int_equal(size, again_size);
    assert_memory_equal(bytes, again, size);
    float x[600], y[600];
    assert_int_equal(tw_model_sample(c.model, kernels, NULL, 1, 0, 600, NULL, x), TW_OK);
    assert_int_equal(tw_model_sample(loaded, kernels, NULL, 1, 0, 600, NULL, y), TW_OK);
    assert_memory_equal(x, y, sizeof x);
    free(bytes);
    free(sliced);
    free(again);
    tw_model_unref(loaded);
    tw_model_unref(other);
    tw_pool_free(pool);
    case_fini(&c);
}

static struct tw_observables *observables_of(const struct tw_schema *schema, const char *text)
{
    json_t *json = json_loads(text, 0, NULL);
    struct tw_observables *observables;
    struct tw_error error = {""};
    if (tw_observables_parse(json, schema, &observables, &error))
        fail_msg("%s", error.text);
    json_decref(json);
    return observables;
}

/* Networks see the observables, absent ones too, and the artifact holds what they are. The data lack a comb in x, which
 * is a step in the observable. */
static void test_observables(void **state)
{
    struct tw_schema *schema = normal_schema();
    struct tw_model *base = normal_model(schema, 1, 20000), *model, *loaded;
    struct tw_observables *observables =
        observables_of(schema, "[{\"name\": \"wave\", \"expression\": \"cos(20 * x)\"},"
                               " {\"name\": \"root\", \"expression\": \"sqrt(x)\"}]");
    struct tw_data data;
    tw_data_init(&data, schema);
    for (uint64_t i = 0; data.rows < 6000; i++) {
        tw_real draw[1];
        tw_rng_normal(6, 0, i, 1, draw);
        float x = (float)draw[0];
        if (cos(20 * (double)x) < 0.5)
            assert_int_equal(tw_data_append(&data, 1, i, 1, &x, NULL, NULL), TW_OK);
    }
    struct tw_reweight_options options = {.seed = 2, .samples = 4000};
    struct tw_reweight_report report;
    struct tw_reweight *r;
    struct tw_error error = {""};
    double *log_weights;
    bool done;
    struct tw_data samples;
    tw_data_init(&samples, schema);
    assert_int_equal(tw_reweight_new(base, &data, observables, &options, kernels, NULL, &r, &error), TW_OK);
    assert_int_equal(tw_reweight_run(r, NULL, 0, &done), TW_OK);
    assert_int_equal(tw_reweight_finish(r, NULL, &model, &report, &samples, &log_weights, &error), TW_OK);
    tw_reweight_free(r);
    tw_observables_unref(observables); /* the model has its own */
    assert_int_equal(report.not_finite, 0);

    /* Scales are those of the bulk: the wave's quartiles are nearly two apart, its standard deviation is 0.7. */
    struct tw_kind_state of = tw_model_state(tw_model_reweighting(model)->member[0], 0);
    assert_true((double)of.statistics->block[of.statistics->tensors[1].offset + 1] > 0.8);

    /* Two thirds of the samples are kept: weights 1.5 and 0, above zero and below, where the root is absent. */
    double kept[2] = {0}, cut[2] = {0};
    int of_kept[2] = {0}, of_cut[2] = {0};
    for (size_t i = 0; i < samples.rows; i++) {
        double x = (double)samples.features[i], wave = cos(20 * x);
        if (wave < 0.3)
            kept[x < 0] += exp(log_weights[i]), of_kept[x < 0]++;
        if (wave > 0.7)
            cut[x < 0] += exp(log_weights[i]), of_cut[x < 0]++;
    }
    for (int side = 0; side < 2; side++) {
        assert_true(fabs(kept[side] / of_kept[side] - 1.5) < 0.15);
        assert_true(cut[side] / of_cut[side] < 0.15);
    }

    struct tw_model_record record = {.twin = "toy", .cause = "reweight"};
    unsigned char *bytes;
    size_t size;
    assert_int_equal(tw_model_save(model, &record, &bytes, &size), TW_OK);
    if (tw_model_load(bytes, size, &loaded, NULL, &error))
        fail_msg("%s", error.text);
    double *again = test_malloc(samples.rows * sizeof *again);
    assert_int_equal(tw_reweighting_log_weights(tw_model_reweighting(loaded), kernels, NULL, samples.rows,
                                                samples.features, NULL, again),
                     TW_OK);
    for (size_t i = 0; i < samples.rows; i++)
        assert_true(fabs(again[i] - log_weights[i]) < 1e-9);
    test_free(again);
    free(log_weights);
    free(bytes);
    tw_model_unref(loaded);
    tw_model_unref(model);
    tw_model_unref(base);
    tw_data_fini(&samples);
    tw_data_fini(&data);
    tw_schema_free(schema);
}

/* Weights over weights: what is under them gets new ones. */
static void test_again(void **state)
{
    struct tw_reweight_options options = {.seed = 4, .epochs = 3, .samples = 5000};
    struct tw_reweight_report report;
    struct case_of c;
    case_init(&c, 0.6, 3000, &options);
    struct tw_model *second = reweight(c.model, &c.data, &options, NULL, 0, &report);
    assert_ptr_equal(tw_model_base(second), c.base);
    assert_memory_equal(&report, &c.report, sizeof report);
    tw_model_unref(second);
    case_fini(&c);
}

/* --- the parts --- */

/* Labels drawn with P(1) = s(0.7 x - 0.2): found again from x, within errors; logits twice as large, half the scale. */
static void test_calibration(void **state)
{
    enum { N = 20000 };
    double *x = test_malloc(N * sizeof *x), scale, offset, error, half, same, unused;
    float *labels = test_malloc(2 * N * sizeof *labels), *weights = labels + N;
    tw_real *draws = test_malloc(N * sizeof *draws);
    tw_rng_normal(3, 0, 0, N, draws);
    for (int i = 0; i < N; i++) {
        x[i] = 2 * (double)draws[i];
        labels[i] = tw_rng_uniform(4, (uint64_t)i, 0) < 1 / (1 + exp(0.2 - 0.7 * x[i]));
        weights[i] = 1;
    }
    tw_reweight_calibrate(x, labels, weights, N, &scale, &offset, &error);
    assert_true(error > 0.005 && error < 0.02);
    assert_true(fabs(scale - 0.7) < 4 * error && fabs(offset + 0.2) < 0.08);
    double gradient = 0;
    for (int i = 0; i < N; i++) {
        gradient += (labels[i] - 1 / (1 + exp(-scale * x[i] - offset))) * x[i];
        x[i] *= 2;
    }
    assert_true(fabs(gradient) < 1e-6 * N);
    tw_reweight_calibrate(x, labels, weights, N, &half, &same, &unused);
    assert_true(fabs(2 * half - scale) < 1e-6 && fabs(same - offset) < 1e-6);

    /* the wrong way round, without any spread, without overlap */
    for (int i = 0; i < N; i++)
        x[i] = -x[i];
    tw_reweight_calibrate(x, labels, weights, N, &scale, &offset, &error);
    assert_true(scale == 0 && offset == 0);
    for (int i = 0; i < N; i++)
        x[i] = 0.5;
    tw_reweight_calibrate(x, labels, weights, N, &scale, &offset, &error);
    assert_true(isfinite(scale) && isfinite(offset));
    for (int i = 0; i < N; i++)
        x[i] = labels[i] > 0 ? 1 : i % 100 == 7 ? NAN : -1;
    tw_reweight_calibrate(x, labels, weights, N, &scale, &offset, &error);
    assert_true(scale > 5 && scale <= 100);
    test_free(x);
    test_free(labels);
    test_free(draws);
}

static void test_normalisation(void **state)
{
    double logs[] = {log(1), log(2), log(3), NAN, INFINITY}, sorted[5];
    struct tw_reweighting weights = {0};
    struct tw_reweight_report report = {0};
    tw_reweight_normalise(logs, 5, sorted, &weights, &report); /* the mean of what is finite is 2 */
    assert_int_equal(report.not_finite, 2);
    assert_int_equal(report.samples, 5);
    assert_true(fabs(report.sum - 10) < 1e-12 && fabs(report.largest - 1.5) < 1e-12);
    assert_true(fabs(report.ess - 100.0 / (5 * (1 + 4 + 9 + 4 + 4))) < 2e-3); /* (sum w)^2 / n sum w^2, cap aside */
    assert_true(fabs(exp(logs[0]) - 0.5) < 1e-3 && fabs(exp(logs[2]) - 1.5) < 1e-2 && logs[3] == 0 && logs[4] == 0);
    assert_true(fabs(exp(weights.log_mean) - 2) < 3e-3);
    assert_true(report.overflow <= 1e-3 && weights.overflow == report.overflow);
    assert_true(exp(weights.log_cap) < 3 + 1e-9 && exp(weights.log_cap) > 2);

    /* one event has all the weight: the cap is where its share of the rest is bearable */
    enum { N = 1000 };
    double *many = test_malloc(2 * N * sizeof *many);
    for (int i = 0; i < N; i++)
        many[i] = i ? -40 : 40;
    tw_reweight_normalise(many, N, many + N, &weights, &report);
    assert_true(weights.log_cap - weights.log_mean <= log(TW_REWEIGHTING_MAX) + 1e-9);
    assert_true(report.ess > 0 && report.ess < 0.3 && isfinite(report.mean_error));
    assert_true(report.overflow > 0.9 && fabs(report.largest / N - 1) < 1e-9);
    for (int i = 0; i < N; i++)
        many[i] = NAN;
    tw_reweight_normalise(many, N, many + N, &weights, &report);
    assert_true(report.not_finite == N && report.ess == 1 && weights.log_cap == weights.log_mean);
    test_free(many);
}

static void refused(struct tw_model *model, const struct tw_data *data, int folds, const char *word)
{
    struct tw_reweight_options options = {.folds = folds};
    struct tw_reweight *r;
    struct tw_error error = {""};
    assert_int_equal(tw_reweight_new(model, data, NULL, &options, kernels, NULL, &r, &error), TW_INVALID);
    assert_null(r);
    if (!strstr(error.text, word))
        fail_msg("\"%s\" does not say \"%s\"", error.text, word);
}

static void test_refusals(void **state)
{
    struct tw_schema *schema = normal_schema();
    struct tw_model *base = normal_model(schema, 1, 1000), *out;
    struct tw_data data;
    struct tw_error error = {""};
    tw_data_init(&data, schema);
    normal_append(&data, 2, 0, 99);
    refused(base, &data, 0, "100 rows");
    normal_append(&data, 3, 0, 99);
    refused(base, &data, 1, "folds");
    refused(base, &data, 9, "folds");
    data.weights[5] = -1;
    refused(base, &data, 4, "negative");
    data.weights[5] = 1;

    /* a classifier has no density, a flow is no classifier, numbers have their ranges */
    struct tw_train_options options;
    tw_trainer_defaults(&options, tw_kind_find("classifier"), 100, false);
    options.epochs = 0;
    struct tw_data labelled;
    tw_data_init(&labelled, schema);
    assert_int_equal(tw_data_append_rows(&labelled, &data, 0, 100, 1), TW_OK);
    struct tw_model *classifier = learn("{\"kind\": \"classifier\"}", &labelled, NULL, &options, kernels, NULL);
    refused(classifier, &data, 4, "density");
    struct tw_reweighting good = {.members = 1, .member = {classifier}, .scale = 1, .log_cap = 1, .ess = 1}, bad = good;
    assert_int_equal(tw_model_reweight(base, &good, &out, &error), TW_OK);
    tw_model_unref(out);
    assert_int_equal(tw_model_reweight(classifier, &good, &out, &error), TW_INVALID);
    bad.member[0] = base;
    assert_int_equal(tw_model_reweight(base, &bad, &out, &error), TW_INVALID);
    bad = good, bad.log_cap = log(65);
    assert_int_equal(tw_model_reweight(base, &bad, &out, &error), TW_INVALID);
    bad = good, bad.log_cap = -0.1;
    assert_int_equal(tw_model_reweight(base, &bad, &out, &error), TW_INVALID);
    bad = good, bad.scale = NAN;
    assert_int_equal(tw_model_reweight(base, &bad, &out, &error), TW_INVALID);
    bad = good, bad.ess = 0;
    assert_int_equal(tw_model_reweight(base, &bad, &out, &error), TW_INVALID);
    bad = good, bad.members = 0;
    assert_int_equal(tw_model_reweight(base, &bad, &out, &error), TW_INVALID);

    /* weights that let next to nothing through end the search */
    float x[10];
    bad = good, bad.log_mean = 40, bad.log_cap = 44;
    assert_int_equal(tw_model_reweight(base, &bad, &out, &error), TW_OK);
    assert_int_equal(tw_model_sample(out, kernels, NULL, 1, 0, 10, NULL, x), TW_NOT_FOUND);
    tw_model_unref(out);
    tw_model_unref(classifier);
    tw_model_unref(base);
    tw_data_fini(&labelled);
    tw_data_fini(&data);
    tw_schema_free(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact_ratio),   cmocka_unit_test(test_nothing_to_learn),
        cmocka_unit_test(test_density),       cmocka_unit_test(test_events),
        cmocka_unit_test(test_same_bytes),    cmocka_unit_test(test_observables),
        cmocka_unit_test(test_again),         cmocka_unit_test(test_calibration),
        cmocka_unit_test(test_normalisation), cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
