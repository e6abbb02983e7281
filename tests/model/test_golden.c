/* Flows from an independent implementation (tests/golden/make_flow.py): densities, and points of the base taken to
 * events, on every table of kernels. Compiled twice: in float32 with the limits of float32, in double with much
 * narrower ones, where also the round trip is held to rounding. Argument: the folder of the golden files. */
#include <stdio.h>

#include "common.h"
#include "flow/coupling.h"
#include "kernel/tables.h"
#include "model/flow_kind.h"
#include "proto/npy.h"

#ifdef TW_REAL_IS_DOUBLE
#define LOG_PROB_LIMIT 1e-9
#define EVENT_LIMIT    1e-9
#define RETURN_LIMIT   1e-12
#else
#define LOG_PROB_LIMIT 1e-4
#define EVENT_LIMIT    1e-4
#define RETURN_LIMIT   2e-5
#endif

static const char *folder;

static unsigned char *read_file(const char *name, const char *suffix, size_t *size)
{
    char path[4096];
    unsigned char *bytes = malloc(1 << 20);

    snprintf(path, sizeof path, "%s/%s%s", folder, name, suffix);

    FILE *file = fopen(path, "rb");

    if (!file)
        fail_msg("%s is missing", path);
    *size = fread(bytes, 1, 1 << 20, file);
    fclose(file);
    return bytes;
}

/* An array of any item size, as double; rows*cols values. */
static double *read_array(const char *name, const char *suffix, size_t *rows, size_t *cols)
{
    size_t size;
    unsigned char *bytes = read_file(name, suffix, &size);
    struct twp_npy npy;

    assert_int_equal(twp_npy_parse(bytes, size, &npy), 0);

    double *values = malloc(npy.rows * npy.cols * sizeof *values);

    for (size_t i = 0; i < npy.rows * npy.cols; i++) {
        float single;

        if (npy.item == 8) {
            memcpy(&values[i], npy.data + 8 * i, 8);
        } else {
            memcpy(&single, npy.data + 4 * i, 4);
            values[i] = (double)single;
        }
    }
    *rows = npy.rows;
    *cols = npy.cols;
    free(bytes);
    return values;
}

static struct tw_model *load(const char *name)
{
    size_t size;
    unsigned char *bytes = read_file(name, ".safetensors", &size);
    struct tw_model *model;
    struct tw_error error = {""};

    if (tw_model_load(bytes, size, &model, NULL, &error))
        fail_msg("%s: %s", name, error.text);
    free(bytes);
    return model;
}

static void check_log_prob(const char *name, const struct tw_model *model, const struct tw_kernels *kernels)
{
    size_t n, d, unused;
    double *x = read_array(name, "_x.npy", &n, &d), *wanted = read_array(name, "_log_prob.npy", &unused, &unused);
    float *values = malloc(n * d * sizeof *values);
    double *got = malloc(n * sizeof *got);

    for (size_t i = 0; i < n * d; i++)
        values[i] = (float)x[i];
    assert_int_equal(tw_model_log_prob(model, kernels, NULL, n, values, NULL, got), 0);
    for (size_t i = 0; i < n; i++)
        if (!(fabs(got[i] - wanted[i]) <= LOG_PROB_LIMIT * (1 + fabs(wanted[i]))))
            fail_msg("%s, kernels %s, event %zu: log p %.10g, golden %.10g", name, kernels->name, i, got[i], wanted[i]);
    free(x);
    free(wanted);
    free(values);
    free(got);
}

static int increasing(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* z -> events, against the golden ones, and back to z. */
static void check_events(const char *name, const struct tw_model *model, const struct tw_kernels *kernels)
{
    struct tw_kind_state state = tw_model_state(model, 0);
    const struct tw_coupling *c = tw_flow_kind_coupling(&state);
    size_t n, d;
    double *z = read_array(name, "_z.npy", &n, &d), *wanted = read_array(name, "_y.npy", &n, &d), worst = 0;
    size_t bytes = d * TW_BLOCK * sizeof(tw_real);
    tw_real *x = aligned_alloc(64, bytes), *det = aligned_alloc(64, TW_BLOCK * sizeof *det);
    tw_real *conditions = aligned_alloc(64, (size_t)(c->conditions + 1) * TW_BLOCK * sizeof *conditions);
    double *back = malloc(n * d * sizeof *back);
    struct tw_arena arena;

    assert_int_equal(n, TW_BLOCK);
    tw_arena_init(&arena);
    memset(det, 0, TW_BLOCK * sizeof *det);
    for (int k = 0; k < c->conditions; k++) { /* their defaults, standardised */
        double value = (double)(float)state.schema->columns[c->features + k].value;

        for (int i = 0; i < TW_BLOCK; i++)
            conditions[k * TW_BLOCK + i] = (tw_real)((value - (double)tw_params_at(state.statistics, 2)[k]) /
                                                     (double)tw_params_at(state.statistics, 3)[k]);
    }
    for (size_t f = 0; f < d; f++)
        for (size_t i = 0; i < n; i++)
            x[f * TW_BLOCK + i] = (tw_real)z[i * d + f];
    assert_int_equal(tw_coupling_inverse(c, state.parameters, kernels, &arena, TW_BLOCK, x, conditions, NULL, det), 0);
    for (size_t f = 0; f < d; f++)
        for (size_t i = 0; i < n; i++) {
            double delta = (double)x[f * TW_BLOCK + i] - wanted[i * d + f];

            if (c->kinds[f] == TW_SPLINE_CIRCULAR)
                delta = remainder(delta, 6.283185307179586);
            if (!(fabs(delta) <= EVENT_LIMIT * (1 + fabs(wanted[i * d + f]))))
                fail_msg("%s, kernels %s, event %zu, feature %zu: %.10g, golden %.10g", name, kernels->name, i, f,
                         (double)x[f * TW_BLOCK + i], wanted[i * d + f]);
        }
    assert_int_equal(tw_coupling_forward(c, state.parameters, kernels, &arena, TW_BLOCK, x, conditions, NULL, det), 0);
    for (size_t f = 0; f < d; f++)
        for (size_t i = 0; i < n; i++) {
            double delta = (double)x[f * TW_BLOCK + i] - (double)(tw_real)z[i * d + f];

            back[f * n + i] = fabs(c->kinds[f] == TW_SPLINE_CIRCULAR ? remainder(delta, 6.283185307179586) : delta);
            worst = back[f * n + i] > worst ? back[f * n + i] : worst;
        }
    qsort(back, n * d, sizeof *back, increasing);
    if (!(back[n * d * 99 / 100] <= RETURN_LIMIT))
        fail_msg("%s, kernels %s: 99 %% of z come back within %g, the worst within %g", name, kernels->name,
                 back[n * d * 99 / 100], worst);
    free(z);
    free(wanted);
    free(back);
    free(x);
    free(det);
    free(conditions);
    tw_arena_fini(&arena);
}

static void check(const char *name)
{
    struct tw_model *model = load(name);
    const struct tw_kernels *kernels = tw_kernels_ref();

    for (int rank = 0; kernels; kernels = tw_tables(rank++)) {
        check_log_prob(name, model, kernels);
        check_events(name, model, kernels);
    }
    tw_model_unref(model);
}

static void test_tails(void **state)
{
    check("flow_tails");
}

static void test_mixed(void **state)
{
    check("flow_mixed");
}

static void test_torus(void **state)
{
    check("flow_torus");
}

static void test_single(void **state)
{
    check("flow_single");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tails),
        cmocka_unit_test(test_mixed),
        cmocka_unit_test(test_torus),
        cmocka_unit_test(test_single),
    };

    folder = argc > 1 ? argv[1] : "tests/golden";
    return cmocka_run_group_tests_name("model/golden", tests, NULL, NULL);
}
