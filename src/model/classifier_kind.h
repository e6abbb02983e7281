/* The kind "classifier": a network that tells label 1 from label 0, for two-sample tests and weights. */
#ifndef TW_MODEL_CLASSIFIER_KIND_H
#define TW_MODEL_CLASSIFIER_KIND_H

#include "model/kind.h"

extern const struct tw_kind tw_classifier_kind;

#endif
