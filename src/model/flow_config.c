#include "model/flow_config.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "flow/masks.h"
#include "model/columns.h"
#include "model/members.h"

#define BLOCKS_MAX     64
#define PARAMETERS_MAX ((size_t)1 << 27) /* an artifact of 512 MiB: a row of SQLite takes 10^9 bytes */

void tw_flow_config_free(void *config)
{
    struct tw_flow_config *c = config;

    if (!c)
        return;
    tw_coupling_fini(&c->coupling);
    tw_coordinates_free(c->coordinates);
    tw_classes_fini(&c->classes);
    free(c->columns);
    free(c);
}

static int read_mask(const json_t *value, int block, int features, unsigned char *mask, struct tw_error *error)
{
    const char *text = json_string_value(value);
    int moved = 0;

    if (!text || json_string_length(value) != (size_t)features || strspn(text, "01") != (size_t)features)
        return tw_error_set(error, TW_INVALID, "model: masks[%d] must be a string of %d digits 0 or 1", block,
                            features);
    for (int f = 0; f < features; f++)
        moved += mask[f] = text[f] == '1';
    if (moved == 0 || (moved == features && features > 1))
        return tw_error_set(error, TW_INVALID, "model: masks[%d] must have both 0 and 1", block);
    return TW_OK;
}

static int read_masks(const json_t *json, struct tw_coupling *c, struct tw_error *error)
{
    const json_t *masks = json_object_get(json, "masks");

    if (!masks)
        return tw_masks_default(c->blocks, c->features, c->masks);
    if (!json_is_array(masks) || json_array_size(masks) != (size_t)c->blocks)
        return tw_error_set(error, TW_INVALID, "model: masks must be an array with one string for each block");
    for (int b = 0; b < c->blocks; b++) {
        int status = read_mask(json_array_get(masks, (size_t)b), b, c->features, c->masks + b * c->features, error);

        if (status)
            return status;
    }
    return TW_OK;
}

static bool has_circle(const struct tw_schema *schema)
{
    for (int f = 0; f < schema->features; f++)
        if (tw_columns_origin(schema, f) != f && tw_columns_origin(schema, f) >= 0)
            return true;
    return false;
}

static int read_members(const json_t *json, struct tw_flow_config *config, struct tw_error *error)
{
    struct tw_coupling *c = &config->coupling;
    int status;

    if ((status = tw_columns_read_int(json, "members", 1, TW_MEMBERS_MAX, &config->members, error)) ||
        (status = tw_columns_read_int(json, "bins", 2, 64, &c->bins, error)) ||
        (status = tw_columns_read_real(json, "bound", 0.5, 100, &c->bound, error)) ||
        (status = tw_columns_read_int(json, "harmonics", 1, 8, &c->harmonics, error)) ||
        (status = tw_columns_read_bool(json, "torus", &config->torus, error)) ||
        (status = tw_columns_read_hidden(json, &c->hidden_count, c->hidden, error)) ||
        (status = tw_columns_read_activation(json, &c->activation, error)))
        return status;
    return read_masks(json, c, error);
}

/* Refuses what could be asked for in a few bytes and never be trained or stored, before anything of it is allocated. */
static int check_size(struct tw_flow_config *config, struct tw_error *error)
{
    struct tw_params counted;

    tw_params_init(&counted);

    int status = tw_coupling_layout(&config->coupling, &counted); /* far beyond the limit it ends with TW_NO_MEMORY */
    bool fits = tw_params_values(&counted) <= PARAMETERS_MAX / (size_t)config->members;

    tw_params_fini(&counted);
    return fits ? status
                : tw_error_set(error, TW_INVALID,
                               "model: members, blocks, hidden and bins make more than %zu parameters", PARAMETERS_MAX);
}

static enum tw_spline_kind spline_kind(enum tw_transform_kind kind)
{
    switch (kind) {
    case TW_TRANSFORM_PERIODIC:
        return TW_SPLINE_CIRCULAR;
    case TW_TRANSFORM_BOUNDED:
        return TW_SPLINE_BOUNDED;
    case TW_TRANSFORM_REAL:
    case TW_TRANSFORM_LOG:
        break;
    }
    return TW_SPLINE_TAILS;
}

int tw_flow_config_parse(const struct json_t *json, const struct tw_schema *schema, void **out, struct tw_error *error)
{
    static const char *const known[] = {"kind",       "members",   "blocks", "hidden", "bins",        "bound",
                                        "activation", "harmonics", "torus",  "masks",  "coordinates", NULL};
    int blocks = 8;
    int status = tw_columns_known(json, known, error);

    *out = NULL;
    if (status || (status = tw_columns_read_int(json, "blocks", 1, BLOCKS_MAX, &blocks, error)))
        return status;

    struct tw_flow_config *config = calloc(1, sizeof *config);

    if (!config)
        return TW_NO_MEMORY;

    struct tw_coupling *c = &config->coupling;
    int count = 0;

    config->columns = malloc((size_t)schema->features * sizeof *config->columns);
    status = config->columns ? tw_classes_init(&config->classes, schema) : TW_NO_MEMORY;
    if (status)
        goto fail;
    for (int f = 0; f < schema->features; f++)
        if (schema->columns[f].kind != TW_DISCRETE)
            config->columns[count++] = f;
    status = count ? tw_coupling_init(c, count, blocks)
                   : tw_error_set(error, TW_INVALID, "features: a flow needs one that is not discrete");
    if (status)
        goto fail;
    c->conditions = config->classes.codes + schema->conditions;
    c->bins = 8;
    c->bound = 5;
    c->harmonics = 1;
    c->hidden_count = 2;
    c->hidden[0] = c->hidden[1] = 128;
    c->activation = TW_SILU;
    config->torus = has_circle(schema);
    config->members = 1;
    status = read_members(json, config, error);
    if (!status)
        status = tw_coordinates_parse(json_object_get(json, "coordinates"), schema, &config->coordinates, error);
    for (int k = 0; k < count; k++) {
        int f = config->columns[k];
        bool other = tw_coordinates_find(config->coordinates, f) >= 0;

        c->kinds[k] =
            spline_kind(other ? tw_coordinates_kind(config->coordinates, f) : tw_columns_kind(&schema->columns[f]));
    }
    tw_categorical_init(&config->law, &config->classes, schema->conditions, c->activation);
    if (!status)
        status = tw_coupling_plan(c);
    if (!status)
        status = check_size(config, error);
    if (status)
        goto fail;
    *out = config;
    return TW_OK;

fail:
    tw_flow_config_free(config);
    return status;
}

static json_t *masks_json(const struct tw_coupling *c)
{
    json_t *masks = json_array();
    char *text = malloc((size_t)c->features + 1);

    bool whole = masks && text;

    for (int b = 0; whole && b < c->blocks; b++) {
        for (int f = 0; f < c->features; f++)
            text[f] = c->masks[b * c->features + f] ? '1' : '0';
        text[c->features] = 0;
        whole = json_array_append_new(masks, json_string(text)) == 0;
    }
    free(text);
    if (whole)
        return masks;
    json_decref(masks);
    return NULL;
}

struct json_t *tw_flow_config_describe(const void *config)
{
    const struct tw_flow_config *cf = config;
    const struct tw_coupling *c = &cf->coupling;
    json_t *hidden = json_array();

    for (int i = 0; i < c->hidden_count && hidden; i++)
        if (json_array_append_new(hidden, json_integer(c->hidden[i]))) {
            json_decref(hidden);
            hidden = NULL;
        }
    json_t *json =
        json_pack("{s:s, s:i, s:i, s:o, s:s, s:i, s:f, s:i, s:b, s:o}", "kind", "flow", "members", cf->members,
                  "blocks", c->blocks, "hidden", hidden, "activation", tw_mlp_activation_name(c->activation), "bins",
                  c->bins, "bound", c->bound, "harmonics", c->harmonics, "torus", cf->torus, "masks", masks_json(c));

    if (json && cf->coordinates && json_object_set_new(json, "coordinates", tw_coordinates_json(cf->coordinates))) {
        json_decref(json);
        return NULL;
    }
    return json;
}
