/* One column's change as JSON, with a clause that a shifter understands. */
#ifndef DAEMON_FINDING_WORDS_H
#define DAEMON_FINDING_WORDS_H

#include <jansson.h>

#include "model/schema.h"
#include "stat/contrast.h"

/* column NULL: the log-likelihood, which is column `index` of the grid. excess: the largest one and the largest
 * deficit.
 */
json_t *finding_words_json(const struct tw_column *column, const struct tw_sketch_grid *grid, int index,
                           const struct tw_contrast *contrast, const struct tw_excess excess[2], double p_value);

#endif
