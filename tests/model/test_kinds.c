/* Both kinds through the table, in double: gradients of the loss by finite differences, configurations back from their
 * own JSON, refusals that name the member. */
#include "common.h"
#include "model/columns.h"
#include "nn/tape.h"

struct setup {
    const struct tw_kind *kind;
    struct tw_schema *schema;
    void *config;
    struct tw_params statistics, parameters;
    struct tw_kind_state state;
    struct tw_data data;
    struct tw_block block;
    tw_real *rows, *grads;
};

/* MIXED with features that come and go, the second angle among them, and a discrete one; rows of it from those of
 * MIXED: psi and u are absent in some, and a class is left out of what the table was made from. */
#define CLASSES                                                                                                        \
    "[{\"name\": \"pt\", \"transform\": \"log\", \"min\": 20}, {\"name\": \"eta\"},"                                   \
    " {\"name\": \"phi\", \"kind\": \"periodic\", \"min\": -3.141592653589793, \"max\": 3.141592653589793},"           \
    " {\"name\": \"u\", \"min\": 0, \"max\": 1, \"optional\": true},"                                                  \
    " {\"name\": \"psi\", \"kind\": \"periodic\", \"min\": -3.141592653589793, \"max\": 3.141592653589793,"            \
    "  \"optional\": true}, {\"name\": \"k\", \"kind\": \"discrete\", \"min\": 0, \"max\": 2}]"

static struct tw_data classed_data(const struct tw_schema *schema, uint64_t key, size_t rows)
{
    struct tw_data data;

    tw_data_init(&data, schema);
    for (uint64_t i = 0; i < rows; i++) {
        float row[MIXED_FEATURES + 1], condition = (float)(0.1 + 0.0004 * (double)i);

        mixed_event(key, i, 0, row);
        row[MIXED_FEATURES] = i == rows - 1 ? 2 : (float)(i % 2);
        if (i % 3 == 0)
            row[3] = NAN;
        if (i % 5 < 2)
            row[4] = NAN;
        assert_int_equal(tw_data_append(&data, key, i, 1, row, &condition, NULL), 0);
    }
    assert_int_equal(data.invalid, 0);
    return data;
}

static void setup_init(struct setup *s, const char *kind, const char *config, bool classes)
{
    json_t *json = json_loads(config, 0, NULL);
    struct tw_error error = {""};

    memset(s, 0, sizeof *s);
    s->kind = tw_kind_find(kind);
    s->schema = schema_of(classes ? CLASSES : MIXED, CONDITIONS);
    s->data = classes ? classed_data(s->schema, 2, 200) : mixed_data(s->schema, 2, 200, 0);
    if (s->kind->parse(json, s->schema, &s->config, &error))
        fail_msg("%s", error.text);
    json_decref(json);
    assert_int_equal(s->kind->layout(s->config, s->schema, &s->statistics, &s->parameters), 0);
    assert_int_equal(tw_params_alloc(&s->statistics), 0);
    assert_int_equal(tw_params_alloc(&s->parameters), 0);
    s->data.rows = 199;
    assert_int_equal(s->kind->prepare(s->config, &s->data, &s->statistics), 0);
    s->data.rows = 200;
    assert_true(s->kind->statistics_ok(s->config, s->schema, &s->statistics));
    assert_int_equal(s->kind->init(s->config, s->schema, &s->parameters, 3), 0);
    for (size_t i = 0; i < s->parameters.size; i++) /* away from the identity */
        s->parameters.block[i] += (tw_real)(0.2 * (2 * tw_rng_uniform(4, i, 0) - 1));
    s->state = (struct tw_kind_state){s->config, s->schema, &s->statistics, &s->parameters};

    size_t prepared = (size_t)s->kind->prepared_rows(s->config, s->schema);

    s->rows = aligned_alloc(64, (prepared + 3) * TW_BLOCK * sizeof *s->rows);
    s->grads = aligned_alloc(64, (s->parameters.size + 16) / 16 * 16 * sizeof *s->grads);

    tw_real *conditions = s->rows + prepared * TW_BLOCK, *weights = conditions + TW_BLOCK, *labels = weights + TW_BLOCK;

    s->kind->prepare_block(&s->state, s->data.features, 200, TW_BLOCK, s->rows, NULL);
    tw_columns_conditions(s->schema, &s->statistics, s->data.conditions, 200, TW_BLOCK, conditions);
    for (int i = 0; i < TW_BLOCK; i++) {
        weights[i] = i < 200 ? (tw_real)(1 - 1.5 * (i % 4 == 0)) : 0; /* some negative */
        labels[i] = i % 2;
    }
    s->block = (struct tw_block){.cols = TW_BLOCK,
                                 .events = 200,
                                 .features = s->rows,
                                 .conditions = conditions,
                                 .weights = weights,
                                 .labels = labels};
}

static void setup_fini(struct setup *s)
{
    s->kind->config_free(s->config);
    tw_params_fini(&s->statistics);
    tw_params_fini(&s->parameters);
    tw_data_fini(&s->data);
    tw_schema_free(s->schema);
    free(s->rows);
    free(s->grads);
}

static double loss_of(struct setup *s, bool backward)
{
    struct tw_arena arena;
    struct tw_tape tape;
    double sum = 0;

    tw_arena_init(&arena);
    if (backward)
        memset(s->grads, 0, s->parameters.size * sizeof *s->grads);
    tw_tape_init(&tape, tw_kernels_choose(NULL, NULL), &arena, TW_BLOCK, &s->parameters, backward ? s->grads : NULL);

    struct tw_var *loss = s->kind->loss(&s->state, &tape, &s->block);

    assert_non_null(loss);
    assert_int_equal(loss->rows, 1);
    for (int i = 0; i < TW_BLOCK; i++)
        sum += (double)s->block.weights[i] * (double)loss->value[i];
    if (backward)
        assert_true(tw_tape_backward(&tape, loss, s->block.weights));
    tw_arena_fini(&arena);
    return sum;
}

static void check_gradients(const char *kind, const char *config, bool classes)
{
    const double h = 1e-6;
    struct setup s;

    setup_init(&s, kind, config, classes);
    loss_of(&s, true);
    for (int t = 0; t < s.parameters.count; t++) {
        const struct tw_tensor *tensor = &s.parameters.tensors[t];
        size_t n = (size_t)tensor->rows * (size_t)tensor->cols;

        for (size_t i = 0; i < n; i += n / 12 + 1) {
            tw_real *at = &s.parameters.block[tensor->offset + i], kept = *at;
            double analytic = (double)s.grads[tensor->offset + i], up, down;

            *at = kept + (tw_real)h;
            up = loss_of(&s, false);
            *at = kept - (tw_real)h;
            down = loss_of(&s, false);
            *at = kept;
            if (!(fabs((up - down) / (2 * h) - analytic) < 5e-6 * (1 + fabs(analytic))))
                fail_msg("%s: %s[%zu]: numerical %.12g, analytic %.12g", kind, tensor->name, i, (up - down) / (2 * h),
                         analytic);
        }
    }
    setup_fini(&s);
}

static void test_flow_gradients(void **state)
{
    check_gradients("flow", "{\"blocks\": 4, \"hidden\": [6, 5], \"bins\": 4, \"harmonics\": 2}", false);
    check_gradients("flow", "{\"blocks\": 4, \"hidden\": [6, 5], \"bins\": 4, \"harmonics\": 2}", true);
    check_gradients("flow", "{\"blocks\": 2, \"hidden\": [], \"bins\": 4, \"activation\": \"tanh\", \"torus\": false}",
                    false);
}

static void test_classifier_gradients(void **state)
{
    check_gradients("classifier", "{\"hidden\": [6, 5]}", false);
    check_gradients("classifier", "{\"hidden\": [6, 5]}", true);
    check_gradients("classifier", "{\"hidden\": [7], \"activation\": \"tanh\"}", false);
}

/* log p and scores without a tape equal the loss. */
static void test_queries_equal_the_loss(void **state)
{
    for (int k = 0; k < 4; k++) {
        bool classifier = k % 2;
        struct setup s;
        struct tw_arena arena;
        double out[TW_BLOCK], sum = 0, loss;

        setup_init(&s, classifier ? "classifier" : "flow", "{\"hidden\": [6, 5]}", k >= 2);
        loss = loss_of(&s, false);
        tw_arena_init(&arena);
        assert_int_equal((classifier ? s.kind->score : s.kind->log_prob)(&s.state, tw_kernels_choose(NULL, NULL),
                                                                         &arena, TW_BLOCK, s.rows, s.block.conditions,
                                                                         out),
                         0);
        for (int i = 0; i < TW_BLOCK; i++) {
            double value = classifier ? log1p(exp(-out[i])) + (1 - (double)s.block.labels[i]) * out[i] : -out[i];

            sum += (double)s.block.weights[i] * value;
        }
        assert_float_equal(sum, loss, 1e-8 * (1 + fabs(loss)));
        tw_arena_fini(&arena);
        setup_fini(&s);
    }
}

/* The flow's Jacobian of the transforms, against differences of its prepared coordinates (diagonal but for the torus,
 * which has determinant one). */
static void test_prepared_jacobian(void **state)
{
    struct setup s;
    double jacobian[TW_BLOCK], sum[TW_BLOCK] = {0};
    float up[200 * MIXED_FEATURES], down[200 * MIXED_FEATURES];

    setup_init(&s, "flow", "{}", false);

    tw_real *a = aligned_alloc(64, MIXED_FEATURES * TW_BLOCK * sizeof *a);
    tw_real *b = aligned_alloc(64, MIXED_FEATURES * TW_BLOCK * sizeof *b);

    s.kind->prepare_block(&s.state, s.data.features, 200, TW_BLOCK, s.rows, jacobian);
    for (int f = 0; f < MIXED_FEATURES; f++) {
        memcpy(up, s.data.features, sizeof up);
        memcpy(down, s.data.features, sizeof down);
        for (int i = 0; i < 200; i++) {
            up[i * MIXED_FEATURES + f] += 0.001f;
            down[i * MIXED_FEATURES + f] -= 0.001f;
        }
        s.kind->prepare_block(&s.state, up, 200, TW_BLOCK, a, NULL);
        s.kind->prepare_block(&s.state, down, 200, TW_BLOCK, b, NULL);
        for (int i = 0; i < 200; i++) {
            double dx = (double)up[i * MIXED_FEATURES + f] - (double)down[i * MIXED_FEATURES + f];
            double dy = (double)(a[f * TW_BLOCK + i] - b[f * TW_BLOCK + i]);

            if (f == 2 || f == 4)
                dy = remainder(dy, 6.283185307179586);
            sum[i] += log(dy / dx);
        }
    }
    for (int i = 0; i < 200; i++)
        if (s.data.features[i * MIXED_FEATURES + 3] > 0.002f && s.data.features[i * MIXED_FEATURES + 3] < 0.998f)
            assert_float_equal(sum[i], jacobian[i], 1e-3);
    free(a);
    free(b);
    setup_fini(&s);
}

static void refused(const char *kind, const char *config, const char *word)
{
    struct tw_schema *schema = schema_of(MIXED, NULL);
    json_t *json = json_loads(config, JSON_DECODE_ANY, NULL);
    struct tw_error error = {""};
    void *made = NULL;

    assert_non_null(json);
    if (tw_kind_find(kind)->parse(json, schema, &made, &error) != TW_INVALID)
        fail_msg("not refused: %s", config);
    assert_null(made);
    if (!strstr(error.text, word))
        fail_msg("\"%s\" does not name \"%s\"", error.text, word);
    json_decref(json);
    tw_schema_free(schema);
}

static void test_refusals(void **state)
{
    refused("flow", "[]", "model must be an object");
    refused("flow", "{\"depth\": 3}", "\"depth\"");
    refused("flow", "{\"blocks\": 0}", "blocks");
    refused("flow", "{\"blocks\": 65}", "blocks");
    refused("flow", "{\"blocks\": 2.5}", "blocks");
    refused("flow", "{\"bins\": 1}", "bins");
    refused("flow", "{\"bound\": 0}", "bound");
    refused("flow", "{\"bound\": \"5\"}", "bound");
    refused("flow", "{\"hidden\": 128}", "hidden");
    refused("flow", "{\"hidden\": [0]}", "hidden");
    refused("flow", "{\"hidden\": [1,1,1,1,1,1,1,1,1]}", "hidden");
    refused("flow", "{\"activation\": \"gelu\"}", "activation");
    refused("flow", "{\"torus\": 1}", "torus");
    refused("flow", "{\"harmonics\": 0}", "harmonics");
    refused("flow", "{\"masks\": []}", "masks");
    refused("flow", "{\"blocks\": 1, \"masks\": [\"0101\"]}", "masks[0]");
    refused("flow", "{\"blocks\": 1, \"masks\": [\"01012\"]}", "masks[0]");
    refused("flow", "{\"blocks\": 1, \"masks\": [\"11111\"]}", "masks[0]");
    refused("flow", "{\"hidden\": [4096,4096,4096,4096,4096,4096,4096,4096], \"blocks\": 64}", "parameters");
    refused("flow", "{\"hidden\": [1000000000]}", "hidden");
    refused("classifier", "{\"bins\": 3}", "\"bins\"");
    refused("classifier", "{\"hidden\": [\"a\"]}", "hidden");
    refused("classifier", "{\"quartiles\": 1}", "quartiles");
    assert_null(tw_kind_find("transformer"));
}

/* parse(describe(c)) describes itself in the same words. */
static void test_describe(void **state)
{
    for (const struct tw_kind *const *kind = tw_kind_all(); *kind; kind++) {
        struct tw_schema *schema = schema_of(MIXED, CONDITIONS);
        struct tw_error error;
        void *first, *second;

        assert_int_equal((*kind)->parse(NULL, schema, &first, &error), 0);

        json_t *a = (*kind)->describe(first);

        assert_int_equal((*kind)->parse(a, schema, &second, &error), 0);

        json_t *b = (*kind)->describe(second);

        assert_string_equal(json_string_value(json_object_get(a, "kind")), (*kind)->name);
        assert_true(json_equal(a, b));
        json_decref(a);
        json_decref(b);
        (*kind)->config_free(first);
        (*kind)->config_free(second);
        tw_schema_free(schema);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flow_gradients),
        cmocka_unit_test(test_classifier_gradients),
        cmocka_unit_test(test_queries_equal_the_loss),
        cmocka_unit_test(test_prepared_jacobian),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_describe),
    };

    return cmocka_run_group_tests_name("model/kinds", tests, NULL, NULL);
}
