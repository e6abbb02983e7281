/* The loop in one piece on a toy experiment whose density is known: learn it, keep quiet while it stays, find that it
 * moved and when, learn the new one from the old, pass the gate, and recover what was lost.
 */
#include "learn.h"

#include <stdlib.h>

#include "base/pool.h"
#include "kernel/kernel.h"
#include "stat/drift.h"
#include "stat/fidelity.h"
#include "stat/gate.h"
#include "stat/recovery.h"

#define FLOW "{\"kind\": \"flow\", \"blocks\": 4, \"hidden\": [32, 32], \"bins\": 8}"

enum { WINDOW = 2000, BATCH = 500, REFERENCE = 4000, TRAINING = 16000, HELD_OUT = 10000 };
enum { KEY_TRAINING = 1, KEY_REFERENCE, KEY_STREAM, KEY_HELD_OUT, KEY_SHIFTED, KEY_SHIFTED_HELD_OUT };

static const struct toy NOMINAL = {0, 0.6, 0.3}, SHIFTED = {0.15, 0.3, 0.1};

static const struct tw_kernels *kernels;
static struct tw_pool *pool;
static struct tw_schema *schema;
static struct tw_data reference; /* acceptance reference of the champion */
static struct tw_model *champion, *challenger;

static struct tw_data events(const struct toy *toy, uint64_t key, uint64_t first_batch, size_t n)
{
    struct tw_data data;
    tw_data_init(&data, schema);
    for (size_t b = 0; b * BATCH < n; b++)
        toy_append(&data, toy, key, first_batch + b, BATCH);
    return data;
}

static int setup(void **state)
{
    kernels = tw_kernels_choose(getenv("TWIN_KERNELS"), NULL);
    pool = tw_pool_new(2, false);
    schema = toy_schema();
    if (!kernels || !pool || !schema)
        return 1;
    struct tw_data training = events(&NOMINAL, KEY_TRAINING, 0, TRAINING);
    reference = events(&NOMINAL, KEY_REFERENCE, 0, REFERENCE);
    champion = learn(FLOW, &training, NULL, NULL, kernels, pool);
    tw_data_fini(&training);
    return 0;
}

static int teardown(void **state)
{
    tw_model_unref(champion);
    tw_model_unref(challenger);
    tw_data_fini(&reference);
    tw_schema_free(schema);
    tw_pool_free(pool);
    return 0;
}

static double *log_probs(const struct tw_model *model, const struct tw_data *data)
{
    double *out = test_malloc(data->rows * sizeof *out);
    assert_int_equal(tw_model_proper_score(model, kernels, pool, data, out), TW_OK);
    return out;
}

static double *true_log_probs(const struct toy *toy, const struct tw_data *data)
{
    double *out = test_malloc(data->rows * sizeof *out);
    for (size_t i = 0; i < data->rows; i++)
        out[i] = toy_log_prob(toy, data->features + i * TOY_FEATURES);
    return out;
}

static double mean(const double *values, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += values[i];
    return sum / (double)n;
}

static struct tw_drift drift_of(const struct tw_data *window, uint64_t seed)
{
    struct tw_drift_options options = {
        .detectors = 1u << TW_DETECT_C2ST | 1u << TW_DETECT_KS, .expected_run_time = 1000, .seed = seed};
    struct tw_drift drift;
    struct tw_error error = {""};
    if (tw_drift(&reference, window, &options, kernels, pool, &drift, &error))
        fail_msg("%s", error.text);
    return drift;
}

/* What was learnt is the density: the mean of ln(true / model) is the Kullback-Leibler distance. */
static void test_learns(void **state)
{
    struct tw_data fresh = events(&NOMINAL, KEY_HELD_OUT, 0, HELD_OUT);
    double *truth = true_log_probs(&NOMINAL, &fresh), *model = log_probs(champion, &fresh);
    double distance = mean(truth, fresh.rows) - mean(model, fresh.rows);
    if (!(distance > -0.01 && distance < 0.03))
        fail_msg("distance from the truth %g nats", distance);
    test_free(truth);
    test_free(model);
    struct tw_data window = events(&NOMINAL, KEY_STREAM, 100, 2 * WINDOW);
    struct tw_fidelity fidelity;
    assert_int_equal(tw_fidelity(champion, &window, NULL, NULL, 8, kernels, pool, &fidelity, NULL), TW_OK);
    if (!(fidelity.auc < 0.56 && fabs(fidelity.floor - 0.5) < 4 * fidelity.floor_error))
        fail_msg("fidelity %g, floor %g +- %g", fidelity.auc, fidelity.floor, fidelity.floor_error);
    tw_data_fini(&window);
    tw_data_fini(&fresh);
}

static void test_keeps_quiet(void **state)
{
    for (uint64_t k = 0; k < 8; k++) {
        struct tw_data window = events(&NOMINAL, KEY_STREAM, k * WINDOW / BATCH, WINDOW);
        struct tw_drift drift = drift_of(&window, k);
        assert_false(drift.drift);
        tw_drift_fini(&drift);
        tw_data_fini(&window);
    }
}

/* Six batches of the old and then eight of the new; the window that alarms is the one from batch 8 on. */
static void test_finds_when(void **state)
{
    enum { OLD = 6, LAST = 8, BATCHES = LAST + WINDOW / BATCH };
    struct tw_data stream = events(&NOMINAL, KEY_STREAM, 200, OLD * BATCH), window;
    for (uint64_t b = OLD; b < BATCHES; b++)
        toy_append(&stream, &SHIFTED, KEY_SHIFTED, b, BATCH);
    tw_data_init(&window, schema);
    tw_data_append_rows(&window, &stream, LAST * BATCH, WINDOW, -1);
    struct tw_drift drift = drift_of(&window, 9);
    assert_true(drift.drift);
    double *scores = test_malloc(stream.rows * sizeof *scores);
    size_t offsets[BATCHES + 1];
    assert_int_equal(tw_model_score(drift.c2st.classifier, kernels, pool, stream.rows, stream.features, NULL, scores),
                     0);
    for (size_t b = 0; b <= BATCHES; b++)
        offsets[b] = b * BATCH;
    assert_int_equal(tw_drift_change_point(scores, offsets, BATCHES, LAST, LAST + WINDOW / BATCH / 2), OLD);
    test_free(scores);
    tw_drift_fini(&drift);
    tw_data_fini(&window);
    tw_data_fini(&stream);
}

/* Gate on the events that the retune left alone. */
static struct tw_gate gate_of(const struct tw_model *new_model, const struct tw_model *old_model,
                              const struct tw_data *data)
{
    struct tw_data kept;
    struct tw_gate gate;
    tw_data_init(&kept, schema);
    assert_int_equal(tw_data_append_parts(&kept, data, 1u << TW_PART_GATE), TW_OK);
    double *gains = log_probs(new_model, &kept), *old_scores = log_probs(old_model, &kept);
    for (size_t i = 0; i < kept.rows; i++)
        gains[i] -= old_scores[i];
    assert_int_equal(tw_gate(gains, kept.rows, 0, 0.01, &gate), TW_OK);
    test_free(gains);
    test_free(old_scores);
    tw_data_fini(&kept);
    return gate;
}

static void test_adapts(void **state)
{
    struct tw_data shifted = events(&SHIFTED, KEY_SHIFTED, 100, 30000);
    challenger = learn(FLOW, &shifted, champion, NULL, kernels, pool);
    assert_true(gate_of(challenger, champion, &shifted).pass);
    assert_false(gate_of(champion, challenger, &shifted).pass);
    assert_false(gate_of(champion, champion, &shifted).pass);
    tw_data_fini(&shifted);

    /* R against the truth itself, which no training can beat */
    struct tw_data held_out = events(&SHIFTED, KEY_SHIFTED_HELD_OUT, 0, HELD_OUT);
    double *before = log_probs(champion, &held_out), *after = log_probs(challenger, &held_out);
    double *best = true_log_probs(&SHIFTED, &held_out);
    struct tw_recovery recovery;
    assert_int_equal(tw_recovery(before, after, best, held_out.rows, 3, &recovery), TW_OK);
    assert_true(recovery.measurable);
    if (!(recovery.value >= 0.9 && recovery.value < 1 + 3 * recovery.error))
        fail_msg("R = %g +- %g of %g nats", recovery.value, recovery.error, recovery.span);
    test_free(before);
    test_free(after);
    test_free(best);
    tw_data_fini(&held_out);
}

/* With the challenger's own reference the new physics is the normal state, and the old would be a drift. */
static void test_quiet_again(void **state)
{
    tw_data_fini(&reference);
    reference = events(&SHIFTED, KEY_REFERENCE, 0, REFERENCE);
    for (uint64_t k = 0; k < 6; k++) {
        const struct toy *toy = k < 4 ? &SHIFTED : &NOMINAL;
        struct tw_data window = events(toy, KEY_STREAM, 1000 + k * WINDOW / BATCH, WINDOW);
        struct tw_drift drift = drift_of(&window, k);
        assert_int_equal(drift.drift, k >= 4);
        tw_drift_fini(&drift);
        tw_data_fini(&window);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_learns), cmocka_unit_test(test_keeps_quiet), cmocka_unit_test(test_finds_when),
        cmocka_unit_test(test_adapts), cmocka_unit_test(test_quiet_again),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
