/* Snapshots: loaded from the store, checked against the hash, shared by count. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "daemon/shortage.h"
#include "daemon/snapshot.h"
#include "daemon/store.h"

struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
    __atomic_add_fetch(&snapshot->references, 1, __ATOMIC_RELAXED);
    return snapshot;
}

void snapshot_unref(struct snapshot *snapshot)
{
    if (!snapshot || __atomic_sub_fetch(&snapshot->references, 1, __ATOMIC_ACQ_REL))
        return;
    tw_model_unref(snapshot->model);
    free(snapshot);
}

int snapshot_load(struct store *store, int64_t twin, int version, struct snapshot **out, struct tw_error *error)
{
    unsigned char *bytes = NULL;
    size_t size = 0;
    struct snapshot *snapshot = NULL;
    unsigned before = shortage_count();
    json_t *row = store_version_json(store, twin, version);
    const char *sha256 = json_string_value(json_object_get(row, "sha256"));
    int status = sha256 ? store_blob_get(store, sha256, &bytes, &size, error)
                        : tw_error_set(error, TW_NOT_FOUND, "there is no version %d", version);
    if (status)
        goto out;
    snapshot = calloc(1, sizeof *snapshot);
    if (!snapshot) {
        status = tw_error_set(error, TW_NO_MEMORY, "no memory for version %d", version);
        goto out;
    }
    snapshot->references = 1;
    snapshot->version = version;
    strncpy(snapshot->sha256, sha256, sizeof snapshot->sha256 - 1);
    status = tw_model_load(bytes, size, &snapshot->model, NULL, error);
out:
    if (status && shortage_count() != before) /* nothing is known about the version */
        status = tw_error_set(error, TW_NO_MEMORY, "no memory for version %d", version);
    if (status) {
        free(snapshot);
        snapshot = NULL;
    }
    free(bytes);
    json_decref(row);
    *out = snapshot;
    return status;
}
