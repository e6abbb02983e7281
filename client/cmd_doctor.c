/* twinctl doctor: what the daemon finds when it looks at itself, and what only somebody outside can see: that it
 * answers, that its clock is ours, and, where it does not answer, in which state its folder is. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "client/cli.h"
#include "client/commands.h"

enum { DEEP_SILENCE_S = 3600, CLOCK_S = 5 };

static enum output_colour colour_of_level(const json_t *row)
{
    const char *level = json_string_value(json_object_get(row, "level"));
    if (!level || !strcmp(level, "ok"))
        return OUTPUT_GOOD;
    return strcmp(level, "error") ? OUTPUT_UNSURE : OUTPUT_BAD;
}

/* `advice` NULL: all is well. */
static void add(json_t *items, const char *name, const char *level, const char *advice, char *detail)
{
    json_array_append_new(items, json_pack("{s:s, s:b, s:s, s:s, s:s?}", "name", name, "ok", !advice, "level", level,
                                           "detail", detail, "advice", advice));
    free(detail);
}

/* --- the daemon answers --- */

/* Its time lies between ours before and after the question, give or take what nobody minds. */
static void check_time(json_t *items, const json_t *answer, time_t before, time_t after)
{
    const char *text = json_string_value(json_object_get(answer, "time"));
    struct tm utc = {0};
    if (!text || !strptime(text, "%Y-%m-%dT%H:%M:%S", &utc))
        return;
    time_t theirs = timegm(&utc);
    if (theirs < before - CLOCK_S || theirs > after + CLOCK_S)
        add(items, "clock_of_client", "warning", "set the clocks of both machines (timedatectl; NTP)",
            cli_text("the daemon's clock is %+.0f s from this one", difftime(theirs, after)));
    else
        add(items, "clock_of_client", "ok", NULL, cli_text("within %d s of the daemon's", CLOCK_S));
}

static void check_version(json_t *items, const json_t *answer)
{
    const char *version = json_string_value(json_object_get(answer, "version"));
    if (version && strcmp(version, TWIN_VERSION) != 0)
        add(items, "version", "warning", "install the same version of both",
            cli_text("twind is %s, twinctl is %s", version, TWIN_VERSION));
    else
        add(items, "version", "ok", NULL, cli_text("twind and twinctl %s", TWIN_VERSION));
}

static int ask(struct cli *cli, bool deep, json_t *items)
{
    struct rest_request request = {.path = deep ? "/v1/doctor?deep=true" : "/v1/doctor", .change = true};
    struct rest_answer answer;
    time_t before = time(NULL);
    if (deep && cli->timeout <= 0)
        cli->timeout = DEEP_SILENCE_S;
    int rc = cli_connect(cli);
    if (rc)
        return rc;
    rc = rest_send(cli->rest, &request, &answer);
    json_t *found = rc ? NULL : json_loadb(answer.body, answer.size, 0, NULL);
    if (rc == CLI_UNAVAILABLE) {
        add(items, "daemon", "error",
            "start it: systemctl start twind, or twind --state DIR; its log says why it ended",
            cli_text("%s", rest_problem(cli->rest)));
    } else if (rc) {
        cli_fail(rc, "%s", rest_problem(cli->rest));
    } else if (!json_is_array(json_object_get(found, "items"))) {
        rc = cli_fail(CLI_FAILED, "%s broke its answer off", rest_url(cli->rest));
    } else {
        add(items, "daemon", "ok", NULL, cli_text("answers at %s", rest_url(cli->rest)));
        check_version(items, found);
        check_time(items, found, before, time(NULL));
        json_array_extend(items, json_object_get(found, "items"));
    }
    json_decref(found);
    rest_answer_fini(&answer);
    return rc;
}

/* --- it does not: the state folder, as far as this user may look --- */

static char *state_folder(const char *given)
{
    const char *home = getenv("HOME"), *xdg = getenv("XDG_STATE_HOME"), *state = getenv("TWIN_STATE");
    if (given)
        return cli_text("%s", given);
    if (state && *state)
        return cli_text("%s", state);
    char *own = xdg && *xdg == '/' ? cli_text("%s/twin", xdg) : cli_text("%s/.local/state/twin", home ? home : "");
    if (!access(own, F_OK) || access("/var/lib/twin", F_OK))
        return own;
    free(own);
    return cli_text("/var/lib/twin");
}

static void check_lock(json_t *items, const char *folder)
{
    char *path = cli_text("%s/lock", folder), pid[32] = "";
    int lock = open(path, O_RDONLY | O_CLOEXEC);
    bool held = lock >= 0 && flock(lock, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
    if (held && read(lock, pid, sizeof pid - 1) > 0)
        pid[strspn(pid, "0123456789")] = 0;
    if (held)
        add(items, "process", "error",
            "it hangs, is starting, or listens elsewhere (--url): look at its log, restart it",
            cli_text("twind (pid %s) holds %s, but does not answer", *pid ? pid : "unknown", folder));
    else
        add(items, "process", "ok", NULL, cli_text("no twind holds %s", folder));
    if (lock >= 0)
        close(lock);
    free(path);
}

static void check_file(json_t *items, const char *name, char *path, mode_t mode)
{
    struct stat at;
    char *advice = cli_text("chmod %o %s, as the user of twind", (unsigned)mode, path);
    if (stat(path, &at))
        add(items, name, "warning", "see that this is the right folder (--state) and that you may look into it",
            cli_text("%s: %s", path, strerror(errno)));
    else if ((at.st_mode & 07777) & ~mode)
        add(items, name, "error", advice, cli_text("%s has mode %04o: others reach it", path, at.st_mode & 07777));
    else
        add(items, name, "ok", NULL, cli_text("%s, mode %04o", path, at.st_mode & 07777));
    free(advice);
    free(path);
}

static void look_at_folder(json_t *items, const char *given)
{
    char *folder = state_folder(given);
    struct statvfs disk;
    check_file(items, "state", cli_text("%s", folder), 0700);
    if (!access(folder, X_OK)) {
        check_file(items, "token", cli_text("%s/admin.token", folder), 0600);
        check_file(items, "database", cli_text("%s/twin.db", folder), 0644);
        check_lock(items, folder);
    }
    if (!statvfs(folder, &disk)) {
        double mib = (double)disk.f_bavail * (double)disk.f_frsize / (1 << 20);
        if (mib < 64)
            add(items, "disk", "error", "make room on this disk", cli_text("%.0f MiB are free", mib));
        else
            add(items, "disk", "ok", NULL, cli_text("%.0f MiB are free", mib));
    }
    free(folder);
}

int cmd_doctor_run(struct cli *cli, int argc, char **argv)
{
    static const struct output_column columns[] = {{"CHECK", "name", OUTPUT_TEXT, NULL},
                                                   {"LEVEL", "level", OUTPUT_TEXT, colour_of_level},
                                                   {"FOUND", "detail", OUTPUT_TEXT, NULL},
                                                   {"ADVICE", "advice", OUTPUT_TEXT, NULL}};
    const char *state = NULL;
    bool deep = false;
    const struct options_entry entries[] = {
        {"deep", 0, OPTIONS_FLAG, &deep, NULL, "read every record and every artifact"},
        {"state", 0, OPTIONS_TEXT, &state, "DIR", "the state folder to look at if the daemon does not answer"},
    };
    char **arg = NULL;
    int count, rc = cli_parse(cli, entries, sizeof entries / sizeof *entries, argc, argv, 0, 0, &arg, &count);
    if (rc != CLI_GO_ON)
        return rc;
    json_t *items = json_array(), *item;
    rc = ask(cli, deep, items);
    if (rc == CLI_UNAVAILABLE)
        look_at_folder(items, state);
    if (!rc || rc == CLI_UNAVAILABLE)
        output_items(stdout, cli->format, items, columns, sizeof columns / sizeof *columns, true);
    size_t i;
    json_array_foreach(items, i, item)
    {
        if (!rc && !json_is_true(json_object_get(item, "ok")))
            rc = CLI_FAILED;
    }
    json_decref(items);
    return rc;
}
