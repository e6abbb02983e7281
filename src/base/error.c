/* The sentence that goes with a refusal is cut, never overrun. */
#include <stdarg.h>
#include <stdio.h>

#include "base/status.h"

int tw_error_set(struct tw_error *error, int status, const char *format, ...)
{
    if (error) {
        va_list args;
        va_start(args, format);
        vsnprintf(error->text, sizeof error->text, format, args);
        va_end(args);
    }
    return status;
}
