/* Optional and discrete features, in double: codes, the law of classes, and densities that integrate to what the law
 * says; samples, warm starts and artifacts of such twins. */
#include "common.h"
#include "flow/coupling.h"
#include "model/categorical.h"
#include "model/flow_kind.h"
#include "model/model.h"

#define PHI "\"kind\": \"periodic\", \"min\": -3.141592653589793, \"max\": 3.141592653589793"
/* Two always there, three that come and go, two of these together; a discrete one of each sort. */
#define JETS                                                                                                           \
    "[{\"name\": \"n\", \"kind\": \"discrete\", \"min\": 1, \"max\": 3}, {\"name\": \"phi1\", " PHI "},"               \
    " {\"name\": \"u\", \"min\": 0, \"max\": 1},"                                                                      \
    " {\"name\": \"pt2\", \"transform\": \"log\", \"min\": 0, \"optional\": true},"                                    \
    " {\"name\": \"phi2\", \"optional\": true, " PHI "},"                                                              \
    " {\"name\": \"tag\", \"kind\": \"discrete\", \"min\": -1, \"max\": 1, \"optional\": true}]"
#define D 6

/* n is 1, 2 or 3 with 1/2, 1/3, 1/6 at alpha = 0.1, evenly at 0.2; n > 1 has a second jet near the first one's angle,
 * and a tag two times in three. */
static void jets_event(uint64_t key, uint64_t i, double alpha, float *row)
{
    tw_real normal[4];
    double mix = (alpha - 0.1) * 10, a = (1 - mix) / 2 + mix / 3, b = a + 1.0 / 3, v = tw_rng_uniform(key, i, 0);
    double phi = 6.283185307 * tw_rng_uniform(key, i, 1) - 3.141592653;
    int n = v < a ? 1 : v < b ? 2 : 3;

    for (uint64_t k = 0; k < 4; k++)
        tw_rng_normal(key, k, i, 1, normal + k);
    row[0] = (float)n;
    row[1] = (float)phi;
    row[2] = (float)(1 / (1 + exp(-(double)normal[0] - n)));
    row[3] = n > 1 ? (float)exp(3 + 0.5 * (double)normal[1] + n) : NAN;
    row[4] = n > 1 ? (float)remainder(phi + 2 + 0.3 * (double)normal[2], 6.283185307179586) : NAN;
    row[5] = n > 1 && tw_rng_uniform(key, i, 2) < 2.0 / 3 ? (float)(tw_rng_uniform(key, i, 3) < 0.5 ? -1 : 1) : NAN;
}

static struct tw_data jets_data(const struct tw_schema *schema, uint64_t key, size_t rows, double alpha)
{
    struct tw_data data;

    tw_data_init(&data, schema);
    for (size_t i = 0; i < rows; i++) {
        float row[D], condition = (float)(schema->conditions ? (i % 2 ? 0.1 : 0.2) : alpha);

        jets_event(key, i, (double)condition, row);
        assert_int_equal(tw_data_append(&data, key, i, 1, row, &condition, NULL), 0);
    }
    assert_int_equal(data.invalid, 0);
    return data;
}

static double log_prob_of(const struct tw_model *model, const float *row, const float *condition)
{
    double out;

    assert_int_equal(tw_model_log_prob(model, tw_kernels_choose(NULL, NULL), NULL, 1, row, condition, &out), 0);
    return out;
}

/* --- classes and their law --- */

static void test_levels_and_codes(void **state)
{
    struct tw_schema *schema = schema_of(JETS, NULL);
    struct tw_classes classes;
    const float first[D] = {2, 0, 0.5f, 7, 1, NAN};
    tw_real levels[16], code[16 * 8], present[1];

    assert_int_equal(tw_classes_init(&classes, schema), 0);
    assert_int_equal(classes.count, 4);
    assert_int_equal(classes.codes, 2 + 1 + 1 + 3);
    assert_float_equal(classes.combinations, 3 * 2 * 2 * 4, 0);
    assert_float_equal(exp(classes.log_combinations), 48, 1e-9);
    assert_true(classes.incomplete);
    for (int j = 0; j < 4; j++) {
        levels[j] = tw_classes_level(&classes, schema, j, first[classes.factors[j].feature]);

        float back = tw_classes_value(&classes, schema, j, (int)levels[j]), value = first[classes.factors[j].feature];

        assert_true(isnan(back) == isnan(value));
        assert_true(j == 1 || j == 2 || isnan(back) || back == value);
    }
    tw_classes_code(&classes, 1, levels, code);
    static const double wanted[7] = {1, 0, 1, 1, 0, 0, 1};

    for (int i = 0; i < 7; i++)
        assert_float_equal(code[i], wanted[i], 0);
    for (int f = 0; f < D; f++) {
        tw_classes_present(&classes, schema, f, 1, levels, present);
        assert_float_equal(present[0], f != 5, 0);
    }
    tw_classes_fini(&classes);
    tw_schema_free(schema);
}

/* Sum over all combinations of levels of what the law says. */
static double sum_of_law(const struct tw_categorical *law, const struct tw_params *statistics)
{
    struct tw_arena arena;
    double sum = 0;

    tw_arena_init(&arena);
    for (int i = 0; i < (int)law->classes->combinations; i++) {
        tw_real levels[8], slot;
        double log_prob = 0;

        for (int j = 0, rest = i; j < law->classes->count; rest /= law->classes->factors[j++].levels)
            levels[j] = rest % law->classes->factors[j].levels;
        tw_categorical_find(law, statistics, 1, levels, &slot);
        assert_int_equal(tw_categorical_log_prob(law, statistics, NULL, tw_kernels_choose(NULL, NULL), &arena, 1, &slot,
                                                 NULL, &log_prob),
                         0);
        assert_true(isfinite(log_prob));
        sum += exp(log_prob);
    }
    tw_arena_fini(&arena);
    return sum;
}

struct table {
    struct tw_schema *schema;
    struct tw_classes classes;
    struct tw_categorical law;
    struct tw_params statistics;
};

static void table_init(struct table *t, const char *features, int conditions)
{
    struct tw_params network;

    t->schema = schema_of(features, NULL);
    assert_int_equal(tw_classes_init(&t->classes, t->schema), 0);
    tw_categorical_init(&t->law, &t->classes, conditions, TW_SILU);
    tw_params_init(&t->statistics);
    tw_params_init(&network);
    assert_int_equal(tw_categorical_layout(&t->law, &t->statistics, &network), 0);
    assert_int_equal(network.count, conditions ? 4 : 0);
    tw_params_fini(&network);
    assert_int_equal(tw_params_alloc(&t->statistics), 0);
    assert_false(tw_categorical_ok(&t->law, &t->statistics)); /* no class */
}

static void table_fini(struct table *t)
{
    tw_params_fini(&t->statistics);
    tw_classes_fini(&t->classes);
    tw_schema_free(t->schema);
}

static void append(struct tw_data *data, size_t rows, float weight, const float *row)
{
    for (size_t i = 0; i < rows; i++)
        assert_int_equal(tw_data_append(data, 1, data->rows, 1, row, NULL, &weight), 0);
    assert_int_equal(data->invalid, 0);
}

#define SHARE(t, slot) ((double)tw_params_at(&(t)->statistics, (t)->law.shares)[slot])

/* (count + 1/2) / (rows + 1/2 for each class and for all others together); weights by their effective number. */
static void test_shares(void **state)
{
    struct table t;
    struct tw_data data, later;

    table_init(&t,
               "[{\"name\": \"x\", \"optional\": true}, {\"name\": \"k\", \"kind\": \"discrete\", \"min\": 0,"
               " \"max\": 4}]",
               0);
    tw_data_init(&data, t.schema);
    append(&data, 30, 2, (const float[]){NAN, 3});
    append(&data, 60, 2, (const float[]){1.5f, 0});
    append(&data, 9, 2, (const float[]){-1, 4});
    assert_int_equal(t.law.slots, 10);
    assert_int_equal(tw_categorical_prepare(&t.law, &data, &t.statistics), 0);
    assert_true(tw_categorical_ok(&t.law, &t.statistics));
    for (int slot = 0; slot < 11; slot++) {
        double wanted = slot == 10 ? 0.5 : slot < 3 ? (const double[]){60.5, 30.5, 9.5}[slot] : 0;

        assert_float_equal(SHARE(&t, slot), wanted / 101, 1e-7);
    }
    assert_float_equal(sum_of_law(&t.law, &t.statistics), 1, 1e-6);

    /* other rows: classes keep their slots, also those that have gone, and a new one is appended */
    tw_data_init(&later, t.schema);
    append(&later, 10, 1, (const float[]){NAN, 1});
    append(&later, 20, 1, (const float[]){NAN, 3});
    assert_int_equal(tw_categorical_adapt(&t.law, &later, &t.statistics), 0);
    assert_true(tw_categorical_ok(&t.law, &t.statistics));
    for (int slot = 0; slot < 11; slot++) {
        double wanted = slot == 10 ? 0.5 : slot < 4 ? (const double[]){0.5, 20.5, 0.5, 10.5}[slot] : 0;

        assert_float_equal(SHARE(&t, slot), wanted / 32.5, 1e-7);
    }
    assert_float_equal(sum_of_law(&t.law, &t.statistics), 1, 1e-6);

    /* from outside: what no training makes */
    tw_real *levels = tw_params_at(&t.statistics, t.law.levels), *shares = tw_params_at(&t.statistics, t.law.shares);
    tw_real *const broken[] = {&levels[0], &levels[1], &levels[9], &shares[0], &shares[5], &shares[10]};
    const double values[] = {2, 0.5, 1, -0.1, 0.2, 0.5};

    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        tw_real kept = *broken[i];

        *broken[i] = (tw_real)values[i];
        assert_false(tw_categorical_ok(&t.law, &t.statistics));
        *broken[i] = kept;
    }
    memcpy(levels + 2, levels, 2 * sizeof *levels); /* a class twice */
    assert_false(tw_categorical_ok(&t.law, &t.statistics));
    tw_data_fini(&data);
    tw_data_fini(&later);
    table_fini(&t);
}

/* With conditions the network is to follow other rows: known classes stay in proportion, and make room for a new one.
 */
static void test_shares_with_conditions(void **state)
{
    struct table t;
    struct tw_data data, later;

    table_init(&t, "[{\"name\": \"x\"}, {\"name\": \"k\", \"kind\": \"discrete\", \"min\": 0, \"max\": 2}]", 1);
    tw_data_init(&data, t.schema);
    append(&data, 80, 1, (const float[]){0, 0});
    append(&data, 20, 1, (const float[]){0, 2});
    assert_int_equal(tw_categorical_prepare(&t.law, &data, &t.statistics), 0);
    assert_float_equal(SHARE(&t, 0), 80.5 / 101.5, 1e-7);
    tw_data_init(&later, t.schema);
    append(&later, 10, 1, (const float[]){0, 0});
    append(&later, 20, 1, (const float[]){0, 2});
    append(&later, 10, 1, (const float[]){0, 1});
    assert_int_equal(tw_categorical_adapt(&t.law, &later, &t.statistics), 0);
    assert_true(tw_categorical_ok(&t.law, &t.statistics));
    assert_float_equal(SHARE(&t, 2), 10.5 / 41.5, 1e-7);
    assert_float_equal(SHARE(&t, 0) / SHARE(&t, 1), 80.5 / 20.5, 1e-5);
    assert_float_equal(SHARE(&t, 3), 0, 0); /* there are no others */
    tw_data_fini(&data);
    tw_data_fini(&later);
    table_fini(&t);
}

/* With more classes than slots the lightest are beyond the table and share what it does not have. */
static void test_table_is_bounded(void **state)
{
    struct table t;
    struct tw_data data;

    table_init(&t,
               "[{\"name\": \"x\"}, {\"name\": \"a\", \"kind\": \"discrete\", \"min\": 0, \"max\": 63},"
               " {\"name\": \"b\", \"kind\": \"discrete\", \"min\": 0, \"max\": 9}]",
               0);
    tw_data_init(&data, t.schema);
    for (int i = 0; i < 300; i++)
        append(&data, i < 256 ? 3 : 2, 1, (const float[]){0, (float)(i % 60), (float)(i / 60)});
    assert_int_equal(t.law.slots, TW_CATEGORICAL_SLOTS);
    assert_int_equal(tw_categorical_prepare(&t.law, &data, &t.statistics), 0);
    assert_true(tw_categorical_ok(&t.law, &t.statistics));

    double total = 3 * 256 + 2 * 44 + 0.5 * 257;

    for (int slot = 0; slot < 256; slot++)
        assert_float_equal(SHARE(&t, slot), 3.5 / total, 1e-7);
    assert_float_equal(SHARE(&t, 256), (2 * 44 + 0.5) / total, 1e-7);
    assert_float_equal(sum_of_law(&t.law, &t.statistics), 1, 1e-6);
    tw_data_fini(&data);
    table_fini(&t);
}

/* --- densities --- */

/* The density of u over a midpoint grid, and of u and v where v is there: with the class's discrete value k. */
static double integral(const struct tw_model *model, int k, bool with_v)
{
    enum { STEPS = 96 };
    static float rows[STEPS * STEPS * 3];
    static double out[STEPS * STEPS];
    size_t n = with_v ? STEPS * STEPS : STEPS;
    double sum = 0;

    for (size_t i = 0; i < n; i++) {
        rows[3 * i] = (float)(((double)(i % STEPS) + 0.5) / STEPS);
        rows[3 * i + 1] = with_v ? (float)(((double)(i / STEPS) + 0.5) / STEPS * 2 - 1) : NAN;
        rows[3 * i + 2] = (float)k;
    }
    assert_int_equal(tw_model_log_prob(model, tw_kernels_choose(NULL, NULL), NULL, n, rows, NULL, out), 0);
    for (size_t i = 0; i < n; i++)
        sum += exp(out[i]);
    return sum * (with_v ? 2.0 / (STEPS * STEPS) : 1.0 / STEPS);
}

/* p integrates over what is present to the probability of the class, whatever class, also one that training never saw;
 * together to one. */
static void test_normalisation(void **state)
{
    struct tw_schema *schema = schema_of("[{\"name\": \"u\", \"min\": 0, \"max\": 1},"
                                         " {\"name\": \"v\", \"min\": -1, \"max\": 1, \"optional\": true},"
                                         " {\"name\": \"k\", \"kind\": \"discrete\", \"min\": 4, \"max\": 6}]",
                                         NULL);
    struct tw_data data;
    double sum = 0;
    size_t counts[3][2] = {{0}}, trained = 0;

    tw_data_init(&data, schema);
    for (uint64_t i = 0; i < 4000; i++) { /* k = 6 has always v */
        double a = tw_rng_uniform(5, i, 0), b = tw_rng_uniform(5, i, 1), c = tw_rng_uniform(5, i, 2);
        int k = 4 + (int)(3 * tw_rng_uniform(5, i, 3));
        bool with_v = k == 6 || c < 0.25;
        float row[3] = {(float)pow(a, k - 3), with_v ? (float)(0.8 * (1 - 2 * a * b)) : NAN, (float)k};

        assert_int_equal(tw_data_append(&data, i, 0, 1, row, NULL, NULL), 0);
        if (tw_data_part(data.keys[i]) == TW_PART_TRAIN) {
            counts[k - 4][with_v]++;
            trained++;
        }
    }

    struct tw_model *model =
        train_small("flow", "{\"blocks\": 4, \"hidden\": [16], \"bins\": 4, \"bound\": 2}", schema, &data, 5);

    for (int k = 4; k <= 6; k++)
        for (int with_v = 0; with_v < 2; with_v++) {
            double found = integral(model, k, with_v);

            assert_float_equal(found, ((double)counts[k - 4][with_v] + 0.5) / ((double)trained + 3), 2e-3);
            sum += found;
        }
    assert_float_equal(sum, 1, 2e-3);
    tw_model_unref(model);
    tw_data_fini(&data);
    tw_schema_free(schema);
}

/* --- samples --- */

static bool same_bits(const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (isnan(a[i]) != isnan(b[i]) || (!isnan(a[i]) && a[i] != b[i]))
            return false;
    return true;
}

/* Shares of n = 1, 2, 3 among samples; every sample is of a class that the data have. */
static void sampled_shares(const struct tw_model *model, const float *condition, double shares[3])
{
    enum { N = 8000 };
    static float rows[N * D];
    const struct tw_kernels *kernels = tw_kernels_choose(NULL, NULL);

    assert_int_equal(tw_model_sample(model, kernels, NULL, 3, 0, N, condition, rows), 0);
    memset(shares, 0, 3 * sizeof *shares);
    for (size_t i = 0; i < N; i++) {
        const float *row = rows + i * D;
        int n = (int)row[0];

        assert_true(row[0] == 1 || row[0] == 2 || row[0] == 3);
        assert_true(isnan(row[3]) == (n == 1) && isnan(row[4]) == (n == 1));
        assert_true(isnan(row[5]) || (n > 1 && (row[5] == 1 || row[5] == -1)));
        assert_true(tw_schema_row_ok(tw_model_schema(model), row));
        shares[n - 1] += 1.0 / N;
    }

    float some[900 * D]; /* any cut of the sequence */

    assert_int_equal(tw_model_sample(model, kernels, NULL, 3, 700, 900, condition, some), 0);
    assert_true(same_bits(some, rows + 700 * D, 900 * D));
}

static void test_samples(void **state)
{
    struct tw_schema *schema = schema_of(JETS, NULL);
    struct tw_data data = jets_data(schema, 4, 4000, 0.1);
    struct tw_model *model = train_small("flow", SMALL_FLOW, schema, &data, 4);
    double shares[3];

    sampled_shares(model, NULL, shares);
    for (int n = 0; n < 3; n++) /* four standard errors of both */
        assert_float_equal(shares[n], (3 - n) / 6.0, 4 * sqrt(0.25 / 3200 + 0.25 / 8000));
    /* what no event has is improbable, not impossible; what is outside the domain is impossible */
    assert_true(isfinite(log_prob_of(model, (const float[]){1, 0, 0.5f, NAN, 1, -1}, NULL)));
    assert_true(log_prob_of(model, (const float[]){1, 0, 0.5f, NAN, 1, -1}, NULL) <
                log_prob_of(model, (const float[]){1, 0, 0.5f, NAN, NAN, NAN}, NULL) - 6);
    assert_true(isinf(log_prob_of(model, (const float[]){1.5f, 0, 0.5f, NAN, NAN, NAN}, NULL)));
    assert_true(isinf(log_prob_of(model, (const float[]){1, NAN, 0.5f, NAN, NAN, NAN}, NULL)));
    tw_model_unref(model);
    tw_data_fini(&data);
    tw_schema_free(schema);
}

/* Taken forward, samples are the points of the base that they were drawn from, in what is present: nothing of what is
 * absent had a part in them. */
static void test_samples_are_images(void **state)
{
    struct tw_schema *schema = schema_of(JETS, NULL);
    struct tw_data data = jets_data(schema, 4, 2000, 0.1);
    struct tw_model *model = train_small("flow", SMALL_FLOW, schema, &data, 3);
    struct tw_kind_state view = tw_model_state(model, 0);
    const struct tw_coupling *c = tw_flow_kind_coupling(&view);
    const struct tw_kernels *kernels = tw_kernels_choose(NULL, NULL);
    const struct tw_kind *kind = tw_model_kind(model);
    struct tw_classes classes;
    struct tw_arena arena;
    uint64_t events[TW_BLOCK];
    float rows[TW_BLOCK * D];
    int features[4] = {1, 2, 3, 4}, absent = 0;

    assert_int_equal(tw_classes_init(&classes, schema), 0);
    assert_int_equal(c->features, 4);
    tw_arena_init(&arena);
    for (int i = 0; i < TW_BLOCK; i++)
        events[i] = (uint64_t)(3 * i);
    assert_int_equal(kind->sample(&view, kernels, &arena, TW_BLOCK, 9, events, NULL, rows), 0);

    tw_real *x = tw_arena_alloc(&arena, (size_t)(kind->prepared_rows(view.config, schema)) * TW_BLOCK * sizeof *x);
    tw_real *z = tw_arena_alloc(&arena, (size_t)(2 * c->features + c->conditions + 1) * TW_BLOCK * sizeof *z);
    tw_real *present = z + 4 * TW_BLOCK, *code = present + 4 * TW_BLOCK, *det = code + c->conditions * TW_BLOCK;

    kind->prepare_block(&view, rows, TW_BLOCK, TW_BLOCK, x, NULL);
    tw_classes_code(&classes, TW_BLOCK, x + 4 * TW_BLOCK, code);
    for (int k = 0; k < 4; k++)
        tw_classes_present(&classes, schema, features[k], TW_BLOCK, x + 4 * TW_BLOCK, present + k * TW_BLOCK);
    memset(det, 0, TW_BLOCK * sizeof *det);
    assert_int_equal(tw_coupling_forward(c, view.parameters, kernels, &arena, TW_BLOCK, x, code, present, det), 0);
    tw_coupling_base_draw(c, tw_kernels_ref(), 9, events, TW_BLOCK, z);
    for (int i = 0; i < 4 * TW_BLOCK; i++) {
        absent += present[i] == 0;
        assert_float_equal(
            remainder(x[i] - present[i] * z[i], c->kinds[i / TW_BLOCK] == TW_SPLINE_CIRCULAR ? 2 * M_PI : 1e9), 0,
            1e-4); /* events are float32 */
    }
    assert_true(absent > TW_BLOCK / 2);
    tw_arena_fini(&arena);
    tw_classes_fini(&classes);
    tw_model_unref(model);
    tw_data_fini(&data);
    tw_schema_free(schema);
}

/* The network of the classes learns how their shares depend on a condition. */
static void test_conditions(void **state)
{
    struct tw_schema *schema = schema_of(JETS, CONDITIONS);
    struct tw_data data = jets_data(schema, 4, 6000, 0);
    struct tw_model *model = train_small("flow", "{\"blocks\": 1, \"hidden\": [8], \"bins\": 4}", schema, &data, 30);
    double shares[3];

    for (int k = 0; k < 2; k++) {
        float condition = k ? 0.2f : 0.1f;

        sampled_shares(model, &condition, shares);
        for (int n = 0; n < 3; n++)
            assert_float_equal(shares[n], k ? 1.0 / 3 : (3 - n) / 6.0, 0.05);
    }
    tw_model_unref(model);
    tw_data_fini(&data);
    tw_schema_free(schema);
}

/* A warm start takes the shares of its own rows, exactly, however short it is. */
static void test_warm_start(void **state)
{
    struct tw_schema *schema = schema_of(JETS, NULL);
    struct tw_data data = jets_data(schema, 4, 2000, 0.1), later = jets_data(schema, 5, 4000, 0.2);
    struct tw_model *parent = train_small("flow", SMALL_FLOW, schema, &data, 2), *child;
    struct tw_train_options options = small_options("flow", 1);
    struct tw_trainer *trainer = trainer_of("flow", SMALL_FLOW, schema, &later, parent, &options);
    double shares[3];
    bool done;

    assert_int_equal(tw_trainer_run(trainer, NULL, 0, &done), 0);
    assert_int_equal(tw_trainer_model(trainer, &child), 0);
    sampled_shares(child, NULL, shares);
    for (int n = 0; n < 3; n++)
        assert_float_equal(shares[n], 1.0 / 3, 4 * sqrt(0.25 / 3200 + 0.25 / 8000));
    tw_trainer_free(trainer);
    tw_model_unref(parent);
    tw_model_unref(child);
    tw_data_fini(&data);
    tw_data_fini(&later);
    tw_schema_free(schema);
}

/* --- artifacts --- */

static void test_artifact(void **state)
{
    struct tw_schema *schema = schema_of(JETS, CONDITIONS);
    struct tw_data data = jets_data(schema, 4, 1500, 0);
    struct tw_model *model = train_small("flow", SMALL_FLOW, schema, &data, 1), *again;
    struct tw_error error = {""};
    unsigned char *bytes, *second;
    size_t size, second_size;

    save_model(model, &bytes, &size);

    char *format = memmem(bytes, size, "\\\"format\\\":2", 12);

    assert_non_null(format);
    assert_int_equal(tw_model_load(bytes, size, &again, NULL, &error), 0);
    save_model(again, &second, &second_size);
    assert_int_equal(size, second_size);
    assert_memory_equal(bytes, second, size);
    format[11] = '1'; /* a reader of the first format would not know what to do */
    tw_model_unref(again);
    assert_int_equal(tw_model_load(bytes, size, &again, NULL, &error), TW_CORRUPT);
    assert_non_null(strstr(error.text, "format"));
    free(bytes);
    free(second);
    tw_model_unref(model);
    tw_data_fini(&data);
    tw_schema_free(schema);
}

/* The same bytes from one worker and from two. */
static void test_workers(void **state)
{
    struct tw_schema *schema = schema_of(JETS, CONDITIONS);
    struct tw_data data = jets_data(schema, 4, 1500, 0);
    struct tw_pool *pools[2] = {NULL, tw_pool_new(2, false)};
    struct tw_train_options options = small_options("flow", 2);
    unsigned char *bytes[2];
    size_t size[2];

    assert_non_null(pools[1]);
    for (int k = 0; k < 2; k++) {
        struct tw_trainer *trainer = trainer_of("flow", SMALL_FLOW, schema, &data, NULL, &options);
        struct tw_model *model;
        bool done;

        assert_int_equal(tw_trainer_run(trainer, pools[k], 0, &done), 0);
        assert_int_equal(tw_trainer_model(trainer, &model), 0);
        save_model(model, &bytes[k], &size[k]);
        tw_model_unref(model);
        tw_trainer_free(trainer);
    }
    assert_int_equal(size[0], size[1]);
    assert_memory_equal(bytes[0], bytes[1], size[0]);
    free(bytes[0]);
    free(bytes[1]);
    tw_pool_free(pools[1]);
    tw_data_fini(&data);
    tw_schema_free(schema);
}

/* What a model cannot do with such features is refused by name. */
static void test_refusals(void **state)
{
    static const char *const cases[][3] = {
        {"[{\"name\": \"k\", \"kind\": \"discrete\", \"min\": 0, \"max\": 2}]", "{}", "discrete"},
        {JETS, "{\"blocks\": 1, \"masks\": [\"010101\"]}", "4 digits"},
        {"[{\"name\": \"p\", \"transform\": \"log\"}, {\"name\": \"q\", \"transform\": \"log\", \"optional\": true},"
         " {\"name\": \"eta\"}, {\"name\": \"phi\", " PHI "}]",
         "{\"coordinates\": [{\"name\": \"m\", \"kind\": \"mass\", \"of\": [[\"p\", \"eta\", \"phi\", 0],"
         " [\"q\", \"eta\", \"phi\", 0]], \"replaces\": \"p\"}]}",
         "q is optional"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tw_schema *schema = schema_of(cases[i][0], NULL);
        json_t *json = json_loads(cases[i][1], 0, NULL);
        struct tw_error error = {""};
        void *config;

        assert_int_equal(tw_kind_find("flow")->parse(json, schema, &config, &error), TW_INVALID);
        if (!strstr(error.text, cases[i][2]))
            fail_msg("\"%s\" does not say \"%s\"", error.text, cases[i][2]);
        json_decref(json);
        tw_schema_free(schema);
    }
}

/* A classifier sees presence and discrete values where nothing else differs. */
static void test_classifier_sees_classes(void **state)
{
    struct tw_schema *schema = schema_of("[{\"name\": \"x\"}, {\"name\": \"y\", \"optional\": true},"
                                         " {\"name\": \"k\", \"kind\": \"discrete\", \"min\": 0, \"max\": 2}]",
                                         NULL);

    for (int what = 0; what < 2; what++) {
        struct tw_data data, labelled;
        double correct = 0, *scores = malloc(4000 * sizeof *scores);

        tw_data_init(&data, schema);
        tw_data_init(&labelled, schema);
        for (uint64_t i = 0; i < 4000; i++) {
            tw_real x[2];
            bool there = what == 0 ? i >= 2000 : i % 2;

            tw_rng_normal(3, 0, i, 1, x);
            tw_rng_normal(3, 1, i, 1, x + 1);

            float row[3] = {(float)x[0], there ? (float)x[1] : NAN,
                            what == 1 ? (i < 2000    ? 1.f
                                         : i % 4 < 2 ? 0.f
                                                     : 2.f)
                                      : 0};

            assert_int_equal(tw_data_append(&data, i, 0, 1, row, NULL, NULL), 0);
        }
        assert_int_equal(tw_data_append_rows(&labelled, &data, 0, 2000, 0), 0);
        assert_int_equal(tw_data_append_rows(&labelled, &data, 2000, 2000, 1), 0);

        struct tw_model *model = train_small("classifier", "{\"hidden\": [8]}", schema, &labelled, 12);

        assert_int_equal(tw_model_score(model, tw_kernels_choose(NULL, NULL), NULL, 4000, data.features, NULL, scores),
                         0);
        for (size_t i = 0; i < 4000; i++)
            correct += (scores[i] > 0) == (i >= 2000);
        assert_true(correct > 3900);
        tw_model_unref(model);
        tw_data_fini(&data);
        tw_data_fini(&labelled);
        free(scores);
    }
    tw_schema_free(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels_and_codes),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_shares_with_conditions),
        cmocka_unit_test(test_table_is_bounded),
        cmocka_unit_test(test_normalisation),
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_samples_are_images),
        cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_warm_start),
        cmocka_unit_test(test_artifact),
        cmocka_unit_test(test_workers),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_classifier_sees_classes),
    };

    return cmocka_run_group_tests_name("model/classes", tests, NULL, NULL);
}
