/* The kind "flow": a coupling flow over the features, given the conditions. */
#ifndef TW_MODEL_FLOW_KIND_H
#define TW_MODEL_FLOW_KIND_H

#include "model/kind.h"

struct tw_coupling;

extern const struct tw_kind tw_flow_kind;

/* The chain of blocks of a flow, which works in prepared coordinates. */
const struct tw_coupling *tw_flow_kind_coupling(const struct tw_kind_state *state);

#endif
