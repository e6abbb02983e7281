/* The shares of the ceiling: what fits is given, what does not is refused, and nothing is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/memory.h"

static long ceiling_mb = 512;

static void everything_is_divided(void **state)
{
    size_t sum = 0;
    for (int share = 0; share < MEMORY_SHARES; share++) {
        assert_non_null(memory_name(share));
        assert_int_equal(memory_held(share), 0);
        sum += memory_limit(share);
    }
    assert_true(sum < (size_t)ceiling_mb << 20);     /* the process itself needs something */
    assert_true(sum > (size_t)ceiling_mb * 3 << 18); /* but not a quarter of it */
}

static void a_large_body_fits_the_default(void **state)
{
    ceiling_mb = 2048;
    assert_true(memory_limit(MEMORY_BODIES) / 2 >= (size_t)256 << 20);
    ceiling_mb = 512;
}

static void no_more_than_fits(void **state)
{
    size_t limit = memory_limit(MEMORY_ANSWERS);
    assert_false(memory_take(MEMORY_ANSWERS, limit + 1));
    assert_false(memory_take(MEMORY_ANSWERS, SIZE_MAX));
    assert_true(memory_take(MEMORY_ANSWERS, limit - 1));
    assert_false(memory_take(MEMORY_ANSWERS, 2));
    assert_false(memory_take(MEMORY_ANSWERS, SIZE_MAX));
    assert_true(memory_take(MEMORY_BODIES, 2)); /* shares are not lent */
    assert_true(memory_take(MEMORY_ANSWERS, 1));
    memory_give(MEMORY_ANSWERS, limit);
    memory_give(MEMORY_BODIES, 2);
    assert_int_equal(memory_held(MEMORY_ANSWERS), 0);
}

static void a_lower_ceiling_holds_at_once(void **state)
{
    size_t half = memory_limit(MEMORY_TRAINING) / 2;
    assert_true(memory_take(MEMORY_TRAINING, half));
    ceiling_mb = 128;
    assert_true(memory_held(MEMORY_TRAINING) > memory_limit(MEMORY_TRAINING));
    assert_false(memory_take(MEMORY_TRAINING, 1)); /* what is held stays, more is not given */
    memory_give(MEMORY_TRAINING, half);
    assert_true(memory_take(MEMORY_TRAINING, 1));
    memory_give(MEMORY_TRAINING, 1);
    ceiling_mb = 512;
}

static void rows_of_a_share(void **state)
{
    size_t rows = memory_rows(MEMORY_COMPARE, 0.5, 4000, 8);
    assert_true(rows * 4000 * 8 <= memory_limit(MEMORY_COMPARE) / 2);
    assert_true((rows + 1) * 4000 * 8 > memory_limit(MEMORY_COMPARE) / 2);
    assert_int_equal(memory_rows(MEMORY_COMPARE, 1, SIZE_MAX / 2, 8), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_divided), cmocka_unit_test(a_large_body_fits_the_default),
        cmocka_unit_test(no_more_than_fits),     cmocka_unit_test(a_lower_ceiling_holds_at_once),
        cmocka_unit_test(rows_of_a_share),
    };
    memory_init(&ceiling_mb, 512);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
