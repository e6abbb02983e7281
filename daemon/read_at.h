/* pread to the end: goes on where a signal or the system stopped short. */
#ifndef DAEMON_READ_AT_H
#define DAEMON_READ_AT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Bytes read, fewer than `size` only at the end of the file; -1 on an error, which errno names. */
ssize_t read_at(int fd, void *to, size_t size, uint64_t offset);

#endif
