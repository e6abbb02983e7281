/* A list of chunks that only grows. Reset goes back to the first chunk, so that after the first step of a loop nothing
 * is allocated any more. */
#include <stdint.h>
#include <stdlib.h>

#include "base/arena.h"

#define ALIGNMENT   ((size_t)64)
#define FIRST_CHUNK ((size_t)1 << 16)

/* The header fills one line of its own, so that the payload behind it is aligned. */
struct tw_arena_chunk {
    _Alignas(64) struct tw_arena_chunk *next;
    size_t size; /* of the payload */
};

static unsigned char *payload(struct tw_arena_chunk *chunk)
{
    return (unsigned char *)(chunk + 1);
}

void tw_arena_init(struct tw_arena *arena)
{
    *arena = (struct tw_arena){0};
}

void tw_arena_fini(struct tw_arena *arena)
{
    struct tw_arena_chunk *chunk = arena->first;
    while (chunk) {
        struct tw_arena_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    *arena = (struct tw_arena){0};
}

static struct tw_arena_chunk *new_chunk(size_t size)
{
    if (size > SIZE_MAX - sizeof(struct tw_arena_chunk))
        return NULL;
    struct tw_arena_chunk *chunk = aligned_alloc(ALIGNMENT, sizeof *chunk + size);
    if (chunk) {
        chunk->next = NULL;
        chunk->size = size;
    }
    return chunk;
}

/* Makes a chunk with room for `bytes` the current one: one that a former step left, else a new one of at least twice
 * the size, inserted behind the current one. A chunk left too small is passed over until the next reset. */
static int advance(struct tw_arena *arena, size_t bytes)
{
    struct tw_arena_chunk *at = arena->current;
    while (at && at->next) {
        at = at->next;
        if (at->size >= bytes) {
            arena->current = at;
            arena->used = 0;
            return 0;
        }
    }
    size_t size = at ? at->size : FIRST_CHUNK / 2;
    size = size <= SIZE_MAX / 2 ? 2 * size : size;
    struct tw_arena_chunk *chunk = new_chunk(size > bytes ? size : bytes);
    if (!chunk)
        return -1;
    if (at)
        at->next = chunk;
    else
        arena->first = chunk;
    arena->current = chunk;
    arena->used = 0;
    return 0;
}

void *tw_arena_alloc(struct tw_arena *arena, size_t bytes)
{
    if (bytes > SIZE_MAX - 2 * ALIGNMENT)
        return NULL;
    bytes = bytes ? (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT : ALIGNMENT;
    if (!arena->current || arena->current->size - arena->used < bytes) {
        if (advance(arena, bytes) != 0)
            return NULL;
    }
    void *memory = payload(arena->current) + arena->used;
    arena->used += bytes;
    return memory;
}

void tw_arena_reset(struct tw_arena *arena)
{
    arena->current = arena->first;
    arena->used = 0;
}

void tw_arena_rewind(struct tw_arena *arena, const struct tw_arena *mark)
{
    arena->current = mark->current ? mark->current : arena->first;
    arena->used = mark->used;
}
