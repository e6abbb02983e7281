#include "model/artifact.h"

#include <jansson.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

#define LENGTH_BYTES 8
#define HEADER_MAX   ((uint64_t)64 << 20)

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the file is little endian, and so is the code");

static size_t tensor_values(const struct tw_tensor *tensor)
{
    return (size_t)tensor->rows * (size_t)tensor->cols;
}

static void stored_name(const struct tw_artifact_set *set, const struct tw_tensor *tensor, char name[128])
{
    snprintf(name, 128, "%s/%s", set->prefix, tensor->name);
}

static size_t total_bytes(const struct tw_artifact_set *sets, int count)
{
    size_t sum = 0;

    for (int s = 0; s < count; s++)
        sum += tw_params_values(sets[s].params) * sizeof(float);
    return sum;
}

/* --- writing --- */

static json_t *tensor_json(const struct tw_tensor *tensor, size_t offset)
{
    json_t *shape = tensor->dims == 1 ? json_pack("[i]", tensor->cols) : json_pack("[ii]", tensor->rows, tensor->cols);

    return json_pack("{s:s, s:o, s:[II]}", "dtype", "F32", "shape", shape, "data_offsets", (json_int_t)offset,
                     (json_int_t)(offset + tensor_values(tensor) * sizeof(float)));
}

static char *header_text(const char *twin, const struct tw_artifact_set *sets, int count)
{
    json_t *header = json_pack("{s:{s:s}}", "__metadata__", "twin", twin);
    size_t offset = 0;
    char *text = NULL;

    for (int s = 0; header && s < count; s++)
        for (int t = 0; t < sets[s].params->count; t++) {
            const struct tw_tensor *tensor = &sets[s].params->tensors[t];
            char name[128];

            stored_name(&sets[s], tensor, name);
            if (json_object_set_new(header, name, tensor_json(tensor, offset)))
                goto out;
            offset += tensor_values(tensor) * sizeof(float);
        }
    if (header)
        text = json_dumps(header, JSON_COMPACT);

out:
    json_decref(header);
    return text;
}

static int put_values(const struct tw_params *params, unsigned char **at)
{
    for (int t = 0; t < params->count; t++) {
        const tw_real *values = tw_params_at(params, t);

        for (size_t i = 0; i < tensor_values(&params->tensors[t]); i++) {
            float value = (float)values[i];

            if (!isfinite(value))
                return TW_NOT_FINITE;
            memcpy(*at, &value, sizeof value);
            *at += sizeof value;
        }
    }
    return TW_OK;
}

int tw_artifact_write(const char *twin, const struct tw_artifact_set *sets, int count, unsigned char **bytes,
                      size_t *size)
{
    char *text = header_text(twin, sets, count);
    int status = TW_OK;

    *bytes = NULL;
    if (!text)
        return TW_NO_MEMORY;

    size_t length = strlen(text), padded = (length + 7) / 8 * 8;
    uint64_t stored = padded;

    *size = LENGTH_BYTES + padded + total_bytes(sets, count);
    *bytes = malloc(*size);
    if (*bytes) {
        unsigned char *at = *bytes + LENGTH_BYTES + padded;

        memcpy(*bytes, &stored, LENGTH_BYTES);
        memset(*bytes + LENGTH_BYTES, ' ', padded);
        memcpy(*bytes + LENGTH_BYTES, text, length);
        for (int s = 0; s < count && !status; s++)
            status = put_values(sets[s].params, &at);
    } else {
        status = TW_NO_MEMORY;
    }
    free(text);
    if (status) {
        free(*bytes);
        *bytes = NULL;
    }
    return status;
}

/* --- reading: the file comes from outside --- */

int tw_artifact_open(const unsigned char *bytes, size_t size, struct tw_artifact *artifact, struct tw_error *error)
{
    uint64_t length;
    json_error_t where;

    *artifact = (struct tw_artifact){0};
    if (size < LENGTH_BYTES)
        return tw_error_set(error, TW_CORRUPT, "artifact: shorter than its length field");
    memcpy(&length, bytes, LENGTH_BYTES);
    if (length > HEADER_MAX || length > size - LENGTH_BYTES)
        return tw_error_set(error, TW_CORRUPT, "artifact: the header is longer than the file");
    artifact->header = json_loadb((const char *)bytes + LENGTH_BYTES, (size_t)length, JSON_REJECT_DUPLICATES, &where);
    if (!json_is_object(artifact->header)) {
        tw_artifact_close(artifact);
        return tw_error_set(error, TW_CORRUPT, "artifact: the header is not a JSON object");
    }
    artifact->twin = json_string_value(json_object_get(json_object_get(artifact->header, "__metadata__"), "twin"));
    if (!artifact->twin) {
        tw_artifact_close(artifact);
        return tw_error_set(error, TW_CORRUPT, "artifact: no metadata \"twin\"");
    }
    artifact->data = bytes + LENGTH_BYTES + length;
    artifact->data_size = size - LENGTH_BYTES - (size_t)length;
    return TW_OK;
}

void tw_artifact_close(struct tw_artifact *artifact)
{
    json_decref(artifact->header);
    *artifact = (struct tw_artifact){0};
}

static bool integers_are(const json_t *array, size_t count, size_t first, size_t second)
{
    const size_t wanted[2] = {first, second};

    if (!json_is_array(array) || json_array_size(array) != count)
        return false;
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_array_get(array, i);

        if (!json_is_integer(value) || json_integer_value(value) < 0 ||
            (uint64_t)json_integer_value(value) != wanted[i])
            return false;
    }
    return true;
}

static bool entry_ok(const json_t *entry, const struct tw_tensor *tensor, size_t offset)
{
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    size_t rows = (size_t)tensor->rows, cols = (size_t)tensor->cols;
    const json_t *shape = json_object_get(entry, "shape");

    return dtype && !strcmp(dtype, "F32") &&
           (tensor->dims == 1 ? integers_are(shape, 1, cols, 0) : integers_are(shape, 2, rows, cols)) &&
           integers_are(json_object_get(entry, "data_offsets"), 2, offset,
                        offset + tensor_values(tensor) * sizeof(float));
}

static int check_entries(const struct tw_artifact *artifact, const struct tw_artifact_set *sets, int count,
                         struct tw_error *error)
{
    size_t offset = 0, tensors = 0;

    if (artifact->data_size != total_bytes(sets, count))
        return tw_error_set(error, TW_CORRUPT, "artifact: %zu bytes of tensors where the model needs %zu",
                            artifact->data_size, total_bytes(sets, count));
    for (int s = 0; s < count; s++)
        for (int t = 0; t < sets[s].params->count; t++, tensors++) {
            const struct tw_tensor *tensor = &sets[s].params->tensors[t];
            char name[128];

            stored_name(&sets[s], tensor, name);
            if (!entry_ok(json_object_get(artifact->header, name), tensor, offset))
                return tw_error_set(error, TW_CORRUPT, "artifact: tensor %s is missing or has another shape", name);
            offset += tensor_values(tensor) * sizeof(float);
        }
    if (json_object_size(artifact->header) != tensors + 1)
        return tw_error_set(error, TW_CORRUPT, "artifact: it holds tensors that the model does not have");
    return TW_OK;
}

int tw_artifact_read(const struct tw_artifact *artifact, const struct tw_artifact_set *sets, int count,
                     struct tw_error *error)
{
    const unsigned char *at = artifact->data;
    int status = check_entries(artifact, sets, count, error);

    if (status)
        return status;
    for (int s = 0; s < count; s++) {
        struct tw_params *params = sets[s].params;

        if (tw_params_alloc(params))
            return TW_NO_MEMORY;
        for (int t = 0; t < params->count; t++) {
            tw_real *values = tw_params_at(params, t);

            for (size_t i = 0; i < tensor_values(&params->tensors[t]); i++, at += sizeof(float)) {
                float value;

                memcpy(&value, at, sizeof value);
                values[i] = (tw_real)value;
            }
        }
        if (!tw_params_finite(params))
            return tw_error_set(error, TW_CORRUPT, "artifact: a value is not finite");
    }
    return TW_OK;
}
