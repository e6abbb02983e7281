/* Masses of pairs: what shows a shift of a momentum scale, and hides from a look at one column at a time. */
#include "client/propose.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { OBJECTS_MAX = 4, PREFIX_MAX = 24, NAME_MAX_BYTES = 64 };

struct object {
    char prefix[PREFIX_MAX];
    const char *unit; /* of its momentum; NULL: not said */
    bool massive;     /* there is a feature for its mass */
};

static const json_t *find(const json_t *features, const char *prefix, const char *ending)
{
    char name[NAME_MAX_BYTES];
    size_t i;
    json_t *feature;
    snprintf(name, sizeof name, "%s%s", prefix, ending);
    json_array_foreach((json_t *)features, i, feature)
    {
        const char *known = json_string_value(json_object_get(feature, "name"));
        if (known && strcmp(known, name) == 0)
            return feature;
    }
    return NULL;
}

/* Can an expression name it? */
static bool plain(const char *prefix)
{
    return strspn(prefix, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == strlen(prefix) &&
           !(prefix[0] >= '0' && prefix[0] <= '9');
}

static size_t find_objects(const json_t *features, struct object *objects)
{
    size_t count = 0, i;
    json_t *feature;
    json_array_foreach((json_t *)features, i, feature)
    {
        const char *name = json_string_value(json_object_get(feature, "name"));
        size_t length = name ? strlen(name) : 0;
        if (length < 4 || length - 3 >= PREFIX_MAX || strcmp(name + length - 3, "_pt") != 0 || count == OBJECTS_MAX)
            continue;
        struct object *object = &objects[count];
        memcpy(object->prefix, name, length - 3);
        object->prefix[length - 3] = 0;
        object->unit = json_string_value(json_object_get(feature, "unit"));
        object->massive = find(features, object->prefix, "_m");
        count +=
            plain(object->prefix) && find(features, object->prefix, "_eta") && find(features, object->prefix, "_phi");
    }
    return count;
}

/* "mu_pt, mu_eta, mu_phi, mu_m" or "..., 0" */
static json_t *arguments(const struct object *object)
{
    const char *p = object->prefix;
    return object->massive ? json_sprintf("%s_pt, %s_eta, %s_phi, %s_m", p, p, p, p)
                           : json_sprintf("%s_pt, %s_eta, %s_phi, 0", p, p, p);
}

static json_t *mass(const json_t *features, const struct object *a, const struct object *b)
{
    json_t *name = json_sprintf("m_%s_%s", a->prefix, b->prefix), *first = arguments(a), *second = arguments(b);
    json_t *json = NULL;
    if (name && first && second && !find(features, json_string_value(name), "")) /* unless the file has it */
        json = json_pack("{s:O, s:o}", "name", name, "expression",
                         json_sprintf("mass(%s, %s)", json_string_value(first), json_string_value(second)));
    if (json && a->unit)
        json_object_set_new(json, "unit", json_string(a->unit));
    json_decref(name);
    json_decref(first);
    json_decref(second);
    return json;
}

json_t *propose_observables(const json_t *features)
{
    struct object objects[OBJECTS_MAX];
    size_t count = find_objects(features, objects);
    json_t *observables = json_array();
    for (size_t i = 0; i < count; i++)
        for (size_t k = i + 1; k < count; k++) {
            json_t *proposed = mass(features, &objects[i], &objects[k]);
            if (observables && proposed)
                json_array_append_new(observables, proposed);
        }
    return observables;
}
