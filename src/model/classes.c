#include "model/classes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- factors --- */

int tw_classes_init(struct tw_classes *classes, const struct tw_schema *schema)
{
    size_t n = (size_t)schema->features;

    *classes = (struct tw_classes){.combinations = 1};
    classes->factors = calloc(n, sizeof *classes->factors);
    classes->factor_of = malloc(n * sizeof *classes->factor_of);
    if (!classes->factors || !classes->factor_of) {
        tw_classes_fini(classes);
        return TW_NO_MEMORY;
    }
    for (int f = 0; f < schema->features; f++) {
        const struct tw_column *column = &schema->columns[f];
        int levels = tw_schema_levels(column);

        classes->factor_of[f] = -1;
        if (levels == 1)
            continue;
        classes->incomplete |= column->kind != TW_DISCRETE;
        classes->factor_of[f] = classes->count;
        classes->factors[classes->count++] = (struct tw_factor){.feature = f, .levels = levels};
        classes->codes += levels - 1;
        classes->combinations *= levels;
        classes->log_combinations += log(levels);
    }
    return TW_OK;
}

void tw_classes_fini(struct tw_classes *classes)
{
    free(classes->factors);
    free(classes->factor_of);
    memset(classes, 0, sizeof *classes);
}

/* --- levels, values, codes --- */

int tw_classes_level(const struct tw_classes *classes, const struct tw_schema *schema, int j, float value)
{
    const struct tw_column *column = &schema->columns[classes->factors[j].feature];

    if (column->kind != TW_DISCRETE)
        return !isnan(value);
    return isnan(value) ? classes->factors[j].levels - 1 : (int)((double)value - column->min);
}

float tw_classes_value(const struct tw_classes *classes, const struct tw_schema *schema, int j, int level)
{
    const struct tw_column *column = &schema->columns[classes->factors[j].feature];

    if (column->kind != TW_DISCRETE)
        return level ? 0 : NAN;
    return column->optional && level == classes->factors[j].levels - 1 ? NAN : (float)(column->min + level);
}

void tw_classes_code(const struct tw_classes *classes, int cols, const tw_real *levels, tw_real *code)
{
    memset(code, 0, (size_t)classes->codes * (size_t)cols * sizeof *code);
    for (int j = 0; j < classes->count; j++, levels += cols) {
        for (int c = 0; c < cols; c++)
            if (levels[c] > 0)
                code[((int)levels[c] - 1) * cols + c] = 1;
        code += (classes->factors[j].levels - 1) * cols;
    }
}

void tw_classes_present(const struct tw_classes *classes, const struct tw_schema *schema, int f, int cols,
                        const tw_real *levels, tw_real *out)
{
    int j = classes->factor_of[f];

    for (int c = 0; c < cols; c++)
        out[c] = j < 0 || !isnan(tw_classes_value(classes, schema, j, (int)levels[j * cols + c]));
}
