/* Floats as decimal text and back, without the locale: the fewest digits (6 to 9, trailing zeros dropped) that give
 * the same float back. */
#ifndef PROTO_DECIMAL_H
#define PROTO_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>

enum { TWP_DECIMAL_MAX = 24 }; /* bytes that a printed float may take, the final zero included */

/* Writes `value` as JSON and CSV allow it ("nan", "inf" and "-inf" where it is not finite); returns the length. */
size_t twp_decimal_print(float value, char out[TWP_DECIMAL_MAX]);

/* Reads all of text[0..size): a decimal number, or nan, inf, infinity with any sign and case. A number beyond float's
 * range gives inf. False if it is anything else. */
bool twp_decimal_parse(const char *text, size_t size, float *out);

#endif
