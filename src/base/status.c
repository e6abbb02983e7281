/* Names of the status codes, as they appear in messages and records. */
#include "base/status.h"

const char *tw_status_name(int status)
{
    switch ((enum tw_status)status) {
    case TW_OK:
        return "ok";
    case TW_INVALID:
        return "invalid";
    case TW_NOT_FOUND:
        return "not_found";
    case TW_EXISTS:
        return "exists";
    case TW_CONFLICT:
        return "conflict";
    case TW_NOT_FINITE:
        return "not_finite";
    case TW_CANCELLED:
        return "cancelled";
    case TW_BUSY:
        return "busy";
    case TW_FULL:
        return "full";
    case TW_NO_MEMORY:
        return "no_memory";
    case TW_IO:
        return "io";
    case TW_CORRUPT:
        return "corrupt";
    }
    return "unknown";
}
