/* Status codes and the sentence that goes with a refusal.
 *
 * 0 is success. Positive codes are outcomes that the direct caller handles; negative ones are fatal for the operation
 * and are forwarded. The library never logs: where a human needs the reason, the function takes a struct tw_error.
 */
#ifndef TW_BASE_STATUS_H
#define TW_BASE_STATUS_H

enum tw_status {
    TW_OK = 0,
    TW_INVALID = 1, /* input refused; the error says what and why */
    TW_NOT_FOUND = 2,
    TW_EXISTS = 3,     /* the name or key is taken */
    TW_CONFLICT = 4,   /* same key, other content; or a compare-and-swap that lost */
    TW_NOT_FINITE = 5, /* a loss or gradient is not finite */
    TW_CANCELLED = 6,
    TW_BUSY = 7, /* try again later */
    TW_FULL = 8, /* no space: disk or a limit */
    TW_NO_MEMORY = -1,
    TW_IO = -2,     /* errno-like failure of the system; the error names call and path */
    TW_CORRUPT = -3 /* stored bytes do not match their checksum or format */
};

struct tw_error {
    char text[256];
};

/* Writes the sentence (error may be NULL) and returns `status`, so that callers can `return tw_error_set(...)`. */
int tw_error_set(struct tw_error *error, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* "ok", "invalid", ... never NULL. */
const char *tw_status_name(int status);

#endif
