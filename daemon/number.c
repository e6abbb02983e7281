#include "daemon/number.h"

#include <math.h>

json_t *number_json(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}
