#include "daemon/window.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/batch.h"
#include "daemon/memory.h"
#include "daemon/spool.h"

/* Measured peaks, in sizes of the rows: the window, the window before it for the change point, halves for the
 * classifier and its trainer, samples beside the window; rows, train and stop parts in the model's coordinates. */
enum { COPIES_COMPARE = 8, COPIES_TRAINING = 5 };

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
    enum twp_code code = batch_decode(frames, count, &batch, detail);
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

size_t window_row_bytes(const struct twin *twin)
{
    const struct tw_schema *schema = twin->definition->schema;
    int columns = schema->features + schema->conditions + tw_schema_codes(schema) + 1;
    return (size_t)columns * sizeof(float) + sizeof(uint64_t);
}

static size_t at_most(size_t rows)
{
    return rows < WINDOW_ROWS_MAX ? rows : WINDOW_ROWS_MAX;
}

/* What a row of a window costs: with observables the copies are wider, and the rows as they arrived stay beside them.
 */
static size_t compare_bytes(struct twin *twin)
{
    struct tw_observables *observables = registry_observables(twin);
    size_t row = window_row_bytes(twin), wider = row + (size_t)observables->count * sizeof(float);
    size_t bytes = COPIES_COMPARE * wider + (observables->count ? 2 * row : 0);
    tw_observables_unref(observables);
    return bytes;
}

size_t window_rows_compare(struct twin *twin)
{
    return at_most(memory_rows(MEMORY_COMPARE, 1, compare_bytes(twin), 1));
}

size_t window_rows_training(const struct twin *twin)
{
    return at_most(memory_rows(MEMORY_TRAINING, 1, window_row_bytes(twin), COPIES_TRAINING));
}

size_t window_bytes_compare(struct twin *twin, size_t rows)
{
    return rows * compare_bytes(twin);
}

size_t window_bytes_training(const struct twin *twin, size_t rows)
{
    return rows * window_row_bytes(twin) * COPIES_TRAINING;
}

static void drop(void *rows, size_t each, size_t first, size_t kept)
{
    if (rows)
        memmove(rows, (char *)rows + first * each, kept * each);
}

/* Takes the oldest rows away. */
static void drop_rows(struct tw_data *data, size_t count)
{
    size_t kept = data->rows - count;
    drop(data->features, (size_t)data->schema->features * sizeof(float), count, kept);
    drop(data->conditions, (size_t)data->schema->conditions * sizeof(float), count, kept);
    drop(data->weights, sizeof(float), count, kept);
    drop(data->labels, sizeof(float), count, kept);
    drop(data->keys, sizeof(uint64_t), count, kept);
    data->rows = kept;
}

/* Keeps the newest `most` rows, and of the batches (starts, names) those that still have rows. */
static void keep_newest(struct tw_data *data, size_t most, size_t *starts, uint64_t *names, size_t *n)
{
    size_t count = data->rows > most ? data->rows - most : 0, gone = 0;
    drop_rows(data, count);
    while (gone + 1 < *n && starts[gone + 1] <= count)
        gone++;
    *n -= gone;
    memmove(names, names + gone, *n * sizeof(*names));
    for (size_t i = 0; i < *n; i++)
        starts[i] = starts[i + gone] > count ? starts[i + gone] - count : 0;
}

int window_read(struct twin *twin, const struct window *window, size_t most, struct tw_data *data, size_t **offsets,
                uint64_t **ordinals, size_t *batches, size_t *left_out, json_t **lost, struct tw_error *error)
{
    size_t capacity = (size_t)(window->last - window->first + 1);
    size_t *starts = calloc(capacity + 1, sizeof(*starts));
    uint64_t *names = calloc(capacity, sizeof(*names));
    size_t n = 0, dropped = 0;
    json_t *gone = NULL;
    int status = starts && names ? TW_OK : TW_NO_MEMORY;
    for (uint64_t ordinal = window->first; status == TW_OK && ordinal <= window->last; ordinal++) {
        bool belongs = false;
        size_t start = data->rows;
        status = append_record(twin, ordinal, window->posted, data, &belongs, error);
        if (status == TW_CORRUPT || status == TW_NOT_FOUND)
            status = note_lost(&gone, ordinal);
        if (status == TW_OK && belongs) {
            starts[n] = start;
            names[n++] = ordinal;
        }
        if (data->rows > most + most / 4) { /* not for each batch: what is kept has to move */
            dropped += data->rows - most;
            keep_newest(data, most, starts, names, &n);
        }
    }
    if (status == TW_OK) {
        dropped += data->rows > most ? data->rows - most : 0;
        keep_newest(data, most, starts, names, &n);
        if (left_out)
            *left_out = dropped;
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
