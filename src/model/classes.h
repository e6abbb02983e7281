/* What an event consists of: which of the optional features it has, and the values of its discrete ones.
 *
 * Each optional or discrete feature is a factor with a few levels: absent and present, or the values (and absent, the
 * last level, where a discrete feature is optional). A combination of levels is a class. Networks see a class as its
 * code: for each factor one row for each level but the first, which is 1 if the factor has that level and 0 elsewhere.
 */
#ifndef TW_MODEL_CLASSES_H
#define TW_MODEL_CLASSES_H

#include "base/real.h"
#include "model/schema.h"

struct tw_factor {
    int feature;
    int levels; /* 2 .. TW_VALUES_MAX + 1 */
};

struct tw_classes {
    int count; /* J factors, by increasing feature; 0: all events are of one class */
    struct tw_factor *factors;
    int codes;           /* E rows of the code: the sum of levels - 1 */
    int *factor_of;      /* (D): index of the feature's factor, or -1 */
    bool incomplete;     /* there is an optional feature that is not discrete */
    double combinations; /* of levels; INFINITY where a double does not hold the number */
    double log_combinations;
};

int tw_classes_init(struct tw_classes *classes, const struct tw_schema *schema);
void tw_classes_fini(struct tw_classes *classes); /* accepts a zeroed one */

/* Level of factor j for a valid value of its feature. */
int tw_classes_level(const struct tw_classes *classes, const struct tw_schema *schema, int j, float value);
/* The value that a discrete feature has at a level of factor j, NaN where absent; and of an optional feature NaN at
 * level 0 and 0 at level 1. */
float tw_classes_value(const struct tw_classes *classes, const struct tw_schema *schema, int j, int level);

/* levels (J, cols) -> code (E, cols). */
void tw_classes_code(const struct tw_classes *classes, int cols, const tw_real *levels, tw_real *code);
/* 1 where feature f is there, else 0: out (cols). */
void tw_classes_present(const struct tw_classes *classes, const struct tw_schema *schema, int f, int cols,
                        const tw_real *levels, tw_real *out);

#endif
