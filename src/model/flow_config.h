/* What the JSON of a flow says: its blocks, its coordinates, and what follows from the schema. */
#ifndef TW_MODEL_FLOW_CONFIG_H
#define TW_MODEL_FLOW_CONFIG_H

#include <stdbool.h>

#include "base/status.h"
#include "flow/coupling.h"
#include "model/categorical.h"
#include "model/classes.h"
#include "model/coordinates.h"
#include "model/schema.h"

struct json_t;

struct tw_flow_config {
    struct tw_coupling coupling;
    int *columns; /* (features of the coupling): which of the events' features; those that are not discrete */
    bool torus;
    int members;
    struct tw_coordinates *coordinates; /* NULL: none */
    struct tw_classes classes;
    struct tw_categorical law; /* if there are classes */
};

/* As in struct tw_kind: parse(describe(c)) equals c. */
int tw_flow_config_parse(const struct json_t *json, const struct tw_schema *schema, void **out, struct tw_error *error);
struct json_t *tw_flow_config_describe(const void *config);
void tw_flow_config_free(void *config); /* accepts NULL */

#endif
