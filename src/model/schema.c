#include "model/schema.h"

#include <float.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BOUND_MAX    1e30    /* of min, max and value: leaves room in float32 */
#define DISCRETE_MAX 1000000 /* exact in float32 */

/* --- parsing: one member at a time, each refusal names the member --- */

struct reader {
    const char *list; /* "features" or "conditions" */
    size_t index;
    struct tw_error *error;
};

#define REFUSE(reader, format, ...)                                                                                    \
    tw_error_set((reader)->error, TW_INVALID, "%s[%zu]: " format, (reader)->list, (reader)->index, ##__VA_ARGS__)

bool tw_schema_name_ok(const char *name)
{
    if (!*name || strlen(name) >= TW_NAME_MAX)
        return false;
    for (const char *c = name; *c; c++)
        if (!(*c == '_' || (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
              (c > name && *c >= '0' && *c <= '9')))
            return false;
    return true;
}

static int read_text(const struct reader *r, const json_t *value, const char *member, size_t size, char *out)
{
    const char *text = json_string_value(value);

    if (!text || json_string_length(value) != strlen(text) || strlen(text) >= size)
        return REFUSE(r, "%s must be a string of at most %zu bytes", member, size - 1);
    strcpy(out, text);
    return TW_OK;
}

static int read_number(const struct reader *r, const json_t *value, const char *member, double *out)
{
    double number = json_number_value(value);

    if (!json_is_number(value) || !isfinite(number) || fabs(number) > BOUND_MAX)
        return REFUSE(r, "%s must be a number of at most %g", member, BOUND_MAX);
    *out = number;
    return TW_OK;
}

static int read_kind(const struct reader *r, const json_t *value, struct tw_column *column)
{
    const char *text = json_string_value(value);

    if (text && !strcmp(text, "real"))
        column->kind = TW_REAL;
    else if (text && !strcmp(text, "periodic"))
        column->kind = TW_PERIODIC;
    else if (text && !strcmp(text, "discrete"))
        column->kind = TW_DISCRETE;
    else
        return REFUSE(r, "kind must be \"real\", \"periodic\" or \"discrete\"");
    return TW_OK;
}

static int read_transform(const struct reader *r, const json_t *value, struct tw_column *column)
{
    const char *text = json_string_value(value);

    if (text && !strcmp(text, "standardise"))
        column->transform = TW_STANDARDISE;
    else if (text && !strcmp(text, "log"))
        column->transform = TW_LOG;
    else
        return REFUSE(r, "transform must be \"standardise\" or \"log\"");
    return TW_OK;
}

static int read_member(const struct reader *r, const char *member, const json_t *value, struct tw_column *column)
{
    bool feature = column->role == TW_FEATURE;

    if (!strcmp(member, "name")) {
        if (!json_is_string(value) || !tw_schema_name_ok(json_string_value(value)))
            return REFUSE(r, "name must be letters, digits and _, at most %d, and not begin with a digit",
                          TW_NAME_MAX - 1);
        return read_text(r, value, "name", TW_NAME_MAX, column->name);
    }
    if (!strcmp(member, "unit"))
        return read_text(r, value, "unit", TW_UNIT_MAX, column->unit);
    if (!strcmp(member, "min")) {
        column->has_min = true;
        return read_number(r, value, "min", &column->min);
    }
    if (!strcmp(member, "max")) {
        column->has_max = true;
        return read_number(r, value, "max", &column->max);
    }
    if (!feature && !strcmp(member, "value"))
        return read_number(r, value, "value", &column->value);
    if (feature && !strcmp(member, "kind"))
        return read_kind(r, value, column);
    if (feature && !strcmp(member, "transform"))
        return read_transform(r, value, column);
    if (feature && !strcmp(member, "optional")) {
        column->optional = json_is_true(value);
        return json_is_boolean(value) ? TW_OK : REFUSE(r, "optional must be true or false");
    }
    return REFUSE(r, "unknown member \"%.60s\"", member);
}

static int check_discrete(const struct reader *r, const struct tw_column *column)
{
    if (!column->has_min || !column->has_max || column->min != rint(column->min) || column->max != rint(column->max) ||
        fabs(column->min) > DISCRETE_MAX || fabs(column->max) > DISCRETE_MAX)
        return REFUSE(r, "a discrete feature needs min and max, integers of at most %d (%s)", DISCRETE_MAX,
                      column->name);
    if (column->max - column->min >= TW_VALUES_MAX)
        return REFUSE(r, "a discrete feature has at most %d values (%s)", TW_VALUES_MAX, column->name);
    if (column->transform == TW_LOG)
        return REFUSE(r, "transform \"log\" does not go with kind \"discrete\" (%s)", column->name);
    return TW_OK;
}

/* What the members say together. */
static int check_column(const struct reader *r, const json_t *json, struct tw_column *column)
{
    if (!column->name[0])
        return REFUSE(r, "name is missing");
    if (column->has_min && column->has_max && !((float)column->min < (float)column->max))
        return REFUSE(r, "min must be below max (%s)", column->name);
    if (column->role == TW_CONDITION) {
        if (!json_object_get(json, "value"))
            column->value = column->has_min && column->has_max ? 0.5 * (column->min + column->max) : column->min;
        return TW_OK;
    }
    if (column->kind == TW_DISCRETE)
        return check_discrete(r, column);
    if (column->kind == TW_PERIODIC && !(column->has_min && column->has_max))
        return REFUSE(r, "a periodic feature needs min and max (%s)", column->name);
    if (column->kind == TW_PERIODIC && column->transform == TW_LOG)
        return REFUSE(r, "transform \"log\" does not go with kind \"periodic\" (%s)", column->name);
    if (column->transform == TW_LOG && column->has_max)
        return REFUSE(r, "max with transform \"log\" is not built yet (%s)", column->name);
    if (column->transform == TW_LOG)
        column->has_min = true; /* 0 where none was given */
    return TW_OK;
}

static int parse_list(const json_t *list, const char *name, enum tw_role role, struct tw_column *columns,
                      struct tw_error *error)
{
    size_t i;
    json_t *item;

    json_array_foreach(list, i, item)
    {
        struct reader reader = {.list = name, .index = i, .error = error};
        const char *member;
        json_t *value;

        if (!json_is_object(item))
            return REFUSE(&reader, "must be an object");
        columns[i].role = role;
        json_object_foreach(item, member, value)
        {
            int status = read_member(&reader, member, value, &columns[i]);

            if (status)
                return status;
        }

        int status = check_column(&reader, item, &columns[i]);

        if (status)
            return status;
    }
    return TW_OK;
}

static int check_names(const struct tw_schema *schema, struct tw_error *error)
{
    int n = schema->features + schema->conditions;

    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++)
            if (!strcmp(schema->columns[i].name, schema->columns[j].name))
                return tw_error_set(error, TW_INVALID, "%s: name \"%s\" is taken twice",
                                    i < schema->features ? "features" : "conditions", schema->columns[i].name);
    return TW_OK;
}

int tw_schema_levels(const struct tw_column *column)
{
    if (column->kind == TW_DISCRETE)
        return (int)(column->max - column->min) + 1 + column->optional;
    return column->optional ? 2 : 1;
}

int tw_schema_codes(const struct tw_schema *schema)
{
    int sum = 0;

    for (int i = 0; i < schema->features; i++)
        sum += tw_schema_levels(&schema->columns[i]) - 1;
    return sum;
}

int tw_schema_parse(const struct json_t *features, const struct json_t *conditions, struct tw_schema **out,
                    struct tw_error *error)
{
    *out = NULL;
    if (!json_is_array(features) || json_array_size(features) == 0)
        return tw_error_set(error, TW_INVALID, "features must be an array with at least one feature");
    if (conditions && !json_is_null(conditions) && !json_is_array(conditions))
        return tw_error_set(error, TW_INVALID, "conditions must be an array");
    if (json_array_size(features) + json_array_size(conditions) > TW_COLUMNS_MAX)
        return tw_error_set(error, TW_INVALID, "features and conditions: at most %d", TW_COLUMNS_MAX);

    struct tw_schema *schema = calloc(1, sizeof *schema);
    int status = TW_NO_MEMORY;

    if (!schema)
        return TW_NO_MEMORY;
    schema->features = (int)json_array_size(features);
    schema->conditions = (int)json_array_size(conditions);
    schema->columns = calloc((size_t)(schema->features + schema->conditions), sizeof *schema->columns);
    if (!schema->columns)
        goto fail;
    status = parse_list(features, "features", TW_FEATURE, schema->columns, error);
    if (!status)
        status = parse_list(conditions, "conditions", TW_CONDITION, schema->columns + schema->features, error);
    if (!status)
        status = check_names(schema, error);
    if (!status && tw_schema_codes(schema) > TW_COLUMNS_MAX)
        status =
            tw_error_set(error, TW_INVALID, "features: the values of discrete ones are more than %d", TW_COLUMNS_MAX);
    if (status)
        goto fail;
    *out = schema;
    return TW_OK;

fail:
    tw_schema_free(schema);
    return status;
}

void tw_schema_free(struct tw_schema *schema)
{
    if (!schema)
        return;
    free(schema->columns);
    free(schema);
}

struct tw_schema *tw_schema_copy(const struct tw_schema *schema)
{
    size_t n = (size_t)(schema->features + schema->conditions);
    struct tw_schema *copy = malloc(sizeof *copy);
    struct tw_column *columns = malloc(n * sizeof *columns);

    if (!copy || !columns) {
        free(copy);
        free(columns);
        return NULL;
    }
    *copy = *schema;
    copy->columns = columns;
    memcpy(columns, schema->columns, n * sizeof *columns);
    return copy;
}

bool tw_schema_equal(const struct tw_schema *a, const struct tw_schema *b)
{
    if (a->features != b->features || a->conditions != b->conditions)
        return false;
    for (int i = 0; i < a->features + a->conditions; i++) {
        const struct tw_column *p = &a->columns[i], *q = &b->columns[i];

        if (strcmp(p->name, q->name) || p->role != q->role || p->kind != q->kind || p->transform != q->transform ||
            p->optional != q->optional || p->has_min != q->has_min || p->has_max != q->has_max || p->min != q->min ||
            p->max != q->max)
            return false;
    }
    return true;
}

/* --- back to JSON --- */

static const char *const kind_names[] = {[TW_REAL] = "real", [TW_PERIODIC] = "periodic", [TW_DISCRETE] = "discrete"};

static json_t *column_json(const struct tw_column *column)
{
    json_t *json = json_pack("{s:s, s:s}", "name", column->name, "unit", column->unit);

    if (!json)
        return NULL;
    if (column->role == TW_FEATURE) {
        json_object_set_new(json, "kind", json_string(kind_names[column->kind]));
        json_object_set_new(json, "transform", json_string(column->transform == TW_LOG ? "log" : "standardise"));
        if (column->optional) /* left out otherwise: artifacts that know nothing of it keep their bytes */
            json_object_set_new(json, "optional", json_true());
    }
    if (column->has_min)
        json_object_set_new(json, "min", json_real(column->min));
    if (column->has_max)
        json_object_set_new(json, "max", json_real(column->max));
    if (column->role == TW_CONDITION)
        json_object_set_new(json, "value", json_real(column->value));
    return json;
}

static json_t *columns_json(const struct tw_column *columns, int count)
{
    json_t *array = json_array();

    for (int i = 0; array && i < count; i++)
        if (json_array_append_new(array, column_json(&columns[i]))) {
            json_decref(array);
            return NULL;
        }
    return array;
}

struct json_t *tw_schema_features_json(const struct tw_schema *schema)
{
    return columns_json(schema->columns, schema->features);
}

struct json_t *tw_schema_conditions_json(const struct tw_schema *schema)
{
    return columns_json(schema->columns + schema->features, schema->conditions);
}

bool tw_schema_has_classes(const struct tw_schema *schema)
{
    return tw_schema_codes(schema) > 0;
}

float *tw_schema_defaults(const struct tw_schema *schema, size_t n)
{
    size_t c = (size_t)schema->conditions;
    float *values = calloc(n ? n : 1, c * sizeof *values);

    for (size_t i = 0; values && i < n * c; i++)
        values[i] = (float)schema->columns[(size_t)schema->features + i % c].value;
    return values;
}

int tw_schema_find(const struct tw_schema *schema, const char *name)
{
    for (int i = 0; i < schema->features + schema->conditions; i++)
        if (!strcmp(schema->columns[i].name, name))
            return i;
    return -1;
}

bool tw_schema_value_ok(const struct tw_column *column, float value)
{
    double x = (double)value;

    if (!isfinite(x))
        return column->optional && isnan(x);
    if (column->kind == TW_PERIODIC)
        return true;
    if (column->kind == TW_DISCRETE)
        return x == rint(x) && x >= column->min && x <= column->max;
    if (column->transform == TW_LOG)
        return x > column->min;
    /* in float32, as the rows are: an edge such as 2.4 rounds outward, and values that sit on it belong to it */
    return !(column->has_min && column->has_max) || (value >= (float)column->min && value <= (float)column->max);
}

float tw_schema_wrap(const struct tw_column *column, float value)
{
    double turn = column->max - column->min;

    if (column->kind != TW_PERIODIC || isnan(value) || (value >= column->min && value < column->max))
        return value;

    double phase = fmod((double)value - column->min, turn); /* exact, however far away the value is */
    float wrapped = (float)(column->min + (phase < 0 ? phase + turn : phase));

    /* rounding to float may step over either end */
    while (wrapped >= column->max)
        wrapped = nextafterf(wrapped, -INFINITY);
    while (wrapped < column->min)
        wrapped = nextafterf(wrapped, INFINITY);
    return wrapped;
}

bool tw_schema_row_ok(const struct tw_schema *schema, const float *row)
{
    for (int i = 0; i < schema->features; i++)
        if (!tw_schema_value_ok(&schema->columns[i], row[i]))
            return false;
    return true;
}

void tw_schema_limits(const struct tw_schema *schema, float *low, float *high)
{
    for (int i = 0; i < schema->features; i++) {
        const struct tw_column *column = &schema->columns[i];

        low[i] = -FLT_MAX;
        high[i] = FLT_MAX;
        if (column->kind == TW_DISCRETE) { /* nothing is certain */
            low[i] = FLT_MAX;
            high[i] = -FLT_MAX;
        } else if (column->kind != TW_PERIODIC && column->transform == TW_LOG) {
            low[i] = nextafterf((float)column->min, FLT_MAX); /* however the edge was rounded */
        } else if (column->kind != TW_PERIODIC && column->has_min && column->has_max) {
            low[i] = (float)column->min;
            high[i] = (float)column->max;
        }
    }
}

bool tw_schema_within(int features, const float *row, const float *low, const float *high)
{
    unsigned out = 0;

    for (int i = 0; i < features; i++)
        out |= !(row[i] >= low[i]) | !(row[i] <= high[i]);
    return !out;
}
