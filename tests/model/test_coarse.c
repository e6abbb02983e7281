/* What factors in bfloat16 do to a flow with the default widths: the error of docs/performance.md, held here, on a
 * processor that has them. */
#include "common.h"

#define FLOW "{\"kind\": \"flow\", \"blocks\": 4, \"hidden\": [128, 128], \"bins\": 8, \"bound\": 5}"

enum { EVENTS = 2000 };

static void test_log_prob(void **state)
{
    const struct tw_kernels *coarse = tw_kernels_choose("avx512bf16", NULL), *fine = tw_kernels_choose(NULL, NULL);
    double a[EVENTS], b[EVENTS], mean = 0, square = 0, worst = 0;

    if (!coarse)
        skip();

    struct tw_schema *schema = schema_of(MIXED, CONDITIONS);
    struct tw_data data = mixed_data(schema, 1, EVENTS, 0);
    struct tw_model *model = train_small("flow", FLOW, schema, &data, 4);

    assert_int_equal(tw_model_log_prob(model, fine, NULL, EVENTS, data.features, data.conditions, a), 0);
    assert_int_equal(tw_model_log_prob(model, coarse, NULL, EVENTS, data.features, data.conditions, b), 0);
    for (int i = 0; i < EVENTS; i++) {
        mean += (b[i] - a[i]) / EVENTS;
        square += (b[i] - a[i]) * (b[i] - a[i]) / EVENTS;
        worst = fmax(worst, fabs(b[i] - a[i]));
    }
    print_message("log p: mean off by %.1e, events by %.1e (rms), %.1e at most\n", mean, sqrt(square), worst);
    assert_true(worst > 1e-6); /* it is another table */
    assert_true(fabs(mean) < 5e-4);
    assert_true(sqrt(square) < 0.01);
    assert_true(worst < 0.2);
    tw_model_unref(model);
    tw_data_fini(&data);
    tw_schema_free(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_log_prob)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
