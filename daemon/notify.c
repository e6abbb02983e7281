/* The line that `systemctl status` shows is "ready", or the troubles, worst first. */
#include "daemon/notify.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include <jansson.h>

#include "daemon/clock.h"
#include "daemon/trouble.h"

enum { STATUS_MAX = 600 };

static void send_state(const char *state)
{
#ifdef HAVE_SYSTEMD
    sd_notify(0, state);
#else
    (void)state;
#endif
}

static bool watchdog_asked(void)
{
#ifdef HAVE_SYSTEMD
    static int asked = -1;
    if (asked < 0) {
        uint64_t microseconds;
        asked = sd_watchdog_enabled(0, &microseconds) > 0;
    }
    return asked;
#else
    return false;
#endif
}

static void add_level(char text[STATUS_MAX], const json_t *troubles, const char *level)
{
    size_t i;
    json_t *trouble;
    json_array_foreach((json_t *)troubles, i, trouble)
    {
        const char *name, *subject, *of, *detail;
        if (json_unpack(trouble, "{s:s, s:s, s:s, s:s}", "name", &name, "subject", &subject, "level", &of, "detail",
                        &detail) ||
            strcmp(of, level) != 0)
            continue;
        size_t used = strlen(text);
        snprintf(text + used, STATUS_MAX - used, "%s%s: %s%s%s: %s", used ? "; " : "", level, name, *subject ? " " : "",
                 subject, detail);
    }
}

static void status_text(char text[STATUS_MAX])
{
    json_t *troubles = trouble_json();
    *text = 0;
    add_level(text, troubles, "unready");
    add_level(text, troubles, "degraded");
    json_decref(troubles);
    if (!*text)
        strcpy(text, "ready");
    for (char *c = text; *c; c++) /* a line break would begin another assignment */
        if ((unsigned char)*c < ' ')
            *c = '?';
}

void notify_ready(void)
{
    send_state("READY=1");
}

void notify_reloading(void)
{
    char text[80];
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, (uint64_t)(clock_monotonic() * 1e6));
    send_state(text);
}

void notify_stopping(void)
{
    send_state("STOPPING=1\nSTATUS=stopping");
}

void notify_second(bool well)
{
    static char shown[STATUS_MAX];
    char text[STATUS_MAX], line[STATUS_MAX + 16];
    status_text(text);
    if (strcmp(text, shown) != 0) {
        strcpy(shown, text);
        snprintf(line, sizeof line, "STATUS=%s", text);
        send_state(line);
    }
    if (well && watchdog_asked())
        send_state("WATCHDOG=1");
}
