/* spool/<id>/twin.json: what a twin is, beside its batches, so that both can be had again without the database. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fcntl.h>

#include "daemon/errno_status.h"
#include "daemon/folder.h"
#include "daemon/log.h"
#include "daemon/registry.h"
#include "daemon/shortage.h"
#include "daemon/store.h"

static bool paths(const struct twin *twin, char *path, char *temporary, size_t size)
{
    return snprintf(path, size, "%s/twin.json", twin->spool_dir) < (int)size &&
           snprintf(temporary, size, "%s/twin.json.tmp", twin->spool_dir) < (int)size;
}

/* 0 or errno; *synced becomes false if it is the sync that failed. */
static int write_file(const char *path, const char *text, bool *synced)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    size_t size = strlen(text);
    int code = 0;
    while (size > 0 && code == 0) {
        ssize_t put = write(fd, text, size);
        if (put < 0) {
            code = errno == EINTR ? 0 : errno;
        } else {
            text += put;
            size -= (size_t)put;
        }
    }
    if (code == 0 && fsync(fd) != 0) {
        code = errno;
        *synced = false;
    }
    if (close(fd) != 0 && code == 0)
        code = errno;
    return code;
}

/* The old file or the new one, whole. */
static int replace(const struct twin *twin, const json_t *json, struct tw_error *error)
{
    char path[4200], temporary[4200];
    char *text = json_dumps(json, JSON_INDENT(1));
    int status = text && paths(twin, path, temporary, sizeof path) ? TW_OK : TW_NO_MEMORY;
    bool synced = true;
    int code = status == TW_OK ? write_file(temporary, text, &synced) : 0;
    if (status == TW_OK && code == 0 && rename(temporary, path) != 0)
        code = errno;
    free(text);
    if (code) {
        unlink(temporary);
        return tw_error_set(error, synced ? errno_status(code) : TW_IO, "writing %.180s: %s", path, strerror(code));
    }
    return status == TW_OK ? folder_sync_name(path, error) : status;
}

int registry_sidecar_write(struct twin *twin, struct tw_error *error)
{
    char path[4200], temporary[4200];
    unsigned before = shortage_count();
    pthread_mutex_lock(&twin->lock);
    json_t *definition = definition_json(twin->definition);
    pthread_mutex_unlock(&twin->lock);
    json_t *json = json_pack("{s:I, s:s, s:I, s:o}", "id", (json_int_t)twin->id, "name", twin->name, "created",
                             (json_int_t)twin->created_ms, "definition", definition);
    json_t *there = paths(twin, path, temporary, sizeof path) ? json_load_file(path, 0, NULL) : NULL;
    int status = json && shortage_count() == before ? TW_OK : TW_NO_MEMORY;
    if (status == TW_OK && !json_equal(json, there))
        status = replace(twin, json, error);
    json_decref(there);
    json_decref(json);
    return status;
}

void registry_sidecar_keep(struct twin *twin)
{
    struct tw_error error = {""};
    char quoted[400];
    int status = registry_sidecar_write(twin, &error);
    if (status == TW_IO)
        store_fail(twin->store, error.text);
    else if (status)
        log_warning("twin_json_not_written", "twin=%s why=%s", twin->name,
                    log_quote(error.text, quoted, sizeof quoted));
}

void registry_sidecar_remove(struct twin *twin)
{
    char path[4200], temporary[4200];
    struct tw_error error = {""};
    if (paths(twin, path, temporary, sizeof path) && unlink(path) == 0 && folder_sync_name(path, &error) == TW_IO)
        store_fail(twin->store, error.text);
}
