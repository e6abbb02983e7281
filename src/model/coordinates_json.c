/* The JSON of coordinates: one reader for each member, then what the members say together. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/columns.h"
#include "model/coordinates_parts.h"

void tw_coordinates_free(struct tw_coordinates *coordinates)
{
    if (!coordinates)
        return;
    json_decref(coordinates->json);
    free(coordinates);
}

struct json_t *tw_coordinates_json(const struct tw_coordinates *coordinates)
{
    return json_deep_copy(coordinates->json);
}

/* --- members --- */

struct reader {
    const struct tw_schema *schema;
    const struct tw_coordinates *before; /* those that stand earlier in the list */
    size_t index;
    struct tw_error *error;
};

#define REFUSE(reader, format, ...)                                                                                    \
    tw_error_set((reader)->error, TW_INVALID, "model: coordinates[%zu]: " format, (reader)->index, ##__VA_ARGS__)

static bool find_feature(const struct reader *r, const json_t *value, int *f)
{
    *f = json_is_string(value) ? tw_schema_find(r->schema, json_string_value(value)) : -1;
    return *f >= 0 && *f < r->schema->features;
}

static int check_there(const struct reader *r, int f)
{
    const struct tw_column *column = &r->schema->columns[f];

    return column->optional || column->kind == TW_DISCRETE
               ? REFUSE(r, "of: feature %s is %s", column->name, column->optional ? "optional" : "discrete")
               : TW_OK;
}

static bool is_positive(const struct reader *r, int f)
{
    const struct tw_column *column = &r->schema->columns[f];

    return column->transform == TW_LOG && column->min >= 0;
}

static int read_particle(const struct reader *r, const json_t *value, struct tw_coordinate_particle *p)
{
    const json_t *mass = json_array_get(value, 3);
    const struct tw_column *columns = r->schema->columns;
    int status;

    *p = (struct tw_coordinate_particle){.mass = -1};
    if (json_array_size(value) != 4 || !find_feature(r, json_array_get(value, 0), &p->pt) ||
        !find_feature(r, json_array_get(value, 1), &p->eta) || !find_feature(r, json_array_get(value, 2), &p->phi))
        return REFUSE(r, "of: a particle is [pt, eta, phi, mass], names of features; mass may be a number");
    if ((status = check_there(r, p->pt)) || (status = check_there(r, p->eta)) || (status = check_there(r, p->phi)))
        return status;
    if (!is_positive(r, p->pt))
        return REFUSE(r, "of: feature %s needs transform \"log\" and a min of at least 0", columns[p->pt].name);
    if (tw_columns_kind(&columns[p->eta]) == TW_TRANSFORM_PERIODIC)
        return REFUSE(r, "of: feature %s must not be periodic", columns[p->eta].name);
    if (columns[p->phi].kind != TW_PERIODIC)
        return REFUSE(r, "of: feature %s must be periodic", columns[p->phi].name);
    p->circle = (struct tw_transform_column){
        .kind = TW_TRANSFORM_PERIODIC, .min = columns[p->phi].min, .max = columns[p->phi].max};
    if (json_is_number(mass)) {
        p->number = json_number_value(mass);
        return p->number >= 0 && p->number <= 1e6 ? TW_OK : REFUSE(r, "of: a mass must be a number from 0 to 1e6");
    }
    if (!find_feature(r, mass, &p->mass) || !is_positive(r, p->mass))
        return REFUSE(r, "of: a mass must be a number, or a feature with transform \"log\" and a min of at least 0");
    return check_there(r, p->mass);
}

static int read_particles(const struct reader *r, const json_t *value, struct tw_coordinate *c)
{
    size_t n = json_array_size(value);

    if (n < 2 || n > TW_COORDINATES_PARTICLES_MAX)
        return REFUSE(r, "of must be an array of 2 to %d particles", TW_COORDINATES_PARTICLES_MAX);
    for (size_t i = 0; i < n; i++) {
        int status = read_particle(r, json_array_get(value, i), &c->of[i]);

        if (status)
            return status;
        if (r->schema->columns[c->of[i].phi].min != r->schema->columns[c->of[0].phi].min ||
            r->schema->columns[c->of[i].phi].max != r->schema->columns[c->of[0].phi].max)
            return REFUSE(r, "of: all angles must have the same min and max");
    }
    c->count = (int)n;
    return TW_OK;
}

static int read_positive(const struct reader *r, const json_t *value, const char *member, double *out)
{
    *out = json_number_value(value);
    return json_is_number(value) && *out > 0 && *out <= 1e9 ? TW_OK
                                                            : REFUSE(r, "%s must be a number above 0, to 1e9", member);
}

static int read_peak(const struct reader *r, const json_t *value, struct tw_peak *peak)
{
    if (json_is_null(value))
        return TW_OK;
    if (!json_is_object(value) || json_object_size(value) != 2)
        return REFUSE(r, "peak must be {\"at\", \"width\"}");

    int status = read_positive(r, json_object_get(value, "at"), "peak: at", &peak->at);

    if (!status)
        status = read_positive(r, json_object_get(value, "width"), "peak: width", &peak->width);
    return !status && peak->width < 1e-6 * peak->at ? REFUSE(r, "peak: width must be at least 1e-6 of at") : status;
}

static int read_name(const struct reader *r, const json_t *value)
{
    const char *name = json_string_value(value);

    if (!name || !tw_schema_name_ok(name))
        return REFUSE(r, "name must be letters, digits and _, at most %d, and not begin with a digit", TW_NAME_MAX - 1);
    if (tw_schema_find(r->schema, name) >= 0)
        return REFUSE(r, "name \"%s\" is taken by a column", name);
    for (size_t k = 0; k < r->index; k++)
        if (!strcmp(json_string_value(json_object_get(json_array_get(r->before->json, k), "name")), name))
            return REFUSE(r, "name \"%s\" is taken twice", name);
    return TW_OK;
}

static int read_kind(const struct reader *r, const json_t *value, enum tw_coordinate_kind *kind)
{
    const char *text = json_string_value(value);

    if (text && !strcmp(text, "mass"))
        *kind = TW_COORDINATE_MASS;
    else if (text && !strcmp(text, "pair"))
        *kind = TW_COORDINATE_PAIR;
    else if (text && !strcmp(text, "difference"))
        *kind = TW_COORDINATE_DIFFERENCE;
    else
        return REFUSE(r, "kind must be \"mass\", \"pair\" or \"difference\"");
    return TW_OK;
}

static int read_member(const struct reader *r, const char *member, const json_t *value, struct tw_coordinate *c)
{
    if (!strcmp(member, "name"))
        return read_name(r, value);
    if (!strcmp(member, "kind"))
        return read_kind(r, value, &c->kind);
    if (!strcmp(member, "of"))
        return TW_OK; /* belongs to the kind */
    if (!strcmp(member, "replaces"))
        return TW_OK; /* too */
    if (!strcmp(member, "peak"))
        return read_peak(r, value, &c->peak);
    if (!strcmp(member, "min"))
        return json_is_number(value) && json_number_value(value) == 0 ? TW_OK : read_positive(r, value, "min", &c->min);
    return REFUSE(r, "unknown member \"%.60s\"", member);
}

/* --- what the members say together --- */

static int occurs(const struct tw_coordinate_particle *p, int f)
{
    return (p->pt == f) + (p->eta == f) + (p->phi == f) + (p->mass == f);
}

static int occurs_in(const struct tw_coordinate *c, int f)
{
    int sum = c->kind == TW_COORDINATE_DIFFERENCE ? (c->features[0] == f) + (c->minus == f) : 0;

    for (int i = 0; i < c->count; i++)
        sum += occurs(&c->of[i], f);
    return sum;
}

/* Mass: brings the particle whose pt is replaced to the end. */
static int order_mass(const struct reader *r, const json_t *json, struct tw_coordinate *c)
{
    int last = c->count - 1, at = last, f;

    if (!find_feature(r, json_object_get(json, "replaces"), &f))
        return REFUSE(r, "replaces must be the name of a feature");
    for (int i = 0; i < c->count; i++)
        at = c->of[i].pt == f ? i : at;

    struct tw_coordinate_particle opened = c->of[at];

    c->of[at] = c->of[last];
    c->of[last] = opened;
    if (opened.pt != f)
        return REFUSE(r, "replaces: feature %s must be the pt of a particle in \"of\"", r->schema->columns[f].name);
    c->open = r->schema->columns[f].min;
    c->features[0] = f;
    c->slots = 1;
    return TW_OK;
}

/* Pair: what it replaces has to be free to take any value. */
static int order_pair(const struct reader *r, struct tw_coordinate *c)
{
    if (c->count != 2)
        return REFUSE(r, "of must be an array of two particles");
    for (int i = 0; i < 2; i++) {
        const struct tw_column *pt = &r->schema->columns[c->of[i].pt], *eta = &r->schema->columns[c->of[i].eta];

        if (pt->min != 0)
            return REFUSE(r, "of: feature %s must have a min of 0; with a cut on it, declare a \"mass\"", pt->name);
        if (tw_columns_kind(eta) != TW_TRANSFORM_REAL)
            return REFUSE(r,
                          "of: feature %s must not have both min and max, nor log; with a cut on it, declare a "
                          "\"mass\"",
                          eta->name);
        c->features[3 * i] = c->of[i].pt;
        c->features[3 * i + 1] = c->of[i].eta;
        c->features[3 * i + 2] = c->of[i].phi;
    }
    c->slots = 6;
    return TW_OK;
}

/* Difference: two real features, or two angles of one circle. */
static int read_difference(const struct reader *r, const json_t *json, struct tw_coordinate *c)
{
    const json_t *of = json_object_get(json, "of");
    const struct tw_column *first, *second;

    if (json_object_get(json, "peak") || json_object_get(json, "min"))
        return REFUSE(r, "a difference has neither peak nor min");
    if (json_array_size(of) != 2 || !find_feature(r, json_array_get(of, 0), &c->features[0]) ||
        !find_feature(r, json_array_get(of, 1), &c->minus))
        return REFUSE(r, "of must be an array of two names of features");
    first = &r->schema->columns[c->features[0]];
    second = &r->schema->columns[c->minus];
    if (first->kind == TW_DISCRETE)
        return REFUSE(r, "of: feature %s is discrete", first->name);
    c->angles = first->kind == TW_PERIODIC && second->kind == TW_PERIODIC && first->min == second->min &&
                first->max == second->max;
    c->circle = (struct tw_transform_column){.kind = TW_TRANSFORM_PERIODIC, .min = first->min, .max = first->max};
    c->slots = 1;

    int status = check_there(r, c->minus);

    if (status)
        return status;
    return c->angles || (tw_columns_kind(first) == TW_TRANSFORM_REAL && tw_columns_kind(second) == TW_TRANSFORM_REAL)
               ? TW_OK
               : REFUSE(r, "of: both must be real, without log and without bounds, or angles of the same min and max");
}

/* A feature that is replaced occurs once, is not replaced already, and nothing that stands before needs it. */
static int check_replaced(const struct reader *r, const struct tw_coordinate *c)
{
    for (int s = 0; s < c->slots; s++) {
        const char *name = r->schema->columns[c->features[s]].name;

        if (occurs_in(c, c->features[s]) != 1)
            return REFUSE(r, "of: feature %s, which is replaced, must occur once", name);
        if (tw_coordinates_find(r->before, c->features[s]) >= 0)
            return REFUSE(r, "feature %s is replaced already", name);
        for (int k = 0; k < r->before->count; k++)
            if (occurs_in(&r->before->list[k], c->features[s]))
                return REFUSE(r, "feature %s is needed by coordinates[%d], which stands before", name, k);
    }
    return TW_OK;
}

static int read_coordinate(const struct reader *r, const json_t *json, struct tw_coordinate *c)
{
    static const char *const required[] = {"name", "kind", "of", NULL};
    const char *member;
    json_t *value;
    int status = TW_OK;

    if (!json_is_object(json))
        return REFUSE(r, "must be an object");
    json_object_foreach((json_t *)(uintptr_t)json, member, value)
    {
        status = read_member(r, member, value, c);
        if (status)
            return status;
    }
    for (const char *const *name = required; *name; name++)
        if (!json_object_get(json, *name))
            return REFUSE(r, "%s is missing", *name);
    if (c->kind != TW_COORDINATE_DIFFERENCE)
        status = read_particles(r, json_object_get(json, "of"), c);
    if (!status && c->kind != TW_COORDINATE_MASS && json_object_get(json, "replaces"))
        status = REFUSE(r, "replaces: a pair replaces pt, eta and phi of both, a difference the first of its features");
    if (status)
        return status;
    switch (c->kind) {
    case TW_COORDINATE_MASS:
        status = order_mass(r, json, c);
        break;
    case TW_COORDINATE_PAIR:
        status = order_pair(r, c);
        break;
    case TW_COORDINATE_DIFFERENCE:
        status = read_difference(r, json, c);
        break;
    }
    return status ? status : check_replaced(r, c);
}

/* With numbers as reals, so that what is written is the same whoever wrote it first. */
static json_t *coordinate_json(const json_t *json, const struct tw_coordinate *c)
{
    if (c->kind == TW_COORDINATE_DIFFERENCE)
        return json_deep_copy(json);

    json_t *of = json_deep_copy(json_object_get(json, "of")), *particle, *peak = json_null();
    size_t i;

    json_array_foreach(of, i, particle)
    {
        json_t *mass = json_array_get(particle, 3);

        if (json_is_number(mass))
            json_array_set_new(particle, 3, json_real(json_number_value(mass)));
    }
    if (c->peak.width > 0)
        peak = json_pack("{s:f, s:f}", "at", c->peak.at, "width", c->peak.width);
    return json_pack("{s:O, s:O, s:o, s:O*, s:o, s:f}", "name", json_object_get(json, "name"), "kind",
                     json_object_get(json, "kind"), "of", of, "replaces", json_object_get(json, "replaces"), "peak",
                     peak, "min", c->min);
}

int tw_coordinates_parse(const struct json_t *json, const struct tw_schema *schema, struct tw_coordinates **out,
                         struct tw_error *error)
{
    size_t n = json_array_size(json), i;
    struct tw_coordinates *made;
    json_t *item;
    int status = TW_OK;

    *out = NULL;
    if (json && (!json_is_array(json) || n > TW_COORDINATES_MAX))
        return tw_error_set(error, TW_INVALID, "model: coordinates must be an array of at most %d", TW_COORDINATES_MAX);
    if (n == 0)
        return TW_OK;
    made = calloc(1, sizeof *made + n * sizeof *made->list);
    if (!made || !(made->json = json_array())) {
        free(made);
        return TW_NO_MEMORY;
    }
    json_array_foreach(json, i, item)
    {
        struct reader reader = {.schema = schema, .before = made, .index = i, .error = error};

        status = read_coordinate(&reader, item, &made->list[i]);
        if (!status && json_array_append_new(made->json, coordinate_json(item, &made->list[i])))
            status = TW_NO_MEMORY;
        if (status) {
            tw_coordinates_free(made);
            return status;
        }
        made->count++;
    }
    *out = made;
    return TW_OK;
}
