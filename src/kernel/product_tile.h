/* Tiles of ROWS x 2 vectors that stay in registers: what product.c, layer.c and loops_dense_vjp.c are made of, and
 * nobody else includes.
 *
 * Each step over k takes two vectors of a panel (k, STRIP) of op(B), which is in the first-level cache, and one number
 * for each row of the tile, so that 2 ROWS multiply-adds go with ROWS + 2 loads. (Goto, van de Geijn 2008.)
 */
#ifndef TW_KERNEL_PRODUCT_TILE_H
#define TW_KERNEL_PRODUCT_TILE_H

#include <stdbool.h>
#include <stddef.h>

#include "kernel/kernel.h"
#include "kernel/vector.h"

#if BYTES == 64
#define ROWS 8 /* what networks' widths are multiples of; 16 sums keep the multipliers busy as well as 24 do */
#else
#define ROWS 6 /* 12 of 16 registers for sums */
#endif
#define STRIP (2 * LANES)

/* What a tile works on. */
struct factors {
    const tw_real *a;
    size_t row, step; /* of A: from row to row, from k to k + 1 */
    const tw_real *b;
    size_t next; /* of B: from k to k + 1 */
    int k;
    bool add;            /* C starts from what it is; */
    const tw_real *bias; /* else from one number a row, or from 0 where this is NULL */
    bool relu;           /* of the sums */
    /* Memory that will be wanted next is asked for meanwhile, or a tile of 2,048 cycles waits for some 50 to 100 more:
     */
    const tw_real *ahead; /* values of it, */
    size_t pace, leap;    /* so many further with each k, and with each tile; */
    bool far;             /* and of C those that the tile below will write: they are not in the first-level cache */
};

/* What the first tile of a strip does with B while it multiplies. A pass of its own would wait for the second-level
 * cache while no multiplier works; here it costs a quarter of one tile in sixteen, or half of one. */
enum errand {
    NONE,
    PACK, /* B goes into a panel, for the tiles below */
    BEND, /* the same for gz = gy act'(z), where B is gy; and gz in place of gy, and its sums */
};

struct errands {
    tw_real *panel; /* (k, STRIP) */
    tw_real *gy;
    const tw_real *kept; /* what tells act'(z): its value where it was kept, else y = act(z) */
    vec *sums;           /* (k): gz is added to them vector by vector */
};

/* Makes a pointer one that the compiler knows nothing of. It would else keep one for each row, of A and of C, and run
 * out of registers: what it then does before and after the loop cost 160 cycles a tile, of 2,200 where k is 128. Three
 * rows of A are reached from one pointer by the processor's own addressing. */
#define HIDE(pointer) __asm__("" : "+r"(pointer))

/* What the sums of a tile start from. */
static inline __attribute__((always_inline)) void begin(int rows, int vectors, const struct factors *f,
                                                        const tw_real *c, size_t ldc, vec (*sum)[2])
{
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
        if (f->add) {
            for (int j = 0; j < vectors; j++)
                sum[i][j] = *(const loose *)(c + j * LANES);
            c += ldc;
            HIDE(c);
        } else {
            for (int j = 0; j < vectors; j++)
                sum[i][j] = vec_all(f->bias ? f->bias[i] : 0);
        }
    }
}

/* gz = gy act'(z), a vector of one row */
static inline __attribute__((always_inline)) vec bend(enum tw_activation act, vec gy, const tw_real *kept)
{
    vec y = act == TW_LINEAR ? (vec){0} : vec_load(kept);
    switch (act) {
    case TW_LINEAR:
        return gy;
    case TW_RELU:
        return (vec)((lanes)gy & (y > 0));
    case TW_SILU:
        return gy * y;
    case TW_TANH:
        return gy * (1 - y * y);
    }
    return gy;
}

/* One k of an errand, on the vectors of B that a tile has just read; e goes on to the next. */
static inline __attribute__((always_inline)) void run_errand(enum errand errand, enum tw_activation act, int vectors,
                                                             size_t next, struct errands *e, vec *b)
{
    if (errand == BEND) {
        for (int j = 0; j < vectors; j++) {
            b[j] = bend(act, b[j], e->kept + j * LANES);
            if (act != TW_LINEAR)
                vec_store(b[j], e->gy + j * LANES);
            *e->sums += b[j];
        }
        e->gy += next;
        e->kept += next;
        e->sums++;
    }
    for (int j = 0; j < vectors; j++)
        vec_store(b[j], e->panel + j * LANES);
    e->panel += STRIP;
}

/* Asks for the lines of C, before they are written. */
static inline __attribute__((always_inline)) void ask(int rows, int vectors, const tw_real *c, size_t ldc)
{
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < vectors; j++)
            __builtin_prefetch(c + j * LANES, 1);
        c += ldc;
        HIDE(c);
    }
}

/* c (rows, vectors * LANES) = start + A B; rows, vectors, errand and act are constants where this is inlined. */
static inline __attribute__((always_inline)) void tile(int rows, int vectors, enum errand errand,
                                                       enum tw_activation act, const struct factors *f,
                                                       struct errands e, tw_real *c, size_t ldc)
{
    vec sum[ROWS][2];
    const tw_real *b = f->b, *a[ROWS / 3 + 1];
    size_t row = f->row, step = f->step, next = f->next;
    for (int i = 0; i < rows; i += 3) {
        a[i / 3] = f->a + (size_t)i * row;
        HIDE(a[i / 3]);
    }
    begin(rows, vectors, f, c, ldc, sum);
    const tw_real *ahead = f->ahead;
    if (f->far)
        ask(rows, vectors, c + (size_t)rows * ldc, ldc);
    for (int p = 0; p < f->k; p++, b += next) {
        vec both[2] = {vec_load(b), vec_load(b + (vectors > 1 ? LANES : 0))};
        if (errand != NONE)
            run_errand(errand, act, vectors, next, &e, both);
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) {
            tw_real x = a[i / 3][(size_t)(i % 3) * row];
            for (int j = 0; j < vectors; j++)
                sum[i][j] += x * both[j];
        }
        for (int i = 0; i < rows; i += 3)
            a[i / 3] += step;
        __builtin_prefetch(ahead);
        ahead += f->pace;
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < vectors; j++)
            *(loose *)(c + j * LANES) = f->relu ? vec_at_least((vec){0}, sum[i][j]) : sum[i][j];
        c += ldc;
        HIDE(c);
    }
}

/* Tiles below each other. `f` is a copy with constants for what makes code different, so that the compiler makes a loop
 * of each kind. */
static inline __attribute__((always_inline)) void tiles(int rows, int vectors, int count, struct factors f, tw_real *c,
                                                        size_t ldc)
{
    for (int t = 0; t < count; t++) {
        tile(rows, vectors, NONE, TW_LINEAR, &f, (struct errands){0}, c, ldc);
        f.a += (size_t)rows * f.row;
        f.ahead += f.leap;
        f.bias += f.bias ? rows : 0;
        c += (size_t)rows * ldc;
    }
}

static inline __attribute__((always_inline)) void kinds(int rows, int vectors, int count, struct factors f, tw_real *c,
                                                        size_t ldc)
{
    if (f.step != 1) { /* A turned over */
        tiles(rows, vectors, count, f, c, ldc);
        return;
    }
    f.step = 1;
    if (f.add || !f.bias) {
        tiles(rows, vectors, count, f, c, ldc);
    } else if (f.relu) {
        f.add = false, f.relu = true;
        tiles(rows, vectors, count, f, c, ldc);
    } else {
        f.add = false, f.relu = false;
        tiles(rows, vectors, count, f, c, ldc);
    }
}

/* One function a shape, so that the compiler keeps its sums in registers. */
#define SHAPE(rows, vectors)                                                                                           \
    static __attribute__((noinline)) void tiles_##rows##_##vectors(int count, const struct factors *f, tw_real *c,     \
                                                                   size_t ldc)                                         \
    {                                                                                                                  \
        kinds(rows, vectors, count, *f, c, ldc);                                                                       \
    }
SHAPE(1, 1)
SHAPE(2, 1)
SHAPE(4, 1)
SHAPE(1, 2)
SHAPE(2, 2)
SHAPE(4, 2)
#if ROWS == 8
SHAPE(8, 1)
SHAPE(8, 2)
#else
SHAPE(6, 1)
SHAPE(6, 2)
#endif

/* One function for the first ROWS rows of a strip, with an errand. A is turned over where B is a gradient. */
typedef void first_tile(const struct factors *f, const struct errands *e, tw_real *c, size_t ldc);

#define FIRST(name, vectors, errand, act)                                                                              \
    static __attribute__((noinline)) void name(const struct factors *f, const struct errands *e, tw_real *c,           \
                                               size_t ldc)                                                             \
    {                                                                                                                  \
        struct factors own = *f;                                                                                       \
        if (errand == BEND)                                                                                            \
            own.row = 1;                                                                                               \
        else                                                                                                           \
            own.step = 1;                                                                                              \
        tile(ROWS, vectors, errand, act, &own, *e, c, ldc);                                                            \
    }

/* What the tiles below have to do after that. */
static inline struct factors below_first(struct factors f, const struct errands *e)
{
    f.a += ROWS * f.row;
    f.ahead += f.leap;
    f.bias += f.bias ? ROWS : 0;
    f.b = e->panel;
    f.next = STRIP;
    return f;
}

/* All rows of a strip of one or two vectors: full tiles, then smaller ones. */
static void strip_rows(int m, int vectors, struct factors f, tw_real *c, size_t ldc)
{
    static const struct {
        int rows;
        void (*run[2])(int, const struct factors *, tw_real *, size_t);
    } shapes[] = {
#if ROWS == 8
        {8, {tiles_8_1, tiles_8_2}},
#else
        {6, {tiles_6_1, tiles_6_2}},
#endif
        {4, {tiles_4_1, tiles_4_2}},
        {2, {tiles_2_1, tiles_2_2}},
        {1, {tiles_1_1, tiles_1_2}},
    };
    for (int s = 0; m > 0; s++) {
        int count = m / shapes[s].rows, rows = count * shapes[s].rows;
        if (count == 0)
            continue;
        shapes[s].run[vectors - 1](count, &f, c, ldc);
        f.a += (size_t)rows * f.row;
        f.ahead += (size_t)count * f.leap;
        f.bias += f.bias ? rows : 0;
        c += (size_t)rows * ldc;
        m -= rows;
    }
}

#endif
