/* What an expression can call: operators and functions, each over a block of rows.
 *
 * A NaN in an operand is an absent value and makes the result NaN, in pow, hypot, min and max too. Three look at
 * absence: present(x) is 1 or 0; ht(...) adds up the values that are there and is 0 where none is; if(c, a, b) looks
 * only at the value that it selects. Conditions are true where they are not 0; comparisons give 1 or 0.
 */
#ifndef TW_HEP_FUNCTIONS_H
#define TW_HEP_FUNCTIONS_H

#include <stddef.h>

#define TW_FUNCTIONS_ARGUMENTS_MAX 64 /* 16 particles */

struct tw_function {
    const char *name;  /* operators by their sign, unary minus as "neg" */
    const char *usage; /* "delta_phi(a, b)"; NULL for operators */
    int least, most;   /* arguments */
    int step;          /* their number is a multiple of it */
    /* x[0..count-1] are columns of n values; the result replaces x[0]. */
    void (*apply)(double *const *x, int count, int n);
};

/* An operator; never NULL for those of the grammar. */
const struct tw_function *tw_functions_operator(const char *sign);
/* A function by the `length` bytes of its name; NULL: there is none. */
const struct tw_function *tw_functions_find(const char *name, size_t length);
/* The i-th function; NULL behind the last. */
const struct tw_function *tw_functions_at(int i);

#endif
