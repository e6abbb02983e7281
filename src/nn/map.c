#include "nn/map.h"

enum arithmetic { ADD, SUB, MUL };

struct binary {
    enum arithmetic op;
    struct tw_var *a, *b, *y;
};

static void binary_vjp(struct tw_tape *tape, void *data)
{
    struct binary *o = data;
    size_t cols = (size_t)tape->cols;

    if (!o->y->grad)
        return;

    tw_real *ga = tw_tape_grad(tape, o->a), *gb = tw_tape_grad(tape, o->b);

    for (int i = 0; i < o->y->rows; i++) {
        size_t at = (size_t)i * cols, bt = o->b->rows == 1 ? 0 : at;
        const tw_real *gy = o->y->grad + at, *a = o->a->value + at, *b = o->b->value + bt;

        for (size_t c = 0; ga && c < cols; c++)
            ga[at + c] += o->op == MUL ? gy[c] * b[c] : gy[c];
        for (size_t c = 0; gb && c < cols; c++)
            gb[bt + c] += o->op == MUL ? gy[c] * a[c] : o->op == SUB ? -gy[c] : gy[c];
    }
}

static struct tw_var *binary(struct tw_tape *tape, enum arithmetic op, struct tw_var *a, struct tw_var *b)
{
    size_t cols = (size_t)tape->cols;
    tw_real *value;

    if (!a || !b)
        return NULL;

    bool record = a->needs_grad || b->needs_grad;
    struct tw_var *y = tw_tape_result(tape, a->rows, record, &value);
    struct binary *o = tw_tape_alloc(tape, sizeof *o);

    if (!y || !o)
        return NULL;
    for (int i = 0; i < a->rows; i++) {
        const tw_real *p = a->value + (size_t)i * cols, *q = b->value + (b->rows == 1 ? 0 : (size_t)i * cols);
        tw_real *to = value + (size_t)i * cols;

        for (size_t c = 0; c < cols; c++)
            to[c] = op == ADD ? p[c] + q[c] : op == SUB ? p[c] - q[c] : p[c] * q[c];
    }
    *o = (struct binary){.op = op, .a = a, .b = b, .y = y};
    return !record || tw_tape_push(tape, y, binary_vjp, o) ? y : NULL;
}

struct tw_var *tw_map_add(struct tw_tape *tape, struct tw_var *a, struct tw_var *b)
{
    return binary(tape, ADD, a, b);
}

struct tw_var *tw_map_sub(struct tw_tape *tape, struct tw_var *a, struct tw_var *b)
{
    return binary(tape, SUB, a, b);
}

struct tw_var *tw_map_mul(struct tw_tape *tape, struct tw_var *a, struct tw_var *b)
{
    return binary(tape, MUL, a, b);
}

struct tw_var *tw_map_stop_gradient(struct tw_tape *tape, struct tw_var *x)
{
    return x ? tw_tape_constant(tape, x->rows, x->value) : NULL;
}
