/* Every operation of the tape against central finite differences, in double, with respect to inputs and parameters.
 * The scalar is sum_ic r_ic y_ic with fixed random r, so that all rows and columns count. */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/rng.h"
#include "base/status.h"
#include "nn/map.h"
#include "nn/mlp.h"
#include "nn/ops.h"
#include "nn/reduce.h"
#include "nn/softmax.h"
#include "nn/trig.h"

#define COLS   16
#define STEP   1e-6
#define LIMIT  2e-7 /* of |numerical - analytic| / (1 + |analytic|) */
#define INPUTS 3

struct graph {
    const char *name;
    int rows[INPUTS]; /* of each input; 0 = none */
    double scale;     /* of the inputs */
    struct tw_var *(*build)(struct tw_tape *tape, struct tw_var **in);
    void (*layout)(struct tw_params *params);
};

static void fill(uint64_t key, size_t n, double scale, tw_real *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = scale * (2 * tw_rng_uniform(key, i, 0) - 1);
}

static tw_real *aligned(size_t n)
{
    tw_real *p = aligned_alloc(64, (n * sizeof *p + 127) / 64 * 64);

    assert_non_null(p);
    memset(p, 0, n * sizeof *p);
    return p;
}

struct run {
    const struct graph *graph;
    const struct tw_kernels *kernels;
    struct tw_params params;
    tw_real *in[INPUTS], *grads;
    bool adds; /* to what is in grads */
};

/* The scalar; with `gradients`, copies the inputs' gradients there (NaN where there is none). */
static double evaluate(struct run *r, bool backward, tw_real **gradients)
{
    struct tw_arena arena;
    struct tw_tape tape;
    struct tw_var *in[INPUTS];
    double sum = 0;

    tw_arena_init(&arena);
    tw_tape_init(&tape, r->kernels, &arena, COLS, &r->params, backward ? r->grads : NULL);
    tape.adds = r->adds;
    for (int i = 0; i < INPUTS; i++)
        in[i] = r->graph->rows[i] ? tw_tape_input(&tape, r->graph->rows[i], r->in[i]) : NULL;

    struct tw_var *y = r->graph->build(&tape, in);

    assert_non_null(y);

    tw_real *weights = tw_tape_rows(&tape, y->rows), ones[COLS];

    fill(99, (size_t)y->rows * COLS, 1, weights);
    for (int c = 0; c < COLS; c++)
        ones[c] = 1;

    struct tw_var *loss = tw_reduce_sum(&tape, tw_map_mul(&tape, y, tw_tape_constant(&tape, y->rows, weights)));

    assert_non_null(loss);
    for (int c = 0; c < COLS; c++)
        sum += loss->value[c];
    if (backward) {
        assert_true(tw_tape_backward(&tape, loss, ones));
        for (int i = 0; i < INPUTS && gradients; i++)
            for (int k = 0; k < r->graph->rows[i] * COLS; k++)
                gradients[i][k] = in[i]->grad ? in[i]->grad[k] : NAN;
    }
    tw_arena_fini(&arena);
    return sum;
}

static void check_slope(struct run *r, tw_real *at, double analytic, const char *what, int index)
{
    tw_real kept = *at;
    double up, down, numeric;

    *at = kept + STEP;
    up = evaluate(r, false, NULL);
    *at = kept - STEP;
    down = evaluate(r, false, NULL);
    *at = kept;
    numeric = (up - down) / (2 * STEP);
    if (!(fabs(numeric - analytic) <= LIMIT * (1 + fabs(analytic))))
        fail_msg("%s: %s %d: numerical %.12g, analytic %.12g (kernels %s)", r->graph->name, what, index, numeric,
                 analytic, r->kernels->name);
}

/* The tape sets gradients, whatever was there, or adds to them. */
static void check_adds(struct run *r)
{
    tw_real *once = aligned(r->params.size + 1);

    memcpy(once, r->grads, r->params.size * sizeof *once);
    for (size_t i = 0; i < r->params.size; i++)
        r->grads[i] = once[i] == 0 ? 0 : 77; /* gaps are nobody's */
    evaluate(r, true, NULL);
    assert_memory_equal(r->grads, once, r->params.size * sizeof *once);
    r->adds = true;
    evaluate(r, true, NULL);
    for (size_t i = 0; i < r->params.size; i++)
        assert_true(fabs((double)r->grads[i] - 2 * (double)once[i]) <= LIMIT * (1 + fabs((double)once[i])));
    free(once);
}

static void check_graph(const struct graph *graph, const struct tw_kernels *kernels)
{
    struct run r = {.graph = graph, .kernels = kernels};
    tw_real *gradients[INPUTS] = {0};

    tw_params_init(&r.params);
    if (graph->layout)
        graph->layout(&r.params);
    assert_int_equal(tw_params_alloc(&r.params), 0);
    fill(5, r.params.size, 0.7, r.params.block);
    r.grads = aligned(r.params.size + 1);
    for (int i = 0; i < INPUTS; i++) {
        size_t n = (size_t)graph->rows[i] * COLS;

        r.in[i] = aligned(n + 1);
        gradients[i] = aligned(n + 1);
        fill((uint64_t)(10 + i), n, graph->scale, r.in[i]);
    }
    evaluate(&r, true, gradients);
    for (int i = 0; i < INPUTS; i++)
        for (int k = 0; k < graph->rows[i] * COLS; k++)
            check_slope(&r, &r.in[i][k], gradients[i][k], "input", 1000 * i + k);
    for (int t = 0; t < r.params.count; t++) {
        const struct tw_tensor *tensor = &r.params.tensors[t];

        for (size_t k = 0; k < (size_t)tensor->rows * (size_t)tensor->cols; k++)
            check_slope(&r, &r.params.block[tensor->offset + k], r.grads[tensor->offset + k], tensor->name, (int)k);
    }
    check_adds(&r);
    for (int i = 0; i < INPUTS; i++) {
        free(r.in[i]);
        free(gradients[i]);
    }
    free(r.grads);
    tw_params_fini(&r.params);
}

static void check(const struct graph *graph)
{
    const struct tw_kernels *best = tw_kernels_choose(NULL, NULL);

    assert_non_null(best);
    check_graph(graph, tw_kernels_ref());
    check_graph(graph, best);
}

/* --- dense --- */

static void dense_layout(struct tw_params *params)
{
    assert_int_equal(tw_params_add(params, "w", 5, 3), 0);
    assert_int_equal(tw_params_add_vector(params, "b", 5), 1);
    assert_int_equal(tw_params_add(params, "none", 4, 0), 2);
    assert_int_equal(tw_params_add_vector(params, "bias", 4), 3);
}

static struct tw_var *dense_linear(struct tw_tape *tape, struct tw_var **in)
{
    return tw_ops_dense(tape, TW_LINEAR, 0, 1, in[0]);
}

static struct tw_var *dense_relu(struct tw_tape *tape, struct tw_var **in)
{
    return tw_ops_dense(tape, TW_RELU, 0, 1, in[0]);
}

static struct tw_var *dense_silu(struct tw_tape *tape, struct tw_var **in)
{
    return tw_ops_dense(tape, TW_SILU, 0, 1, in[0]);
}

static struct tw_var *dense_tanh(struct tw_tape *tape, struct tw_var **in)
{
    return tw_ops_dense(tape, TW_TANH, 0, 1, in[0]);
}

/* An operand that is used twice, and a layer without inputs. */
static struct tw_var *dense_shared(struct tw_tape *tape, struct tw_var **in)
{
    static const tw_real nothing[1];
    static const struct tw_ops_row map[] = {{0, 0, 1}, {0, 1, 1}, {0, 2, 1}, {0, 3, 1}};
    struct tw_var *y = tw_ops_dense(tape, TW_TANH, 0, 1, in[0]), *z = tw_ops_dense(tape, TW_SILU, 0, 1, in[0]);
    struct tw_var *b = tw_ops_dense(tape, TW_LINEAR, 2, 3, tw_tape_constant(tape, 0, nothing));
    struct tw_var *product = tw_map_mul(tape, y, z);

    return tw_map_add(tape, tw_ops_colmap(tape, &product, 1, map, 4), b);
}

static void test_dense(void **state)
{
    static const struct graph graphs[] = {
        {"dense linear", {3}, 1, dense_linear, dense_layout}, {"dense relu", {3}, 1, dense_relu, dense_layout},
        {"dense silu", {3}, 2, dense_silu, dense_layout},     {"dense tanh", {3}, 1, dense_tanh, dense_layout},
        {"dense shared", {3}, 1, dense_shared, dense_layout},
    };

    for (size_t i = 0; i < sizeof graphs / sizeof *graphs; i++)
        check(&graphs[i]);
}

/* --- splines of all kinds in one node; rows 3..: parameters; both outputs are used --- */

#define BINS 4

static const struct tw_spline splines[] = {
    {TW_SPLINE_TAILS, BINS, 2, 1e-3, 1e-3, 1e-3},
    {TW_SPLINE_BOUNDED, BINS, 2, 1e-3, 1e-3, 1e-3},
    {TW_SPLINE_CIRCULAR, BINS, 2, 1e-3, 1e-3, 1e-3},
};
#define SPLINE_ROWS (9 * BINS + 1) /* 3K-1 + 3K+1 + 3K+1 */

static struct tw_var *spline_both(struct tw_tape *tape, struct tw_var **in)
{
    struct tw_var *log_det, *y = tw_ops_spline(tape, splines, in[0], in[1], &log_det);

    return tw_map_add(tape, y, log_det);
}

static struct tw_var *spline_log_det(struct tw_tape *tape, struct tw_var **in)
{
    struct tw_var *log_det, *y = tw_ops_spline(tape, splines, in[0], in[1], &log_det);

    return y ? log_det : NULL;
}

static struct tw_var *spline_value(struct tw_tape *tape, struct tw_var **in)
{
    struct tw_var *log_det;

    return tw_ops_spline(tape, splines, in[0], in[1], &log_det);
}

/* Some values are absent: their y is 0 and their part of log_det is not counted. */
static struct tw_var *spline_absent(struct tw_tape *tape, struct tw_var **in)
{
    tw_real *present = tw_tape_rows(tape, 3);
    struct tw_var *log_det, *y;

    for (int i = 0; i < 3 * COLS; i++)
        present[i] = i % 3 > 0;
    y = tw_ops_spline_present(tape, splines, in[0], in[1], present, &log_det);
    for (int i = 0; i < 3 * COLS; i += 3)
        assert_true(y->value[i] == 0);
    return tw_map_add(tape, y, log_det);
}

/* Gradients must add up where operands are used again. */
static struct tw_var *spline_twice(struct tw_tape *tape, struct tw_var **in)
{
    struct tw_var *d1, *d2, *y = tw_ops_spline(tape, splines, in[0], in[1], &d1);
    struct tw_var *z = tw_ops_spline(tape, splines, in[0], in[1], &d2);

    return tw_map_add(tape, tw_map_mul(tape, y, z), tw_map_add(tape, d1, d2));
}

static void test_spline(void **state)
{
    static const struct graph graphs[] = {
        {"spline", {3, SPLINE_ROWS}, 1.8, spline_both, NULL},
        {"spline absent", {3, SPLINE_ROWS}, 1.8, spline_absent, NULL},
        {"spline tails", {3, SPLINE_ROWS}, 2.6, spline_log_det, NULL}, /* some beyond the bound */
        {"spline value", {3, SPLINE_ROWS}, 1.8, spline_value, NULL},
        {"spline twice", {3, SPLINE_ROWS}, 1.8, spline_twice, NULL},
    };

    for (size_t i = 0; i < sizeof graphs / sizeof *graphs; i++)
        check(&graphs[i]);
}

/* --- rows and coordinates --- */

static struct tw_var *colmap(struct tw_tape *tape, struct tw_var **in)
{
    static const struct tw_ops_row map[] = {{1, 1, 1}, {0, 2, -1}, {0, 0, 1}, {1, 1, -1}, {0, 2, 1}};
    struct tw_var *y = tw_ops_colmap(tape, in, 2, map, 5);

    return tw_map_mul(tape, y, y);
}

static struct tw_var *embed(struct tw_tape *tape, struct tw_var **in)
{
    static const struct tw_ops_embed_row map[] = {
        {TW_EMBED_COS, 0, 1}, {TW_EMBED_SIN, 0, 1}, {TW_EMBED_LINEAR, 1, 0.5},
        {TW_EMBED_SIN, 2, 2}, {TW_EMBED_COS, 0, 3}, {TW_EMBED_LINEAR, 0, -2},
    };

    return tw_ops_embed(tape, in[0], map, 6);
}

static void test_rows(void **state)
{
    static const struct graph graphs[] = {
        {"colmap", {3, 2}, 1, colmap, NULL},
        {"embed", {3}, 3, embed, NULL},
    };

    for (size_t i = 0; i < sizeof graphs / sizeof *graphs; i++)
        check(&graphs[i]);
}

/* --- elementwise, reductions, losses --- */

static struct tw_var *arithmetic(struct tw_tape *tape, struct tw_var **in)
{
    struct tw_var *product = tw_map_mul(tape, in[0], in[1]), *broadcast = tw_map_mul(tape, in[0], in[2]);

    return tw_map_sub(tape, tw_map_add(tape, product, in[2]), tw_map_sub(tape, broadcast, in[1]));
}

static struct tw_var *normal(struct tw_tape *tape, struct tw_var **in)
{
    return tw_map_mul(tape, tw_reduce_normal_log_prob(tape, in[0]), tw_reduce_sum(tape, in[1]));
}

/* The third class is left out, and an event in five passed over. */
static struct tw_var *cross_entropy(struct tw_tape *tape, struct tw_var **in)
{
    static const double prior[4] = {-0.5, 1, -INFINITY, 0.3};
    static const tw_real classes[5] = {0, 3, -1, 1, 3};
    tw_real *labels = tw_tape_rows(tape, 1);

    for (int c = 0; c < COLS; c++)
        labels[c] = classes[c % 5];

    struct tw_var *y = tw_softmax_cross_entropy(tape, in[0], prior, labels);

    for (int c = 0; c < COLS; c++) {
        double sum = 0, at[4];

        for (int k = 0; k < 4; k++) {
            at[k] = in[0]->value[k * COLS + c] + prior[k];
            sum += exp(at[k]);
        }
        assert_float_equal(y->value[c], labels[c] < 0 ? 0 : log(sum) - at[(int)labels[c]], 1e-12);
    }
    return y;
}

static struct tw_var *bce(struct tw_tape *tape, struct tw_var **in)
{
    static const tw_real labels[COLS] = {0, 1, 1, 0, 0.3, 1, 0, 0, 1};

    return tw_reduce_bce_logits(tape, in[0], labels);
}

static void test_elementwise(void **state)
{
    static const struct graph graphs[] = {
        {"arithmetic", {3, 3, 1}, 1, arithmetic, NULL},
        {"normal", {3, 2}, 2, normal, NULL},
        {"bce", {1}, 6, bce, NULL},
        {"cross entropy", {4}, 6, cross_entropy, NULL},
    };

    for (size_t i = 0; i < sizeof graphs / sizeof *graphs; i++)
        check(&graphs[i]);
}

/* --- a network --- */

static struct tw_mlp network = {.in = 3, .out = 2, .hidden_count = 2, .hidden = {4, 5}, .activation = TW_SILU};

static void mlp_layout(struct tw_params *params)
{
    assert_int_equal(tw_mlp_layout(&network, "net", params), 0);
}

static struct tw_var *mlp(struct tw_tape *tape, struct tw_var **in)
{
    return tw_mlp_tape(&network, tape, in[0]);
}

static void test_mlp(void **state)
{
    static const struct graph graph = {"mlp", {3}, 1, mlp, mlp_layout};

    check(&graph);
}

/* The path without a tape gives the same bits. */
static void test_mlp_plain(void **state)
{
    const struct tw_kernels *kernels = tw_kernels_choose(NULL, NULL);
    struct tw_params params;
    struct tw_arena arena;
    struct tw_tape tape;

    tw_params_init(&params);
    tw_arena_init(&arena);
    mlp_layout(&params);
    assert_int_equal(tw_params_alloc(&params), 0);
    tw_mlp_init(&network, &params, 1, 3);

    tw_real *x = aligned(3 * COLS), *scratch = aligned(10 * COLS), *y = aligned(2 * COLS);

    fill(1, 3 * COLS, 1, x);
    tw_tape_init(&tape, kernels, &arena, COLS, &params, NULL);

    struct tw_var *taped = tw_mlp_tape(&network, &tape, tw_tape_constant(&tape, 3, x));

    assert_non_null(taped);
    assert_null(tape.last); /* nothing to go back through */
    tw_mlp_plain(&network, &params, kernels, COLS, x, scratch, y);
    assert_memory_equal(taped->value, y, 2 * COLS * sizeof *y);
    free(x);
    free(scratch);
    free(y);
    tw_arena_fini(&arena);
    tw_params_fini(&params);
}

/* --- stop_gradient: values pass, gradients do not --- */

static void test_stop_gradient(void **state)
{
    struct tw_arena arena;
    struct tw_tape tape;
    tw_real x[2 * COLS] __attribute__((aligned(64))), seed[COLS];

    tw_arena_init(&arena);
    fill(1, 2 * COLS, 1, x);
    for (int c = 0; c < COLS; c++)
        seed[c] = 1;
    tw_tape_init(&tape, tw_kernels_ref(), &arena, COLS, NULL, NULL);

    struct tw_var *in = tw_tape_input(&tape, 2, x), *stopped = tw_map_stop_gradient(&tape, in);
    struct tw_var *loss = tw_reduce_sum(&tape, tw_map_mul(&tape, in, stopped));

    assert_memory_equal(stopped->value, x, sizeof x);
    assert_true(tw_tape_backward(&tape, loss, seed));
    for (int i = 0; i < 2 * COLS; i++)
        assert_true(in->grad[i] == x[i]); /* and not 2 x */
    assert_null(stopped->grad);
    tw_arena_fini(&arena);
}

static void test_null_passes(void **state)
{
    struct tw_arena arena;
    struct tw_tape tape;
    struct tw_var *det;

    tw_arena_init(&arena);
    tw_tape_init(&tape, tw_kernels_ref(), &arena, COLS, NULL, NULL);
    assert_null(tw_reduce_sum(&tape, NULL));
    assert_null(tw_map_add(&tape, NULL, NULL));
    assert_null(tw_ops_spline(&tape, splines, NULL, NULL, &det));
    assert_null(tw_reduce_bce_logits(&tape, NULL, NULL));
    assert_null(tw_softmax_cross_entropy(&tape, NULL, NULL, NULL));
    assert_false(tw_tape_backward(&tape, NULL, NULL));
    tw_arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dense),         cmocka_unit_test(test_spline),      cmocka_unit_test(test_rows),
        cmocka_unit_test(test_elementwise),   cmocka_unit_test(test_mlp),         cmocka_unit_test(test_mlp_plain),
        cmocka_unit_test(test_stop_gradient), cmocka_unit_test(test_null_passes),
    };

    return cmocka_run_group_tests_name("nn/tape", tests, NULL, NULL);
}
