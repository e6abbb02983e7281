/* The list of twins, and everything that changes it or what a twin serves. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/cache.h"
#include "daemon/clock.h"
#include "daemon/folder.h"
#include "daemon/patch.h"
#include "daemon/registry.h"
#include "daemon/shortage.h"
#include "daemon/spool.h"
#include "daemon/store.h"
#include "daemon/trouble.h"

struct registry {
    struct store *store;
    char *spools; /* <state>/spool */
    size_t segment_bytes;
    pthread_mutex_t change; /* held through create, delete and patch, which wait for the store */

    struct cache *cache;

    pthread_mutex_t lock; /* guards the list; never held while waiting */
    struct twin **twins;
    size_t count, capacity;
    uint64_t generation;
};

/* Takes the caller's reference. */
static int add(struct registry *registry, struct twin *twin, struct tw_error *error)
{
    int status = 0;
    pthread_mutex_lock(&registry->lock);
    if (registry->count == registry->capacity) {
        size_t capacity = registry->capacity ? 2 * registry->capacity : 8;
        struct twin **grown = realloc(registry->twins, capacity * sizeof *grown);
        if (grown) {
            registry->twins = grown;
            registry->capacity = capacity;
        } else {
            status = tw_error_set(error, TW_NO_MEMORY, "no memory for a twin");
        }
    }
    if (!status) {
        registry->twins[registry->count++] = twin;
        registry->generation++;
    }
    pthread_mutex_unlock(&registry->lock);
    return status;
}

/* --- start and end --- */

static int load_twin(struct registry *registry, const json_t *row, struct tw_error *error)
{
    struct definition *definition = NULL;
    struct twin *twin = NULL;
    struct tw_error why = {""};
    unsigned before = shortage_count();
    json_t *json = json_loads(json_string_value(json_object_get(row, "definition")), 0, NULL);
    int status = definition_parse(json, &definition, &why);
    json_decref(json);
    if (status == TW_NO_MEMORY || shortage_count() != before) {
        definition_free(definition);
        return tw_error_set(error, TW_NO_MEMORY, "no memory for a twin's definition");
    }
    if (status)
        return tw_error_set(error, TW_CORRUPT, "the stored definition of twin %s is refused: %.160s",
                            json_string_value(json_object_get(row, "name")), why.text);
    status = registry_twin_new(registry->store, registry->spools, registry->segment_bytes,
                               json_integer_value(json_object_get(row, "id")),
                               json_integer_value(json_object_get(row, "created")), definition, &twin, error);
    if (!status) {
        twin->hold = json_is_true(json_object_get(row, "hold"));
        status = registry_restore(registry->store, twin, error);
    }
    if (!status)
        registry_sidecar_keep(twin);
    if (!status)
        status = add(registry, twin, error);
    if (status)
        registry_twin_unref(twin);
    return status;
}

/* Folders that a daemon had no time to remove. */
static void remove_leftovers(struct registry *registry)
{
    size_t i;
    json_t *item, *ids = store_twin_deleted(registry->store);
    json_array_foreach(ids, i, item)
    {
        char path[4200];
        snprintf(path, sizeof path, "%s/%lld", registry->spools, (long long)json_integer_value(item));
        registry_spool_remove(registry->store, json_integer_value(item), path);
    }
    json_decref(ids);
}

int registry_open(struct store *store, const char *state, size_t segment_bytes, const struct tw_kernels *kernels,
                  struct registry **out, struct tw_error *error)
{
    (void)kernels; /* a model is loaded as data; kernels come in with each query */
    *out = NULL;
    struct registry *registry = calloc(1, sizeof *registry);
    if (!registry)
        return tw_error_set(error, TW_NO_MEMORY, "no memory for the registry");
    registry->store = store;
    registry->segment_bytes = segment_bytes;
    pthread_mutex_init(&registry->lock, NULL);
    pthread_mutex_init(&registry->change, NULL);
    int status = 0;
    registry->cache = cache_new();
    if (asprintf(&registry->spools, "%s/spool", state) < 0)
        registry->spools = NULL;
    if (!registry->cache || !registry->spools)
        status = tw_error_set(error, TW_NO_MEMORY, "no memory for the registry");
    if (!status) /* once for all spools: with many twins, a sync of every folder above for each would make starts long
                  */
        status = folder_make(registry->spools, error);
    json_t *rows = status ? NULL : store_twin_list(store);
    if (!status && !rows)
        status =
            tw_error_set(error, store_failed(store, NULL) ? TW_IO : TW_NO_MEMORY, "the list of twins cannot be read");
    if (!status)
        remove_leftovers(registry);
    for (size_t i = 0; !status && i < json_array_size(rows); i++)
        status = load_twin(registry, json_array_get(rows, i), error);
    json_decref(rows);
    if (status) {
        registry_close(registry);
        return status;
    }
    *out = registry;
    return 0;
}

void registry_close(struct registry *registry)
{
    if (!registry)
        return;
    cache_free(registry->cache);
    for (size_t i = 0; i < registry->count; i++)
        registry_twin_unref(registry->twins[i]);
    pthread_mutex_destroy(&registry->lock);
    pthread_mutex_destroy(&registry->change);
    free(registry->twins);
    free(registry->spools);
    free(registry);
}

/* --- looking --- */

/* Index in the list, or -1. Lock held. */
static long position(const struct registry *registry, const char *name)
{
    for (size_t i = 0; i < registry->count; i++)
        if (!strcmp(registry->twins[i]->name, name))
            return (long)i;
    return -1;
}

struct twin *registry_find(struct registry *registry, const char *name)
{
    pthread_mutex_lock(&registry->lock);
    long at = position(registry, name);
    struct twin *twin = at < 0 ? NULL : registry_twin_ref(registry->twins[at]);
    pthread_mutex_unlock(&registry->lock);
    return twin;
}

size_t registry_list(struct registry *registry, struct twin ***out)
{
    pthread_mutex_lock(&registry->lock);
    size_t count = registry->count;
    *out = malloc((count ? count : 1) * sizeof **out);
    if (!*out) {
        shortage_note();
        count = 0;
    }
    for (size_t i = 0; i < count; i++)
        (*out)[i] = registry_twin_ref(registry->twins[i]);
    pthread_mutex_unlock(&registry->lock);
    return count;
}

uint64_t registry_generation(struct registry *registry)
{
    pthread_mutex_lock(&registry->lock);
    uint64_t generation = registry->generation;
    pthread_mutex_unlock(&registry->lock);
    return generation;
}

/* --- create, delete, patch --- */

static char *definition_text(const struct definition *definition)
{
    unsigned before = shortage_count();
    json_t *json = definition_json(definition);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (shortage_count() == before)
        return text;
    free(text); /* it may lack a member */
    return NULL;
}

int registry_create(struct registry *registry, const json_t *json, struct twin **out, struct tw_error *error)
{
    struct definition *definition = NULL;
    struct twin *twin = NULL;
    int64_t id = 0;
    unsigned before = shortage_count();
    *out = NULL;
    int status = definition_parse(json, &definition, error);
    if (status)
        return status;
    char *text = definition_text(definition);
    if (!text || shortage_count() != before) {
        free(text);
        definition_free(definition);
        return tw_error_set(error, TW_NO_MEMORY, "no memory for a twin");
    }
    pthread_mutex_lock(&registry->change);
    status = store_twin_insert(registry->store, definition->name, text, &id, error);
    if (status) {
        definition_free(definition);
    } else {
        status = registry_twin_new(registry->store, registry->spools, registry->segment_bytes, id, clock_ms(),
                                   definition, &twin, error);
        if (!status)
            status = registry_sidecar_write(twin, error);
        if (!status)
            *out = registry_twin_ref(twin);
        if (!status)
            status = add(registry, twin, error);
        if (status == TW_IO) /* the spool's folder: as final as an error of the database */
            store_fail(registry->store, error->text);
        if (status) { /* as if it had never been */
            registry_twin_unref(*out);
            registry_twin_unref(twin);
            *out = NULL;
            store_twin_delete(registry->store, id, NULL);
            remove_leftovers(registry);
        }
    }
    pthread_mutex_unlock(&registry->change);
    free(text);
    return status;
}

int registry_delete(struct registry *registry, const char *name, struct tw_error *error)
{
    pthread_mutex_lock(&registry->change);
    struct twin *twin = registry_find(registry, name);
    int status = twin ? store_twin_delete(registry->store, twin->id, error)
                      : tw_error_set(error, TW_NOT_FOUND, "there is no twin %.64s", name);
    if (!status) {
        pthread_mutex_lock(&twin->lock);
        twin->deleted = true;
        pthread_mutex_unlock(&twin->lock);
        pthread_mutex_lock(&registry->lock);
        long at = position(registry, name);
        registry->count--;
        memmove(registry->twins + at, registry->twins + at + 1, (registry->count - (size_t)at) * sizeof(struct twin *));
        registry->generation++;
        pthread_mutex_unlock(&registry->lock);
        cache_forget(registry->cache, twin->id);
        trouble_forget(twin->name);
        registry_sidecar_remove(twin);
        registry_twin_unref(twin); /* the list's */
    }
    pthread_mutex_unlock(&registry->change);
    registry_twin_unref(twin);
    return status;
}

/* Policy, observables and description are swapped; schema and model are the same in both definitions, and stay. */
static int change_definition(struct registry *registry, struct twin *twin, struct definition *definition,
                             struct tw_error *error)
{
    char *text = definition_text(definition);
    int status = text ? store_twin_update(registry->store, twin->id, text, error)
                      : tw_error_set(error, TW_NO_MEMORY, "no memory for the definition");
    free(text);
    if (status)
        return status;
    pthread_mutex_lock(&twin->lock);
    char *description = twin->definition->description;
    twin->definition->description = definition->description;
    twin->definition->loop = definition->loop;
    definition->description = description;
    struct tw_observables *observables = twin->definition->observables;
    twin->definition->observables = definition->observables;
    definition->observables = observables;
    registry_recount(twin);
    pthread_mutex_unlock(&twin->lock);
    registry_sidecar_keep(twin);
    return 0;
}

static int change_hold(struct registry *registry, struct twin *twin, bool hold, struct tw_error *error)
{
    int status = store_hold_set(registry->store, twin->id, hold, error);
    if (status)
        return status;
    pthread_mutex_lock(&twin->lock);
    twin->hold = hold;
    if (twin->activity == ACTIVITY_IDLE || twin->activity == ACTIVITY_HELD)
        twin->activity = hold ? ACTIVITY_HELD : ACTIVITY_IDLE;
    pthread_mutex_unlock(&twin->lock);
    return 0;
}

/* Has the twin another definition than the one of this tag? */
static bool has_changed(struct twin *twin, const char *expected)
{
    char tag[DEFINITION_TAG_SIZE];
    if (expected)
        json_decref(registry_definition_json(twin, tag));
    return expected && strcmp(expected, tag) != 0;
}

int registry_patch(struct registry *registry, const char *name, const json_t *patch, const char *expected,
                   struct tw_error *error)
{
    /* `hold` is the twin's, not the definition's: it is changed beside it */
    const json_t *hold = json_object_get(patch, "hold");
    if (hold && !json_is_boolean(hold))
        return tw_error_set(error, TW_INVALID, "hold must be true or false");
    json_t *rest = json_copy((json_t *)patch);
    if (!rest)
        return TW_NO_MEMORY;
    json_object_del(rest, "hold");

    struct definition *definition = NULL;
    unsigned before = shortage_count();
    pthread_mutex_lock(&registry->change);
    struct twin *twin = registry_find(registry, name);
    int status = TW_OK;
    if (!twin)
        status = tw_error_set(error, TW_NOT_FOUND, "there is no twin %.64s", name);
    else if (has_changed(twin, expected))
        status = tw_error_set(error, TW_EXISTS, "the definition has changed since; GET it again");
    else
        status = patch_definition(twin->definition, rest, &definition, error);
    if (!status && shortage_count() != before)
        status = tw_error_set(error, TW_NO_MEMORY, "no memory for the definition");
    if (!status && json_object_size(rest) > 0)
        status = change_definition(registry, twin, definition, error);
    if (!status && hold)
        status = change_hold(registry, twin, json_is_true(hold), error);
    pthread_mutex_unlock(&registry->change);
    json_decref(rest);
    definition_free(definition);
    registry_twin_unref(twin);
    return status;
}

json_t *registry_definition_json(struct twin *twin, char tag[DEFINITION_TAG_SIZE])
{
    pthread_mutex_lock(&twin->lock); /* the loop's policy may be replaced */
    json_t *json = definition_json(twin->definition);
    definition_tag(twin->definition, tag);
    pthread_mutex_unlock(&twin->lock);
    return json;
}

struct tw_observables *registry_observables(struct twin *twin)
{
    pthread_mutex_lock(&twin->lock);
    struct tw_observables *observables = tw_observables_ref(twin->definition->observables);
    pthread_mutex_unlock(&twin->lock);
    return observables;
}

/* --- versions that can answer --- */

int registry_snapshot(struct registry *registry, struct twin *twin, int version, struct snapshot **out,
                      struct tw_error *error)
{
    *out = NULL;
    pthread_mutex_lock(&twin->lock);
    if (twin->champion && (version == 0 || version == twin->champion->version))
        *out = snapshot_ref(twin->champion);
    pthread_mutex_unlock(&twin->lock);
    if (*out)
        return 0;
    if (version == 0)
        return tw_error_set(error, TW_NOT_FOUND, "twin %s has no champion", twin->name);
    *out = cache_find(registry->cache, twin->id, version);
    if (*out)
        return 0;
    int status = snapshot_load(registry->store, twin->id, version, out, error);
    if (!status)
        cache_keep(registry->cache, twin->id, *out);
    else if (status == TW_CORRUPT)
        registry_check_version(registry->store, twin, version, error); /* names it */
    return status;
}

int registry_serve(struct registry *registry, struct twin *twin, int version, int64_t move, bool hold,
                   struct tw_error *error)
{
    struct snapshot *snapshot = NULL;
    int status = registry_snapshot(registry, twin, version, &snapshot, error);
    if (status)
        return status;
    /* Under `change`, as in registry_patch: the hold that is shown is the one in the store, whoever set it last. */
    pthread_mutex_lock(&registry->change);
    json_t *alias = store_alias_json(registry->store, twin->id, "champion");
    int64_t since = json_integer_value(json_object_get(alias, "since_ms"));
    if (alias)
        hold = json_is_true(json_object_get(alias, "hold"));
    json_decref(alias);
    pthread_mutex_lock(&twin->lock);
    twin->hold = hold;
    if (move >= twin->champion_move) { /* else a later move is served already */
        struct snapshot *before = twin->champion;
        twin->champion = snapshot;
        snapshot = before;
        twin->champion_move = move;
        twin->champion_since_ms = since ? since : clock_ms();
        twin->fault[0] = 0;
        if (twin->activity != ACTIVITY_RETUNING && twin->activity != ACTIVITY_COMPARING)
            twin->activity = hold ? ACTIVITY_HELD : ACTIVITY_IDLE;
    }
    pthread_mutex_unlock(&twin->lock);
    pthread_mutex_unlock(&registry->change);
    registry_aliases_read(twin);
    snapshot_unref(snapshot);
    return 0;
}
