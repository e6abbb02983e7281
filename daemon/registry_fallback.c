/* A champion whose artifact or acceptance reference is broken gives way to the newest champion before it that is whole.
 * What is broken is named, kept aside, and written into the version's reason. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/damage.h"
#include "daemon/log.h"
#include "daemon/registry.h"
#include "daemon/store.h"

enum { MOVES_A_PAGE = 100 };

static bool broken(int status)
{
    return status == TW_CORRUPT || status == TW_NOT_FOUND;
}

/* A blob as it should be, or the status that says how it is not. `what`: "artifact" or "acceptance reference". */
static int check_blob(struct store *store, struct twin *twin, int version, const char *sha256, const char *what,
                      struct tw_error *error)
{
    unsigned char *bytes = NULL;
    size_t size = 0;
    struct tw_error why = {""};
    int status = store_blob_get(store, sha256, &bytes, &size, &why);
    free(bytes);
    if (!broken(status))
        return status ? tw_error_set(error, status, "%s", why.text) : 0;
    tw_error_set(error, TW_CORRUPT, "the %s of version %d is damaged: %.150s", what, version, why.text);
    const char *word = strrchr(what, ' ');
    char name[128];
    snprintf(name, sizeof name, "%s-v%d-%s", twin->name, version, word ? word + 1 : what);
    bytes = NULL;
    if (store_blob_raw(store, sha256, &bytes, &size) == 0 && size > 0)
        damage_bytes(twin->name, name, bytes, size, "%s", error->text);
    else
        damage_file(twin->name, NULL, false, "%s", error->text);
    free(bytes);
    if (store_version_note(store, twin->id, version, error->text))
        log_warning("damage_not_noted", "twin=%s version=%d", twin->name, version);
    return TW_CORRUPT;
}

int registry_check_version(struct store *store, struct twin *twin, int version, struct tw_error *error)
{
    json_t *row = store_version_json(store, twin->id, version);
    int status = row ? TW_OK : tw_error_set(error, TW_NOT_FOUND, "there is no version %d", version);
    const char *artifact = json_string_value(json_object_get(row, "sha256"));
    const char *reference = json_string_value(json_object_get(row, "reference_sha256"));
    if (status == TW_OK && artifact)
        status = check_blob(store, twin, version, artifact, "artifact", error);
    if (status == TW_OK && reference)
        status = check_blob(store, twin, version, reference, "acceptance reference", error);
    json_decref(row);
    return status;
}

/* Has an earlier entry of the list this version? */
static bool tried(const json_t *versions, int version)
{
    size_t i;
    json_t *entry;
    json_array_foreach(versions, i, entry) if (json_integer_value(entry) == version) return true;
    return false;
}

/* Walks the moves of `champion` from the newest to the first; *snapshot gets the first version that is whole. */
static int find_whole(struct store *store, struct twin *twin, json_t *passed, struct snapshot **snapshot,
                      struct tw_error *error)
{
    char cursor[32] = "";
    for (;;) {
        json_t *page = store_list_moves(store, twin->id, "champion", 0, MOVES_A_PAGE, *cursor ? cursor : NULL), *move;
        size_t i;
        int status = page ? TW_NOT_FOUND : tw_error_set(error, TW_IO, "the moves of champion cannot be read");
        json_array_foreach(json_object_get(page, "items"), i, move)
        {
            struct tw_error why = {""};
            int version = (int)json_integer_value(json_object_get(move, "version"));
            if (tried(passed, version))
                continue;
            json_array_append_new(passed, json_integer(version));
            if (registry_check_version(store, twin, version, &why) == TW_OK &&
                snapshot_load(store, twin->id, version, snapshot, &why) == TW_OK) {
                status = TW_OK;
                break;
            }
        }
        const char *next = json_string_value(json_object_get(page, "next_cursor"));
        snprintf(cursor, sizeof cursor, "%s", next ? next : "");
        json_decref(page);
        if (status != TW_NOT_FOUND || !*cursor)
            return status;
    }
}

int registry_fall_back(struct store *store, struct twin *twin, int version, const char *why, struct snapshot **snapshot,
                       int64_t *move, struct tw_error *error)
{
    char reason[300], quoted[400];
    *snapshot = NULL;
    json_t *passed = json_pack("[i]", version);
    int status = passed ? find_whole(store, twin, passed, snapshot, error) : TW_NO_MEMORY;
    json_decref(passed);
    if (status == TW_NOT_FOUND)
        return tw_error_set(error, TW_NOT_FOUND, "%.180s; no earlier champion is whole", why);
    if (status)
        return status;
    pthread_mutex_lock(&twin->lock);
    struct store_move fall = {
        .twin = twin->id,
        .alias = "champion",
        .version = (*snapshot)->version,
        .expected_move = *move,
        .actor = "twind",
        .reason = reason,
        .hold = twin->hold, /* as it is: a broken champion gives way also while it is held */
    };
    pthread_mutex_unlock(&twin->lock);
    snprintf(reason, sizeof reason, "fell back from version %d: %.240s", version, why);
    status = store_alias_put(store, &fall, error);
    if (status) {
        snapshot_unref(*snapshot);
        *snapshot = NULL;
        return status;
    }
    *move = fall.move;
    log_error("champion_fell_back", "twin=%s from=%d to=%d move=%lld why=%s", twin->name, version, fall.version,
              (long long)fall.move, log_quote(why, quoted, sizeof quoted));
    return TW_OK;
}

int registry_champion_broken(struct registry *registry, struct twin *twin, int version, int64_t move,
                             struct tw_error *error)
{
    struct snapshot *snapshot = NULL;
    struct tw_error why = {""};
    int status = registry_check_version(twin->store, twin, version, &why);
    if (!broken(status)) /* whole, or nobody can say */
        return status ? tw_error_set(error, status, "%s", why.text) : TW_INVALID;
    status = registry_fall_back(twin->store, twin, version, why.text, &snapshot, &move, error);
    if (status == TW_OK)
        status = registry_serve(registry, twin, snapshot->version, move, false, error);
    snapshot_unref(snapshot);
    return status;
}
