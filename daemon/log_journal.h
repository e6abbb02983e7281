/* A log line as a record of the journal with fields, so that `journalctl TWIN_TWIN=zmumu TWIN_EVENT=alias_moved` finds
 * it: MESSAGE, PRIORITY, SYSLOG_IDENTIFIER, TWIN_EVENT, and TWIN_<KEY> for each key=value of the line.
 */
#ifndef DAEMON_LOG_JOURNAL_H
#define DAEMON_LOG_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

/* Splits "key=value key=\"quoted value\" ..." into fields "TWIN_KEY=value", quotes and escapes of log_quote undone. The
 * texts lie in `memory`; what does not fit, and everything from the first part on that is no key=value, is left out: it
 * stays in MESSAGE. Returns their number. */
size_t log_journal_fields(const char *body, char *memory, size_t size, struct iovec *out, size_t most);

/* False if it could not be sent; the line then goes to stderr. `priority` as of syslog. */
bool log_journal_send(int priority, const char *event, const char *body);

#endif
