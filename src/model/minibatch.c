#include "model/minibatch.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/size.h"
#include "nn/tape.h"

#define ROUND            16 /* columns of a tape are a multiple of it */
#define PARAMETERS_SMALL (1 << 20)

/* A tape goes through memory forth and back: 23 kB an event for a flow of 8 blocks with hidden 128 x 128. Half a block
 * at a time it stays nearer to the core; where there are more parameters than that, they are what should not be gone
 * through twice. */
static int strip_width(size_t parameters)
{
    return parameters <= PARAMETERS_SMALL ? TW_BLOCK / 2 : TW_BLOCK;
}

int tw_minibatch_init(struct tw_minibatch *batch, const struct tw_kind *kind, const struct tw_kernels *kernels,
                      int blocks, size_t size)
{
    size_t values;

    memset(batch, 0, sizeof *batch);
    batch->kind = kind;
    batch->kernels = kernels;
    batch->blocks = blocks;
    batch->size = size;
    batch->strip = strip_width(size);
    if (!tw_size_mul((size_t)blocks, size, &values))
        return TW_NO_MEMORY;
    batch->grads = tw_size_alloc(values ? values : 1, sizeof *batch->grads);
    return batch->grads ? TW_OK : TW_NO_MEMORY;
}

void tw_minibatch_fini(struct tw_minibatch *batch)
{
    for (unsigned w = 0; w < batch->workers; w++)
        tw_arena_fini(&batch->arenas[w]);
    free(batch->arenas);
    free(batch->grads);
    memset(batch, 0, sizeof *batch);
}

static int grow_arenas(struct tw_minibatch *batch, unsigned workers)
{
    if (workers <= batch->workers)
        return TW_OK;

    struct tw_arena *arenas = realloc(batch->arenas, workers * sizeof *arenas);

    if (!arenas)
        return TW_NO_MEMORY;
    batch->arenas = arenas;
    for (; batch->workers < workers; batch->workers++)
        tw_arena_init(&batch->arenas[batch->workers]);
    return TW_OK;
}

/* Loss and gradient of up to b->strip events from `at` on; false when memory is out. */
static bool run_strip(struct tw_minibatch *b, size_t at, int events, struct tw_arena *arena, tw_real *grads, bool adds,
                      double *sum, double *weight)
{
    int cols = (events + ROUND - 1) / ROUND * ROUND;
    struct tw_block block;
    struct tw_tape tape;

    tw_arena_reset(arena);
    if (!tw_rows_block(b->rows, b->order, b->first + at, events, cols, tw_rng_mix(b->key, at), arena, &block))
        return false;
    tw_tape_init(&tape, b->kernels, arena, cols, b->state->parameters, grads);
    tape.adds = adds;

    struct tw_var *loss = b->kind->loss(b->state, &tape, &block);

    if (!loss)
        return false;
    for (int c = 0; c < events; c++) {
        *sum += (double)block.weights[c] * (double)loss->value[c];
        *weight += (double)block.weights[c];
    }
    if (!grads)
        return true;

    tw_real *seed = tw_tape_rows(&tape, 1);

    for (int c = 0; seed && c < cols; c++)
        seed[c] = block.weights[c] / (tw_real)b->events;
    return seed && tw_tape_backward(&tape, loss, seed);
}

static size_t block_count(size_t events)
{
    return (events + TW_BLOCK - 1) / TW_BLOCK;
}

/* Blocks share the events evenly, so that no worker waits for the one with most. */
static size_t block_begin(size_t events, size_t block)
{
    size_t begin = (events + ROUND - 1) / ROUND * block / block_count(events) * ROUND;

    return begin < events ? begin : events;
}

static bool run_block(struct tw_minibatch *b, size_t task, struct tw_arena *arena)
{
    size_t first = block_begin(b->events, task), end = block_begin(b->events, task + 1);
    tw_real *grads = b->with_gradient ? b->grads + task * b->size : NULL;

    b->sums[task] = b->weights[task] = 0;
    for (size_t at = first; at < end; at += (size_t)b->strip) {
        int events = end - at < (size_t)b->strip ? (int)(end - at) : b->strip;

        if (!run_strip(b, at, events, arena, grads, at > first, &b->sums[task], &b->weights[task]))
            return false;
    }
    return true;
}

static void block_task(void *context, size_t task, unsigned worker)
{
    struct tw_minibatch *batch = context;

    if (!run_block(batch, task, &batch->arenas[worker]))
        atomic_store(&batch->no_memory, true);
}

int tw_minibatch_run(struct tw_minibatch *batch, struct tw_pool *pool, const struct tw_kind_state *state,
                     const struct tw_rows *rows, const uint32_t *order, size_t first, size_t events, uint64_t key,
                     bool with_gradient)
{
    size_t blocks = block_count(events);

    if (grow_arenas(batch, tw_pool_workers(pool)))
        return TW_NO_MEMORY;
    batch->state = state;
    batch->rows = rows;
    batch->order = order;
    batch->first = first;
    batch->events = events;
    batch->key = key;
    batch->with_gradient = with_gradient;
    tw_pool_run(pool, blocks, block_task, batch);
    if (atomic_load(&batch->no_memory))
        return TW_NO_MEMORY;
    batch->loss = batch->weight = 0;
    for (size_t b = 0; b < blocks; b++) {
        batch->loss += batch->sums[b];
        batch->weight += batch->weights[b];
    }
    if (with_gradient)
        batch->squares = batch->kernels->gather(batch->size, (int)blocks, batch->size, batch->grads);
    return TW_OK;
}
