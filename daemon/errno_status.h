/* What the system answered, as a status: TW_FULL for want of space, TW_NO_MEMORY for want of memory, descriptors or
 * threads (both may be over soon), else TW_IO.
 */
#ifndef DAEMON_ERRNO_STATUS_H
#define DAEMON_ERRNO_STATUS_H

int errno_status(int code);

#endif
