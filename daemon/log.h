/* Structured log lines: key=value on stderr; when stderr is the journal, records with fields instead (log_journal.h).
 *
 *   log_info("version_promoted", "twin=%s version=%d gain=%.4f", ...)
 *   -> 2026-03-01T12:00:00.123Z info event=version_promoted twin=zmumu version=2 gain=0.0512
 */
#ifndef DAEMON_LOG_H
#define DAEMON_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);
void log_write(enum log_level level, const char *event, const char *format, ...) __attribute__((format(printf, 3, 4)));

#define log_error(...)   log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_write(LOG_LEVEL_INFO, __VA_ARGS__)
/* Its arguments are computed only where it is written. */
#define log_debug(...) (log_enabled(LOG_LEVEL_DEBUG) ? log_write(LOG_LEVEL_DEBUG, __VA_ARGS__) : (void)0)

/* Free text as a value: quoted, quotes and control characters escaped. Returns `out`. */
const char *log_quote(const char *text, char *out, unsigned size);

#endif
