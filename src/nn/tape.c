#include "nn/tape.h"

#include <string.h>

void tw_tape_init(struct tw_tape *tape, const struct tw_kernels *kernels, struct tw_arena *arena, int cols,
                  const struct tw_params *params, tw_real *param_grads)
{
    *tape = (struct tw_tape){
        .kernels = kernels, .arena = arena, .cols = cols, .params = params, .param_grads = param_grads};
}

void *tw_tape_alloc(struct tw_tape *tape, size_t bytes)
{
    void *memory = tape->failed ? NULL : tw_arena_alloc(tape->arena, bytes ? bytes : 1);

    if (!memory)
        tape->failed = true;
    return memory;
}

tw_real *tw_tape_rows(struct tw_tape *tape, int rows)
{
    return tw_tape_alloc(tape, (size_t)rows * (size_t)tape->cols * sizeof(tw_real));
}

static struct tw_var *leaf(struct tw_tape *tape, int rows, const tw_real *value, bool needs_grad)
{
    struct tw_var *var = tw_tape_alloc(tape, sizeof *var);

    if (var)
        *var = (struct tw_var){.rows = rows, .value = value, .needs_grad = needs_grad};
    return var;
}

struct tw_var *tw_tape_input(struct tw_tape *tape, int rows, const tw_real *value)
{
    return leaf(tape, rows, value, true);
}

struct tw_var *tw_tape_constant(struct tw_tape *tape, int rows, const tw_real *value)
{
    return leaf(tape, rows, value, false);
}

struct tw_var *tw_tape_result(struct tw_tape *tape, int rows, bool needs_grad, tw_real **value)
{
    *value = tw_tape_rows(tape, rows);
    return *value ? leaf(tape, rows, *value, needs_grad) : NULL;
}

bool tw_tape_push(struct tw_tape *tape, tw_tape_vjp vjp, void *data)
{
    struct tw_tape_record *record = tw_tape_alloc(tape, sizeof *record);

    if (!record)
        return false;
    *record = (struct tw_tape_record){.previous = tape->last, .vjp = vjp, .data = data};
    tape->last = record;
    return true;
}

tw_real *tw_tape_grad_fresh(struct tw_tape *tape, struct tw_var *var, bool *fresh)
{
    *fresh = false;
    if (!var || !var->needs_grad)
        return NULL;
    if (!var->grad) {
        var->grad = tw_tape_rows(tape, var->rows);
        *fresh = true;
    }
    return var->grad;
}

tw_real *tw_tape_grad(struct tw_tape *tape, struct tw_var *var)
{
    bool fresh;
    tw_real *grad = tw_tape_grad_fresh(tape, var, &fresh);

    if (grad && fresh)
        memset(grad, 0, (size_t)var->rows * (size_t)tape->cols * sizeof *grad);
    return grad;
}

bool tw_tape_backward(struct tw_tape *tape, struct tw_var *loss, const tw_real *seed)
{
    if (!loss)
        return false;

    tw_real *grad = tw_tape_grad(tape, loss);

    for (int c = 0; grad && c < tape->cols; c++)
        grad[c] += seed[c];
    for (struct tw_tape_record *record = tape->last; record && !tape->failed; record = record->previous)
        record->vjp(tape, record->data);
    return !tape->failed;
}
