/* Exit codes, after sysexits.h. */
#ifndef CLIENT_STATUS_H
#define CLIENT_STATUS_H

enum cli_status {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 64,
    CLI_UNAVAILABLE = 69, /* nobody answers */
    CLI_AGAIN = 75,       /* the same command may succeed later */
    CLI_PERMISSION = 77,
};

#endif
