/* twinctl export: a version as a file, for those who run it elsewhere. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "client/cli.h"
#include "client/commands.h"
#include "client/file.h"
#include "client/timer.h"
#include "client/version.h"

/* Bytes on their way into the file, and their sum. */
struct download {
    struct file_out out;
    crypto_hash_sha256_state sum;
    long long bytes;
};

static bool keep(void *context, const void *data, size_t size)
{
    struct download *download = context;
    crypto_hash_sha256_update(&download->sum, data, size);
    download->bytes += (long long)size;
    return file_write(&download->out, data, size);
}

/* The sum is the version's identity: bytes that have another one are of no version. */
static bool whole(struct download *download, const struct rest_answer *answer, char hex[65])
{
    unsigned char sum[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_final(&download->sum, sum);
    sodium_bin2hex(hex, 65, sum, sizeof sum);
    return answer->etag && strstr(answer->etag, hex);
}

static void print_summary(const struct cli *cli, const char *twin, int64_t version, const char *file, long long bytes,
                          const char *sha256)
{
    json_t *summary = json_pack("{s:s, s:I, s:s, s:I, s:s}", "twin", twin, "version", (json_int_t)version, "file", file,
                                "bytes", (json_int_t)bytes, "sha256", sha256);
    output_object(stdout, cli->format, summary);
    json_decref(summary);
}

/* One of the forms of a version; `output` NULL: the artifact of docs/model-format.md, whose sum is checked, else the
 * graph of docs/onnx.md for it, which is made when it is asked for. */
static int save(struct cli *cli, const char *twin, int64_t version, const char *output, const char *file)
{
    struct download download = {.bytes = 0};
    struct rest_answer answer;
    char problem[512], sha256[65];
    char *path = output ? cli_text("/v1/twins/%s/versions/%lld/onnx?output=%s", twin, (long long)version, output)
                        : cli_text("/v1/twins/%s/versions/%lld/artifact", twin, (long long)version);
    struct rest_request request = {
        .path = path, .accept = "application/octet-stream", .sink = keep, .context = &download};
    int rc = CLI_FAILED;
    crypto_hash_sha256_init(&download.sum);
    if (cli->dry_run) {
        rc = cli_rehearse_file(cli, path, file);
    } else if (!file_create(&download.out, file, problem)) {
        cli_fail(rc, "%s", problem);
    } else {
        rc = cli_send(cli, &request, &answer);
        bool same = !rc && whole(&download, &answer, sha256);
        if (!rc && !timer_signal() && !output && !same)
            rc = cli_fail(CLI_AGAIN, "what came is not version %lld of %s: its SHA-256 is another one",
                          (long long)version, twin);
        if (rc || timer_signal())
            file_abandon(&download.out);
        else if (!file_commit(&download.out, problem))
            rc = cli_fail(CLI_FAILED, "%s", problem);
        else if (strcmp(file, "-"))
            print_summary(cli, twin, version, file, download.bytes, sha256);
        rest_answer_fini(&answer);
    }
    free(path);
    return rc;
}

int cmd_export_run(struct cli *cli, int argc, char **argv)
{
    const char *out = NULL, *output = NULL;
    bool onnx = false;
    const struct options_entry entries[] = {
        {"onnx", 0, OPTIONS_FLAG, &onnx, NULL, "as a graph that ONNX runtimes take"},
        {"compute", 0, OPTIONS_TEXT, &output, "WHAT", "with --onnx: log_prob, the default, or sample"},
        {"out", 0, OPTIONS_TEXT, &out, "FILE",
         "where to (NAME-vVERSION.safetensors, or -WHAT.onnx); - for standard output"},
    };
    char **arg = NULL;
    int64_t version = 0;
    int count, rc = cli_parse(cli, entries, sizeof entries / sizeof *entries, argc, argv, 1, 2, &arg, &count);
    if (rc != CLI_GO_ON)
        return rc;
    if (cli_check_name(cli, "twin", arg[0]))
        return CLI_USAGE;
    if (output && (!onnx || (strcmp(output, "log_prob") && strcmp(output, "sample"))))
        return cli_usage(cli, "--compute goes with --onnx, and is log_prob or sample");
    if (onnx && !output)
        output = "log_prob";
    rc = version_read(cli, arg[0], count == 2 ? arg[1] : "champion", &version);
    if (rc)
        return rc;
    char *file = out      ? cli_text("%s", out)
                 : output ? cli_text("%s-v%lld-%s.onnx", arg[0], (long long)version, output)
                          : cli_text("%s-v%lld.safetensors", arg[0], (long long)version);
    rc = save(cli, arg[0], version, output, file);
    free(file);
    return rc;
}
