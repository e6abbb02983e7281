/* Events as points of a space in which distances mean something: one coordinate of unit width for each real column, a
 * point on a circle for each angle. Means and widths are those of two samples together, as the null hypothesis sees
 * them.
 */
#ifndef TW_STAT_EMBED_H
#define TW_STAT_EMBED_H

#include <stddef.h>
#include <stdint.h>

#include "base/real.h"
#include "model/data.h"

struct tw_embed {
    const struct tw_schema *schema; /* borrowed */
    int width;                      /* coordinates: one a column, two an angle */
    double *centre, *scale;         /* (features); scale 0: a column that is constant, its coordinate stays 0 */
};

/* TW_NO_MEMORY or 0. */
int tw_embed_init(struct tw_embed *embed, const struct tw_data *a, const struct tw_data *b);
void tw_embed_fini(struct tw_embed *embed); /* accepts a zeroed one */

/* Coordinates of the event with these features: out[0], out[stride], ... (width of them), each within [-10, 10]. A
 * value that is absent (not finite) stands at the centre. */
void tw_embed_row(const struct tw_embed *embed, const float *features, size_t stride, tw_real *out);

/* The median distance between events of the two samples together, from 1000 pairs that `key` picks; 1 where it is 0.
 * TW_NO_MEMORY or 0. */
int tw_embed_median(const struct tw_embed *embed, const struct tw_data *a, const struct tw_data *b, uint64_t key,
                    double *median);

#endif
