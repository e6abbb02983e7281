#include "model/observables.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "hep/expression.h"

#define REFUSE(error, index, format, ...)                                                                              \
    tw_error_set(error, TW_INVALID, "observables[%zu]: " format, index, ##__VA_ARGS__)

/* --- reading --- */

static const char *text_of(const json_t *value)
{
    const char *text = json_string_value(value);

    return text && strlen(text) == json_string_length(value) ? text : NULL;
}

static int read_bound(const json_t *value, const char *member, size_t index, bool *has, double *out,
                      struct tw_error *error)
{
    *has = true;
    *out = json_number_value(value);
    if (!json_is_number(value) || !(fabs(*out) <= 1e30))
        return REFUSE(error, index, "%s must be a number of at most 1e30", member);
    return TW_OK;
}

static int read_member(const char *member, const json_t *value, size_t index, struct tw_observable *o,
                       struct tw_error *error)
{
    const char *text = text_of(value);

    if (!strcmp(member, "name")) {
        if (!text || !tw_schema_name_ok(text))
            return REFUSE(error, index, "name must be letters, digits and _, at most %d, and not begin with a digit",
                          TW_NAME_MAX - 1);
        strcpy(o->name, text);
    } else if (!strcmp(member, "unit")) {
        if (!text || strlen(text) >= TW_UNIT_MAX)
            return REFUSE(error, index, "unit must be a string of at most %d bytes", TW_UNIT_MAX - 1);
        strcpy(o->unit, text);
    } else if (!strcmp(member, "expression")) {
        if (!text)
            return REFUSE(error, index, "expression must be a string");
        o->text = strdup(text);
        return o->text ? TW_OK : TW_NO_MEMORY;
    } else if (!strcmp(member, "min")) {
        return read_bound(value, "min", index, &o->has_min, &o->min, error);
    } else if (!strcmp(member, "max")) {
        return read_bound(value, "max", index, &o->has_max, &o->max, error);
    } else {
        return REFUSE(error, index, "unknown member \"%.60s\"", member);
    }
    return TW_OK;
}

static int read_members(const json_t *json, size_t index, struct tw_observable *o, struct tw_error *error)
{
    const char *member;
    json_t *value;

    if (!json_is_object(json))
        return REFUSE(error, index, "must be an object");
    json_object_foreach((json_t *)json, member, value)
    {
        int status = read_member(member, value, index, o, error);

        if (status)
            return status;
    }
    if (!o->name[0] || !o->text)
        return REFUSE(error, index, "%s is missing", o->name[0] ? "expression" : "name");
    if (o->has_min && o->has_max && !(o->min < o->max))
        return REFUSE(error, index, "min must be below max (%s)", o->name);
    return TW_OK;
}

/* `names`: features, conditions, and the observables before this one; this one is added. */
static int read_observable(const json_t *json, size_t index, const char **names, int *count, struct tw_observable *o,
                           struct tw_error *error)
{
    struct tw_error why = {""};
    int status = read_members(json, index, o, error);

    if (status)
        return status;
    for (int i = 0; i < *count; i++)
        if (!strcmp(names[i], o->name))
            return REFUSE(error, index, "name \"%s\" is taken twice", o->name);
    status = tw_expression_parse(o->text, names, *count, &o->expression, &why);
    if (status == TW_INVALID)
        return REFUSE(error, index, "%.40s: expression, %s", o->name, why.text);
    names[(*count)++] = o->name;
    return status;
}

/* --- the extended schema --- */

/* Something that observable i is made of may be absent, and then so may it be. */
static bool may_be_absent(const struct tw_observables *o, const struct tw_schema *schema,
                          const struct tw_schema *extended, int i)
{
    const struct tw_expression *expression = o->items[i].expression;
    int d = schema->features, before = d + schema->conditions;

    for (int f = 0; f < d; f++)
        if (schema->columns[f].optional && tw_expression_uses(expression, f))
            return true;
    for (int k = 0; k < i; k++)
        if (extended->columns[d + k].optional && tw_expression_uses(expression, before + k))
            return true;
    return false;
}

static void extend_schema(const struct tw_observables *o, const struct tw_schema *schema, struct tw_schema *extended)
{
    size_t d = (size_t)schema->features, c = (size_t)schema->conditions, n = (size_t)o->count;

    extended->features = schema->features + o->count;
    extended->conditions = schema->conditions;
    memcpy(extended->columns, schema->columns, d * sizeof *schema->columns);
    for (int i = 0; i < o->count; i++) {
        struct tw_column *column = &extended->columns[schema->features + i];

        *column = (struct tw_column){.role = TW_FEATURE, .kind = TW_REAL, .transform = TW_STANDARDISE};
        strcpy(column->name, o->items[i].name);
        strcpy(column->unit, o->items[i].unit);
        column->optional = may_be_absent(o, schema, extended, i);
    }
    memcpy(extended->columns + d + n, schema->columns + d, c * sizeof *schema->columns);
}

static int allocate(struct tw_observables *o, const struct tw_schema *schema)
{
    o->items = calloc((size_t)o->count + 1, sizeof *o->items);
    o->extended = calloc(1, sizeof *o->extended);
    if (!o->items || !o->extended)
        return TW_NO_MEMORY;
    o->extended->columns =
        calloc((size_t)(schema->features + o->count + schema->conditions), sizeof *o->extended->columns);
    return o->extended->columns ? TW_OK : TW_NO_MEMORY;
}

int tw_observables_parse(const struct json_t *json, const struct tw_schema *schema, struct tw_observables **out,
                         struct tw_error *error)
{
    int columns = schema->features + schema->conditions;

    *out = NULL;
    if (json && !json_is_array(json))
        return tw_error_set(error, TW_INVALID, "observables must be an array");
    if (json_array_size(json) > TW_OBSERVABLES_MAX)
        return tw_error_set(error, TW_INVALID, "observables: at most %d", TW_OBSERVABLES_MAX);

    struct tw_observables *o = calloc(1, sizeof *o);
    const char **names = tw_size_alloc((size_t)columns + TW_OBSERVABLES_MAX, sizeof *names);
    int status = TW_NO_MEMORY;

    if (!o || !names)
        goto done;
    o->references = 1;
    o->count = (int)json_array_size(json);
    status = allocate(o, schema);
    for (int i = 0; i < columns; i++)
        names[i] = schema->columns[i].name;
    for (size_t i = 0; !status && i < (size_t)o->count; i++)
        status = read_observable(json_array_get(json, i), i, names, &columns, &o->items[i], error);
    if (!status)
        extend_schema(o, schema, o->extended);
done:
    free(names);
    if (status) {
        tw_observables_unref(o);
        return status;
    }
    *out = o;
    return TW_OK;
}

struct tw_observables *tw_observables_ref(struct tw_observables *observables)
{
    __atomic_add_fetch(&observables->references, 1, __ATOMIC_RELAXED);
    return observables;
}

void tw_observables_unref(struct tw_observables *observables)
{
    if (!observables || __atomic_sub_fetch(&observables->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (int i = 0; observables->items && i < observables->count; i++) {
        free(observables->items[i].text);
        tw_expression_free(observables->items[i].expression);
    }
    free(observables->items);
    tw_schema_free(observables->extended);
    free(observables);
}

struct json_t *tw_observables_json(const struct tw_observables *observables)
{
    json_t *array = json_array();

    for (int i = 0; array && i < observables->count; i++) {
        const struct tw_observable *o = &observables->items[i];
        json_t *json = json_pack("{s:s, s:s, s:s}", "name", o->name, "unit", o->unit, "expression", o->text);

        if (json && o->has_min)
            json_object_set_new(json, "min", json_real(o->min));
        if (json && o->has_max)
            json_object_set_new(json, "max", json_real(o->max));
        if (json_array_append_new(array, json)) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

/* --- rows --- */

/* Computes the observables of rows (n, D + count) whose features are there; of conditions (n, C), or of one row of them
 * for all. */
static int compute(const struct tw_observables *observables, size_t n, const float *conditions, bool same, float *rows)
{
    size_t c = (size_t)observables->extended->conditions, count = (size_t)observables->count;
    size_t width = (size_t)observables->extended->features, d = width - count;
    struct tw_expression_column *columns = tw_size_alloc(width + c, sizeof *columns);
    int status = columns ? TW_OK : TW_NO_MEMORY;

    for (size_t i = 0; i < d && !status; i++)
        columns[i] = (struct tw_expression_column){rows + i, width};
    for (size_t i = 0; i < c && !status; i++)
        columns[d + i] = (struct tw_expression_column){conditions + i, same ? 0 : c};
    for (size_t k = 0; k < count && !status; k++) {
        columns[d + c + k] = (struct tw_expression_column){rows + d + k, width};
        status = tw_expression_eval(observables->items[k].expression, columns, n, rows + d + k, width);
    }
    free(columns);
    return status;
}

int tw_observables_extend(const struct tw_observables *observables, const struct tw_data *from, struct tw_data *to)
{
    size_t c = (size_t)from->schema->conditions, first = to->rows;
    int status = tw_data_append_wider(to, from);

    return status ? status
                  : compute(observables, from->rows, to->conditions + first * c, false,
                            to->features + first * (size_t)observables->extended->features);
}

int tw_observables_rows(const struct tw_observables *observables, size_t n, const float *values,
                        const float *conditions, float *out)
{
    const struct tw_schema *extended = observables->extended;
    size_t width = (size_t)extended->features, d = width - (size_t)observables->count;
    float defaults[TW_COLUMNS_MAX];

    for (int c = 0; c < extended->conditions; c++)
        defaults[c] = (float)extended->columns[extended->features + c].value;
    for (size_t i = 0; i < n; i++)
        memcpy(out + i * width, values + i * d, d * sizeof *out);
    return compute(observables, n, conditions ? conditions : defaults, !conditions, out);
}
