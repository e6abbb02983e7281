/* What the aliases of a twin name, in memory: for those who may not wait for the store. */
#include <string.h>

#include "daemon/registry.h"
#include "daemon/store.h"

static const char *const names[REGISTRY_ALIASES] = {"champion", "challenger", "reference"};

const char *registry_alias_name(int alias)
{
    return names[alias];
}

void registry_aliases_read(struct twin *twin)
{
    int versions[REGISTRY_ALIASES];
    for (int i = 0; i < REGISTRY_ALIASES; i++) {
        json_t *alias = store_alias_json(twin->store, twin->id, names[i]);
        versions[i] = (int)json_integer_value(json_object_get(alias, "version"));
        json_decref(alias);
    }
    pthread_mutex_lock(&twin->lock);
    for (int i = 0; i < REGISTRY_ALIASES; i++)
        twin->aliases[i] = versions[i];
    pthread_mutex_unlock(&twin->lock);
}

int registry_alias_version(struct twin *twin, const char *name)
{
    int version = -1;
    pthread_mutex_lock(&twin->lock);
    for (int i = 0; i < REGISTRY_ALIASES; i++)
        if (strcmp(name, names[i]) == 0)
            version = twin->aliases[i];
    pthread_mutex_unlock(&twin->lock);
    return version;
}
