/* The known word that somebody may have meant. */
#ifndef TW_HEP_NEAREST_H
#define TW_HEP_NEAREST_H

#include <stddef.h>

#define TW_NEAREST_MAX 64 /* bytes of a word that are looked at */

/* Edits (insert, delete, replace, swap of neighbours) that make b of the `length` bytes of a; a large number where one
 * of them is longer than TW_NEAREST_MAX. */
int tw_nearest_distance(const char *a, size_t length, const char *b);

/* The largest distance at which a word of this length is worth a suggestion. */
int tw_nearest_limit(size_t length);

#endif
