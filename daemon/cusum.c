#include "daemon/cusum.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/crc32c.h"
#include "daemon/shortage.h"

/* Events from which the bins are made: quantiles at 1/64 to a tenth of themselves. Their seed is fixed, so that a
 * version has one grid. */
enum { GRID_EVENTS = 16384, GRID_SEED = 0x67726964 };

/* Names alone do not do: an observable that was dropped may come back under its name with another expression. */
static uint32_t columns_of(const struct cusum_subject *subject)
{
    const struct tw_schema *schema = subject->extended->schema;
    const struct tw_observables *observables = subject->observables;
    uint32_t crc = 0;
    for (int c = 0; c < schema->features; c++)
        crc = tw_crc32c(crc, schema->columns[c].name, strlen(schema->columns[c].name) + 1);
    for (int i = 0; i < observables->count; i++)
        crc = tw_crc32c(crc, observables->items[i].text, strlen(observables->items[i].text) + 1);
    return crc;
}

int cusum_log_prob(const struct tw_model *model, const struct tw_data *data, const struct tw_kernels *kernels,
                   struct tw_pool *pool, double **out)
{
    *out = NULL;
    if (!(tw_model_kind(model)->outputs & 1u << TW_OUTPUT_LOG_PROB))
        return TW_OK;
    *out = malloc((data->rows + 1) * sizeof(**out));
    int status = *out ? tw_model_log_prob(model, kernels, pool, data->rows, data->features, data->conditions, *out)
                      : TW_NO_MEMORY;
    if (status != TW_OK) {
        free(*out);
        *out = NULL;
    }
    return status;
}

/* Samples of the model, without and with observables. */
static int sample(const struct cusum_subject *subject, const struct tw_kernels *kernels, struct tw_pool *pool,
                  struct tw_data *events, struct tw_data *extended)
{
    size_t width = (size_t)subject->reference->schema->features;
    float *values = malloc(GRID_EVENTS * width * sizeof(*values));
    int status =
        values ? tw_model_sample(subject->model, kernels, pool, GRID_SEED, 0, GRID_EVENTS, NULL, values) : TW_NO_MEMORY;
    if (status == TW_OK)
        status = tw_data_append(events, 0, 0, GRID_EVENTS, values, NULL, NULL);
    if (status == TW_OK)
        status = tw_observables_extend(subject->observables, events, extended);
    free(values);
    return status;
}

static int begin(struct tw_cusum *cusum, const struct cusum_subject *subject, const struct tw_kernels *kernels,
                 struct tw_pool *pool)
{
    struct tw_data events, extended;
    double *of_events = NULL, *of_reference = NULL;
    tw_data_init(&events, subject->reference->schema);
    tw_data_init(&extended, subject->extended->schema);
    int status = sample(subject, kernels, pool, &events, &extended);
    if (status == TW_OK)
        status = cusum_log_prob(subject->model, &events, kernels, pool, &of_events);
    if (status == TW_OK)
        status = cusum_log_prob(subject->model, subject->reference, kernels, pool, &of_reference);
    if (status == TW_OK)
        status = tw_cusum_init(cusum, &(struct tw_cusum_sample){&extended, of_events},
                               &(struct tw_cusum_sample){subject->extended, of_reference});
    free(of_events);
    free(of_reference);
    tw_data_fini(&events);
    tw_data_fini(&extended);
    return status;
}

int cusum_follow(const struct cusum *cusum, const struct cusum_subject *subject, const struct tw_kernels *kernels,
                 struct tw_pool *pool, struct cusum **out, struct tw_error *error)
{
    struct cusum *next = calloc(1, sizeof(*next));
    if (!next)
        return tw_error_set(error, TW_NO_MEMORY, "no memory for the detector that accumulates");
    next->version = subject->version;
    next->columns = columns_of(subject);
    bool log_prob = tw_model_kind(subject->model)->outputs & 1u << TW_OUTPUT_LOG_PROB;
    bool same = cusum && cusum->version == next->version && cusum->columns == next->columns &&
                cusum->state.log_prob == log_prob &&
                cusum->state.columns == subject->extended->schema->features + log_prob;
    int status = same ? tw_cusum_copy(&cusum->state, &next->state) : begin(&next->state, subject, kernels, pool);
    if (status != TW_OK) {
        free(next);
        return tw_error_set(error, status, "the detector that accumulates cannot begin: %s", tw_status_name(status));
    }
    *out = next;
    return TW_OK;
}

void cusum_free(struct cusum *cusum)
{
    if (!cusum)
        return;
    tw_cusum_fini(&cusum->state);
    free(cusum);
}

/* --- as JSON --- */

enum { VARIANT = sodium_base64_VARIANT_ORIGINAL };

json_t *cusum_json(const struct cusum *cusum)
{
    unsigned char *bytes = NULL;
    size_t size = 0;
    json_t *json = NULL;
    if (tw_cusum_to_bytes(&cusum->state, &bytes, &size) == TW_OK) {
        size_t length = sodium_base64_encoded_len(size, VARIANT);
        char *text = malloc(length);
        if (text)
            json = json_pack("{s:i, s:I, s:s}", "version", cusum->version, "columns", (json_int_t)cusum->columns,
                             "state", sodium_bin2base64(text, length, bytes, size, VARIANT));
        free(text);
    }
    free(bytes);
    if (!json)
        shortage_note();
    return json;
}

struct cusum *cusum_from_json(const json_t *json)
{
    int version;
    json_int_t columns;
    const char *text;
    if (json_unpack((json_t *)json, "{s:i, s:I, s:s}", "version", &version, "columns", &columns, "state", &text) != 0)
        return NULL;
    size_t length = strlen(text), size = 0;
    struct cusum *cusum = calloc(1, sizeof(*cusum));
    unsigned char *bytes = malloc(length + 1);
    int status = cusum && bytes ? TW_OK : TW_NO_MEMORY;
    if (status == TW_OK && sodium_base642bin(bytes, length + 1, text, length, NULL, &size, NULL, VARIANT) != 0)
        status = TW_CORRUPT;
    if (status == TW_OK)
        status = tw_cusum_from_bytes(&cusum->state, bytes, size);
    free(bytes);
    if (status == TW_NO_MEMORY)
        shortage_note();
    if (status != TW_OK) {
        free(cusum);
        return NULL;
    }
    cusum->version = version;
    cusum->columns = (uint32_t)columns;
    return cusum;
}
