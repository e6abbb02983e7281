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

bool tw_tape_push(struct tw_tape *tape, struct tw_var *result, tw_tape_vjp vjp, void *data)
{
    struct tw_tape_record *record = tw_tape_alloc(tape, sizeof *record);

    if (!record)
        return false;
    *record = (struct tw_tape_record){.previous = tape->last, .result = result, .vjp = vjp, .data = data};
    tape->last = record;
    return true;
}

static tw_real *take_spare(struct tw_tape *tape, int rows)
{
    for (struct tw_tape_spare **at = &tape->spares; *at; at = &(*at)->next)
        if ((*at)->rows == rows) {
            void *memory = *at;

            *at = (*at)->next;
            return memory;
        }
    return NULL;
}

static void drop_grad(struct tw_tape *tape, struct tw_var *var)
{
    struct tw_tape_spare *spare = (void *)var->grad;

    if (!spare || var->rows == 0)
        return;
    *spare = (struct tw_tape_spare){.next = tape->spares, .rows = var->rows};
    tape->spares = spare;
    var->grad = NULL;
}

tw_real *tw_tape_grad_fresh(struct tw_tape *tape, struct tw_var *var, bool *fresh)
{
    *fresh = false;
    if (!var || !var->needs_grad)
        return NULL;
    if (!var->grad) {
        var->grad = take_spare(tape, var->rows);
        if (!var->grad)
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

tw_real *tw_tape_param_grad(struct tw_tape *tape, int tensor, bool *fresh)
{
    *fresh = false;
    if (!tape->param_grads)
        return NULL;
    *fresh = !tape->reached[tensor];
    tape->reached[tensor] = true;
    return tape->param_grads + tape->params->tensors[tensor].offset;
}

static bool begin_params(struct tw_tape *tape)
{
    size_t count = tape->param_grads ? (size_t)tape->params->count : 0;

    tape->reached = tw_tape_alloc(tape, count * sizeof *tape->reached);
    if (tape->reached)
        memset(tape->reached, tape->adds, count * sizeof *tape->reached);
    return tape->reached;
}

/* Zeros where nothing flowed. */
static void end_params(struct tw_tape *tape)
{
    for (int t = 0; tape->param_grads && t < tape->params->count; t++) {
        const struct tw_tensor *tensor = &tape->params->tensors[t];

        if (!tape->reached[t])
            memset(tape->param_grads + tensor->offset, 0,
                   (size_t)tensor->rows * (size_t)tensor->cols * sizeof *tape->param_grads);
    }
}

bool tw_tape_backward(struct tw_tape *tape, struct tw_var *loss, const tw_real *seed)
{
    if (!loss || !begin_params(tape))
        return false;

    tw_real *grad = tw_tape_grad(tape, loss);

    for (int c = 0; grad && c < tape->cols; c++)
        grad[c] += seed[c];
    for (struct tw_tape_record *record = tape->last; record && !tape->failed; record = record->previous) {
        record->vjp(tape, record->data);
        drop_grad(tape, record->result);
    }
    end_params(tape);
    return !tape->failed;
}
