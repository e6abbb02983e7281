#include "daemon/appeal.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/window.h"

/* What the version's row says of its gate. */
struct sentence {
    int champion;
    double level;
    uint64_t first, last; /* ordinals of the data that it was trained on */
    const char *held;
};

static bool sentence_of(const json_t *row, struct sentence *out)
{
    const json_t *gate = json_object_get(json_object_get(row, "metrics"), "gate");
    const char *status = json_string_value(json_object_get(row, "status"));
    *out = (struct sentence){
        .champion = (int)json_integer_value(json_object_get(gate, "champion")),
        .level = json_number_value(json_object_get(gate, "level")),
        .first = (uint64_t)json_integer_value(json_object_get(json_object_get(row, "ordinals"), "first")),
        .last = (uint64_t)json_integer_value(json_object_get(json_object_get(row, "ordinals"), "last")),
        .held = json_string_value(json_object_get(row, "reference_sha256")),
    };
    bool stands = status && strcmp(status, "rejected") == 0; /* or people have judged it */
    return gate && out->level > 0 && out->held && stands;
}

/* The rows that it was gated on, in the order of then: they are kept with the version, so that no change in the spool
 * changes how the bet began. */
static int gated_rows(const struct appeal_input *input, const char *sha256, struct tw_data *rows,
                      struct tw_error *error)
{
    struct tw_data held;
    unsigned char *blob = NULL;
    size_t size;
    tw_data_init(&held, rows->schema);
    int status = store_blob_get(input->store, sha256, &blob, &size, error);
    if (status == TW_OK)
        status = tw_data_from_blob(&held, rows->schema, blob, size);
    if (status == TW_OK)
        status = tw_data_append_parts(rows, &held, 1u << TW_PART_GATE);
    free(blob);
    tw_data_fini(&held);
    return status == TW_CORRUPT ? (int)TW_NOT_FOUND : status;
}

/* And those of all windows since. The bet must not skip any: it ends where they are too many for the memory, or where
 * some have left the spool or cannot be read. */
static int later_rows(const struct appeal_input *input, uint64_t last, struct tw_data *rows, struct tw_error *error)
{
    struct twin *twin = input->contest.twin;
    const struct window window = {.first = last + 1, .last = input->last};
    size_t left_out = 0;
    json_t *lost = NULL;
    if (window.first > window.last)
        return TW_NOT_FOUND;
    int status = window_read(twin, &window, window_rows_compare(twin), rows, NULL, NULL, NULL, &left_out, &lost, error);
    bool whole = !left_out && !lost;
    json_decref(lost);
    return status == TW_OK && !whole ? (int)TW_NOT_FOUND : status;
}

static int hear(const struct appeal_input *input, const struct tw_data *rows, double level, struct appeal *out,
                struct tw_error *error)
{
    const struct contest *contest = &input->contest;
    double *before = malloc((rows->rows + 1) * sizeof(*before));
    double *gains = malloc((rows->rows + 1) * sizeof(*gains));
    int status = before && gains ? TW_OK : TW_NO_MEMORY;
    if (status == TW_OK)
        status = contest_begin(contest, rows, before);
    if (status == TW_OK)
        status = contest_gate(contest, input->version, level, rows, before, gains, &out->gate, error);
    if (status == TW_OK) {
        out->record = contest_json(input->version, &out->gate);
        status = json_object_set_new(out->record, "level", json_real(level)) == 0 ? TW_OK : TW_NO_MEMORY;
    }
    free(before);
    free(gains);
    return status;
}

/* The distance of all data since the change, as a retune of today would have it: the rows of the bet are too few to
 * show a region that is new. */
static int measure(const struct appeal_input *input, uint64_t first, double level, struct distance *out,
                   struct tw_error *error)
{
    struct twin *twin = input->contest.twin;
    const struct window window = {.first = first, .last = input->last};
    struct tw_data rows;
    if (!(input->contest.max_distance > 0))
        return TW_OK;
    tw_data_init(&rows, twin->definition->schema);
    int status = window_read(twin, &window, window_rows_training(twin), &rows, NULL, NULL, NULL, NULL, NULL, error);
    if (status == TW_OK)
        status = contest_distance(&input->contest, &rows, level, out);
    tw_data_fini(&rows);
    return status;
}

int appeal_try(const struct appeal_input *input, struct appeal *out, struct tw_error *error)
{
    memset(out, 0, sizeof(*out));
    struct twin *twin = input->contest.twin;
    json_t *row = store_version_json(input->store, twin->id, input->version);
    struct sentence sentence;
    struct tw_data rows;
    tw_data_init(&rows, twin->definition->schema);
    int status =
        sentence_of(row, &sentence) && sentence.champion == input->contest.champion->version ? TW_OK : TW_NOT_FOUND;
    if (status == TW_OK)
        status = gated_rows(input, sentence.held, &rows, error);
    if (status == TW_OK)
        status = later_rows(input, sentence.last, &rows, error);
    if (status == TW_OK)
        status = hear(input, &rows, sentence.level, out, error);
    if (status == TW_OK && out->gate.pass)
        status = measure(input, sentence.first, input->level, &out->distance, error);
    out->open = status == TW_OK;
    tw_data_fini(&rows);
    json_decref(row);
    if (status != TW_OK)
        appeal_fini(out);
    return status == TW_NOT_FOUND ? TW_OK : status;
}

void appeal_fini(struct appeal *appeal)
{
    json_decref(appeal->record);
    memset(appeal, 0, sizeof(*appeal));
}
