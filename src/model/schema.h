/* What an event is: the columns of a twin, their units, roles and domains.
 *
 * Parsed from the members "features" and "conditions" of a definition; immutable afterwards.
 */
#ifndef TW_MODEL_SCHEMA_H
#define TW_MODEL_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

struct json_t;

#define TW_NAME_MAX    64 /* with the final zero */
#define TW_UNIT_MAX    32
#define TW_COLUMNS_MAX 1024
#define TW_VALUES_MAX  64 /* of a discrete feature */

enum tw_role { TW_FEATURE, TW_CONDITION, TW_TARGET, TW_LABEL, TW_WEIGHT, TW_AUX };
enum tw_column_kind { TW_REAL, TW_PERIODIC, TW_DISCRETE };
enum tw_transform { TW_STANDARDISE, TW_LOG };

/* The hard domain follows from kind, transform and bounds:
 *   periodic           any finite value, wrapped into [min, max)
 *   discrete           the integers min .. max, at most TW_VALUES_MAX of them
 *   log                (min, inf): ln(x - min)
 *   min and max, real  [min, max]: a bounded spline on a uniform base
 *   else               any finite value
 * An optional feature may also be absent, which is NaN. */
struct tw_column {
    char name[TW_NAME_MAX];
    char unit[TW_UNIT_MAX];
    enum tw_role role;
    enum tw_column_kind kind;
    enum tw_transform transform;
    bool optional;
    bool has_min, has_max;
    double min, max;
    double value; /* condition: default where a batch does not set it */
};

struct tw_schema {
    int features;   /* D; columns[0..D-1] */
    int conditions; /* C; columns[D..D+C-1] */
    struct tw_column *columns;
};

/* `features` is a JSON array, `conditions` an array or NULL. Unknown members, and more than a model can hold, give
 * TW_INVALID with a sentence that names the member. Release with _free. */
int tw_schema_parse(const struct json_t *features, const struct json_t *conditions, struct tw_schema **out,
                    struct tw_error *error);
void tw_schema_free(struct tw_schema *schema);

/* A copy to be released with _free; NULL when memory is out. */
struct tw_schema *tw_schema_copy(const struct tw_schema *schema);
/* True if names, kinds, transforms and domains of all columns agree. */
bool tw_schema_equal(const struct tw_schema *a, const struct tw_schema *b);

/* The same JSON with every default written out; new references. NULL when memory is out. */
struct json_t *tw_schema_features_json(const struct tw_schema *schema);
struct json_t *tw_schema_conditions_json(const struct tw_schema *schema);

/* True if it can name a column: letters, digits and _, not a digit first, shorter than TW_NAME_MAX. */
bool tw_schema_name_ok(const char *name);
/* What a column can be told apart by without a number (model/classes.h): its values where it is discrete, and absent or
 * there where it is optional; 1 where it is neither. */
int tw_schema_levels(const struct tw_column *column);
/* The sum of levels - 1 over the features, at most TW_COLUMNS_MAX: what a network is told of an event's class. */
int tw_schema_codes(const struct tw_schema *schema);
/* True if a feature is optional or discrete: events are of several classes. */
bool tw_schema_has_classes(const struct tw_schema *schema);

/* The conditions' default values for each of n events, (n, C); to be freed, NULL when memory is out. C must not be 0.
 */
float *tw_schema_defaults(const struct tw_schema *schema, size_t n);

/* Index of a feature or condition by name, -1 if there is none. */
int tw_schema_find(const struct tw_schema *schema, const char *name);

/* True if `value` is finite and inside the hard domain of the column, or absent where it may be. */
bool tw_schema_value_ok(const struct tw_column *column, float value);
/* A finite value of a periodic column brought into [min, max); of other columns, and where absent, as it is. */
float tw_schema_wrap(const struct tw_column *column, float value);
/* True if all D features of a row are ok. */
bool tw_schema_row_ok(const struct tw_schema *schema, const float *row);
/* Features whose values are all within [low, high] make a row that is ok; of others tw_schema_row_ok knows. (D) each.
 * For many rows: two comparisons a value. */
void tw_schema_limits(const struct tw_schema *schema, float *low, float *high);
bool tw_schema_within(int features, const float *row, const float *low, const float *high);

#endif
