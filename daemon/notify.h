/* What the service manager is told (sd_notify(3)): readiness, the watchdog, and in words what is wrong. Without
 * NOTIFY_SOCKET, or without libsystemd, nothing happens. Main thread only. */
#ifndef DAEMON_NOTIFY_H
#define DAEMON_NOTIFY_H

#include <stdbool.h>

void notify_ready(void);
void notify_reloading(void); /* notify_ready ends it */
void notify_stopping(void);
/* Once a second: STATUS= when it has changed; WATCHDOG=1 if `well` and the manager asked for it. */
void notify_second(bool well);

#endif
