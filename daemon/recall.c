#include "daemon/recall.h"

#include <stdlib.h>
#include <string.h>

enum { MOVES = 200, CANDIDATES_MAX = 16 };

static int int_of(const json_t *json, const char *member)
{
    return (int)json_integer_value(json_object_get(json, member));
}

static bool holds(const int *versions, int count, int version)
{
    for (int i = 0; i < count; i++)
        if (versions[i] == version)
            return true;
    return false;
}

/* What the retunes of one episode have in common: the version that they begin with, and the change. */
struct lesson {
    int parent; /* 0: the version stands for itself */
    uint64_t first;
};

static struct lesson lesson_of(const json_t *row)
{
    json_t *ordinals = json_object_get(row, "ordinals");
    return (struct lesson){int_of(row, "parent"), (uint64_t)json_integer_value(json_object_get(ordinals, "first"))};
}

static bool is_taken(const struct lesson *taken, int count, struct lesson lesson)
{
    for (int i = 0; i < count; i++)
        if (lesson.parent && taken[i].parent == lesson.parent && taken[i].first == lesson.first)
            return true;
    return false;
}

/* May the version of this row be tried on data from `first` on? */
static bool is_new_to(const json_t *row, uint64_t first)
{
    const char *status = json_string_value(json_object_get(row, "status"));
    const json_t *regret = json_object_get(json_object_get(row, "metrics"), "regret");
    const char *state = json_string_value(json_object_get(regret, "state"));
    uint64_t trained = (uint64_t)json_integer_value(json_object_get(json_object_get(row, "ordinals"), "last"));
    uint64_t tried = (uint64_t)json_integer_value(json_object_get(json_object_get(regret, "ordinals"), "last"));
    bool rolled_back = state && strcmp(state, "rolled_back") == 0;
    return status && strcmp(status, "rejected") != 0 && trained < first && !(rolled_back && tried >= first);
}

/* Takes the version if it may be tried and no other of its episode was taken. */
static bool take(const struct recall_input *input, int version, struct lesson *taken, int count)
{
    json_t *row = store_version_json(input->store, input->contest.twin->id, version);
    taken[count] = lesson_of(row);
    bool ok = is_new_to(row, input->window.first) && !is_taken(taken, count, taken[count]);
    json_decref(row);
    return ok;
}

/* Champions of the past, newest first, by the moves of the alias. A move by people to an older version says that the
 * one before it was wrong. */
static int candidates(const struct recall_input *input, int most, int *out)
{
    json_t *page = store_list_moves(input->store, input->contest.twin->id, "champion", 0, MOVES, NULL), *move;
    json_t *serving = store_version_json(input->store, input->contest.twin->id, input->contest.champion->version);
    struct lesson taken[CANDIDATES_MAX + 1] = {lesson_of(serving)};
    int refused[MOVES], refusals = 0, count = 0, after = 0;
    bool by_people = false;
    size_t i;
    json_decref(serving);
    json_array_foreach(json_object_get(page, "items"), i, move)
    {
        int version = int_of(move, "version");
        const char *actor = json_string_value(json_object_get(move, "actor"));
        if (by_people && after < version)
            refused[refusals++] = version;
        if (count < most && version != input->contest.champion->version && !holds(out, count, version) &&
            !holds(refused, refusals, version) && take(input, version, taken, count + 1))
            out[count++] = version;
        after = version;
        by_people = actor && strcmp(actor, "operator") == 0;
    }
    json_decref(page);
    return count;
}

static int try_all(const struct recall_input *input, const int *versions, int count, const struct tw_data *rows,
                   struct recall *out, struct tw_error *error)
{
    double *champion = malloc((rows->rows + 1) * sizeof(*champion));
    double *scores = malloc((rows->rows + 1) * sizeof(*scores));
    double level = input->level / count;
    json_t *tried = json_array();
    int status = champion && scores && tried ? TW_OK : TW_NO_MEMORY;
    if (status == TW_OK)
        status = contest_begin(&input->contest, rows, champion);
    for (int i = 0; status == TW_OK && i < count; i++) {
        struct tw_gate gate;
        status = contest_gate(&input->contest, versions[i], level, rows, champion, scores, &gate, error);
        if (status == TW_NOT_FOUND) {
            status = TW_OK;
            continue;
        }
        if (status == TW_OK)
            json_array_append_new(tried, contest_json(versions[i], &gate));
        if (status == TW_OK && gate.pass && (!out->version || gate.bound > out->gate.bound)) {
            out->version = versions[i];
            out->gate = gate;
        }
    }
    if (status == TW_OK && !(out->record = json_pack("{s:f, s:O}", "level", level, "candidates", tried)))
        status = TW_NO_MEMORY;
    json_decref(tried);
    free(champion);
    free(scores);
    return status;
}

int recall_try(const struct recall_input *input, struct recall *out, struct tw_error *error)
{
    int versions[CANDIDATES_MAX], most = input->most < CANDIDATES_MAX ? input->most : CANDIDATES_MAX;
    memset(out, 0, sizeof(*out));
    int count = candidates(input, most, versions);
    if (count == 0)
        return TW_OK;
    struct tw_data rows;
    tw_data_init(&rows, input->contest.twin->definition->schema);
    int status = window_read(input->contest.twin, &input->window, window_rows_compare(input->contest.twin), &rows, NULL,
                             NULL, NULL, NULL, NULL, error);
    if (status == TW_OK)
        status = try_all(input, versions, count, &rows, out, error);
    if (status == TW_OK && out->version)
        status = contest_distance(&input->contest, &rows, input->level, &out->distance);
    tw_data_fini(&rows);
    if (status != TW_OK)
        recall_fini(out);
    return status;
}

void recall_fini(struct recall *recall)
{
    json_decref(recall->record);
    memset(recall, 0, sizeof(*recall));
}
