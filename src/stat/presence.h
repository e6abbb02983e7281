/* How many events have each optional feature: two shares compared by Fisher's exact test.
 *
 * Features that come and go together, as those of a second jet, are one test and not several: those that the same rows
 * of both samples have share one threshold. Which these are follows from the rows of both samples together, whatever
 * their order, and given these each p-value is exact; so the union bound is over the tests that are left.
 */
#ifndef TW_STAT_PRESENCE_H
#define TW_STAT_PRESENCE_H

#include "stat/drift.h"

/* Fills `statistics` (count), each of which names its feature and has an even part of the detector's share. */
void tw_presence(const struct tw_data *reference, const struct tw_data *window, struct tw_statistic *statistics,
                 int count);

#endif
