/* A short list under a lock. It is bounded: what does not fit is logged all the same. */
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "daemon/clock.h"
#include "daemon/log.h"
#include "daemon/trouble.h"

enum { TROUBLES_MAX = 64 };

struct trouble {
    char name[32], subject[128], detail[240];
    enum trouble_level level;
    int64_t since_ms;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct trouble list[TROUBLES_MAX];
static int count;

static const char *const levels[] = {[TROUBLE_DEGRADED] = "degraded", [TROUBLE_UNREADY] = "unready"};

/* Index, or -1. Lock held. */
static int find(const char *name, const char *subject)
{
    for (int i = 0; i < count; i++)
        if (!strcmp(list[i].name, name) && !strncmp(list[i].subject, subject, sizeof list[i].subject - 1))
            return i;
    return -1;
}

static void log_raised(const struct trouble *trouble)
{
    char subject[300], detail[500];
    log_write(trouble->level == TROUBLE_UNREADY ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING, "trouble",
              "name=%s subject=%s level=%s detail=%s", trouble->name,
              log_quote(trouble->subject, subject, sizeof subject), levels[trouble->level],
              log_quote(trouble->detail, detail, sizeof detail));
}

void trouble_raise(const char *name, const char *subject, enum trouble_level level, const char *format, ...)
{
    struct trouble new = {.level = level, .since_ms = clock_ms()};
    va_list args;
    va_start(args, format);
    vsnprintf(new.detail, sizeof new.detail, format, args);
    va_end(args);
    snprintf(new.name, sizeof new.name, "%s", name);
    snprintf(new.subject, sizeof new.subject, "%s", subject);
    pthread_mutex_lock(&lock);
    int at = find(new.name, new.subject);
    bool changed = at < 0 || list[at].level != level;
    if (at >= 0)
        new.since_ms = list[at].since_ms;
    else if (count < TROUBLES_MAX)
        at = count++;
    if (at >= 0)
        list[at] = new;
    pthread_mutex_unlock(&lock);
    if (changed)
        log_raised(&new);
}

/* Lock held. */
static struct trouble take(int at)
{
    struct trouble gone = list[at];
    count--;
    memmove(&list[at], &list[at + 1], (size_t)(count - at) * sizeof list[0]);
    return gone;
}

void trouble_clear(const char *name, const char *subject)
{
    pthread_mutex_lock(&lock);
    int at = find(name, subject);
    struct trouble gone = {.name = ""};
    if (at >= 0)
        gone = take(at);
    pthread_mutex_unlock(&lock);
    if (at >= 0) {
        char quoted[300];
        log_info("trouble_over", "name=%s subject=%s seconds=%.1f", gone.name,
                 log_quote(gone.subject, quoted, sizeof quoted), (double)(clock_ms() - gone.since_ms) / 1000);
    }
}

void trouble_forget(const char *subject)
{
    pthread_mutex_lock(&lock);
    for (int i = count - 1; i >= 0; i--)
        if (!strncmp(list[i].subject, subject, sizeof list[i].subject - 1))
            take(i);
    pthread_mutex_unlock(&lock);
}

bool trouble_unready(void)
{
    bool unready = false;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < count; i++)
        unready = unready || list[i].level == TROUBLE_UNREADY;
    pthread_mutex_unlock(&lock);
    return unready;
}

json_t *trouble_json(void)
{
    json_t *json = json_array();
    pthread_mutex_lock(&lock);
    for (int i = 0; json && i < count; i++) {
        char since[32];
        const struct trouble *at = &list[i];
        json_t *entry = json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", at->name, "subject", at->subject, "level",
                                  levels[at->level], "detail", at->detail, "since", clock_rfc3339(at->since_ms, since));
        if (json_array_append_new(json, entry) != 0) {
            json_decref(json);
            json = NULL;
        }
    }
    pthread_mutex_unlock(&lock);
    return json;
}
