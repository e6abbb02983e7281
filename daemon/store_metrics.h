/* The statistics of a twin over time: iterations one by one, or means over hours, days and multiples of them. */
#ifndef DAEMON_STORE_METRICS_H
#define DAEMON_STORE_METRICS_H

#include <stdint.h>

#include "daemon/store.h"

struct store_metrics {
    int64_t twin;
    const char *name, *verdict, *feature; /* NULL: any; feature "": those about the whole window */
    int64_t from_ms, to_ms;               /* the end does not belong to it */
    int64_t step_s;                       /* below an hour: iterations one by one */
    int limit;
    const char *cursor;
};

/* {"items": [{"time", "name", "verdict", "feature", "value", "min", "max", "count"}], "next_cursor", "step"} by time;
 * `value` is the mean over `count` iterations, `time` where the step begins. An answer looks at no more than a thousand
 * rows and may hold fewer than `limit` items though there are more. NULL: the cursor is malformed (or the database
 * cannot be read: then store_failed). */
json_t *store_metrics(struct store *store, const struct store_metrics *query);

#endif
