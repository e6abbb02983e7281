/* Training: it learns; the result does not depend on workers or slices; weights and conditions count; a non-finite
 * loss is survived; a warm start is never worse than its start, and goes back where it
 * has learnt noise. */
#include "common.h"
#include "flow/coupling.h"
#include "model/flow_kind.h"

static void run_sliced(struct tw_trainer *trainer, struct tw_pool *pool, double slice)
{
    bool done = false;
    double progress = 0;

    while (!done) {
        assert_int_equal(tw_trainer_run(trainer, pool, slice, &done), 0);
        assert_true(tw_trainer_progress(trainer) >= progress);
        progress = tw_trainer_progress(trainer);
    }
    assert_float_equal(progress, 1, 0);
}

static double mean_log_prob(const struct tw_model *model, const struct tw_data *data)
{
    double *values = malloc(data->rows * sizeof *values), sum = 0;

    assert_int_equal(tw_model_proper_score(model, tw_kernels_choose(NULL, NULL), NULL, data, values), 0);
    for (size_t i = 0; i < data->rows; i++)
        sum += values[i] / (double)data->rows;
    free(values);
    return sum;
}

/* The bytes of a training under some way of running it. */
static void train_bytes(const char *kind, const struct tw_schema *schema, const struct tw_data *data,
                        struct tw_model *parent, unsigned threads, double slice, unsigned char **bytes, size_t *size)
{
    struct tw_train_options options = small_options(kind, 3);
    struct tw_trainer *trainer = trainer_of(kind, kind[0] == 'f' ? SMALL_FLOW : "{}", schema, data, parent, &options);
    struct tw_pool *pool = threads ? tw_pool_new(threads, false) : NULL;
    struct tw_model *model;

    run_sliced(trainer, pool, slice);
    assert_int_equal(tw_trainer_model(trainer, &model), 0);
    save_model(model, bytes, size);
    tw_model_unref(model);
    tw_trainer_free(trainer);
    tw_pool_free(pool);
}

static void check_determinism(const char *kind, const struct tw_schema *schema, const struct tw_data *data,
                              struct tw_model *parent)
{
    static const struct {
        unsigned threads;
        double slice;
    } ways[] = {{0, 0}, {1, 0}, {2, 0}, {3, 1e-9}, {2, 0.003}};
    unsigned char *first = NULL, *bytes;
    size_t first_size = 0, size;

    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        train_bytes(kind, schema, data, parent, ways[w].threads, ways[w].slice, &bytes, &size);
        if (!first) {
            first = bytes;
            first_size = size;
            continue;
        }
        assert_int_equal(size, first_size);
        assert_memory_equal(bytes, first, size);
        free(bytes);
    }
    free(first);
}

static void test_determinism(void **state)
{
    struct tw_schema *schema = schema_of(MIXED, CONDITIONS);
    struct tw_data data = mixed_data(schema, 1, 3333, 0), both;
    struct tw_model *parent = train_small("flow", SMALL_FLOW, schema, &data, 1);

    check_determinism("flow", schema, &data, NULL);
    check_determinism("flow", schema, &data, parent);
    tw_data_init(&both, schema);
    assert_int_equal(tw_data_append_rows(&both, &data, 0, 1500, 0), 0);
    assert_int_equal(tw_data_append_rows(&both, &data, 1500, 1500, 1), 0);
    check_determinism("classifier", schema, &both, NULL);
    tw_data_fini(&both);
    tw_data_fini(&data);
    tw_model_unref(parent);
    tw_schema_free(schema);
}

/* A seed is a result: another one gives another. */
static void test_seed_matters(void **state)
{
    struct tw_schema *schema = schema_of(MIXED, CONDITIONS);
    struct tw_data data = mixed_data(schema, 1, 1000, 0);
    unsigned char *bytes[2];
    size_t size[2];

    for (int i = 0; i < 2; i++) {
        struct tw_train_options options = small_options("flow", 1);
        struct tw_trainer *trainer;
        struct tw_model *model;

        options.seed = (uint64_t)i + 1;
        trainer = trainer_of("flow", SMALL_FLOW, schema, &data, NULL, &options);
        run_sliced(trainer, NULL, 0);
        assert_int_equal(tw_trainer_model(trainer, &model), 0);
        save_model(model, &bytes[i], &size[i]);
        tw_model_unref(model);
        tw_trainer_free(trainer);
    }
    assert_int_equal(size[0], size[1]);
    assert_memory_not_equal(bytes[0], bytes[1], size[0]);
    free(bytes[0]);
    free(bytes[1]);
    tw_data_fini(&data);
    tw_schema_free(schema);
}

/* A mixture in one dimension, against its entropy: what it can reach at best is known. */
static void test_learns(void **state)
{
    struct tw_schema *schema = schema_of("[{\"name\": \"x\"}]", NULL);
    struct tw_data data, held;
    float *values = malloc(30000 * sizeof *values);
    double truth = 0;

    for (size_t i = 0; i < 30000; i++) {
        tw_real n[16];

        tw_rng_normal(5, 0, i, 1, n);
        values[i] = (float)(tw_rng_uniform(6, i, 0) < 0.3 ? -2 + 0.3 * (double)n[0] : 1 + 0.8 * (double)n[0]);
    }
    tw_data_init(&data, schema);
    tw_data_init(&held, schema);
    assert_int_equal(tw_data_append(&data, 1, 0, 20000, values, NULL, NULL), 0);
    assert_int_equal(tw_data_append(&held, 2, 0, 10000, values + 20000, NULL, NULL), 0);
    for (size_t i = 0; i < 10000; i++) {
        double x = (double)values[20000 + i], a = (x + 2) / 0.3, b = (x - 1) / 0.8;

        truth += log((0.3 / 0.3 * exp(-a * a / 2) + 0.7 / 0.8 * exp(-b * b / 2)) / 2.5066282746) / 10000;
    }

    struct tw_model *model = train_small("flow", "{\"blocks\": 4, \"hidden\": [16]}", schema, &data, 40);
    double reached = mean_log_prob(model, &held);

    if (!(reached > truth - 0.02 && reached < truth + 0.01))
        fail_msg("held-out log p %.4f, truth %.4f", reached, truth);
    tw_model_unref(model);
    free(values);
    tw_data_fini(&data);
    tw_data_fini(&held);
    tw_schema_free(schema);
}

/* Samples lie in the hard domain, do not depend on the cut, and look like the data in their first moments. */
static void test_samples(void **state)
{
    struct tw_schema *schema = schema_of(MIXED, CONDITIONS);
    struct tw_data data = mixed_data(schema, 1, 20000, 0);
    struct tw_model *model = train_small("flow", SMALL_FLOW, schema, &data, 40);
    const struct tw_kernels *kernels = tw_kernels_choose(NULL, NULL);
    struct tw_pool *pool = tw_pool_new(2, false);
    const size_t n = 5000, d = MIXED_FEATURES;
    float *all = malloc(n * d * sizeof *all), *part = malloc(n * d * sizeof *part), condition = 0.15f;
    double moments[2][3] = {{0}};

    assert_int_equal(tw_model_sample(model, kernels, pool, 9, 0, n, &condition, all), 0);
    for (size_t i = 0; i < n; i++) {
        assert_true(tw_schema_row_ok(schema, all + i * d));
        assert_true((double)all[i * d + 2] >= -3.141592653589793 && (double)all[i * d + 2] < 3.141592653589793);
    }
    for (size_t first = 0, count = 1; first < n; first += count, count = count * 3 % 700 + 1) {
        size_t m = first + count > n ? n - first : count;

        assert_int_equal(tw_model_sample(model, kernels, NULL, 9, first, m, &condition, part), 0);
        assert_memory_equal(part, all + first * d, m * d * sizeof *part);
    }
    for (size_t i = 0; i < n; i++)
        for (int s = 0; s < 2; s++) {
            const float *row = s ? data.features + i * d : all + i * d;

            moments[s][0] += log((double)row[0] - 20) / (double)n;
            moments[s][1] += (double)row[3] / (double)n;
            moments[s][2] += cos((double)row[4] - (double)row[2]) / (double)n;
        }
    for (int k = 0; k < 3; k++)
        assert_float_equal(moments[0][k], moments[1][k], 0.05);
    free(all);
    free(part);
    tw_pool_free(pool);
    tw_model_unref(model);
    tw_data_fini(&data);
    tw_schema_free(schema);
}

/* Round trip of a trained flow in float32: events -> base -> events. */
static void test_round_trip(void **state)
{
    struct tw_schema *schema = schema_of(MIXED, CONDITIONS);
    struct tw_data data = mixed_data(schema, 1, 8000, 0);
    struct tw_model *model = train_small("flow", SMALL_FLOW, schema, &data, 15);
    const struct tw_kernels *kernels = tw_kernels_choose(NULL, NULL);
    struct tw_kind_state view = tw_model_state(model, 0);
    const struct tw_coupling *c = tw_flow_kind_coupling(&view);
    size_t n = MIXED_FEATURES * TW_BLOCK, beyond = 0;
    tw_real *y = aligned_alloc(64, (2 * n + 2 * TW_BLOCK) * sizeof *y), *x = y + n, *det = x + n,
            *condition = det + TW_BLOCK;
    struct tw_arena arena;

    tw_arena_init(&arena);
    memset(det, 0, 2 * TW_BLOCK * sizeof *det);
    for (size_t block = 0; block < 8; block++) {
        tw_model_kind(model)->prepare_block(&view, data.features + block * n, TW_BLOCK, TW_BLOCK, y, NULL);
        memcpy(x, y, n * sizeof *x);
        tw_arena_reset(&arena);
        assert_int_equal(tw_coupling_forward(c, view.parameters, kernels, &arena, TW_BLOCK, x, condition, NULL, det),
                         0);
        assert_int_equal(tw_coupling_inverse(c, view.parameters, kernels, &arena, TW_BLOCK, x, condition, NULL, det),
                         0);
        for (size_t i = 0; i < n; i++) {
            double delta = (double)(x[i] - y[i]);

            if (c->kinds[i / TW_BLOCK] == TW_SPLINE_CIRCULAR)
                delta = remainder(delta, 6.283185307179586);
            beyond += fabs(delta) > 2e-5;
        }
    }
    if (beyond > 8 * n / 100)
        fail_msg("%zu of %zu come back wrong by more than 2e-5", beyond, 8 * n);
    free(y);
    tw_arena_fini(&arena);
    tw_model_unref(model);
    tw_data_fini(&data);
    tw_schema_free(schema);
}

/* A drift: the warm start improves on its parent, and the report says from where to where. */
static void test_warm_start(void **state)
{
    struct tw_schema *schema = schema_of(MIXED, CONDITIONS), *other = schema_of("[{\"name\": \"x\"}]", NULL);
    struct tw_data data = mixed_data(schema, 1, 8000, 0), moved = mixed_data(schema, 2, 8000, 0.4);
    struct tw_data held = mixed_data(schema, 3, 5000, 0.4), few = mixed_data(schema, 4, 60, 0);
    struct tw_model *parent = train_small("flow", SMALL_FLOW, schema, &data, 15), *model;
    struct tw_train_options options;
    struct tw_train_report report;
    struct tw_trainer *trainer;
    struct tw_error error;
    unsigned char *before, *after;
    size_t size, same;

    tw_trainer_defaults(&options, tw_kind_find("flow"), 6400, true);
    trainer = trainer_of("flow", "{}", schema, &moved, parent, &options);
    run_sliced(trainer, NULL, 0);
    tw_trainer_report(trainer, &report);
    assert_true(report.stop_loss < report.start_loss - 0.05);
    assert_true(report.best_epoch > 0 && report.epochs <= options.epochs);
    assert_int_equal(tw_trainer_model(trainer, &model), 0);
    assert_true(mean_log_prob(model, &held) > mean_log_prob(parent, &held) + 0.05);
    tw_trainer_free(trainer);
    tw_model_unref(model);

    /* A handful of rows and a rate that destroys: the start is the best and comes back unchanged. */
    options.rate = 0.5;
    options.epochs = 4;
    trainer = trainer_of("flow", "{}", schema, &few, parent, &options);
    run_sliced(trainer, NULL, 0);
    tw_trainer_report(trainer, &report);
    assert_int_equal(report.best_epoch, 0);
    assert_true(report.stop_loss == report.start_loss);
    assert_int_equal(tw_trainer_model(trainer, &model), 0);
    save_model(parent, &before, &size);
    save_model(model, &after, &same);
    assert_int_equal(size, same);
    assert_memory_equal(before, after, size);
    free(before);
    free(after);
    tw_trainer_free(trainer);
    tw_model_unref(model);

    few.schema = other; /* another schema is refused */
    assert_int_equal(
        tw_trainer_new(tw_kind_find("flow"), NULL, other, &few, parent, &options, tw_kernels_ref(), &trainer, &error),
        TW_INVALID);
    few.schema = schema;
    tw_data_fini(&data);
    tw_data_fini(&moved);
    tw_data_fini(&held);
    tw_data_fini(&few);
    tw_model_unref(parent);
    tw_schema_free(schema);
    tw_schema_free(other);
}

#define PLAIN "[{\"name\": \"x\"}, {\"name\": \"y\"}, {\"name\": \"z\"}]"

/* Normal, and independent; x is off by `shift`. */
static struct tw_data plain_data(const struct tw_schema *schema, uint64_t key, size_t rows, double shift)
{
    struct tw_data data;
    float *values = malloc(rows * 3 * sizeof *values);

    for (size_t i = 0; i < rows; i++) {
        tw_real n[3];

        for (uint64_t k = 0; k < 3; k++) {
            tw_rng_normal(key, k, i, 1, &n[k]);
            values[3 * i + k] = (float)n[k] + (k ? 0 : (float)shift);
        }
    }
    tw_data_init(&data, schema);
    assert_int_equal(tw_data_append(&data, key, 0, rows, values, NULL, NULL), 0);
    free(values);
    return data;
}

/* A small drift in a few rows: the training learns it, and their noise. Some of the way is gone back, to where the stop
 * rows say, and the child is better than its parent on rows that nobody has seen. */
static void test_way_back(void **state)
{
    struct tw_schema *schema = schema_of(PLAIN, NULL);
    struct tw_data data = plain_data(schema, 1, 6000, 0), few = plain_data(schema, 2, 1000, 0.3), stop;
    struct tw_data held = plain_data(schema, 3, 10000, 0.3);
    struct tw_model *parent = train_small("flow", SMALL_FLOW, schema, &data, 4), *child;
    struct tw_train_options options = small_options("flow", 20);
    struct tw_train_report report;

    options.rate = 0.01; /* learns the noise quickly */

    struct tw_trainer *trainer = trainer_of("flow", "{}", schema, &few, parent, &options);

    run_sliced(trainer, NULL, 0);
    tw_trainer_report(trainer, &report);
    assert_int_equal(tw_trainer_model(trainer, &child), 0);
    assert_true(report.best_epoch > 0 && report.kept > 0 && report.kept < 1);
    tw_data_init(&stop, schema);
    assert_int_equal(tw_data_append_parts(&stop, &few, 1u << TW_PART_STOP), 0);
    assert_float_equal(report.start_loss - report.stop_loss, mean_log_prob(child, &stop) - mean_log_prob(parent, &stop),
                       1e-4);
    assert_true(mean_log_prob(child, &held) > mean_log_prob(parent, &held));
    tw_trainer_free(trainer);
    tw_model_unref(child);
    tw_model_unref(parent);
    tw_data_fini(&data);
    tw_data_fini(&few);
    tw_data_fini(&stop);
    tw_data_fini(&held);
    tw_schema_free(schema);
}

/* --- non-finite losses --- */

static int losses_to_spoil, losses_seen;

static struct tw_var *spoilt_loss(const struct tw_kind_state *state, struct tw_tape *tape, const struct tw_block *block)
{
    struct tw_var *loss = tw_flow_kind.loss(state, tape, block);

    if (loss && tape->param_grads && ++losses_seen > 12 && losses_to_spoil > 0) {
        losses_to_spoil--;
        ((tw_real *)(uintptr_t)loss->value)[3] = NAN;
    }
    return loss;
}

static int train_spoilt(int spoil, struct tw_train_report *report)
{
    struct tw_schema *schema = schema_of(MIXED, CONDITIONS);
    struct tw_data data = mixed_data(schema, 1, 3000, 0);
    struct tw_train_options options = small_options("flow", 5);
    struct tw_kind spoilt = tw_flow_kind;
    struct tw_trainer *trainer;
    struct tw_model *model = NULL;
    struct tw_error error;
    bool done = false;
    int status;

    spoilt.loss = spoilt_loss;
    losses_to_spoil = spoil;
    losses_seen = 0;
    assert_int_equal(
        tw_trainer_new(&spoilt, NULL, schema, &data, NULL, &options, tw_kernels_choose(NULL, NULL), &trainer, &error),
        0);
    status = tw_trainer_run(trainer, NULL, 0, &done);
    tw_trainer_report(trainer, report);
    if (!status) {
        assert_true(done);
        assert_int_equal(tw_trainer_model(trainer, &model), 0);
        tw_model_unref(model);
    } else {
        assert_int_equal(tw_trainer_model(trainer, &model), TW_BUSY);
    }
    tw_trainer_free(trainer);
    tw_data_fini(&data);
    tw_schema_free(schema);
    return status;
}

static void test_recovers(void **state)
{
    struct tw_train_report report, clean;

    assert_int_equal(train_spoilt(0, &clean), 0);
    assert_int_equal(clean.recoveries, 0);
    assert_int_equal(train_spoilt(8, &report), 0); /* at most four tapes a step */
    assert_true(report.recoveries >= 2 && report.recoveries <= 4);
    assert_int_equal(train_spoilt(1, &report), 0);
    assert_int_equal(report.recoveries, 1);
    assert_int_equal(report.epochs, 5);
    assert_true(isfinite(report.stop_loss) && report.stop_loss < report.start_loss);
    assert_true(report.stop_loss != clean.stop_loss); /* the rate was halved */
    assert_int_equal(train_spoilt(1000000, &report), TW_NOT_FINITE);
}

/* --- weights --- */

/* Two peaks of equal numbers, weighted 1 : 3; a common factor of the weights does not matter. */
static void test_weights(void **state)
{
    struct tw_schema *schema = schema_of("[{\"name\": \"x\"}]", NULL);
    struct tw_data data;
    const size_t n = 6000;
    float *values = malloc(n * sizeof *values), *weights = malloc(n * sizeof *weights);
    double right = 0;

    for (size_t i = 0; i < n; i++) {
        tw_real draw[16];

        tw_rng_normal(5, 0, i, 1, draw);
        values[i] = (i % 2 ? 1.5f : -1.5f) + 0.3f * (float)draw[0];
        weights[i] = i % 2 ? 300 : 100;
    }
    tw_data_init(&data, schema);
    assert_int_equal(tw_data_append(&data, 1, 0, n, values, NULL, weights), 0);

    struct tw_model *model = train_small("flow", "{\"blocks\": 2, \"hidden\": []}", schema, &data, 40);

    float *samples = malloc(n * sizeof *samples);

    assert_int_equal(tw_model_sample(model, tw_kernels_choose(NULL, NULL), NULL, 1, 0, n, NULL, samples), 0);
    for (size_t i = 0; i < n; i++)
        right += (double)(samples[i] > 0) / (double)n;
    assert_float_equal(right, 0.75, 0.03);
    free(samples);
    tw_model_unref(model);
    tw_data_fini(&data);

    /* -w log p has no minimum for a negative weight: refused, one among many too */
    struct tw_train_options options = small_options("flow", 2);
    struct tw_trainer *trainer;
    struct tw_error error = {""};

    for (size_t i = 0; i < n; i++)
        weights[i] = 1;
    tw_data_init(&data, schema);
    assert_int_equal(tw_data_append(&data, 1, 0, n, values, NULL, weights), 0);
    for (size_t i = 0; i < n; i++) /* wherever the split puts it, the gate's rows apart */
        if (tw_data_part(data.keys[i]) != TW_PART_GATE && data.weights[i] > 0) {
            data.weights[i] = -0.5f;
            break;
        }
    assert_int_equal(tw_trainer_new(tw_kind_find("flow"), NULL, schema, &data, NULL, &options,
                                    tw_kernels_choose(NULL, NULL), &trainer, &error),
                     TW_INVALID);
    assert_non_null(strstr(error.text, "negative weights"));
    tw_data_fini(&data);
    free(values);
    free(weights);
    tw_schema_free(schema);
}

/* --- conditions and labels --- */

/* x ~ N(4 c, 1), c between 0 and 1: the flow must follow the condition. */
static void test_conditions(void **state)
{
    struct tw_schema *schema =
        schema_of("[{\"name\": \"x\"}]", "[{\"name\": \"c\", \"min\": 0, \"max\": 1, \"value\": 0.5}]");
    struct tw_data data;
    float values[20], means[3] = {0}, conditions[] = {0.1f, 0.5f, 0.9f}, *samples = malloc(4000 * sizeof *samples);

    tw_data_init(&data, schema);
    for (uint64_t batch = 0; batch < 600; batch++) {
        float c = (float)tw_rng_uniform(1, batch, 0);
        tw_real draw[32];

        tw_rng_normal(2, 0, batch * 20, 20, draw);
        for (int i = 0; i < 20; i++)
            values[i] = 4 * c + (float)draw[i];
        assert_int_equal(tw_data_append(&data, batch, 0, 20, values, &c, NULL), 0);
    }

    struct tw_model *model = train_small("flow", "{\"blocks\": 2, \"hidden\": [16]}", schema, &data, 40);

    for (int k = 0; k < 3; k++) {
        assert_int_equal(
            tw_model_sample(model, tw_kernels_choose(NULL, NULL), NULL, 1, 0, 4000, &conditions[k], samples), 0);
        for (int i = 0; i < 4000; i++)
            means[k] += samples[i] / 4000;
        assert_float_equal(means[k], 4 * conditions[k], 0.2);
    }
    free(samples);
    tw_model_unref(model);
    tw_data_fini(&data);
    tw_schema_free(schema);
}

/* N(0,1) against N(1,1): the logit is x - 1/2. */
static void test_classifier(void **state)
{
    struct tw_schema *schema = schema_of("[{\"name\": \"x\"}]", NULL);
    struct tw_data a, b, both;
    float values[2][8000], points[] = {-1, 0, 1, 2, NAN};
    double scores[5];

    for (int s = 0; s < 2; s++)
        for (uint64_t i = 0; i < 8000; i++) {
            tw_real draw[16];

            tw_rng_normal(3, (uint64_t)s, i, 1, draw);
            values[s][i] = (float)draw[0] + (float)s;
        }
    tw_data_init(&a, schema);
    tw_data_init(&b, schema);
    tw_data_init(&both, schema);
    assert_int_equal(tw_data_append(&a, 1, 0, 8000, values[0], NULL, NULL), 0);
    assert_int_equal(tw_data_append(&b, 2, 0, 8000, values[1], NULL, NULL), 0);
    assert_int_equal(tw_data_append_rows(&both, &a, 0, 8000, 0), 0);
    assert_int_equal(tw_data_append_rows(&both, &b, 0, 8000, 1), 0);

    struct tw_model *model = train_small("classifier", "{}", schema, &both, 20);

    assert_int_equal(tw_model_score(model, tw_kernels_choose(NULL, NULL), NULL, 5, points, NULL, scores), 0);
    for (int i = 0; i < 4; i++)
        assert_float_equal(scores[i], (double)points[i] - 0.5, 0.25);
    assert_true(isnan(scores[4]));
    assert_float_equal(mean_log_prob(model, &both), -0.57, 0.03); /* of the labels */
    assert_int_equal(tw_model_log_prob(model, tw_kernels_ref(), NULL, 1, points, NULL, scores), TW_INVALID);
    assert_int_equal(tw_model_sample(model, tw_kernels_ref(), NULL, 1, 0, 1, NULL, points), TW_INVALID);
    tw_model_unref(model);
    tw_data_fini(&a);
    tw_data_fini(&b);
    tw_data_fini(&both);
    tw_schema_free(schema);
}

/* --- refusals --- */

static void test_refusals(void **state)
{
    struct tw_schema *schema = schema_of(MIXED, CONDITIONS);
    struct tw_data data = mixed_data(schema, 1, 100, 0), empty;
    struct tw_train_options options = small_options("flow", 1);
    struct tw_trainer *trainer = NULL;
    struct tw_error error = {""};
    const struct tw_kind *flow = tw_kind_find("flow");

    tw_data_init(&empty, schema);
    assert_int_equal(tw_trainer_new(flow, NULL, schema, &empty, NULL, &options, tw_kernels_ref(), &trainer, &error),
                     TW_INVALID);
    assert_non_null(strstr(error.text, "rows"));
    assert_int_equal(tw_trainer_new(tw_kind_find("classifier"), NULL, schema, &data, NULL, &options, tw_kernels_ref(),
                                    &trainer, &error),
                     TW_INVALID);
    assert_non_null(strstr(error.text, "labels"));
    options.batch = 100;
    assert_int_equal(tw_trainer_new(flow, NULL, schema, &data, NULL, &options, tw_kernels_ref(), &trainer, &error),
                     TW_INVALID);
    assert_non_null(strstr(error.text, "batch"));
    assert_null(trainer);
    tw_trainer_free(NULL);
    tw_data_fini(&data);
    tw_schema_free(schema);
}

/* Rows outside the domain have density zero, among others that have not. */
static void test_outside(void **state)
{
    struct tw_schema *schema = schema_of(MIXED, CONDITIONS);
    struct tw_data data = mixed_data(schema, 1, 1000, 0);
    struct tw_model *model = train_small("flow", SMALL_FLOW, schema, &data, 1);
    float rows[6][5] = {{25, 0, 0, 0.5f, 0}, {20, 0, 0, 0.5f, 0},   {25, NAN, 0, 0.5f, 0},
                        {25, 0, 0, 1.5f, 0}, {25, 0, 100, 0.5f, 0}, {25, 0, INFINITY, 0.5f, 0}};
    double out[6], turned;

    assert_int_equal(tw_model_log_prob(model, tw_kernels_ref(), NULL, 6, rows[0], NULL, out), 0);
    assert_true(isfinite(out[0]) && isfinite(out[4]));
    assert_true(out[1] == -INFINITY && out[2] == -INFINITY && out[3] == -INFINITY && out[5] == -INFINITY);
    rows[0][2] += 6.2831853f; /* a full turn is the same event */
    assert_int_equal(tw_model_log_prob(model, tw_kernels_ref(), NULL, 1, rows[0], NULL, &turned), 0);
    assert_float_equal(turned, out[0], 1e-3);
    assert_int_equal(tw_model_log_prob(model, tw_kernels_ref(), NULL, 1, rows[1], NULL, out), 0);
    assert_true(out[0] == -INFINITY);
    tw_model_unref(model);
    tw_data_fini(&data);
    tw_schema_free(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_determinism), cmocka_unit_test(test_seed_matters), cmocka_unit_test(test_learns),
        cmocka_unit_test(test_samples),     cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_warm_start),
        cmocka_unit_test(test_way_back),    cmocka_unit_test(test_recovers),     cmocka_unit_test(test_weights),
        cmocka_unit_test(test_conditions),  cmocka_unit_test(test_classifier),   cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_outside),
    };

    return cmocka_run_group_tests_name("model/trainer", tests, NULL, NULL);
}
