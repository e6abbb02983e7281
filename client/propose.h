/* Observables that a definition guessed from events may begin with.
 */
#ifndef CLIENT_PROPOSE_H
#define CLIENT_PROPOSE_H

#include <stddef.h>

#include <jansson.h>

/* `features` as guess_definition makes them. An object is what has features NAME_pt, NAME_eta, NAME_phi; for each pair
 * of the first four objects the invariant mass is proposed, with the masses NAME_m where there are such features and
 * zero elsewhere. An array, empty where nothing suggests itself; NULL when memory is out. */
json_t *propose_observables(const json_t *features);

#endif
