/* twinctl backup, twinctl restore: everything that a daemon keeps, as one file, and back. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "client/archive.h"
#include "client/cli.h"
#include "client/commands.h"
#include "client/file.h"
#include "client/progress.h"
#include "client/restore.h"

enum { SILENCE_S = 600 }; /* the copy of a large database comes before the first byte */

struct download {
    struct archive archive;
    struct file_out out;
    struct progress progress;
    bool unwritten;
    char problem[512];
};

static bool keep(void *context, const void *bytes, size_t size)
{
    struct download *download = context;
    char words[64];
    if (!archive_push(&download->archive, bytes, size))
        return false;
    if (!file_write(&download->out, bytes, size)) {
        snprintf(download->problem, sizeof download->problem, "%s", strerror(errno));
        download->unwritten = true;
        return false;
    }
    snprintf(words, sizeof words, "%.1f MiB", (double)download->archive.bytes / (1 << 20));
    progress_update(&download->progress, -1, words);
    return true;
}

static int sync_folder_of(const char *path)
{
    char *copy = cli_text("%s", path), *slash = strrchr(copy, '/');
    if (slash)
        slash[slash == copy] = 0;
    int folder = open(slash ? copy : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = folder < 0 || fsync(folder) ? -1 : 0;
    if (folder >= 0)
        close(folder);
    free(copy);
    return rc;
}

/* The file appears under its name when it is whole, checked and on the disk. */
static int publish(struct download *download, const char *path)
{
    char problem[512];
    if (!download->out.temporary)
        return CLI_OK;
    if (fchmod(download->out.file, 0600) || fsync(download->out.file)) {
        snprintf(problem, sizeof problem, "%s", strerror(errno));
        file_abandon(&download->out);
        return cli_fail(CLI_FAILED, "%s: %s", path, problem);
    }
    if (!file_commit(&download->out, problem))
        return cli_fail(CLI_FAILED, "%s", problem);
    if (sync_folder_of(path))
        return cli_fail(CLI_FAILED, "%s: %s", path, strerror(errno));
    return CLI_OK;
}

static int show(const struct cli *cli, const struct archive *archive, const char *path)
{
    json_t *summary = archive_summary(archive);
    json_object_set_new(summary, "file", json_string(path));
    output_object(stdout, cli->format, summary);
    json_decref(summary);
    return CLI_OK;
}

static int download(struct cli *cli, const char *path)
{
    struct download download = {.unwritten = false};
    struct rest_answer answer;
    bool output = !strcmp(path, "-");
    if (!file_create(&download.out, path, download.problem))
        return cli_fail(CLI_FAILED, "%s", download.problem);
    archive_init(&download.archive, NULL);
    progress_init(&download.progress, "backup", cli->quiet);
    struct rest_request request = {
        .path = "/v1/backup", .accept = "application/x-tar", .change = true, .sink = keep, .context = &download};
    cli->timeout = cli->timeout > 0 ? cli->timeout : SILENCE_S;
    int rc = cli_connect(cli);
    if (!rc) {
        rc = rest_send(cli->rest, &request, &answer);
        rest_answer_fini(&answer);
        progress_clear(&download.progress);
        if (download.unwritten)
            rc = cli_fail(CLI_FAILED, "%s: %s", output ? "standard output" : path, download.problem);
        else if (*download.archive.problem)
            rc = cli_fail(CLI_FAILED, "what came is no whole backup: %s", download.archive.problem);
        else if (rc)
            rc = cli_fail(rc, "%s", rest_problem(cli->rest));
        else if (!archive_finish(&download.archive))
            rc = cli_fail(CLI_FAILED, "what came is no whole backup: %s", download.archive.problem);
    }
    if (rc)
        file_abandon(&download.out);
    else
        rc = publish(&download, path);
    if (!rc && !output)
        rc = show(cli, &download.archive, path);
    archive_fini(&download.archive);
    return rc;
}

static int verify(struct cli *cli, const char *path)
{
    struct archive archive;
    archive_init(&archive, NULL);
    int rc = archive_read(&archive, path) ? show(cli, &archive, path)
                                          : cli_fail(CLI_FAILED, "%s is no whole backup: %s", path, archive.problem);
    archive_fini(&archive);
    return rc;
}

int cmd_backup_run(struct cli *cli, int argc, char **argv)
{
    const char *verified = NULL;
    const struct options_entry entries[] = {
        {"verify", 0, OPTIONS_TEXT, &verified, "FILE", "check this archive instead (- for standard input)"},
    };
    char **arg = NULL, name[64];
    int count, rc = cli_parse(cli, entries, 1, argc, argv, 0, 1, &arg, &count);
    if (rc != CLI_GO_ON)
        return rc;
    if (verified && count)
        return cli_usage(cli, "--verify makes no backup: one file is enough");
    if (verified)
        return verify(cli, verified);
    time_t now = time(NULL);
    struct tm utc;
    strftime(name, sizeof name, "twin-%Y%m%dT%H%M%SZ.tar", gmtime_r(&now, &utc));
    const char *path = count ? arg[0] : name;
    if (!strcmp(path, "-") && isatty(STDOUT_FILENO))
        return cli_usage(cli, "a backup does not belong on a terminal; give a file");
    if (cli->dry_run) {
        cli_say(cli, "would ask: GET /v1/backup and write %s", path);
        return CLI_OK;
    }
    return download(cli, path);
}

static void say_what_next(const struct cli *cli, const char *state)
{
    cli_say(cli, "restored into %s; start it: twind --state %s", state, state);
    cli_say(cli, "it writes a new admin.token; feeds go on by themselves: their hello is answered with what is kept");
}

int cmd_backup_restore(struct cli *cli, int argc, char **argv)
{
    const char *state = NULL;
    const struct options_entry entries[] = {
        {"state", 0, OPTIONS_TEXT, &state, "DIR", "the new state folder; it must be empty or not there yet"},
    };
    char **arg = NULL;
    int count, rc = cli_parse(cli, entries, 1, argc, argv, 1, 1, &arg, &count);
    if (rc != CLI_GO_ON)
        return rc;
    if (!state || !*state)
        return cli_usage(cli, "--state says where to");
    if (cli->dry_run)
        return verify(cli, arg[0]);
    struct archive archive;
    char problem[512] = "";
    struct restore *restore = restore_begin(state, problem);
    if (!restore)
        return cli_fail(CLI_FAILED, "%s", problem);
    archive_init(&archive, restore_sink(restore));
    bool fine = archive_read(&archive, arg[0]);
    if (!fine)
        rc = cli_fail(CLI_FAILED, "%s cannot be restored: %s", arg[0], archive.problem);
    else if (!restore_commit(restore, problem))
        rc = cli_fail(CLI_FAILED, "%s", problem);
    else
        rc = show(cli, &archive, arg[0]);
    restore_free(restore);
    archive_fini(&archive);
    if (!rc)
        say_what_next(cli, state);
    return rc;
}
