/* One line an event, written with one write(2), so that lines of several threads never mix. */
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/log.h"
#include "daemon/log_journal.h"

static _Atomic int threshold = LOG_LEVEL_INFO;

static const struct {
    const char *name, *prefix; /* of syslog's priorities, as journald reads them */
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", "<3>"},
    [LOG_LEVEL_WARNING] = {"warning", "<4>"},
    [LOG_LEVEL_INFO] = {"info", "<6>"},
    [LOG_LEVEL_DEBUG] = {"debug", "<7>"},
};

void log_set_level(enum log_level level)
{
    threshold = (int)level;
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&threshold, memory_order_relaxed);
}

/* systemd names the device and inode of the journal's stream in JOURNAL_STREAM. */
static int journal_is_stderr(void)
{
    static _Atomic int known = -1;
    if (known < 0) {
        unsigned long device = 0, inode = 0;
        struct stat at;
        const char *stream = getenv("JOURNAL_STREAM");
        known = stream && sscanf(stream, "%lu:%lu", &device, &inode) == 2 && fstat(STDERR_FILENO, &at) == 0 &&
                at.st_dev == device && at.st_ino == inode;
    }
    return known;
}

void log_write(enum log_level level, const char *event, const char *format, ...)
{
    if (!log_enabled(level))
        return;
    char line[4096], time[32];
    bool journal = journal_is_stderr();
    int head = snprintf(line, sizeof line, "%s%s %s event=%s ", journal ? levels[level].prefix : "",
                        clock_rfc3339(clock_ms(), time), levels[level].name, event);
    size_t size = (size_t)head < sizeof line - 2 ? (size_t)head : sizeof line - 2;
    const char *fields = line + size;
    va_list args;
    va_start(args, format);
    int body = vsnprintf(line + size, sizeof line - 1 - size, format, args);
    va_end(args);
    if (body > 0)
        size += (size_t)body < sizeof line - 1 - size ? (size_t)body : sizeof line - 2 - size;
    /* A value that was not quoted must not forge a line. */
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
            line[i] = '?';
    line[size] = 0;
    if (journal && log_journal_send(levels[level].prefix[1] - '0', event, fields))
        return;
    line[size++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, size);
    (void)written; /* nobody is left to be told */
}

const char *log_quote(const char *text, char *out, unsigned size)
{
    static const char digits[] = "0123456789abcdef";
    unsigned n = 0;
    if (size < 3)
        return size ? (*out = 0, out) : out;
    out[n++] = '"';
    for (const unsigned char *c = (const unsigned char *)text; *c && n + 6 < size; c++) {
        if (*c == '"' || *c == '\\') {
            out[n++] = '\\';
            out[n++] = (char)*c;
        } else if (*c < ' ' || *c == 0x7f) {
            out[n++] = '\\';
            out[n++] = 'x';
            out[n++] = digits[*c >> 4];
            out[n++] = digits[*c & 15];
        } else {
            out[n++] = (char)*c;
        }
    }
    out[n++] = '"';
    out[n] = 0;
    return out;
}
