/* A twin's definition guessed from events, for a person to look at and change. */
#ifndef CLIENT_GUESS_H
#define CLIENT_GUESS_H

#include <jansson.h>

#include "client/rows.h"

/* Reads the first rows of `rows`, whose columns must have names. A feature is
 *   periodic  if its name says that it is an angle and its values fill [-pi, pi] or [0, 2 pi],
 *   discrete  if its values are a few whole numbers: from the least to the largest that was seen,
 *   log       if it is positive and its logarithm is less skewed than itself: a long tail,
 *   standard  otherwise.
 * It is optional if it is NaN in some rows. Bounds of real features stay open: what was not seen yet may still come.
 * Masses of pairs are proposed as observables (propose.h). Remarks for the user (constant columns, missing values,
 * counts) go to `remarks`, an array of strings. NULL with a sentence. */
json_t *guess_definition(const char *name, struct rows *rows, json_t *remarks, char problem[512]);

#endif
