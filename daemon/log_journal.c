/* The journal's native protocol, through libsystemd. */
#include "daemon/log_journal.h"

#include <stdio.h>
#include <string.h>

#ifdef HAVE_SYSTEMD
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>
#endif

enum { FIELDS = 32 };

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One character of a quoted value at *at; -1 at its end or where it is broken off. */
static int unquote(const char **at)
{
    const char *c = *at;
    if (*c == 0 || *c == '"')
        return -1;
    if (*c != '\\') {
        *at = c + 1;
        return (unsigned char)*c;
    }
    if (c[1] == 'x' && digit(c[2]) >= 0 && digit(c[3]) >= 0) {
        *at = c + 4;
        return digit(c[2]) << 4 | digit(c[3]);
    }
    *at = c + (c[1] ? 2 : 1);
    return (unsigned char)c[1];
}

/* Copies a value and moves *body behind it. False if it does not fit or has no end. */
static bool take_value(const char **body, char *memory, size_t size, size_t *used)
{
    const char *at = *body;
    bool quoted = *at == '"';
    at += quoted;
    while (quoted || (*at && *at != ' ')) {
        int c = quoted ? unquote(&at) : (unsigned char)*at++;
        if (c < 0)
            break;
        if (*used == size)
            return false;
        memory[(*used)++] = (char)c;
    }
    if (quoted && *at != '"')
        return false;
    *body = at + quoted;
    return **body == 0 || **body == ' ';
}

size_t log_journal_fields(const char *body, char *memory, size_t size, struct iovec *out, size_t most)
{
    size_t count = 0, used = 0;
    while (count < most) {
        body += strspn(body, " ");
        size_t length = strspn(body, "abcdefghijklmnopqrstuvwxyz0123456789_"), start = used;
        if (length == 0 || length > 40 || body[length] != '=' || size - used < 5 + length + 1)
            break;
        memcpy(memory + used, "TWIN_", 5);
        for (size_t i = 0; i <= length; i++) /* the = too */
            memory[used + 5 + i] = (char)(body[i] >= 'a' && body[i] <= 'z' ? body[i] - 'a' + 'A' : body[i]);
        used += 5 + length + 1;
        body += length + 1;
        if (!take_value(&body, memory, size, &used))
            break;
        out[count++] = (struct iovec){memory + start, used - start};
    }
    return count;
}

#ifdef HAVE_SYSTEMD
static struct iovec text(char *memory, size_t size, const char *name, const char *value, const char *more)
{
    int length = snprintf(memory, size, "%s=%s%s", name, value, more);
    return (struct iovec){memory, (size_t)length < size ? (size_t)length : size - 1};
}

bool log_journal_send(int priority, const char *event, const char *body)
{
    char message[4200], name[80], memory[4500], level[] = "PRIORITY=?";
    static char identifier[] = "SYSLOG_IDENTIFIER=twind";
    struct iovec fields[4 + FIELDS];
    level[sizeof level - 2] = (char)('0' + priority);
    snprintf(memory, sizeof memory, "%s ", event);
    fields[0] = text(message, sizeof message, "MESSAGE", memory, body);
    fields[1] = text(name, sizeof name, "TWIN_EVENT", event, "");
    fields[2] = (struct iovec){level, sizeof level - 1};
    fields[3] = (struct iovec){identifier, sizeof identifier - 1};
    size_t count = log_journal_fields(body, memory, sizeof memory, fields + 4, FIELDS);
    return sd_journal_sendv(fields, (int)(4 + count)) >= 0;
}
#else
bool log_journal_send(int priority, const char *event, const char *body)
{
    return false;
}
#endif
