#include "nn/params.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "base/status.h"
#include "kernel/kernel.h"

#define ALIGN_VALUES 16 /* 64 bytes of float32 */
#define VALUES_MAX   ((size_t)1 << 31)

void tw_params_init(struct tw_params *params)
{
    memset(params, 0, sizeof *params);
}

void tw_params_fini(struct tw_params *params)
{
    free(params->tensors);
    free(params->block);
    free(params->turned);
    memset(params, 0, sizeof *params);
}

static int add(struct tw_params *params, const char *name, int dims, int rows, int cols)
{
    size_t values;

    if (rows < 0 || cols < 0 || !tw_size_mul((size_t)rows, (size_t)cols, &values) || values > VALUES_MAX ||
        params->size > VALUES_MAX || strlen(name) >= TW_TENSOR_NAME_MAX)
        return TW_NO_MEMORY;
    if (params->count == params->capacity) {
        int capacity = params->capacity ? 2 * params->capacity : 16;
        struct tw_tensor *tensors = realloc(params->tensors, (size_t)capacity * sizeof *tensors);

        if (!tensors)
            return TW_NO_MEMORY;
        params->tensors = tensors;
        params->capacity = capacity;
    }

    struct tw_tensor *tensor = &params->tensors[params->count];

    *tensor = (struct tw_tensor){
        .dims = dims, .rows = rows, .cols = cols, .offset = params->size, .turned = params->turned_size};
    snprintf(tensor->name, sizeof tensor->name, "%s", name);
    if (dims == 2)
        params->turned_size += tw_kernels_turned(rows) * (size_t)cols;
    params->size += (values + ALIGN_VALUES - 1) / ALIGN_VALUES * ALIGN_VALUES;
    return params->count++;
}

int tw_params_add(struct tw_params *params, const char *name, int rows, int cols)
{
    return add(params, name, 2, rows, cols);
}

int tw_params_add_vector(struct tw_params *params, const char *name, int count)
{
    return add(params, name, 1, 1, count);
}

int tw_params_alloc(struct tw_params *params)
{
    free(params->block);
    params->block = tw_size_alloc(params->size ? params->size : ALIGN_VALUES, sizeof *params->block);
    return params->block ? TW_OK : TW_NO_MEMORY;
}

int tw_params_copy(struct tw_params *params, const struct tw_params *from)
{
    tw_params_init(params);
    for (int i = 0; i < from->count; i++) {
        const struct tw_tensor *tensor = &from->tensors[i];

        if (add(params, tensor->name, tensor->dims, tensor->rows, tensor->cols) < 0)
            goto fail;
    }
    if (tw_params_alloc(params))
        goto fail;
    memcpy(params->block, from->block, from->size * sizeof *from->block);
    return TW_OK;

fail:
    tw_params_fini(params);
    return TW_NO_MEMORY;
}

int tw_params_turn(struct tw_params *params)
{
    free(params->turned);
    params->turned = tw_size_alloc(params->turned_size ? params->turned_size : ALIGN_VALUES, sizeof *params->turned);
    if (!params->turned)
        return TW_NO_MEMORY;
    for (int i = 0; i < params->count; i++) {
        const struct tw_tensor *tensor = &params->tensors[i];
        const tw_real *from = params->block + tensor->offset;
        tw_real *to = params->turned + tensor->turned;
        size_t stride = tw_kernels_turned(tensor->rows);

        for (int r = 0; tensor->dims == 2 && r < tensor->rows; r++)
            for (int c = 0; c < tensor->cols; c++)
                to[(size_t)c * stride + (size_t)r] = from[(size_t)r * (size_t)tensor->cols + (size_t)c];
    }
    return TW_OK;
}

const tw_real *tw_params_turned(const struct tw_params *params, int index)
{
    return params->turned ? params->turned + params->tensors[index].turned : NULL;
}

int tw_params_find(const struct tw_params *params, const char *name)
{
    for (int i = 0; i < params->count; i++)
        if (!strcmp(params->tensors[i].name, name))
            return i;
    return -1;
}

tw_real *tw_params_at(const struct tw_params *params, int index)
{
    return params->block + params->tensors[index].offset;
}

size_t tw_params_values(const struct tw_params *params)
{
    size_t sum = 0;

    for (int i = 0; i < params->count; i++)
        sum += (size_t)params->tensors[i].rows * (size_t)params->tensors[i].cols;
    return sum;
}

bool tw_params_finite(const struct tw_params *params)
{
    for (size_t i = 0; i < params->size; i++)
        if (!isfinite(params->block[i]))
            return false;
    return true;
}
