/* A twin's life, from its definition and its spool to the last reference. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/damage.h"
#include "daemon/feeds.h"
#include "daemon/log.h"
#include "daemon/registry.h"
#include "daemon/spool.h"
#include "daemon/store.h"

static void write_columns(struct twin *twin)
{
    const struct tw_schema *schema = twin->definition->schema;
    char *end = twin->columns;
    for (int i = 0; i < schema->features; i++)
        end += sprintf(end, "%s%s", i ? "," : "", schema->columns[i].name);
}

/* Called by whoever reads the spool, on its thread. */
static void spool_damaged(void *context, const struct segment_damage *damage)
{
    struct twin *twin = context;
    char path[SEGMENT_PATH_MAX];
    bool named = spool_file(twin->spool, damage->segment, path, NULL) == 0;
    unsigned long long at = damage->offset, first = damage->first, last = damage->last;
    const char *file = named ? strrchr(path, '/') + 1 : "?";
    if (damage->last < damage->first) {
        damage_file(twin->name, named ? path : NULL, false, "%s: %s, at byte %llu; no batch is lost by that", file,
                    damage->what, at);
        return;
    }
    uint64_t lost = __atomic_add_fetch(&twin->lost, damage->last - damage->first + 1, __ATOMIC_RELAXED);
    damage_file(twin->name, named ? path : NULL, false,
                "%s: %s, at byte %llu: the batches with ordinals %llu to %llu are lost, %llu in all", file,
                damage->what, at, first, last, (unsigned long long)lost);
}

void registry_spool_remove(struct store *store, int64_t twin, const char *path)
{
    struct tw_error error = {""};
    int status = spool_remove(path, &error);
    if (status == TW_OK)
        store_twin_forget(store, twin);
    else if (status == TW_IO)
        store_fail(store, error.text);
}

static void twin_free(struct twin *twin)
{
    spool_close(twin->spool);
    if (twin->deleted)
        registry_spool_remove(twin->store, twin->id, twin->spool_dir);
    feeds_free(twin->feeds);
    snapshot_unref(twin->champion);
    definition_free(twin->definition);
    json_decref(twin->last_iteration);
    pthread_mutex_destroy(&twin->lock);
    free(twin->pending_memory);
    free(twin->spool_dir);
    free(twin);
}

void registry_twin_unref(struct twin *twin)
{
    if (twin && __atomic_sub_fetch(&twin->references, 1, __ATOMIC_ACQ_REL) == 0)
        twin_free(twin);
}

struct twin *registry_twin_ref(struct twin *twin)
{
    __atomic_add_fetch(&twin->references, 1, __ATOMIC_RELAXED);
    return twin;
}

int registry_twin_new(struct store *store, const char *spools, size_t segment_bytes, int64_t id, int64_t created_ms,
                      struct definition *definition, struct twin **out, struct tw_error *error)
{
    struct twin *twin = calloc(1, sizeof *twin);
    if (!twin) {
        definition_free(definition);
        return tw_error_set(error, TW_NO_MEMORY, "no memory for a twin");
    }
    twin->references = 1;
    twin->id = id;
    twin->created_ms = created_ms;
    twin->store = store;
    twin->definition = definition;
    strcpy(twin->name, definition->name);
    write_columns(twin);
    pthread_mutex_init(&twin->lock, NULL);
    twin->feeds = feeds_new();
    size_t torn = 0;
    int status = 0;
    if (asprintf(&twin->spool_dir, "%s/%lld", spools, (long long)id) < 0)
        twin->spool_dir = NULL;
    if (!twin->feeds || !twin->spool_dir)
        status = tw_error_set(error, TW_NO_MEMORY, "no memory for a twin");
    if (!status)
        status = spool_open(twin->spool_dir, segment_bytes, &twin->spool, &torn, error);
    if (!status)
        spool_watch(twin->spool, spool_damaged, twin);
    if (torn)
        log_warning("spool_tail_cut", "twin=%s bytes=%zu", twin->name, torn);
    if (status) {
        twin_free(twin);
        return status;
    }
    *out = twin;
    return 0;
}
