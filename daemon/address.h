/* Where twind may listen: on this machine only, until there are credentials for more.
 */
#ifndef DAEMON_ADDRESS_H
#define DAEMON_ADDRESS_H

#include "base/status.h"

/* ZeroMQ endpoints: tcp://ADDR:PORT with ADDR 127.x.y.z or [::1], PORT a number or *; or ipc://PATH. `name` is the
 * setting, for the sentence. (For HTTP: http_check_address.) */
int address_check_zmq(const char *name, const char *value, struct tw_error *error);

#endif
