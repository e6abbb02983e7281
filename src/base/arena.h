/* A bump allocator for scratch that is dropped all at once: one per worker, reset each step. */
#ifndef TW_BASE_ARENA_H
#define TW_BASE_ARENA_H

#include <stddef.h>

struct tw_arena_chunk;

struct tw_arena {
    struct tw_arena_chunk *first; /* chunks stay until _fini; reset only moves the mark */
    struct tw_arena_chunk *current;
    size_t used; /* bytes used of `current` */
};

void tw_arena_init(struct tw_arena *arena);
void tw_arena_fini(struct tw_arena *arena); /* accepts a zeroed arena */

/* 64-byte aligned, not zeroed; NULL when memory is out. */
void *tw_arena_alloc(struct tw_arena *arena, size_t bytes);

/* Everything allocated so far is invalid; memory is kept for the next step. */
void tw_arena_reset(struct tw_arena *arena);
/* The same of everything allocated since `mark`, a copy of the arena, was taken. */
void tw_arena_rewind(struct tw_arena *arena, const struct tw_arena *mark);

#endif
