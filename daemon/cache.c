/* A handful of versions: a page or a script that compares versions asks for the same ones again and again. */
#include <pthread.h>
#include <stdlib.h>

#include "daemon/cache.h"
#include "daemon/snapshot.h"

enum { ENTRIES = 4 };

struct cache {
    pthread_mutex_t lock;
    uint64_t clock;
    struct entry {
        int64_t twin;
        uint64_t used;
        struct snapshot *snapshot;
    } entries[ENTRIES];
};

struct cache *cache_new(void)
{
    struct cache *cache = calloc(1, sizeof *cache);
    if (cache)
        pthread_mutex_init(&cache->lock, NULL);
    return cache;
}

void cache_free(struct cache *cache)
{
    if (!cache)
        return;
    for (int i = 0; i < ENTRIES; i++)
        snapshot_unref(cache->entries[i].snapshot);
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}

struct snapshot *cache_find(struct cache *cache, int64_t twin, int version)
{
    struct snapshot *found = NULL;
    pthread_mutex_lock(&cache->lock);
    for (struct entry *entry = cache->entries; entry < cache->entries + ENTRIES && !found; entry++) {
        if (entry->snapshot && entry->twin == twin && entry->snapshot->version == version) {
            entry->used = ++cache->clock;
            found = snapshot_ref(entry->snapshot);
        }
    }
    pthread_mutex_unlock(&cache->lock);
    return found;
}

void cache_keep(struct cache *cache, int64_t twin, struct snapshot *snapshot)
{
    pthread_mutex_lock(&cache->lock);
    struct entry *oldest = cache->entries;
    for (struct entry *entry = oldest + 1; entry < cache->entries + ENTRIES; entry++)
        if (entry->used < oldest->used)
            oldest = entry;
    struct snapshot *dropped = oldest->snapshot;
    *oldest = (struct entry){twin, ++cache->clock, snapshot_ref(snapshot)};
    pthread_mutex_unlock(&cache->lock);
    snapshot_unref(dropped);
}

void cache_forget(struct cache *cache, int64_t twin)
{
    pthread_mutex_lock(&cache->lock);
    for (struct entry *entry = cache->entries; entry < cache->entries + ENTRIES; entry++) {
        if (entry->twin != twin)
            continue;
        snapshot_unref(entry->snapshot);
        *entry = (struct entry){0};
    }
    pthread_mutex_unlock(&cache->lock);
}
