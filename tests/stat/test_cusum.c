/* The detector that accumulates: valid with a small reference, sure of small lasting shifts, the same after a restart.
 */
#include "toy.h"

#include <stdlib.h>
#include <string.h>

#include "golden_smooth.h"
#include "stat/contrast.h"
#include "stat/cusum.h"

static const struct toy NOMINAL = {0, 0.6, 0.3};
static struct tw_schema *schema, *one;

static int setup(void **state)
{
    json_t *json = json_loads("[{\"name\": \"x\"}]", 0, NULL);
    schema = toy_schema();
    tw_schema_parse(json, NULL, &one, NULL);
    json_decref(json);
    return schema && one ? 0 : 1;
}

static int teardown(void **state)
{
    tw_schema_free(schema);
    tw_schema_free(one);
    return 0;
}

/* --- a stream of the toy --- */

static struct tw_data events(const struct toy *toy, uint64_t key, uint64_t ordinal, size_t n)
{
    struct tw_data data;
    tw_data_init(&data, schema);
    toy_append(&data, toy, key, ordinal, n);
    return data;
}

static double *log_prob(const struct tw_data *data)
{
    double *out = test_malloc((data->rows + 1) * sizeof *out);
    for (size_t i = 0; i < data->rows; i++)
        out[i] = toy_log_prob(&NOMINAL, data->features + TOY_FEATURES * i);
    return out;
}

static struct tw_cusum begin(uint64_t key, size_t n)
{
    struct tw_cusum cusum;
    struct tw_data made = events(&NOMINAL, tw_rng_mix(key, 1), 0, 4000);
    struct tw_data held = events(&NOMINAL, tw_rng_mix(key, 2), 0, n);
    double *a = log_prob(&made), *b = log_prob(&held);
    assert_int_equal(tw_cusum_init(&cusum, &(struct tw_cusum_sample){&made, a}, &(struct tw_cusum_sample){&held, b}),
                     TW_OK);
    test_free(a);
    test_free(b);
    tw_data_fini(&made);
    tw_data_fini(&held);
    return cusum;
}

#define THRESHOLD 1e-5

/* The least p of a window, and which column has it. */
static double step(struct tw_cusum *cusum, const struct toy *toy, uint64_t key, uint64_t ordinal, size_t n,
                   struct tw_cusum_column *found, int *column)
{
    struct tw_cusum_column out[TOY_FEATURES + 1];
    struct tw_data window = events(toy, key, ordinal, n);
    double *scores = log_prob(&window), least = 2;
    assert_int_equal(tw_cusum_step(cusum, &(struct tw_cusum_sample){&window, scores}, ordinal, NULL, out), TW_OK);
    for (int c = 0; c < cusum->columns; c++) {
        if (out[c].p_value < least) {
            least = out[c].p_value;
            *found = out[c];
            *column = c;
        }
    }
    tw_cusum_settle(cusum, least <= THRESHOLD, THRESHOLD);
    test_free(scores);
    tw_data_fini(&window);
    return least;
}

static void test_components(void **state)
{
    for (size_t k = 0; k < sizeof smooth_cases / sizeof *smooth_cases; k++) {
        const struct smooth_case *c = &smooth_cases[k];
        uint64_t counts[TW_SKETCH_CELLS] = {0};
        double scores[TW_COMPONENTS][TW_SKETCH_CELLS];
        for (int i = 0; i < c->values; i++)
            counts[i] = (uint64_t)c->counts[i];
        counts[TW_SKETCH_NAN] = (uint64_t)c->absent;
        tw_smooth_scores(counts, c->periodic, scores);
        for (int j = 0; j < TW_COMPONENTS; j++) {
            for (int i = 0; i < c->values; i++)
                assert_true(fabs(scores[j][i] - c->scores[j][i]) < 1e-12);
            assert_true(fabs(scores[j][TW_SKETCH_NAN] - c->scores[j][c->values]) < 1e-12);
        }
    }
    assert_int_equal(tw_smooth_component(false, 2), TW_COMPONENT_SKEW);
    assert_int_equal(tw_smooth_component(true, 2), TW_COMPONENT_COS2);
    assert_int_equal(tw_smooth_component(true, TW_COMPONENT_ABSENT), TW_COMPONENT_ABSENT);
}

/* A value for each bin where there are few; sketches of two halves add up to that of the whole; NaN is counted. */
static void test_sketch(void **state)
{
    float values[600];
    for (int i = 0; i < 600; i++)
        values[i] = i % 7 == 3 ? NAN : (float)(i % 5);
    struct tw_sketch_grid grid;
    struct tw_sketch whole, half, other;
    assert_int_equal(tw_sketch_grid_init(&grid, 2), TW_OK);
    assert_int_equal(tw_sketch_grid_column(&grid, 0, values, 300, 2), TW_OK);
    assert_int_equal(grid.count[0], 4);
    for (int v = 0; v < 5; v++)
        assert_int_equal(tw_sketch_grid_cell(&grid, 0, (float)v), v);
    assert_int_equal(tw_sketch_grid_cell(&grid, 0, -INFINITY), 0);
    assert_int_equal(tw_sketch_grid_cell(&grid, 0, INFINITY), 4);
    assert_int_equal(tw_sketch_grid_cell(&grid, 0, NAN), TW_SKETCH_NAN);
    assert_int_equal(tw_sketch_grid_cell(&grid, 1, 7), 0); /* without edges */
    tw_sketch_init(&whole, 2);
    tw_sketch_init(&half, 2);
    tw_sketch_init(&other, 2);
    tw_sketch_fill(&whole, &grid, 0, values, 600, 1);
    tw_sketch_fill(&half, &grid, 0, values, 250, 1);
    tw_sketch_fill(&other, &grid, 0, values + 250, 350, 1);
    tw_sketch_add(&half, &other);
    assert_memory_equal(half.counts, whole.counts, 2 * TW_SKETCH_CELLS * sizeof *whole.counts);
    assert_int_equal(tw_sketch_rows(&whole, 0), 600);
    assert_int_equal(whole.counts[TW_SKETCH_NAN], 86);
    tw_sketch_fini(&whole);
    tw_sketch_fini(&half);
    tw_sketch_fini(&other);
    tw_sketch_grid_fini(&grid);
    tw_sketch_grid_fini(&grid);
}

/* n values of a skewed law, or of few values, as a data set of one column. */
static struct tw_data skewed(uint64_t key, size_t n, bool few)
{
    struct tw_data data;
    tw_data_init(&data, one);
    for (size_t i = 0; i < n; i++) {
        double u = tw_rng_uniform(key, 0, i);
        float x = few ? (float)(u < 0.9 ? 0 : u < 0.97 ? 1 : 2) : (float)pow(u, -0.7);
        assert_int_equal(tw_data_append(&data, key, i, 1, &x, NULL, NULL), TW_OK);
    }
    return data;
}

/* The product of the e-values of all windows expects at most 1, and P(1/W <= a) <= a, for every path, with a reference
 * of five rows and bins made from a poor guess. */
static void test_valid(void **state)
{
    enum { REPEAT = 600, WINDOWS = 3, LEVELS = 2 };
    const double levels[LEVELS] = {0.5, 0.1}, far = 200; /* where no path is taken up to 1 */
    for (int few = 0; few < 2; few++) {
        double sum[TW_CUSUM_PATHS] = {0}, squares[TW_CUSUM_PATHS] = {0};
        int small[LEVELS][TW_CUSUM_PATHS] = {0}, most = 0;
        struct tw_data guess = skewed(1, 50, few);
        struct tw_cusum_column out;
        for (uint64_t r = 0; r < REPEAT; r++) {
            struct tw_cusum cusum, product;
            struct tw_data held = skewed(tw_rng_mix(77, r), 5, few);
            assert_int_equal(
                tw_cusum_init(&cusum, &(struct tw_cusum_sample){&guess, NULL}, &(struct tw_cusum_sample){&held, NULL}),
                TW_OK);
            assert_int_equal(tw_cusum_copy(&cusum, &product), TW_OK);
            for (int path = 0; path < TW_CUSUM_PATHS; path++)
                product.log_w[path] = far;
            for (uint64_t w = 0; w < WINDOWS; w++) {
                struct tw_data rows = skewed(tw_rng_mix(78 + w, r), 40, few);
                struct tw_cusum_sample window = {&rows, NULL};
                assert_int_equal(tw_cusum_step(&cusum, &window, w, NULL, &out), TW_OK);
                tw_cusum_settle(&cusum, false, 1e-200);
                assert_int_equal(tw_cusum_step(&product, &window, w, NULL, &out), TW_OK);
                tw_cusum_settle(&product, false, 1e-200);
                tw_data_fini(&rows);
            }
            for (int path = 0; path < TW_CUSUM_PATHS; path++) {
                double e = exp(product.log_w[path] - far);
                sum[path] += e;
                squares[path] += e * e;
                for (int l = 0; l < LEVELS; l++)
                    small[l][path] += cusum.log_w[path] >= -log(levels[l]);
            }
            tw_cusum_fini(&cusum);
            tw_cusum_fini(&product);
            tw_data_fini(&held);
        }
        tw_data_fini(&guess);
        for (int path = 0; path < TW_CUSUM_PATHS; path++) {
            double mean = sum[path] / REPEAT, error = sqrt((squares[path] / REPEAT - mean * mean) / REPEAT);
            assert_true(mean <= 1 + 4 * error);
            for (int l = 0; l < LEVELS; l++) {
                double expected = levels[l] * REPEAT;
                assert_true(small[l][path] <= expected + 4 * sqrt(expected));
                most = small[l][path] > most ? small[l][path] : most;
            }
        }
        assert_true(most > REPEAT / 4); /* valid, but not for being deaf */
    }
}

/* What a path multiplies W by for a value in each cell, from the contract alone. */
static void naive_growth(const struct tw_cusum *cusum, int column, int which, double growth[TW_SKETCH_CELLS])
{
    struct tw_cusum_path path = tw_cusum_path_of(which, cusum->fineness);
    const uint64_t *made = cusum->made.counts + column * TW_SKETCH_CELLS;
    bool smooth = path.component >= 0, periodic = cusum->periodic[column];
    bool peak = smooth && tw_smooth_component(periodic, path.component) == TW_COMPONENT_PEAK;
    double scores[TW_SKETCH_CELLS], present = 0, below = 0, shift = path.sign * sqrt(2) * path.lambda;
    tw_cusum_path_scores(&path, cusum->scores[column], scores);
    for (int i = 0; i < TW_SKETCH_BINS; i++)
        present += (double)made[i];
    for (int i = 0; i < TW_SKETCH_CELLS; i++) {
        double t = i < TW_SKETCH_BINS ? tan(M_PI * ((below + (double)made[i] / 2) / present - 0.5)) : 0;
        growth[i] = exp((smooth ? path.lambda : -log(TW_CUSUM_NOTCH_RATIO)) * scores[i]);
        if (peak)
            growth[i] = i < TW_SKETCH_BINS ? 0.5 + 0.5 * (1 + t * t) / (1 + (t - 2 * shift) * (t - 2 * shift)) : 1;
        below += (double)made[i];
    }
}

/* The e-value of a path. */
static double naive(const struct tw_cusum *cusum, int column, int which, const uint64_t *pool, const uint64_t *block)
{
    double growth[TW_SKETCH_CELLS], gain = 0, sum = 0, rows = 0, all_rows = 0;
    naive_growth(cusum, column, which, growth);
    for (int i = 0; i < TW_SKETCH_CELLS; i++) {
        double all = (double)(pool[i] + block[i]);
        gain += (double)block[i] * log(growth[i]);
        sum += all * growth[i];
        rows += (double)block[i];
        all_rows += all;
    }
    return gain - rows * log(sum / all_rows);
}

/* Every path does what its contract says, in a window that is one block; the weights of a column's paths sum to 1. */
static void test_paths(void **state)
{
    struct tw_cusum cusum = begin(3, 3000), before;
    struct tw_cusum_column found;
    struct toy shifted = {0.5, 0.2, 0.5};
    int column, risen = 0;
    for (int periodic = 0; periodic < 2; periodic++) {
        double weight = 0;
        for (int path = 0; path < TW_CUSUM_PATHS; path++)
            weight += exp(-tw_cusum_path_price(path, periodic));
        assert_true(fabs(weight - 1) < 1e-12);
    }
    assert_int_equal(tw_cusum_copy(&cusum, &before), TW_OK);
    step(&cusum, &shifted, 4, 0, 100, &found, &column);
    for (int c = 0; c < cusum.columns; c++) {
        const uint64_t *pool = before.pool.counts + c * TW_SKETCH_CELLS,
                       *block = cusum.last.counts + c * TW_SKETCH_CELLS;
        for (int i = 0; i < TW_SKETCH_CELLS * TW_CUSUM_SMOOTH; i++) { /* no bet pays more than it weighs */
            const struct tw_cusum_bets_cell *cell = &cusum.cells[c][i / TW_CUSUM_SMOOTH];
            assert_true((double)cell->gain[i % TW_CUSUM_SMOOTH] <= log((double)cell->growth[i % TW_CUSUM_SMOOTH]));
        }
        for (int path = 0; path < TW_CUSUM_PATHS; path++) {
            struct tw_cusum_path it = tw_cusum_path_of(path, cusum.fineness);
            bool wraps = it.component < 0 && it.first + it.width > TW_SKETCH_BINS;
            double expected = it.sign == 0 || (wraps && !cusum.periodic[c]) ? 0 : naive(&before, c, path, pool, block);
            double log_w = cusum.log_w[c * TW_CUSUM_PATHS + path];
            assert_true(expected > 1e-4 ? fabs(log_w - expected) < 1e-4 : log_w <= 2e-4); /* bets are floats */
            risen += expected > 1;
        }
    }
    assert_true(risen > 20);
    tw_cusum_fini(&before);
    tw_cusum_fini(&cusum);
}

/* Member by member: what lies between them is nobody's. */
static bool same_column(const struct tw_cusum_column *a, const struct tw_cusum_column *b)
{
    return a->p_value == b->p_value && a->path == b->path && a->component == b->component && a->sign == b->sign &&
           a->start == b->start && a->value == b->value && a->error == b->error;
}

/* Every instruction set gives the same bits, in windows of one block and of many; the sums that windows were added to
 * are those of the pool's counts. */
static void test_instruction_sets(void **state)
{
    struct tw_cusum cusum = begin(23, 500), others[4];
    struct tw_cusum_column found, again;
    struct toy shifted = {0.3, 0.6, 0.3};
    int tables = 1, column, other;
    for (; tw_cusum_bets(tables); tables++) {
        assert_int_equal(tw_cusum_copy(&cusum, &others[tables]), TW_OK);
        others[tables].bets = tw_cusum_bets(tables);
        assert_string_not_equal(others[tables].bets->name, cusum.bets->name);
    }
    for (uint64_t w = 0; w < 60; w++) {
        double p = step(&cusum, w < 40 ? &NOMINAL : &shifted, 24, w, w % 8 ? 9 : 300, &found, &column);
        for (int t = 1; t < tables; t++) {
            double q = step(&others[t], w < 40 ? &NOMINAL : &shifted, 24, w, w % 8 ? 9 : 300, &again, &other);
            assert_true(p == q && column == other && same_column(&found, &again));
            assert_memory_equal(cusum.sums, others[t].sums, (size_t)cusum.columns * sizeof *cusum.sums);
            assert_memory_equal(cusum.log_w, others[t].log_w,
                                (size_t)cusum.columns * TW_CUSUM_PATHS * sizeof *cusum.log_w);
        }
    }
    for (int c = 0; c < cusum.columns; c++) {
        struct tw_cusum_bets_sums anew = tw_cusum_sum(&cusum, c);
        for (int path = 0; path < TW_CUSUM_SMOOTH; path++) {
            double kept = cusum.sums[c].of[path];
            assert_true(fabs(kept / anew.of[path] - 1) < 1e-12);
        }
    }
    for (int t = 1; t < tables; t++)
        tw_cusum_fini(&others[t]);
    tw_cusum_fini(&cusum);
}

/* How many windows of 50 rows it takes to alarm, at most 100; the last `found` of the column. */
static int windows_until(struct tw_cusum *cusum, float (*draw)(double u), uint64_t key, struct tw_cusum_column *found)
{
    for (int w = 0; w < 100; w++) {
        struct tw_data rows;
        tw_data_init(&rows, one);
        for (uint64_t i = 0; i < 50; i++) {
            float x = draw(tw_rng_uniform(key, (uint64_t)w, i));
            assert_int_equal(tw_data_append(&rows, key, (uint64_t)w * 50 + i, 1, &x, NULL, NULL), TW_OK);
        }
        struct tw_cusum_sample window = {&rows, NULL};
        assert_int_equal(tw_cusum_step(cusum, &window, (uint64_t)w, NULL, found), TW_OK);
        tw_cusum_settle(cusum, found->p_value <= THRESHOLD, THRESHOLD);
        tw_data_fini(&rows);
        if (found->p_value <= THRESHOLD)
            return w;
    }
    return 100;
}

static float resonance(double u)
{
    return (float)tan(M_PI * (u - 0.5));
}

static float resonance_shifted(double u)
{
    return resonance(u) + 0.5F;
}

static float resonance_wider(double u)
{
    return 1.5F * resonance(u);
}

static float resonance_lost(double u) /* a tenth of the values, between the shares of 0.6 and 0.7 */
{
    return resonance(u < 2.0 / 3 ? 0.9 * u : 0.1 + 0.9 * u);
}

/* What smooth components see late: a peak that moves or widens leads by its own component, lost values by a notch. */
static void test_peak_and_notch(void **state)
{
    static const struct {
        float (*draw)(double u);
        enum tw_component component;
        int most, sign;
    } cases[] = {{resonance, TW_COMPONENT_LOCATION, 100, 0},
                 {resonance_shifted, TW_COMPONENT_PEAK, 12, 1},
                 {resonance_wider, TW_COMPONENT_PEAK_WIDTH, 12, 1},
                 {resonance_lost, TW_COMPONENT_NOTCH, 12, -1}};
    struct tw_data made, held;
    tw_data_init(&made, one);
    tw_data_init(&held, one);
    for (uint64_t i = 0; i < 8000; i++) {
        float x = resonance(tw_rng_uniform(9, 0, i));
        assert_int_equal(tw_data_append(i < 4000 ? &made : &held, 0, i, 1, &x, NULL, NULL), TW_OK);
    }
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        struct tw_cusum cusum;
        struct tw_cusum_column found;
        assert_int_equal(
            tw_cusum_init(&cusum, &(struct tw_cusum_sample){&made, NULL}, &(struct tw_cusum_sample){&held, NULL}),
            TW_OK);
        int windows = windows_until(&cusum, cases[k].draw, 10 + k, &found);
        if (k == 0) {
            assert_int_equal(windows, cases[k].most);
        } else {
            assert_in_range(windows, 1, cases[k].most);
            assert_true(found.component == cases[k].component ||
                        (k == 2 && found.component == TW_COMPONENT_SCALE)); /* it has 92 % of the information */
            assert_int_equal(found.sign, cases[k].sign);
            assert_true(found.sign * found.value > 0);
        }
        if (found.component == TW_COMPONENT_NOTCH && k) {
            struct tw_cusum_path path = tw_cusum_path_of(found.path, cusum.fineness);
            assert_in_range(path.first + path.width / 2, 38, 45); /* 0.65 of 64 bins */
        }
        tw_cusum_fini(&cusum);
    }
    tw_data_fini(&made);
    tw_data_fini(&held);
}

/* A shift of a twentieth of a width, where one window of 1000 rows knows it to a thirtieth: no window alone can see it,
 * ten do. It is named, with its sign and the time of the change. */
static void test_small_shift(void **state)
{
    struct toy shifted = {0.1, 0.6, 0.3};
    struct tw_cusum cusum = begin(5, 20000);
    struct tw_cusum_column found;
    int column = -1;
    uint64_t w = 0;
    for (; w < 20; w++)
        assert_true(step(&cusum, &NOMINAL, 6, w, 1000, &found, &column) > THRESHOLD);
    double first = step(&cusum, &shifted, 6, w++, 1000, &found, &column);
    assert_true(first > THRESHOLD);
    while (w < 60 && step(&cusum, &shifted, 6, w, 1000, &found, &column) > THRESHOLD)
        w++;
    assert_in_range(w, 21, 32);
    assert_in_range(column, 0, 1); /* both are shifted alike */
    assert_int_equal(found.component, TW_COMPONENT_LOCATION);
    assert_int_equal(found.sign, 1);
    assert_in_range(found.start, 18, 22);
    tw_cusum_fini(&cusum);
}

/* The physics returns: the alarm ends within some windows, does not come again, and windows count again. */
static void test_returns(void **state)
{
    struct toy shifted = {0.3, 0.6, 0.3};
    struct tw_cusum cusum = begin(15, 20000);
    struct tw_cusum_column found;
    int column;
    uint64_t w = 0, rows;
    step(&cusum, &NOMINAL, 16, w++, 1000, &found, &column);
    rows = tw_sketch_rows(&cusum.pool, 0);
    assert_int_equal(rows, 21000);
    for (; w < 30; w++)
        assert_true(step(&cusum, &shifted, 16, w, 1000, &found, &column) <= THRESHOLD || w < 4);
    assert_true(cusum.unrest && tw_sketch_rows(&cusum.pool, 0) < rows + 3000); /* alarmed windows stay out */
    while (w < 60 && step(&cusum, &NOMINAL, 16, w, 1000, &found, &column) <= THRESHOLD)
        w++;
    assert_in_range(w, 30, 40);
    for (w = 100; w < 120; w++)
        assert_true(step(&cusum, &NOMINAL, 16, w, 1000, &found, &column) > THRESHOLD);
    assert_true(cusum.unrest == 0 && tw_sketch_rows(&cusum.pool, 0) >= rows + 17000);
    tw_cusum_fini(&cusum);
}

/* An angle: its harmonics answer, wherever it is cut. A correlation that no column shows: the log-likelihood does. */
static void test_periodic_and_log_prob(void **state)
{
    struct tw_cusum cusum = begin(25, 20000);
    struct toy decorrelated = {0, 0.4, 0.3};
    struct tw_cusum_column found;
    int column = -1;
    uint64_t w = 0;
    while (w < 60 && step(&cusum, &decorrelated, 26, w, 1000, &found, &column) > THRESHOLD)
        w++;
    assert_true(w < 60);
    assert_int_equal(column, TOY_FEATURES);
    tw_cusum_fini(&cusum);

    cusum = begin(27, 20000);
    struct tw_cusum_column out[TOY_FEATURES + 1];
    for (w = 0; w < 40; w++) {
        struct tw_data window = events(&NOMINAL, 28, w, 1000);
        double *scores = log_prob(&window);
        for (size_t i = 0; i < window.rows; i++)
            window.features[TOY_FEATURES * i + 2] = (float)toy_wrap(window.features[TOY_FEATURES * i + 2] + 0.1);
        assert_int_equal(tw_cusum_step(&cusum, &(struct tw_cusum_sample){&window, scores}, w, NULL, out), TW_OK);
        tw_cusum_settle(&cusum, false, THRESHOLD);
        test_free(scores);
        tw_data_fini(&window);
    }
    assert_true(out[2].p_value < THRESHOLD);
    assert_in_range(out[2].component, TW_COMPONENT_COS, TW_COMPONENT_SIN2);
    assert_true(out[0].p_value > THRESHOLD && out[3].p_value > THRESHOLD);
    tw_cusum_fini(&cusum);
}

/* The same bits after the state went through bytes, with any number of workers. */
static void test_restart(void **state)
{
    struct toy shifted = {0.05, 0.6, 0.3};
    struct tw_cusum cusum = begin(35, 3000), restored;
    struct tw_cusum_column found, again;
    int column, other;
    unsigned char *bytes, *more;
    size_t size, length;
    for (uint64_t w = 0; w < 12; w++) {
        double p = step(&cusum, &shifted, 36, w, 500, &found, &column);
        assert_int_equal(tw_cusum_to_bytes(&cusum, &bytes, &size), TW_OK);
        assert_int_equal(tw_cusum_from_bytes(&restored, bytes, size), TW_OK);
        assert_int_equal(tw_cusum_to_bytes(&restored, &more, &length), TW_OK);
        assert_true(size == length && !memcmp(bytes, more, size));
        free(more);
        struct tw_cusum copy;
        assert_int_equal(tw_cusum_copy(&cusum, &copy), TW_OK);
        double next = step(&copy, &shifted, 37, w, 500, &found, &column);
        assert_true(step(&restored, &shifted, 37, w, 500, &again, &other) == next && column == other);
        assert_true(same_column(&found, &again));
        assert_true(p <= 1);
        tw_cusum_fini(&copy);
        tw_cusum_fini(&restored);
        free(bytes);
    }
    assert_int_equal(tw_cusum_to_bytes(&cusum, &bytes, &size), TW_OK);
    assert_in_range(size, 2000, 12000);
    for (size_t cut = 0; cut < size; cut += 11)
        assert_int_equal(tw_cusum_from_bytes(&restored, bytes, cut), TW_CORRUPT);
    for (size_t at = 0; at < size; at += at < 100 ? 1 : 7) { /* whatever is taken can be written again */
        bytes[at] ^= 0x91;
        if (tw_cusum_from_bytes(&restored, bytes, size) == TW_OK) {
            assert_int_equal(tw_cusum_to_bytes(&restored, &more, &length), TW_OK);
            free(more);
            tw_cusum_fini(&restored);
        }
        bytes[at] ^= 0x91;
    }
    free(bytes);
    tw_cusum_fini(&cusum);
}

/* Two daemons count halves of a window; one of them gets the other's counts as bytes. */
static void test_merge(void **state)
{
    struct tw_cusum cusum = begin(45, 3000), copy;
    struct tw_cusum_column whole[TOY_FEATURES + 1], merged[TOY_FEATURES + 1];
    struct tw_data window = events(&NOMINAL, 46, 1, 2000);
    double *scores = log_prob(&window);
    assert_int_equal(tw_cusum_copy(&cusum, &copy), TW_OK);
    assert_int_equal(tw_cusum_step(&cusum, &(struct tw_cusum_sample){&window, scores}, 1, NULL, whole), TW_OK);

    struct tw_cusum_window halves[2], carried;
    unsigned char *bytes;
    size_t size;
    for (int h = 0; h < 2; h++) {
        struct tw_data half;
        tw_data_init(&half, schema);
        assert_int_equal(tw_data_append_rows(&half, &window, h ? 700 : 0, h ? 1300 : 700, -1), TW_OK);
        struct tw_cusum_sample sample = {&half, scores + (h ? 700 : 0)};
        assert_int_equal(tw_cusum_window_init(&halves[h], copy.columns, TW_CUSUM_BLOCKS), TW_OK);
        assert_int_equal(tw_cusum_window_count(&halves[h], &copy, &sample, NULL), TW_OK);
        tw_data_fini(&half);
    }
    assert_int_equal(tw_cusum_window_to_bytes(&halves[1], &bytes, &size), TW_OK);
    for (size_t cut = 0; cut < size; cut += 7)
        assert_int_equal(tw_cusum_window_from_bytes(&carried, bytes, cut), TW_CORRUPT);
    assert_int_equal(tw_cusum_window_from_bytes(&carried, bytes, size), TW_OK);
    tw_cusum_window_add(&carried, &halves[0]);
    tw_cusum_take(&copy, &carried, 1, NULL, merged);
    for (int c = 0; c <= TOY_FEATURES; c++)
        assert_true(same_column(&whole[c], &merged[c]));
    assert_memory_equal(cusum.log_w, copy.log_w, (size_t)copy.columns * TW_CUSUM_PATHS * sizeof(double));
    free(bytes);
    tw_cusum_window_fini(&halves[0]);
    tw_cusum_window_fini(&halves[1]);
    tw_cusum_window_fini(&carried);
    tw_cusum_fini(&cusum);
    tw_cusum_fini(&copy);
    test_free(scores);
    tw_data_fini(&window);
}

/* Counts of n normals: mean, width; those above `dead_from` and below `dead_to` are lost, a share `absent` is NaN. */
static void fill(struct tw_sketch *sketch, const struct tw_sketch_grid *grid, uint64_t key, double mean, double width,
                 double dead_from, double dead_to, double absent)
{
    enum { N = 40000 };
    tw_real *draws = test_malloc(N * sizeof *draws);
    tw_rng_normal(key, 0, 0, N, draws);
    for (uint64_t i = 0; i < N; i++) {
        float x = tw_rng_uniform(key, 1, i) < absent ? NAN : (float)(mean + width * (double)draws[i]);
        if (!(x > dead_from && x < dead_to))
            tw_sketch_fill(sketch, grid, 0, &x, 1, 1);
    }
    test_free(draws);
}

/* Sizes come out as they were put in, within their errors; a dead region is found where it is. */
static void test_contrast(void **state)
{
    enum { GRID = 5000 };
    float *values = test_malloc(GRID * sizeof *values);
    tw_real *draws = test_malloc(GRID * sizeof *draws);
    struct tw_sketch_grid grid;
    tw_rng_normal(1, 0, 0, GRID, draws);
    for (int i = 0; i < GRID; i++)
        values[i] = (float)(10 + 2 * (double)draws[i]);
    assert_int_equal(tw_sketch_grid_init(&grid, 1), TW_OK);
    assert_int_equal(tw_sketch_grid_column(&grid, 0, values, GRID, 1), TW_OK);
    static const struct {
        double mean, width, dead_from, dead_to, absent;
        enum tw_component component;
        double size;
    } cases[] = {
        {10.1, 2, 0, 0, 0.1, TW_COMPONENT_LOCATION, 0.05}, {9.7, 2, 0, 0, 0.1, TW_COMPONENT_LOCATION, -0.15},
        {10, 2.1, 0, 0, 0.1, TW_COMPONENT_SCALE, 0.05},    {10, 1.9, 0, 0, 0.1, TW_COMPONENT_SCALE, -0.05},
        {10, 2, 0, 0, 0.13, TW_COMPONENT_ABSENT, 0.03},
    };
    struct tw_sketch before, since;
    struct tw_contrast found;
    struct tw_excess excess;
    assert_int_equal(tw_sketch_init(&before, 1), TW_OK);
    fill(&before, &grid, 2, 10, 2, 0, 0, 0.1);
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        assert_int_equal(tw_sketch_init(&since, 1), TW_OK);
        fill(&since, &grid, 3 + k, cases[k].mean, cases[k].width, cases[k].dead_from, cases[k].dead_to,
             cases[k].absent);
        tw_contrast_column(&grid, &before, &since, 0, false, &found);
        assert_int_equal(found.component, cases[k].component);
        assert_true(fabs(found.size - cases[k].size) < 3 * found.size_error + 0.05 * fabs(cases[k].size));
        assert_true(fabs(found.spread - 2) < 0.1);
        tw_sketch_fini(&since);
    }
    assert_int_equal(tw_sketch_init(&since, 1), TW_OK);
    fill(&since, &grid, 20, 10, 2, 10.5, 11.5, 0);
    tw_contrast_excess(&grid, &before, &since, 0, -1, &excess);
    assert_true(excess.ratio < -0.8 && excess.significance > 30 && excess.observed < excess.expected / 4);
    assert_true(fabs((double)grid.edges[excess.first - 1] - 10.5) < 0.2);
    assert_true(fabs((double)grid.edges[excess.last] - 11.5) < 0.2);
    tw_sketch_fini(&since);
    tw_sketch_fini(&before);
    tw_sketch_grid_fini(&grid);
    test_free(values);
    test_free(draws);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_components),
        cmocka_unit_test(test_sketch),
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_peak_and_notch),
        cmocka_unit_test(test_small_shift),
        cmocka_unit_test(test_returns),
        cmocka_unit_test(test_periodic_and_log_prob),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_instruction_sets),
        cmocka_unit_test(test_contrast),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
