#include "daemon/errno_status.h"

#include <errno.h>

#include "base/status.h"

int errno_status(int code)
{
    switch (code) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return TW_FULL;
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case EAGAIN:
        return TW_NO_MEMORY;
    default:
        return TW_IO;
    }
}
