/* What is said about weights: the map, the reliability diagram, closure. */
#include "toy.h"

#include <stdlib.h>
#include <string.h>

#include "stat/closure.h"
#include "stat/reliability.h"
#include "stat/weight_map.h"

static struct tw_schema *square_schema(void)
{
    json_t *json = json_loads("[{\"name\": \"pt\", \"unit\": \"GeV\"}, {\"name\": \"eta\"},"
                              " {\"name\": \"j2_pt\", \"unit\": \"GeV\", \"optional\": true}]",
                              0, NULL);
    struct tw_schema *schema = NULL;
    struct tw_error error = {""};
    if (tw_schema_parse(json, NULL, &schema, &error))
        fail_msg("%s", error.text);
    json_decref(json);
    return schema;
}

/* pt uniform on 0..100, eta on -2..2, j2_pt there in half of the events. */
static void square_row(uint64_t key, uint64_t i, float row[3])
{
    row[0] = (float)(100 * tw_rng_uniform(key, i, 0));
    row[1] = (float)(4 * tw_rng_uniform(key, i, 1) - 2);
    row[2] = tw_rng_uniform(key, i, 2) < 0.5 ? NAN : (float)(20 + 80 * tw_rng_uniform(key, i, 3));
}

/* The corner where data are twice as many as samples. */
static bool corner(const float row[3])
{
    return row[0] >= 60 && row[1] < 1;
}

/* A quarter-and-more of the events is in the corner: 0.4 * 0.75 = 0.3 of the samples, 0.6 / 1.3 of the data. */
static double weight_of(const float row[3])
{
    return (corner(row) ? 2 : 1) / 1.3;
}

struct sets {
    struct tw_schema *schema;
    struct tw_data samples, data;
    double *log_weights;
};

/* Data by accepting samples with probability weight / largest. */
static void sets_init(struct sets *s, size_t samples, size_t data, bool off)
{
    s->schema = square_schema();
    tw_data_init(&s->samples, s->schema);
    tw_data_init(&s->data, s->schema);
    s->log_weights = test_malloc(samples * sizeof *s->log_weights);
    for (size_t i = 0; i < samples; i++) {
        float row[3];
        square_row(1, i, row);
        assert_int_equal(tw_data_append(&s->samples, 0, i, 1, row, NULL, NULL), TW_OK);
        s->log_weights[i] = off ? log(weight_of(row)) : 1e-3 * tw_rng_uniform(3, i, 0);
    }
    for (uint64_t i = 0; s->data.rows < data; i++) {
        float row[3];
        square_row(2, i, row);
        if (!off || tw_rng_uniform(2, i, 9) < weight_of(row) * 1.3 / 2)
            assert_int_equal(tw_data_append(&s->data, 1, i, 1, row, NULL, NULL), TW_OK);
    }
}

static void sets_fini(struct sets *s)
{
    tw_data_fini(&s->samples);
    tw_data_fini(&s->data);
    tw_schema_free(s->schema);
    test_free(s->log_weights);
}

static void test_corner(void **state)
{
    struct sets s;
    struct tw_weight_map map;
    char words[TW_WEIGHT_MAP_WORDS];
    double data = 0, samples = 0;
    sets_init(&s, 20000, 4000, true);
    assert_int_equal(tw_weight_map(&s.samples, s.log_weights, &s.data, &map), TW_OK);
    const struct tw_weight_map_leaf *first = &map.leaves[0];
    assert_true(map.count >= 3 && map.count <= TW_WEIGHT_MAP_LEAVES);
    for (int l = 0; l < map.count; l++) {
        data += map.leaves[l].data;
        samples += map.leaves[l].samples;
        /* each is either in the corner, at 2 / 1.3, or outside, at 1 / 1.3, but for the width of a candidate's step */
        double ratio = map.leaves[l].ratio, error = map.leaves[l].error;
        bool inside = fabs(ratio - 2 / 1.3) < 4 * error + 0.1, outside = fabs(ratio - 1 / 1.3) < 4 * error + 0.1;
        if (!inside && !outside)
            fail_msg("region %d: %g +- %g", l, ratio, error);
    }
    assert_true(fabs(data - 1) < 1e-9 && fabs(samples - 1) < 1e-9);
    assert_int_equal(first->rows, (size_t)(first->data * 4000 + 0.5));
    assert_true(fabs(first->ratio - 1) > 10 * first->error);
    tw_weight_map_words(first, s.schema, words);
    assert_non_null(strstr(words, "pt "));
    assert_null(strstr(words, "j2_pt"));

    /* edges to within a candidate's distance */
    for (int l = 0; l < map.count; l++)
        for (int r = 0; r < map.leaves[l].count; r++) {
            const struct tw_weight_map_range *range = &map.leaves[l].ranges[r];
            double edges[] = {range->low, range->high}, truth = range->column == 0 ? 60 : 1;
            for (int e = 0; e < 2; e++)
                if (isfinite(edges[e]))
                    assert_true(fabs(edges[e] - truth) < (range->column == 0 ? 3.5 : 0.15));
        }
    sets_fini(&s);
}

static void test_nothing(void **state)
{
    struct sets s;
    struct tw_weight_map map;
    char words[TW_WEIGHT_MAP_WORDS];
    sets_init(&s, 5000, 1000, false);
    assert_int_equal(tw_weight_map(&s.samples, s.log_weights, &s.data, &map), TW_OK);
    assert_int_equal(map.count, 1);
    assert_true(map.leaves[0].data == 1 && map.leaves[0].samples == 1 && map.leaves[0].error == 0);
    tw_weight_map_words(&map.leaves[0], s.schema, words);
    assert_string_equal(words, "everywhere");
    s.data.rows = 0;
    assert_int_equal(tw_weight_map(&s.samples, s.log_weights, &s.data, &map), TW_OK);
    assert_int_equal(map.count, 1);
    sets_fini(&s);
}

/* Whether a value is there is a region too. */
static void test_absent(void **state)
{
    struct sets s;
    struct tw_weight_map map;
    char words[TW_WEIGHT_MAP_WORDS];
    sets_init(&s, 10000, 3000, false);
    for (size_t i = 0; i < s.samples.rows; i++)
        s.log_weights[i] = log(isnan(s.samples.features[3 * i + 2]) ? 1.5 : 0.5);
    assert_int_equal(tw_weight_map(&s.samples, s.log_weights, &s.data, &map), TW_OK);
    assert_int_equal(map.count, 2);
    bool absent = false, present = false;
    for (int l = 0; l < 2; l++) {
        tw_weight_map_words(&map.leaves[l], s.schema, words);
        absent |= strcmp(words, "j2_pt absent") == 0;
        present |= strcmp(words, "j2_pt present") == 0;
        assert_true(fabs(map.leaves[l].ratio - 1) < 5 * map.leaves[l].error); /* the data have no such difference */
    }
    assert_true(absent && present);
    sets_fini(&s);
}

static void test_words(void **state)
{
    struct tw_schema *schema = square_schema();
    char words[TW_WEIGHT_MAP_WORDS];
    struct tw_weight_map_leaf leaf = {.count = 2, .ranges = {{0, 22, 31, false}, {1, 2.1, INFINITY, false}}};
    tw_weight_map_words(&leaf, schema, words);
    assert_string_equal(words, "pt 22 to 31 GeV and eta above 2.1");
    leaf.ranges[0].low = -INFINITY;
    leaf.ranges[1] = (struct tw_weight_map_range){2, -INFINITY, 40, true};
    tw_weight_map_words(&leaf, schema, words);
    assert_string_equal(words, "pt below 31 GeV and j2_pt below 40 GeV or absent");
    leaf.ranges[1].low = TW_WEIGHT_MAP_ABSENT;
    tw_weight_map_words(&leaf, schema, words);
    assert_string_equal(words, "pt below 31 GeV and j2_pt below 40 GeV");
    for (int r = 0; r < TW_WEIGHT_MAP_LEAVES; r++) /* words have an end */
        leaf.ranges[r] = (struct tw_weight_map_range){0, -1.23456e-30, 1.23456e30, false};
    leaf.count = TW_WEIGHT_MAP_LEAVES;
    tw_weight_map_words(&leaf, schema, words);
    assert_true(strlen(words) < TW_WEIGHT_MAP_WORDS);
    tw_schema_free(schema);
}

/* Labels that follow the weights lie on the diagonal, flat weights do not; sums and errors by hand. */
static void test_reliability(void **state)
{
    struct sets s;
    struct tw_reliability r;
    sets_init(&s, 20000, 4000, true);
    double *of_data = test_malloc(s.data.rows * sizeof *of_data);
    for (size_t i = 0; i < s.data.rows; i++)
        of_data[i] = log(weight_of(s.data.features + 3 * i));
    assert_int_equal(tw_reliability(of_data, s.data.weights, s.data.rows, s.log_weights, s.samples.rows, &r), TW_OK);
    assert_int_equal(r.count, 2); /* there are two weights only */
    assert_int_equal(r.bins[0].rows + r.bins[1].rows, s.data.rows + s.samples.rows);
    for (int b = 0; b < 2; b++) {
        double w = (b ? 2 : 1) / 1.3;
        assert_true(fabs(r.bins[b].predicted - w / (1 + w)) < 1e-12);
        assert_true(fabs(r.bins[b].observed - r.bins[b].predicted) < 4 * r.bins[b].error);
        assert_true(r.bins[b].error > 1e-3 && r.bins[b].error < 0.02);
    }
    for (size_t i = 0; i < s.data.rows; i++)
        of_data[i] = 1.5 * of_data[i] + 0.4; /* too sure of itself */
    for (size_t i = 0; i < s.samples.rows; i++)
        s.log_weights[i] = 1.5 * s.log_weights[i] + 0.4;
    assert_int_equal(tw_reliability(of_data, s.data.weights, s.data.rows, s.log_weights, s.samples.rows, &r), TW_OK);
    assert_true(r.bins[1].predicted - r.bins[1].observed > 8 * r.bins[1].error);

    double two[] = {log(3), NAN}, one[] = {log(1.0 / 3)};
    const float weights[] = {3, 1};
    assert_int_equal(tw_reliability(two, weights, 2, one, 1, &r), TW_OK);
    assert_int_equal(r.count, 3);
    assert_true(fabs(r.bins[0].predicted - 0.25) < 1e-12 && r.bins[0].observed == 0 && r.bins[0].error == 0);
    assert_true(fabs(r.bins[1].predicted - 0.5) < 1e-12 && r.bins[1].observed == 1);
    assert_int_equal(tw_reliability(two, weights, 0, one, 1, &r), TW_OK);
    assert_int_equal(r.count, 0);
    test_free(of_data);
    sets_fini(&s);
}

static void test_closure(void **state)
{
    struct sets s;
    struct tw_closure before, after;
    sets_init(&s, 20000, 3000, true);
    for (int column = 0; column < 2; column++) {
        assert_int_equal(tw_closure(&s.data, &s.samples, NULL, column, &before), TW_OK);
        assert_int_equal(tw_closure(&s.data, &s.samples, s.log_weights, column, &after), TW_OK);
        if (!(before.p_value < 1e-4 && after.p_value > 1e-3))
            fail_msg("column %d: p %g before, %g after", column, before.p_value, after.p_value);
        assert_true(after.bins > 5 && after.chi2 < 3 * after.bins);
    }
    assert_int_equal(tw_closure(&s.data, &s.samples, s.log_weights, 2, &after), TW_OK); /* half of it absent */
    assert_true(after.p_value > 1e-3);
    s.data.rows = 3;
    assert_int_equal(tw_closure(&s.data, &s.samples, s.log_weights, 0, &after), TW_OK);
    assert_true(after.p_value == 1);
    sets_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_corner), cmocka_unit_test(test_nothing),     cmocka_unit_test(test_absent),
        cmocka_unit_test(test_words),  cmocka_unit_test(test_reliability), cmocka_unit_test(test_closure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
