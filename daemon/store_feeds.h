/* What is known of each feed apart from its batches, as of an ordinal. */
#ifndef DAEMON_STORE_FEEDS_H
#define DAEMON_STORE_FEEDS_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/feeds.h"
#include "daemon/store.h"

/* These records, together with those put before, hold every key of the twin's batches with ordinals below `counted`. */
int store_feeds_put(struct store *store, int64_t twin, uint64_t counted, const struct feeds_record *records,
                    size_t count, struct tw_error *error);
/* Calls visit for each record; *counted gets the ordinal. Stops if visit returns non-zero, and returns that. */
int store_feeds_each(struct store *store, int64_t twin, uint64_t *counted,
                     int (*visit)(void *context, const struct feeds_record *record), void *context,
                     struct tw_error *error);

#endif
