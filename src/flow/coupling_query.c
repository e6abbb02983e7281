/* The chain of a coupling flow without a tape. Columns go through all blocks in strips, so that what one layer or
 * spline leaves for the next is still in the first-level cache; of a single event it is the spline parameters of
 * features, not of events, that stand side by side. Either way an event gets the same bits. */
#include <string.h>

#include "base/status.h"
#include "flow/coupling.h"

#define ABREAST 32 /* features of a single event whose splines are computed together */

struct query {
    const struct tw_coupling *coupling;
    const struct tw_params *params;
    const struct tw_kernels *kernels;
    bool inverse;
    /* of one block and strip */
    tw_real *inputs, *hidden, *outputs;
    tw_real *spline;      /* (features, 1) of spline results, or what abreast() needs */
    tw_real *x, *present; /* (features, strip) */
};

/* Largest sizes over the blocks. */
static int scratch_alloc(struct query *q, struct tw_arena *arena, int cols)
{
    const struct tw_coupling *c = q->coupling;
    size_t inputs = 1, outputs = 1, width = 1, rows = 1, n = (size_t)cols, features = (size_t)c->features;

    for (int b = 0; b < c->blocks; b++) {
        const struct tw_coupling_block *block = &c->plan[b];

        inputs = (size_t)block->mlp.in > inputs ? (size_t)block->mlp.in : inputs;
        outputs = (size_t)block->outputs > outputs ? (size_t)block->outputs : outputs;
        width = (size_t)tw_mlp_width(&block->mlp);
        for (int i = 0; i < block->moved; i++)
            if ((size_t)tw_spline_rows(&block->splines[i]) > rows)
                rows = (size_t)tw_spline_rows(&block->splines[i]);
    }

    size_t spline = cols == 1 ? (rows + 3) * ABREAST : n;

    /* each begins at a multiple of 64 bytes */
    q->inputs = tw_arena_alloc(arena, inputs * n * sizeof(tw_real));
    q->hidden = tw_arena_alloc(arena, 2 * width * n * sizeof(tw_real));
    q->outputs = tw_arena_alloc(arena, outputs * n * sizeof(tw_real));
    q->spline = tw_arena_alloc(arena, spline * sizeof(tw_real));
    q->x = tw_arena_alloc(arena, features * n * sizeof(tw_real));
    q->present = tw_arena_alloc(arena, features * n * sizeof(tw_real));
    return q->inputs && q->hidden && q->outputs && q->spline && q->x && q->present ? TW_OK : TW_NO_MEMORY;
}

/* The moved features of a strip, one after the other. */
static void in_turn(const struct query *q, const struct tw_coupling_block *block, int cols, tw_real *x,
                    const tw_real *present, tw_real *log_det)
{
    size_t n = (size_t)cols;
    tw_real *det = q->spline;
    const tw_real *p = q->outputs;

    for (int i = 0; i < block->moved; i++) {
        const struct tw_spline *spline = &block->splines[i];
        const tw_real *there = present ? present + (size_t)block->rows[i] * n : NULL;
        tw_real *at = x + (size_t)block->rows[i] * n;

        if (present)
            memset(det, 0, n * sizeof *det);
        (q->inverse ? q->kernels->spline_inverse : q->kernels->spline)(spline, cols, at, p, at,
                                                                       present ? det : log_det);
        for (int k = 0; present && k < cols; k++) {
            at[k] *= there[k];
            log_det[k] += there[k] * det[k];
        }
        p += (size_t)tw_spline_rows(spline) * n;
    }
}

static bool alike(const struct tw_spline *a, const struct tw_spline *b)
{
    return a->kind == b->kind && a->bins == b->bins && a->bound == b->bound && a->min_width == b->min_width &&
           a->min_height == b->min_height && a->min_slope == b->min_slope;
}

/* The moved features of a single event: those of equal splines are the columns of a block. */
static void abreast(const struct query *q, const struct tw_coupling_block *block, tw_real *x, const tw_real *present,
                    tw_real *log_det)
{
    tw_real *in = q->spline, *y = in + ABREAST, *det = y + ABREAST, *turned = det + ABREAST;
    const tw_real *p = q->outputs;

    for (int i = 0, n; i < block->moved; i += n) {
        const struct tw_spline *spline = &block->splines[i];
        int rows = tw_spline_rows(spline), cols;

        for (n = 1; n < ABREAST && i + n < block->moved && alike(spline, &block->splines[i + n]);)
            n++;
        cols = (n + 15) / 16 * 16;
        for (int k = 0; k < cols; k++) {
            const tw_real *own = p + (k < n ? k : 0) * rows;

            in[k] = x[block->rows[i + (k < n ? k : 0)]];
            det[k] = 0;
            for (int r = 0; r < rows; r++)
                turned[r * cols + k] = own[r];
        }
        (q->inverse ? q->kernels->spline_inverse : q->kernels->spline)(spline, cols, in, turned, y, det);
        for (int k = 0; k < n; k++) {
            int f = block->rows[i + k];

            x[f] = present ? present[f] * y[k] : y[k];
            *log_det += present ? present[f] * det[k] : det[k];
        }
        p += n * rows;
    }
}

static void map_block(const struct query *q, const struct tw_coupling_block *block, int cols, tw_real *x,
                      const tw_real *conditions, size_t stride, const tw_real *present, tw_real *log_det)
{
    tw_real *extra = q->inputs + (size_t)block->inputs * (size_t)cols;

    tw_ops_embed_plain(cols, x, block->embed, block->inputs, q->inputs);
    for (int c = 0; c < q->coupling->conditions; c++)
        memcpy(extra + c * cols, conditions + (size_t)c * stride, (size_t)cols * sizeof *extra);
    tw_mlp_plain(&block->mlp, q->params, q->kernels, cols, q->inputs, q->hidden, q->outputs);
    if (cols == 1)
        abreast(q, block, x, present, log_det);
    else
        in_turn(q, block, cols, x, present, log_det);
}

/* Columns of rows that are `from_stride` apart to rows that are `to_stride` apart. */
static void copy_columns(int rows, int cols, const tw_real *from, size_t from_stride, tw_real *to, size_t to_stride)
{
    for (int r = 0; r < rows; r++)
        memcpy(to + (size_t)r * to_stride, from + (size_t)r * from_stride, (size_t)cols * sizeof *to);
}

static int map(struct query *q, struct tw_arena *arena, int cols, tw_real *x, const tw_real *conditions,
               const tw_real *present, tw_real *log_det)
{
    const struct tw_coupling *c = q->coupling;
    size_t stride = (size_t)cols;
    int strip = cols < q->kernels->strip ? cols : q->kernels->strip;

    if (scratch_alloc(q, arena, strip))
        return TW_NO_MEMORY;
    for (int j = 0, n; j < cols; j += n) {
        tw_real *at = strip < cols ? q->x : x;
        const tw_real *there = present && strip < cols ? q->present : present;

        n = cols - j < strip ? cols - j : strip;
        if (at != x)
            copy_columns(c->features, n, x + j, stride, at, (size_t)n);
        if (there != present)
            copy_columns(c->features, n, present + j, stride, q->present, (size_t)n);
        for (int b = 0; b < c->blocks; b++)
            map_block(q, &c->plan[q->inverse ? c->blocks - 1 - b : b], n, at, conditions ? conditions + j : NULL,
                      stride, there, log_det + j);
        if (at != x)
            copy_columns(c->features, n, at, (size_t)n, x + j, stride);
    }
    return TW_OK;
}

int tw_coupling_forward(const struct tw_coupling *coupling, const struct tw_params *params,
                        const struct tw_kernels *kernels, struct tw_arena *arena, int cols, tw_real *x,
                        const tw_real *conditions, const tw_real *present, tw_real *log_det)
{
    struct query query = {.coupling = coupling, .params = params, .kernels = kernels};

    return map(&query, arena, cols, x, conditions, present, log_det);
}

int tw_coupling_inverse(const struct tw_coupling *coupling, const struct tw_params *params,
                        const struct tw_kernels *kernels, struct tw_arena *arena, int cols, tw_real *x,
                        const tw_real *conditions, const tw_real *present, tw_real *log_det)
{
    struct query query = {.coupling = coupling, .params = params, .kernels = kernels, .inverse = true};

    return map(&query, arena, cols, x, conditions, present, log_det);
}
