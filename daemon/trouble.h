/* What is wrong right now, as the daemon knows it: named conditions that its parts raise when they meet them and clear
 * when they are gone. Readiness, metrics and `twinctl doctor` show them; each change is logged once.
 *
 * One list for the process, like the log. Any thread.
 */
#ifndef DAEMON_TROUBLE_H
#define DAEMON_TROUBLE_H

#include <stdbool.h>

#include <jansson.h>

enum trouble_level {
    TROUBLE_DEGRADED, /* part of the work is not done, or part of what was kept is lost; the rest goes on */
    TROUBLE_UNREADY,  /* data are not accepted or not kept: /readyz says 503 */
};

/* `name` is a word such as disk_full; `subject` what it is about (a twin's name, a file), "" if there is only one.
 * Raising what is raised already changes its level and detail; it is logged again only if the level changed. */
void trouble_raise(const char *name, const char *subject, enum trouble_level level, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Nothing happens if it was not raised. */
void trouble_clear(const char *name, const char *subject);
/* Everything about a subject, when the subject itself is gone. */
void trouble_forget(const char *subject);

bool trouble_unready(void);
/* [{"name", "subject", "level": "degraded|unready", "detail", "since"}], oldest first; NULL: out of memory. */
json_t *trouble_json(void);

#endif
