/* Fidelity: a good twin is near the floor, a bad one far from it, and samples come at the conditions of the rows. */
#include "learn.h"

#include <stdlib.h>
#include <string.h>

#include "kernel/kernel.h"
#include "stat/fidelity.h"

#define SMALL_FLOW "{\"kind\": \"flow\", \"blocks\": 2, \"hidden\": [32], \"bins\": 6}"

static const struct tw_kernels *kernels;

static int setup(void **state)
{
    kernels = tw_kernels_choose(getenv("TWIN_KERNELS"), NULL);
    return kernels ? 0 : 1;
}

/* x ~ N(theta, 1); batches of 100 with theta = -3 and 3 in turn. */
static struct tw_schema *conditioned_schema(void)
{
    json_t *features = json_loads("[{\"name\": \"x\"}, {\"name\": \"y\"}]", 0, NULL);
    json_t *conditions = json_loads("[{\"name\": \"theta\", \"min\": -5, \"max\": 5, \"value\": 0}]", 0, NULL);
    struct tw_schema *schema = NULL;
    struct tw_error error = {""};
    if (tw_schema_parse(features, conditions, &schema, &error))
        fail_msg("%s", error.text);
    json_decref(features);
    json_decref(conditions);
    return schema;
}

static void conditioned_append(struct tw_data *data, uint64_t key, size_t batches, double scale)
{
    for (uint64_t b = 0; b < batches; b++) {
        tw_real draws[200];
        float values[200], theta = b % 2 ? 3 : -3;
        tw_rng_normal(key, b, 0, 200, draws);
        for (int i = 0; i < 200; i++)
            values[i] = (float)draws[i] + (i % 2 ? 0 : (float)scale * theta);
        assert_int_equal(tw_data_append(data, b, 0, 100, values, &theta, NULL), TW_OK);
    }
}

static void test_conditions(void **state)
{
    struct tw_schema *schema = conditioned_schema();
    struct tw_data training, window;
    struct tw_fidelity good, bad;
    struct tw_error error = {""};
    tw_data_init(&training, schema);
    tw_data_init(&window, schema);
    conditioned_append(&training, 1, 80, 1);
    conditioned_append(&window, 2, 30, 1);
    struct tw_model *model = learn(SMALL_FLOW, &training, NULL, NULL, kernels, NULL);
    if (tw_fidelity(model, &window, NULL, NULL, 4, kernels, NULL, &good, &error))
        fail_msg("%s", error.text);
    /* Samples at the default condition, or at the other batch's, would be told apart at a glance. */
    assert_true(good.auc < 0.57);
    assert_true(fabs(good.floor - 0.5) < 4 * good.floor_error);
    assert_true(good.error > 0.005 && good.error < 0.03);
    /* The differential entropy of two unit normals is 2.838. */
    assert_true(fabs(good.log_prob + 2.838) < 0.1 + 4 * good.log_prob_error);
    tw_data_fini(&window);
    tw_data_init(&window, schema);
    conditioned_append(&window, 3, 30, -1); /* the twin has it the wrong way round */
    assert_int_equal(tw_fidelity(model, &window, NULL, NULL, 4, kernels, NULL, &bad, &error), TW_OK);
    assert_true(bad.auc > 0.95);
    assert_true(fabs(bad.floor - 0.5) < 4 * bad.floor_error);
    tw_model_unref(model);
    tw_data_fini(&training);
    tw_data_fini(&window);
    tw_schema_free(schema);
}

static void test_few_rows(void **state)
{
    struct tw_schema *schema = conditioned_schema();
    struct tw_data training;
    struct tw_fidelity out;
    struct tw_error error = {""};
    tw_data_init(&training, schema);
    conditioned_append(&training, 1, 10, 1);
    struct tw_train_options options;
    tw_trainer_defaults(&options, tw_kind_find("flow"), training.rows, false);
    options.epochs = 1;
    struct tw_model *model = learn(SMALL_FLOW, &training, NULL, &options, kernels, NULL);
    training.rows = 79;
    assert_int_equal(tw_fidelity(model, &training, NULL, NULL, 4, kernels, NULL, &out, &error), TW_INVALID);
    assert_true(isnan(out.auc) && strlen(error.text) > 0);
    tw_model_unref(model);
    tw_data_fini(&training);
    tw_schema_free(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_conditions), cmocka_unit_test(test_few_rows)};
    return cmocka_run_group_tests(tests, setup, NULL);
}
