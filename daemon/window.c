#include "daemon/window.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/batch.h"
#include "daemon/spool.h"

/* Reads one record; false in *belongs if it is of the other sort (posted for training, or data). */
static int append_record(struct twin *twin, uint64_t ordinal, bool posted, struct tw_data *data, bool *belongs,
                         struct tw_error *error)
{
    void *memory = NULL;
    int64_t received;
    struct twp_frame frames[TWP_FRAMES_MAX];
    size_t count;
    int status = spool_read(twin->spool, ordinal, &memory, &received, frames, TWP_FRAMES_MAX, &count, error);
    if (status != TW_OK)
        return status;

    struct twp_batch batch;
    char detail[200];
    enum twp_code code = twp_wire_batch(frames, count, &batch, detail);
    if (code != TWP_OK) {
        free(memory);
        return tw_error_set(error, code == TWP_FULL ? TW_NO_MEMORY : TW_CORRUPT,
                            "spool record %llu of %s does not decode: %s", (unsigned long long)ordinal, twin->name,
                            detail);
    }
    *belongs = (strcmp(batch.key.feed, "train") == 0) == posted;
    if (*belongs)
        status = batch_append(twin->definition->schema, &batch, ordinal, data);
    twp_wire_batch_fini(&batch);
    free(memory);
    return status;
}

/* One more ordinal that is lost; ranges grow while they are contiguous. */
static int note_lost(json_t **lost, uint64_t ordinal)
{
    if (!*lost && !(*lost = json_array()))
        return TW_NO_MEMORY;
    json_t *range = json_array_get(*lost, json_array_size(*lost) - 1);
    json_int_t at = (json_int_t)ordinal;
    if (range && json_integer_value(json_array_get(range, 1)) == at - 1)
        return json_array_set_new(range, 1, json_integer(at)) == 0 ? TW_OK : TW_NO_MEMORY;
    return json_array_append_new(*lost, json_pack("[I, I]", at, at)) == 0 ? TW_OK : TW_NO_MEMORY;
}

int window_read(struct twin *twin, const struct window *window, struct tw_data *data, size_t **offsets,
                uint64_t **ordinals, size_t *batches, json_t **lost, struct tw_error *error)
{
    size_t capacity = (size_t)(window->last - window->first + 1);
    size_t *starts = calloc(capacity + 1, sizeof(*starts));
    uint64_t *names = calloc(capacity, sizeof(*names));
    size_t n = 0;
    json_t *gone = NULL;
    int status = starts && names ? TW_OK : TW_NO_MEMORY;
    for (uint64_t ordinal = window->first; status == TW_OK && ordinal <= window->last; ordinal++) {
        bool belongs = false;
        size_t start = data->rows;
        status = append_record(twin, ordinal, window->posted, data, &belongs, error);
        if (status == TW_CORRUPT || status == TW_NOT_FOUND)
            status = note_lost(&gone, ordinal);
        if (status == TW_OK && data->rows > WINDOW_ROWS_MAX)
            status = tw_error_set(error, TW_INVALID, "more than %d rows are too many at once", WINDOW_ROWS_MAX);
        if (status == TW_OK && belongs) {
            starts[n] = start;
            names[n++] = ordinal;
        }
    }
    if (status == TW_OK) {
        starts[n] = data->rows;
        if (batches)
            *batches = n;
        if (offsets) {
            *offsets = starts;
            starts = NULL;
        }
        if (ordinals) {
            *ordinals = names;
            names = NULL;
        }
    }
    if (status == TW_OK && lost) {
        *lost = gone;
        gone = NULL;
    }
    json_decref(gone);
    free(starts);
    free(names);
    return status;
}
