/* Warm starts on rows beyond the splines: the width of what is overrun grows, nothing else changes, and what the parent
 * could not describe is learnt. */
#include "common.h"
#include "model/columns.h"
#include "model/reach.h"

#define FEATURES "[{\"name\": \"x\"}, {\"name\": \"y\", \"optional\": true}, {\"name\": \"u\", \"min\": 0, \"max\": 1}]"
#define D        3
#define ROWS     4000
#define BOUND    5.0 /* of SMALL_FLOW */

/* Standard normal x and y; of `new_rows` rows, spread evenly, x is normal around `at` instead; every third has no y. */
static struct tw_data rows_of(const struct tw_schema *schema, uint64_t key, size_t new_rows, double at)
{
    struct tw_data data;
    float *values = malloc((size_t)ROWS * D * sizeof *values);

    for (size_t i = 0; i < ROWS; i++) {
        tw_real n[2];
        bool is_new = new_rows && i % (ROWS / new_rows) == 0 && i / (ROWS / new_rows) < new_rows;

        for (uint64_t k = 0; k < 2; k++)
            tw_rng_normal(key, k, i, 1, &n[k]);
        values[i * D] = (float)n[0] + (is_new ? (float)at : 0);
        values[i * D + 1] = i % 3 ? (float)n[1] : NAN;
        values[i * D + 2] = (float)tw_rng_uniform(key, i, 2);
    }
    tw_data_init(&data, schema);
    assert_int_equal(tw_data_append(&data, key, 0, ROWS, values, NULL, NULL), 0);
    free(values);
    return data;
}

struct fixture {
    struct tw_schema *schema;
    void *config;
    struct tw_params statistics, parameters;
};

/* Statistics of rows without new ones. */
static void set_up(struct fixture *f)
{
    const struct tw_kind *kind = tw_kind_find("flow");
    json_t *json = json_loads(SMALL_FLOW, 0, NULL);
    struct tw_error error;

    f->schema = schema_of(FEATURES, NULL);
    assert_int_equal(kind->parse(json, f->schema, &f->config, &error), 0);
    json_decref(json);
    tw_params_init(&f->statistics);
    tw_params_init(&f->parameters);
    assert_int_equal(kind->layout(f->config, f->schema, &f->statistics, &f->parameters), 0);
    assert_int_equal(tw_params_alloc(&f->statistics), 0);

    struct tw_data data = rows_of(f->schema, 1, 0, 0);

    assert_int_equal(kind->prepare(f->config, &data, &f->statistics), 0);
    tw_data_fini(&data);
}

static void tear_down(struct fixture *f)
{
    tw_kind_find("flow")->config_free(f->config);
    tw_params_fini(&f->statistics);
    tw_params_fini(&f->parameters);
    tw_schema_free(f->schema);
}

/* By what the width of x grew; nothing else may have changed. */
static double growth(struct fixture *f, size_t new_rows, double at)
{
    struct tw_data data = rows_of(f->schema, 2, new_rows, at);
    struct tw_params before;
    double mean, width, old_mean, old_width;

    tw_params_init(&before);
    assert_int_equal(tw_params_copy(&before, &f->statistics), 0);
    assert_int_equal(tw_reach_extend(f->config, &data, &f->statistics), 0);
    tw_columns_moments(&before, 0, &old_mean, &old_width);
    tw_columns_moments(&f->statistics, 0, &mean, &width);
    assert_true(mean == old_mean);
    tw_columns_widen(&before, 0, width / old_width);
    assert_memory_equal(before.block, f->statistics.block, before.size * sizeof *before.block);

    if (width > old_width) { /* the least that leaves a few */
        size_t out = 0;

        for (size_t i = 0; i < data.rows; i++)
            out += fabs(((double)data.features[i * D] - mean) / width) > BOUND * (1 + 1e-6);
        assert_in_range(out, 1, 2 * ROWS / TW_REACH_SPARED);
    }
    tw_params_fini(&before);
    tw_data_fini(&data);
    return width / old_width;
}

static void test_stays_where_rows_are_in_reach(void **state)
{
    struct fixture f;

    set_up(&f);
    assert_true(growth(&f, 0, 0) == 1);
    assert_true(growth(&f, 400, 2) == 1);                        /* moved, but the splines can follow */
    assert_true(growth(&f, TW_REACH_LEAST - 1, 9) == 1);         /* too few to say */
    assert_true(growth(&f, 100, 5 * TW_REACH_FAR * BOUND) == 1); /* broken, not new */
    tear_down(&f);
}

static void test_widens_what_is_overrun(void **state)
{
    struct fixture f;

    set_up(&f);

    double first = growth(&f, 80, -8);

    assert_true(first > 8.5 / BOUND && first < 11 / BOUND);
    assert_true(growth(&f, 80, -8) == 1); /* once */
    assert_true(growth(&f, 80, 15) > 1.4);
    tear_down(&f);
}

/* Mean log-likelihood of the new rows, and of the others. */
static void judge(const struct tw_model *model, const struct tw_data *data, double *new_rows, double *others)
{
    double *values = malloc(data->rows * sizeof *values), sum[2] = {0};
    size_t count[2] = {0};

    assert_int_equal(tw_model_proper_score(model, tw_kernels_choose(NULL, NULL), NULL, data, values), 0);
    for (size_t i = 0; i < data->rows; i++) {
        int is_new = data->features[i * D] < -5.5F;

        sum[is_new] += values[i];
        count[is_new]++;
    }
    *new_rows = sum[1] / (double)count[1];
    *others = sum[0] / (double)count[0];
    free(values);
}

static void test_learns_what_lies_beyond(void **state)
{
    struct tw_schema *schema = schema_of(FEATURES, NULL);
    struct tw_data data = rows_of(schema, 1, 0, 0), later = rows_of(schema, 2, 80, -8),
                   held = rows_of(schema, 3, 80, -8);
    struct tw_model *parent = train_small("flow", SMALL_FLOW, schema, &data, 4), *child;
    struct tw_train_options options = small_options("flow", 8);
    struct tw_trainer *trainer = trainer_of("flow", SMALL_FLOW, schema, &later, parent, &options);
    double before[2], after[2];
    bool done;

    assert_int_equal(tw_trainer_run(trainer, NULL, 0, &done), 0);
    assert_int_equal(tw_trainer_model(trainer, &child), 0);
    judge(parent, &held, &before[0], &before[1]);
    judge(child, &held, &after[0], &after[1]);
    assert_true(after[0] > before[0] + 20); /* of some 32: the tail of a normal law against one event in 50 */
    assert_true(after[1] > before[1] - 0.1);
    tw_trainer_free(trainer);
    tw_model_unref(parent);
    tw_model_unref(child);
    tw_data_fini(&data);
    tw_data_fini(&later);
    tw_data_fini(&held);
    tw_schema_free(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stays_where_rows_are_in_reach),
        cmocka_unit_test(test_widens_what_is_overrun),
        cmocka_unit_test(test_learns_what_lies_beyond),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
