/* Versions that were asked for lately, besides the champions. Any thread.
 */
#ifndef DAEMON_CACHE_H
#define DAEMON_CACHE_H

#include <stdint.h>

struct cache;
struct snapshot;

struct cache *cache_new(void);
void cache_free(struct cache *cache); /* accepts NULL */

/* A reference, or NULL. */
struct snapshot *cache_find(struct cache *cache, int64_t twin, int version);
/* Takes a reference of its own; drops what was not asked for longest. */
void cache_keep(struct cache *cache, int64_t twin, struct snapshot *snapshot);
/* Drops all versions of a twin. */
void cache_forget(struct cache *cache, int64_t twin);

#endif
