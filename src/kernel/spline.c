/* The count of parameter rows, which every layer above needs to lay out its conditioner. */
#include "kernel/kernel.h"

int tw_spline_rows(const struct tw_spline *spline)
{
    return 3 * spline->bins + (spline->kind == TW_SPLINE_TAILS ? -1 : 1);
}
