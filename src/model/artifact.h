/* The container of a version: a safetensors file (https://github.com/huggingface/safetensors) of float32 tensors, with
 * one string of metadata, "twin". No time, no host: equal contents give equal bytes. */
#ifndef TW_MODEL_ARTIFACT_H
#define TW_MODEL_ARTIFACT_H

#include <stddef.h>

#include "base/status.h"
#include "nn/params.h"

struct json_t;

/* A named set of tensors: tensor NAME of set PREFIX is stored as PREFIX/NAME. */
struct tw_artifact_set {
    const char *prefix;
    struct tw_params *params;
};

/* *bytes is allocated with malloc. TW_NOT_FINITE if a value is not finite in float32. */
int tw_artifact_write(const char *twin, const struct tw_artifact_set *sets, int count, unsigned char **bytes,
                      size_t *size);

/* An opened file; bytes are borrowed. */
struct tw_artifact {
    struct json_t *header;
    const char *twin; /* the metadata string */
    const unsigned char *data;
    size_t data_size;
};

/* Checks length and JSON of the header. TW_CORRUPT with a sentence. Release with _close. */
int tw_artifact_open(const unsigned char *bytes, size_t size, struct tw_artifact *artifact, struct tw_error *error);
void tw_artifact_close(struct tw_artifact *artifact);

/* Allocates and fills the declared sets. The file must hold exactly their tensors, in their order, without gaps, all
 * values finite; that is checked before anything is allocated. */
int tw_artifact_read(const struct tw_artifact *artifact, const struct tw_artifact_set *sets, int count,
                     struct tw_error *error);

#endif
