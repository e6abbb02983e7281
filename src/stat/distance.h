/* How far have data moved from a reference, where they moved most?
 *
 * Each column of the reference is cut into overlapping regions that hold a twentieth of its rows, and has two more
 * beyond its least and its largest value, where what is new may come to lie; a region's distance is |ln(share in data /
 * share in reference)|, and the largest that the numbers of rows can show is the distance: 0.7 says that some region
 * became half or twice as populated, a region that died is as far as the rows allow. A mean over all rows, such as a
 * gain in log-likelihood, is the wrong measure for that: a dead sector of 0.4 rad is worth 0.02 to 0.1 nats an event,
 * less than a change of tune. What changes in correlations alone is not seen here.
 */
#ifndef TW_STAT_DISTANCE_H
#define TW_STAT_DISTANCE_H

#include "model/data.h"

struct tw_distance {
    double bound;        /* at least so far, at `level`, over all regions; 0: nothing is shown */
    double value, error; /* ln(share in data / share in reference) of that region, and its standard error; else NaN */
    int column;          /* of the schema; -1: nothing is shown */
    double low, high;    /* the region; infinite where it is open, NaN: rows in which the column is absent */
    double found, expected; /* rows of the data in it; how many the reference lets expect */
};

/* Features of both, of one schema (the extended one too); NaN is absent. Event weights count with their effective
 * number. TW_NO_MEMORY; TW_INVALID for a level outside (0, 1). Without rows on a side nothing is shown. */
int tw_distance(const struct tw_data *reference, const struct tw_data *data, double level, struct tw_distance *out);

#endif
