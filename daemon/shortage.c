/* jansson 2.14 forgets to look whether its lexer's buffer could grow, and then reads past its end. The buffer doubles,
 * so a few blocks of such sizes are kept for it; what they serve counts as a shortage like any other. A text that
 * begins while memory is out is refused at the first, smallest buffer, which jansson does look at. */
#include "daemon/shortage.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include <jansson.h>

enum { SMALLEST = 32, SIZES = 17, EACH = 2 }; /* 32 bytes to 2 MiB; a body of JSON has 1 MiB at most */

static __thread unsigned count;
static void *_Atomic reserve[SIZES][EACH];
static atomic_bool used; /* some of it is to be replaced */

static void fill(void)
{
    atomic_store(&used, false);
    for (int i = 0; i < SIZES * EACH; i++) {
        void *_Atomic *place = &reserve[i / EACH][i % EACH];
        void *none = NULL, *block = atomic_load(place) ? NULL : malloc((size_t)SMALLEST << i / EACH);
        if (block && !atomic_compare_exchange_strong(place, &none, block))
            free(block);
        if (!atomic_load(place))
            atomic_store(&used, true);
    }
}

static void *take(size_t size)
{
    void *block = NULL;
    for (int i = 0; i < SIZES; i++)
        for (int k = 0; k < EACH && !block && size == (size_t)SMALLEST << i; k++)
            block = atomic_exchange(&reserve[i][k], NULL);
    if (block)
        atomic_store(&used, true);
    return block;
}

static void *allocate(size_t size)
{
    void *memory = malloc(size);
    if (memory) {
        if (atomic_load(&used))
            fill();
        return memory;
    }
    count++;
    return take(size);
}

void shortage_watch(void)
{
    fill();
    json_set_alloc_funcs(allocate, free);
}

unsigned shortage_count(void)
{
    return count;
}

void shortage_note(void)
{
    count++;
}
