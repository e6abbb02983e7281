/* Packed statistics: what goes in comes out, bit by bit; what does not decode is refused, whatever it is. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "daemon/statistics.h"

static uint64_t counter;

static uint64_t draw(uint64_t below)
{
    return tw_rng_mix(2026, counter++) % below;
}

static double number(void)
{
    static const double odd[] = {0, -0.0, 1e-308, -1e308, 0.5, 4.9e-324};
    uint64_t kind = draw(10);
    return kind < 6 ? odd[kind] : ((double)draw(1 << 30) - (1 << 29)) / (double)(1 + draw(1000));
}

/* Columns of every form: none, one for all, all, some. */
static struct statistic *make(size_t count)
{
    struct statistic *statistics = calloc(count + 1, sizeof *statistics);
    for (int c = 0; c < STATISTICS_COLUMNS; c++) {
        uint64_t form = draw(4);
        double one = number();
        for (size_t i = 0; i < count; i++) {
            statistics[i].series = (uint32_t)draw(2000);
            statistics[i].at[c] = form == 0 ? NAN : form == 1 ? one : form == 2 || draw(2) ? number() : NAN;
        }
    }
    return statistics;
}

static void assert_same(const struct statistic *a, const struct statistic *b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(a[i].series, b[i].series);
        for (int c = 0; c < STATISTICS_COLUMNS; c++)
            assert_true(isnan(a[i].at[c]) ? isnan(b[i].at[c]) : !memcmp(&a[i].at[c], &b[i].at[c], 8));
    }
}

static void round_trip(void **state)
{
    for (int round = 0; round < 2000; round++) {
        size_t count = draw(40), size, again;
        struct statistic *statistics = make(count), *back;
        unsigned char *bytes;
        assert_int_equal(statistics_pack(statistics, count, &bytes, &size), 0);
        assert_int_equal(statistics_unpack(bytes, size, &back, &again), 0);
        assert_int_equal(again, count);
        assert_same(statistics, back, count);
        free(back);
        free(bytes);
        free(statistics);
    }
}

/* A thousand features: what an iteration takes. */
static void size_of_a_thousand(void **state)
{
    struct statistic *statistics = calloc(1000, sizeof *statistics);
    unsigned char *bytes;
    size_t size;
    for (uint32_t i = 0; i < 1000; i++)
        statistics[i] = (struct statistic){i, {0.1 + i, NAN, NAN, 1.0 / (i + 3), 1e-6}};
    assert_int_equal(statistics_pack(statistics, 1000, &bytes, &size), 0);
    assert_true(size < 20100);
    statistics[7].at[STATISTICS_ERROR] = INFINITY;
    free(bytes);
    assert_int_equal(statistics_pack(statistics, 1000, &bytes, &size), TW_INVALID);
    free(statistics);
}

/* Whatever was cut, changed or made up: an error, or something that packs to the same bytes' worth of numbers. */
static void try(const unsigned char *bytes, size_t size)
{
    struct statistic *statistics;
    struct statistics_sum *sums;
    unsigned char *copy = malloc(size + 1), *packed; /* so that reading past the end is seen */
    size_t count, length;
    memcpy(copy, bytes, size);
    int status = statistics_unpack(copy, size, &statistics, &count);
    assert_true(status == 0 || (status == TW_CORRUPT && !statistics));
    if (status == 0) {
        struct statistic *back;
        assert_int_equal(statistics_pack(statistics, count, &packed, &length), 0);
        assert_int_equal(statistics_unpack(packed, length, &back, &count), 0);
        assert_same(statistics, back, count);
        free(packed);
        free(back);
        free(statistics);
    }
    status = statistics_sums_unpack(copy, size, &sums, &count);
    assert_true(status == 0 || (status == TW_CORRUPT && !sums));
    if (status == 0) {
        assert_int_equal(statistics_sums_pack(sums, count, &packed, &length), 0);
        assert_int_equal(length, size);
        assert_memory_equal(packed, copy, size);
        free(packed);
        free(sums);
    }
    free(copy);
}

static void damage(void **state)
{
    for (int round = 0; round < 300; round++) {
        size_t count = 1 + draw(12), size, of_sums, known = 0;
        struct statistic *statistics = make(count);
        struct statistics_sum *sums = NULL;
        unsigned char *bytes, *packed;
        assert_int_equal(statistics_pack(statistics, count, &bytes, &size), 0);
        assert_int_equal(statistics_sums_add(&sums, &known, statistics, count), 0);
        assert_int_equal(statistics_sums_pack(sums, known, &packed, &of_sums), 0);
        for (size_t cut = 0; cut < size; cut++) {
            struct statistic *none;
            assert_int_equal(statistics_unpack(bytes, cut, &none, &count), TW_CORRUPT);
            assert_null(none);
        }
        for (int change = 0; change < 200; change++) {
            unsigned char *one = change % 2 ? bytes : packed;
            size_t at = draw(change % 2 ? size : of_sums);
            unsigned char before = one[at];
            one[at] = draw(3) ? (unsigned char)(before ^ 1u << draw(8)) : (unsigned char)draw(256);
            try(one, change % 2 ? size : of_sums);
            if (draw(4))
                one[at] = before;
        }
        free(sums);
        free(packed);
        free(bytes);
        free(statistics);
    }
}

static void sums(void **state)
{
    struct statistic first[] = {{5, {1, NAN, NAN, NAN, NAN}}, {2, {10, 1, 1, 1, 1}}, {9, {NAN, 1, 1, 1, 1}}};
    struct statistic second[] = {{2, {-4, NAN, NAN, NAN, NAN}}, {7, {3, 1, 1, 1, 1}}};
    struct statistics_sum *sums = NULL, *back;
    unsigned char *packed;
    size_t count = 0, size, again;
    assert_int_equal(statistics_sums_add(&sums, &count, first, 3), 0);
    assert_int_equal(statistics_sums_add(&sums, &count, second, 2), 0);
    assert_int_equal(count, 3);
    assert_int_equal(statistics_sums_pack(sums, count, &packed, &size), 0);
    assert_int_equal(statistics_sums_unpack(packed, size, &back, &again), 0);
    assert_int_equal(again, 3);
    assert_true(back[0].series == 2 && back[0].count == 2 && back[0].sum == 6 && back[0].min == -4 &&
                back[0].max == 10);
    assert_true(back[1].series == 5 && back[1].count == 1 && back[1].sum == 1 && back[1].min == 1 && back[1].max == 1);
    assert_true(back[2].series == 7 && back[2].count == 1 && back[2].sum == 3);
    free(back);
    free(packed);
    free(sums);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(size_of_a_thousand),
        cmocka_unit_test(damage),
        cmocka_unit_test(sums),
    };
    return cmocka_run_group_tests_name("statistics", tests, NULL, NULL);
}
