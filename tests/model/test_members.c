/* Ensembles: members are trained apart on resampled rows, share an artifact, and answer as a mixture. */
#include "common.h"
#include "model/members.h"

#define MEMBERS  3
#define ENSEMBLE "{\"kind\": \"flow\", \"members\": 3, \"blocks\": 2, \"hidden\": [8], \"bins\": 4}"
#define N        700

struct fixture {
    struct tw_schema *schema;
    struct tw_data data;
    struct tw_model *model;
};

static int setup(void **state)
{
    struct fixture *f = malloc(sizeof *f);

    f->schema = schema_of(MIXED, CONDITIONS);
    f->data = mixed_data(f->schema, 1, 3000, 0);
    f->model = train_small("flow", ENSEMBLE, f->schema, &f->data, 6);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    tw_model_unref(f->model);
    tw_data_fini(&f->data);
    tw_schema_free(f->schema);
    free(f);
    return 0;
}

static struct tw_model *run(struct tw_trainer *trainer, struct tw_pool *pool, double slice,
                            struct tw_train_report *report)
{
    struct tw_model *model;
    double progress = 0;

    for (bool done = false; !done;) {
        assert_int_equal(tw_trainer_run(trainer, pool, slice, &done), 0);
        assert_true(tw_trainer_progress(trainer) >= progress);
        progress = tw_trainer_progress(trainer);
    }
    assert_true(progress == 1);
    if (report)
        tw_trainer_report(trainer, report);
    assert_int_equal(tw_trainer_model(trainer, &model), 0);
    tw_trainer_free(trainer);
    return model;
}

static double *members_log_prob(const struct tw_model *model, const struct tw_data *data)
{
    double *out = malloc(N * (size_t)tw_model_members(model) * sizeof *out);

    assert_int_equal(
        tw_model_log_prob_members(model, tw_kernels_choose(NULL, NULL), NULL, N, data->features, data->conditions, out),
        0);
    return out;
}

/* Mean 1, variance 1, third moment 6, and another draw for each member. */
static void test_weights(void **state)
{
    const int n = 200000;
    double sum[3] = {0}, product = 0;

    for (int i = 0; i < n; i++) {
        uint64_t key = tw_data_key(7, (uint64_t)i);
        double w = tw_members_weight(2, key), v = tw_members_weight(3, key);

        assert_true(w > 0 && w == tw_members_weight(2, key));
        sum[0] += w / n;
        sum[1] += w * w / n;
        sum[2] += w * w * w / n;
        product += w * v / n;
    }
    assert_float_equal(sum[0], 1, 0.01);
    assert_float_equal(sum[1], 2, 0.04);
    assert_float_equal(sum[2], 6, 0.4);
    assert_float_equal(product, 1, 0.02);
}

/* All rows, with all that belongs to them; the weights that they came with count. */
static void test_resampled_rows(void **state)
{
    struct fixture *f = *state;
    struct tw_data rows;

    f->data.weights[5] = 3;
    tw_data_init(&rows, f->schema);
    assert_int_equal(tw_members_resample(&f->data, 2, &rows), 0);
    assert_int_equal(rows.rows, f->data.rows);
    assert_memory_equal(rows.features, f->data.features, rows.rows * MIXED_FEATURES * sizeof *rows.features);
    assert_memory_equal(rows.conditions, f->data.conditions, rows.rows * sizeof *rows.conditions);
    assert_memory_equal(rows.keys, f->data.keys, rows.rows * sizeof *rows.keys);
    for (size_t i = 0; i < rows.rows; i++) {
        double weight = (i == 5 ? 3 : 1) * tw_members_weight(2, rows.keys[i]);

        assert_float_equal(rows.weights[i], weight, 1e-5 * weight);
    }
    f->data.weights[5] = 1;
    tw_data_fini(&rows);
}

/* What is counted scatters over members as it does over data sets: the share of a class, sqrt(p (1 - p) / n). */
static void test_counted_shares(void **state)
{
    enum { ROWS = 1250, SAMPLES = 4000, HERE = 12 };
    struct tw_schema *schema =
        schema_of("[{\"name\": \"x\"}, {\"name\": \"k\", \"kind\": \"discrete\", \"min\": 0, \"max\": 1}]", NULL);
    float *values = malloc(2 * SAMPLES * sizeof *values);
    double sum = 0, squares = 0;
    struct tw_data data;

    for (int i = 0; i < ROWS; i++) {
        values[2 * i] = (float)tw_rng_uniform(3, (uint64_t)i, 0);
        values[2 * i + 1] = tw_rng_uniform(3, (uint64_t)i, 1) < 0.3;
    }
    tw_data_init(&data, schema);
    assert_int_equal(tw_data_append(&data, 1, 0, ROWS, values, NULL, NULL), 0);

    struct tw_model *model =
        train_small("flow", "{\"members\": 12, \"blocks\": 1, \"hidden\": [4], \"bins\": 3}", schema, &data, 1);

    for (int m = 0; m < HERE; m++) {
        double share = 0;

        assert_int_equal(
            tw_model_sample_member(model, m, tw_kernels_choose(NULL, NULL), NULL, 5, 0, SAMPLES, NULL, values), 0);
        for (int i = 0; i < SAMPLES; i++)
            share += (double)values[2 * i + 1] / SAMPLES;
        sum += share / HERE;
        squares += share * share / HERE;
    }

    double ratio = sqrt((squares - sum * sum) * HERE / (HERE - 1) / (0.21 / (0.8 * ROWS)));

    assert_float_equal(sum, 0.3, 0.06);
    if (!(ratio > 0.5 && ratio < 1.6))
        fail_msg("the share of a class scatters by %.2f of what it should", ratio);
    free(values);
    tw_model_unref(model);
    tw_data_fini(&data);
    tw_schema_free(schema);
}

/* A member does not depend on how many others there are, and differs from them. */
static void test_members_are_apart(void **state)
{
    struct fixture *f = *state;
    struct tw_model *two =
        train_small("flow", "{\"members\": 2, \"blocks\": 2, \"hidden\": [8], \"bins\": 4}", f->schema, &f->data, 6);
    double *of_members = members_log_prob(f->model, &f->data);

    for (int m = 0; m < 2; m++) {
        const struct tw_params *a = tw_model_state(f->model, m).parameters, *b = tw_model_state(two, m).parameters;

        assert_int_equal(a->size, b->size);
        assert_memory_equal(a->block, b->block, a->size * sizeof *a->block);
    }

    for (int m = 1; m < MEMBERS; m++) {
        double apart = 0;

        for (int i = 0; i < N; i++)
            apart += fabs(of_members[i * MEMBERS + m] - of_members[i * MEMBERS]) / N;
        assert_true(apart > 0.05);
    }
    free(of_members);
    tw_model_unref(two);

    struct tw_model *start = train_small("flow", ENSEMBLE, f->schema, &f->data, 0); /* from starts of their own */
    const struct tw_params *a = tw_model_state(start, 0).parameters, *b = tw_model_state(start, 1).parameters;

    assert_true(memcmp(a->block, b->block, a->size * sizeof *a->block) != 0);
    tw_model_unref(start);
}

static void test_mixture(void **state)
{
    struct fixture *f = *state;
    double *of_members = members_log_prob(f->model, &f->data), mixture[N];
    double far[] = {-INFINITY, -2000, -INFINITY}, none[] = {-INFINITY, -INFINITY}, one[] = {-3.25};

    assert_float_equal(tw_model_mixture(far, 3), -2000 - log(3), 1e-9);
    assert_true(tw_model_mixture(none, 2) == -INFINITY);
    assert_true(tw_model_mixture(one, 1) == -3.25);
    assert_int_equal(tw_model_log_prob(f->model, tw_kernels_choose(NULL, NULL), NULL, N, f->data.features,
                                       f->data.conditions, mixture),
                     0);
    for (int i = 0; i < N; i++) {
        double sum = 0;

        for (int m = 0; m < MEMBERS; m++)
            sum += exp(of_members[i * MEMBERS + m]) / MEMBERS;
        assert_float_equal(mixture[i], log(sum), 1e-9);
    }
    free(of_members);
}

/* A mixture event is that of the member drawn for it; members take turns at random; the cut does not matter. */
static void test_samples(void **state)
{
    struct fixture *f = *state;
    const struct tw_kernels *kernels = tw_kernels_choose(NULL, NULL);
    const size_t n = 3000, d = MIXED_FEATURES;
    struct tw_pool *pool = tw_pool_new(2, false);
    float *all = malloc(n * d * sizeof *all), *part = malloc(n * d * sizeof *part);
    int counts[MEMBERS] = {0};

    assert_int_equal(tw_model_sample(f->model, kernels, pool, 9, 0, n, NULL, all), 0);
    for (size_t first = 0, count = 1; first < n; first += count, count = count * 3 % 700 + 1) {
        size_t m = first + count > n ? n - first : count;

        assert_int_equal(tw_model_sample(f->model, kernels, NULL, 9, first, m, NULL, part), 0);
        assert_memory_equal(part, all + first * d, m * d * sizeof *part);
    }
    for (int m = 0; m < MEMBERS; m++) {
        assert_int_equal(tw_model_sample_member(f->model, m, kernels, pool, 9, 0, n, NULL, part), 0);
        for (size_t i = 0; i < n; i++) {
            bool own = tw_members_of_event(9, i, MEMBERS) == m, same = true;

            for (size_t k = 0; k < d; k++)
                same = same && fabsf(part[i * d + k] - all[i * d + k]) <= 1e-4f * (1 + fabsf(all[i * d + k]));
            assert_true(same == own);
            counts[m] += own;
        }
    }
    for (int m = 0; m < MEMBERS; m++)
        assert_true(abs(counts[m] - (int)n / MEMBERS) < 130); /* 5 standard deviations */
    assert_int_equal(tw_model_sample_member(f->model, MEMBERS, kernels, NULL, 9, 0, 1, NULL, part), TW_INVALID);
    assert_int_equal(tw_model_sample_member(f->model, -1, kernels, NULL, 9, 0, 1, NULL, part), TW_INVALID);
    free(all);
    free(part);
    tw_pool_free(pool);
}

static void test_artifact(void **state)
{
    struct fixture *f = *state;
    struct tw_model *again;
    struct tw_error error = {""};
    unsigned char *bytes, *second;
    size_t size, same;

    save_model(f->model, &bytes, &size);
    assert_non_null(memmem(bytes, size, "\"parameters/member2/block1/1/bias\"", 34));
    assert_int_equal(tw_model_load(bytes, size, &again, NULL, &error), 0);
    assert_int_equal(tw_model_members(again), MEMBERS);
    save_model(again, &second, &same);
    assert_int_equal(size, same);
    assert_memory_equal(bytes, second, size);

    double *a = members_log_prob(f->model, &f->data), *b = members_log_prob(again, &f->data);

    assert_memory_equal(a, b, N * MEMBERS * sizeof *a);
    tw_model_unref(again);

    unsigned char *at = memmem(bytes, size, "\\\"members\\\":3", 13); /* which it does not hold */

    assert_non_null(at);
    at[12] = '4';
    assert_int_equal(tw_model_load(bytes, size, &again, NULL, &error), TW_CORRUPT);
    free(a);
    free(b);
    free(bytes);
    free(second);
}

static bool equal_models(const struct tw_model *a, const struct tw_model *b)
{
    unsigned char *x, *y;
    size_t n, m;

    save_model(a, &x, &n);
    save_model(b, &y, &m);

    bool equal = n == m && !memcmp(x, y, n);

    free(x);
    free(y);
    return equal;
}

static void test_slices_and_workers(void **state)
{
    struct fixture *f = *state;
    struct tw_train_options options = small_options("flow", 6);
    struct tw_train_report report;
    struct tw_pool *pool = tw_pool_new(2, false);
    struct tw_model *model =
        run(trainer_of("flow", ENSEMBLE, f->schema, &f->data, NULL, &options), pool, 1e-6, &report);

    assert_true(equal_models(model, f->model));
    assert_int_equal(report.epochs, 12); /* as long again, with a falling rate */
    assert_true(report.steps >= 6 * MEMBERS && report.steps % MEMBERS == 0);
    assert_true(report.stop_loss < report.start_loss);
    tw_model_unref(model);
    tw_pool_free(pool);
}

/* Each member begins at its own: one that finds nothing better comes back as it was, one that learns stays nearer to
 * its own parent than to the others. */
static void test_warm_start(void **state)
{
    struct fixture *f = *state;
    struct tw_data few = mixed_data(f->schema, 4, 60, 0);
    struct tw_train_options options = small_options("flow", 3);
    struct tw_train_report report;

    options.rate = 0.5;
    struct tw_model *model = run(trainer_of("flow", "{}", f->schema, &few, f->model, &options), NULL, 0, &report);

    assert_int_equal(report.best_epoch, 0);
    assert_true(equal_models(model, f->model));
    tw_model_unref(model);

    options.rate = 1e-3;
    options.epochs = 1;
    model = run(trainer_of("flow", "{}", f->schema, &f->data, f->model, &options), NULL, 0, &report);
    assert_int_equal(tw_model_members(model), MEMBERS);
    assert_true(report.stop_loss < report.start_loss);
    for (int m = 0; m < MEMBERS; m++) {
        const struct tw_params *now = tw_model_state(model, m).parameters;
        double distance[MEMBERS] = {0};

        for (int k = 0; k < MEMBERS; k++) {
            const struct tw_params *then = tw_model_state(f->model, k).parameters;

            for (size_t i = 0; i < now->size; i++)
                distance[k] += pow((double)now->block[i] - (double)then->block[i], 2);
        }
        assert_true(distance[m] > 0);
        for (int k = 0; k < MEMBERS; k++)
            assert_true(k == m || distance[m] < 0.1 * distance[k]);
    }
    tw_model_unref(model);
    tw_data_fini(&few);
}

static void refused(const char *kind, const char *text, const char *word)
{
    struct tw_schema *schema = schema_of(MIXED, CONDITIONS);
    json_t *json = json_loads(text, 0, NULL);
    struct tw_error error = {""};
    void *config = NULL;

    assert_int_equal(tw_kind_find(kind)->parse(json, schema, &config, &error), TW_INVALID);
    if (!strstr(error.text, word))
        fail_msg("\"%s\" does not say \"%s\"", error.text, word);
    json_decref(json);
    tw_schema_free(schema);
}

static void test_refusals(void **state)
{
    refused("flow", "{\"members\": 0}", "members");
    refused("flow", "{\"members\": 33}", "members");
    refused("flow", "{\"members\": 2.5}", "members");
    refused("flow", "{\"members\": 32, \"hidden\": [1024, 1024, 1024], \"blocks\": 8}", "members");
    refused("classifier", "{\"members\": 2}", "members");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights),        cmocka_unit_test(test_resampled_rows),
        cmocka_unit_test(test_counted_shares), cmocka_unit_test(test_members_are_apart),
        cmocka_unit_test(test_mixture),        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_artifact),       cmocka_unit_test(test_slices_and_workers),
        cmocka_unit_test(test_warm_start),     cmocka_unit_test(test_refusals),
    };

    return cmocka_run_group_tests_name("model/members", tests, setup, teardown);
}
