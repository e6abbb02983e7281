/* Arena and checked allocation: alignment, no overlap, reuse after reset, sizes that cannot be. */
#include "cm.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/size.h"

static void assert_aligned(const void *memory)
{
    assert_non_null(memory);
    assert_int_equal((uintptr_t)memory % 64, 0);
}

static void sizes_are_checked(void **state)
{
    size_t out;
    assert_true(tw_size_mul(1u << 20, 1u << 10, &out));
    assert_int_equal(out, 1u << 30);
    assert_false(tw_size_mul(SIZE_MAX / 2, 3, &out));
    assert_false(tw_size_add(SIZE_MAX, 1, &out));
    assert_null(tw_size_alloc(SIZE_MAX / 2, 3));
    assert_null(tw_size_alloc(SIZE_MAX, 1)); /* rounding up to the alignment would wrap */
    assert_null(tw_size_alloc(1, SIZE_MAX - 63));
}

static void memory_is_zeroed_and_aligned(void **state)
{
    for (size_t n = 0; n < 200; n++) {
        unsigned char *memory = tw_size_alloc(n, 3);
        assert_aligned(memory);
        for (size_t i = 0; i < 3 * n; i++)
            assert_int_equal(memory[i], 0);
        memset(memory, 0xa5, 3 * n); /* so that the next one does not get zeros by luck */
        free(memory);
    }
}

/* Fills many pieces with their number; a piece that overlaps another loses it. */
static void fill_and_check(struct tw_arena *arena, size_t most)
{
    enum { PIECES = 300 };
    unsigned char *piece[PIECES];
    size_t size[PIECES];
    for (size_t i = 0; i < PIECES; i++) {
        size[i] = (i * 7919) % most;
        piece[i] = tw_arena_alloc(arena, size[i]);
        assert_aligned(piece[i]);
        memset(piece[i], (int)(i % 251), size[i]);
    }
    for (size_t i = 0; i < PIECES; i++) {
        for (size_t j = 0; j < size[i]; j++)
            assert_int_equal(piece[i][j], i % 251);
    }
}

static void arena_pieces_do_not_overlap(void **state)
{
    struct tw_arena arena;
    tw_arena_init(&arena);
    fill_and_check(&arena, 100);
    fill_and_check(&arena, 20000);
    tw_arena_reset(&arena);
    fill_and_check(&arena, 50000);
    tw_arena_fini(&arena);
}

/* The second step of a loop gets the memory of the first. */
static void arena_keeps_its_memory(void **state)
{
    struct tw_arena arena;
    void *first[50];
    tw_arena_init(&arena);
    for (int i = 0; i < 50; i++)
        first[i] = tw_arena_alloc(&arena, 10000);
    for (int step = 0; step < 3; step++) {
        tw_arena_reset(&arena);
        for (int i = 0; i < 50; i++)
            assert_ptr_equal(tw_arena_alloc(&arena, 10000), first[i]);
    }
    tw_arena_fini(&arena);
}

static void arena_refuses_what_cannot_be(void **state)
{
    struct tw_arena arena = {0};
    assert_null(tw_arena_alloc(&arena, SIZE_MAX));
    assert_null(tw_arena_alloc(&arena, SIZE_MAX - 100));
    assert_aligned(tw_arena_alloc(&arena, 1)); /* and still works */
    tw_arena_fini(&arena);
    tw_arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_checked),
        cmocka_unit_test(memory_is_zeroed_and_aligned),
        cmocka_unit_test(arena_pieces_do_not_overlap),
        cmocka_unit_test(arena_keeps_its_memory),
        cmocka_unit_test(arena_refuses_what_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
