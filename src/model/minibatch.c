#include "model/minibatch.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/size.h"
#include "nn/tape.h"

int tw_minibatch_init(struct tw_minibatch *batch, const struct tw_kind *kind, const struct tw_kernels *kernels,
                      int blocks, size_t size)
{
    size_t values;

    memset(batch, 0, sizeof *batch);
    batch->kind = kind;
    batch->kernels = kernels;
    batch->blocks = blocks;
    batch->size = size;
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

/* Loss and gradient of one block; false when memory is out. */
static bool run_block(struct tw_minibatch *b, size_t task, struct tw_arena *arena)
{
    size_t at = task * TW_BLOCK, left = b->events - at;
    int events = left < TW_BLOCK ? (int)left : TW_BLOCK;
    tw_real *grads = b->with_gradient ? b->grads + task * b->size : NULL;
    struct tw_block block;
    struct tw_tape tape;

    tw_arena_reset(arena);
    if (!tw_rows_block(b->rows, b->order, b->first + at, events, tw_rng_mix(b->key, task), arena, &block))
        return false;
    tw_tape_init(&tape, b->kernels, arena, TW_BLOCK, b->state->parameters, grads);

    struct tw_var *loss = b->kind->loss(b->state, &tape, &block);

    if (!loss)
        return false;
    b->sums[task] = b->weights[task] = 0;
    for (int c = 0; c < events; c++) {
        b->sums[task] += (double)block.weights[c] * (double)loss->value[c];
        b->weights[task] += (double)block.weights[c];
    }
    if (!grads)
        return true;

    tw_real *seed = tw_tape_rows(&tape, 1);

    for (int c = 0; seed && c < TW_BLOCK; c++)
        seed[c] = block.weights[c] / (tw_real)b->events;
    return seed && tw_tape_backward(&tape, loss, seed);
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
    size_t blocks = (events + TW_BLOCK - 1) / TW_BLOCK;

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
