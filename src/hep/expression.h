/* Expressions over the columns of an event, such as
 *
 *     mass(mu1_pt, mu1_eta, mu1_phi, 0.1057, mu2_pt, mu2_eta, mu2_phi, 0.1057)
 *
 * Text becomes a short program for a stack machine; the program runs over blocks of rows in double. There are no loops,
 * no assignments and no calls but to functions.c, so whatever parses ends, and costs what its length says.
 *
 *     expression := and ("||" and)*          and     := compare ("&&" compare)*
 *     compare    := sum (("<" | "<=" | ">" | ">=" | "==" | "!=") sum)?
 *     sum        := product (("+" | "-") product)*
 *     product    := unary (("*" | "/") unary)*
 *     unary      := ("-" | "+" | "!") unary | power
 *     power      := primary ("^" unary)?     so that -x^2 is -(x^2), 2^-1 is a half and 2^3^2 is 2^9
 *     primary    := number | name | "pi" | function "(" expression ("," expression)* ")" | "(" expression ")"
 *
 * A name that is followed by "(" is a function, any other a column: a column may be called pt.
 */
#ifndef TW_HEP_EXPRESSION_H
#define TW_HEP_EXPRESSION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum {
    TW_EXPRESSION_TEXT_MAX = 2000,
    TW_EXPRESSION_DEPTH_MAX = 64, /* of parentheses, calls and signs inside each other */
    TW_EXPRESSION_STEPS_MAX = 512,
    TW_EXPRESSION_STACK_MAX = 128, /* operands that wait at once */
};

struct tw_expression; /* immutable */

/* A column's values lie `stride` floats apart. */
struct tw_expression_column {
    const float *values;
    size_t stride;
};

/* `names` are the columns that it may use, in the order in which _eval gets them. TW_INVALID with a sentence that names
 * the character (counted from 1) and what was expected there; TW_NO_MEMORY. Release with _free. */
int tw_expression_parse(const char *text, const char *const *names, int count, struct tw_expression **out,
                        struct tw_error *error);
void tw_expression_free(struct tw_expression *expression);

/* True if it uses column i. */
bool tw_expression_uses(const struct tw_expression *expression, int column);

/* out[i * stride] gets the value at row i, NaN where it is not finite in float. TW_NO_MEMORY or 0. Any thread. */
int tw_expression_eval(const struct tw_expression *expression, const struct tw_expression_column *columns, size_t rows,
                       float *out, size_t stride);

#endif
