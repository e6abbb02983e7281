#include "daemon/shortage.h"

#include <stdlib.h>

#include <jansson.h>

static __thread unsigned count;

static void *allocate(size_t size)
{
    void *memory = malloc(size);
    if (!memory && size)
        count++;
    return memory;
}

void shortage_watch(void)
{
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
