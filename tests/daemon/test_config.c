/* Configuration: sources and their order, refusals, and what is printed; also log lines and times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/clock.h"
#include "daemon/config.h"
#include "daemon/log.h"
#include "daemon/log_journal.h"
#include "tests/daemon/scratch.h"

static char folder[64];

static int setup(void **state)
{
    (void)state;
    static const char *const variables[] = {"STATE_DIRECTORY", "XDG_STATE_HOME", "TWIN_CONFIG", "TWIN_HTTP",
                                            "TWIN_SEGMENT_MB", "TWIN_KERNELS",   "TWIN_STATE"};
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]);
    setenv("HOME", "/home/somebody", 1);
    return scratch_make(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    scratch_remove(folder);
    return 0;
}

/* Arguments end with NULL. */
static int load(struct config *config, struct tw_error *error, ...)
{
    char name[] = "twind", *argv[16] = {name};
    int argc = 1;
    va_list args;
    va_start(args, error);
    while ((argv[argc] = va_arg(args, char *)))
        argc++;
    va_end(args);
    error->text[0] = 0;
    return config_load(config, argc, argv, error);
}

static const char *write_file(const char *text)
{
    static char path[100];
    snprintf(path, sizeof path, "%s/twind.conf", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    return path;
}

static void test_defaults(void **state)
{
    (void)state;
    struct config c;
    struct tw_error error;
    assert_int_equal(load(&c, &error, NULL), 0);
    assert_string_equal(c.state, "/home/somebody/.local/state/twin");
    assert_string_equal(c.http, "127.0.0.1:8470");
    assert_string_equal(c.ingest, "tcp://127.0.0.1:8471");
    assert_string_equal(c.publish, "tcp://127.0.0.1:8472");
    assert_string_equal(c.log_level, "info");
    assert_string_equal(c.kernels, "");
    assert_string_equal(c.hosts, "");
    assert_int_equal(c.threads, 0);
    assert_true(c.query_threads > 0 && c.segment_mb > 0 && c.credit_mb >= 16);
    assert_false(c.check || c.print_config || c.help || c.version);
}

static void test_state_folder(void **state)
{
    (void)state;
    struct config c;
    struct tw_error error;
    setenv("XDG_STATE_HOME", "/xdg", 1);
    assert_int_equal(load(&c, &error, NULL), 0);
    assert_string_equal(c.state, "/xdg/twin");
    setenv("STATE_DIRECTORY", "/var/lib/twin:/other", 1);
    assert_int_equal(load(&c, &error, NULL), 0);
    assert_string_equal(c.state, "/var/lib/twin");
    assert_int_equal(load(&c, &error, "--state", "/tmp/x", NULL), 0);
    assert_string_equal(c.state, "/tmp/x");
    unsetenv("STATE_DIRECTORY");
    unsetenv("XDG_STATE_HOME");
    unsetenv("HOME");
    assert_int_equal(load(&c, &error, NULL), TW_INVALID);
    assert_non_null(strstr(error.text, "state"));
}

static void test_precedence(void **state)
{
    (void)state;
    struct config c;
    struct tw_error error;
    const char *path = write_file("# a comment\n; another\n\nhttp = 127.0.0.1:1\nsegment-mb=3\n[twind]\n"
                                  "   kernels = ref\nlog-level = debug ; why\nhttp = 127.0.0.1:2\n");
    assert_int_equal(load(&c, &error, "--config", path, NULL), 0);
    assert_string_equal(c.http, "127.0.0.1:2"); /* the last one wins */
    assert_int_equal(c.segment_mb, 3);
    assert_string_equal(c.kernels, "ref");
    assert_string_equal(c.log_level, "debug");
    setenv("TWIN_CONFIG", path, 1);
    setenv("TWIN_HTTP", "[::1]:4", 1);
    setenv("TWIN_SEGMENT_MB", "5", 1);
    setenv("TWIN_KERNELS", "", 1); /* as if it were not set */
    assert_int_equal(load(&c, &error, "--segment-mb", "6", "--segment-mb=7", NULL), 0);
    assert_string_equal(c.http, "[::1]:4");
    assert_int_equal(c.segment_mb, 7);
    assert_string_equal(c.kernels, "ref");
}

static void test_switches(void **state)
{
    (void)state;
    struct config c;
    struct tw_error error;
    assert_int_equal(load(&c, &error, "--check", "--print-config", NULL), 0);
    assert_true(c.check && c.print_config);
    assert_int_equal(load(&c, &error, "--help", NULL), 0);
    assert_true(c.help);
    unsetenv("HOME"); /* whatever else is wrong */
    assert_int_equal(load(&c, &error, "--version", "--config", "/nowhere", NULL), 0);
    assert_true(c.version);
}

static void test_flags_refused(void **state)
{
    (void)state;
    static const struct {
        const char *flag, *value, *names;
    } refused[] = {
        {"--foo", NULL, "--foo"},
        {"--foo=1", NULL, "--foo"},
        {"--htt", "127.0.0.1:1", "--htt"}, /* no abbreviations */
        {"http", "127.0.0.1:1", "http"},
        {"-h", NULL, "-h"},
        {"--", NULL, "--"},
        {"--http", NULL, "--http"},
        {"--check=yes", NULL, "--check"},
        {"--config", "/nowhere/twind.conf", "/nowhere/twind.conf"},
        {"--http", "", "--http"},
        {"--http", "8470", "--http"},
        {"--http", "127.0.0.1", "--http"},
        {"--http", "127.0.0.1:", "--http"},
        {"--http", "127.0.0.1:65536", "--http"},
        {"--http", "127.0.0.1:-1", "--http"},
        {"--http", "127.0.0.1:80x", "--http"},
        {"--http", "0.0.0.0:8470", "loopback"},
        {"--http", "192.168.1.1:8470", "loopback"},
        {"--http", "[::]:8470", "loopback"},
        {"--http", "example.org:8470", "--http"},
        {"--ingest", "127.0.0.1:8471", "--ingest"},
        {"--ingest", "tcp://*:8471", "loopback"},
        {"--ingest", "tcp://0.0.0.0:8471", "loopback"},
        {"--ingest", "tcp://eth0:8471", "loopback"},
        {"--ingest", "tcp://127.0.0.1", "--ingest"},
        {"--ingest", "tcp://127.0.0.1:99999", "--ingest"},
        {"--ingest", "udp://127.0.0.1:1", "--ingest"},
        {"--publish", "tcp://10.0.0.1:8472", "loopback"},
        {"--publish", "ipc://", "--publish"},
        {"--log-level", "loud", "--log-level"},
        {"--log-level", "", "--log-level"},
        {"--kernels", "avx", "--kernels"},
        {"--hosts", "a b", "--hosts"},
        {"--hosts", "a/b", "--hosts"},
        {"--threads", "-1", "--threads"},
        {"--threads", "1025", "--threads"},
        {"--threads", "two", "--threads"},
        {"--threads", "", "--threads"},
        {"--threads", " 2", "--threads"},
        {"--threads", "2x", "--threads"},
        {"--threads", "99999999999999999999", "--threads"},
        {"--query-threads", "0", "--query-threads"},
        {"--segment-mb", "0", "--segment-mb"},
        {"--credit-mb", "1", "--credit-mb"},
        {"--state", "a\nb", "--state"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct config c;
        struct tw_error error;
        int status = load(&c, &error, refused[i].flag, refused[i].value, NULL);
        if (status != TW_INVALID || !strstr(error.text, refused[i].names))
            fail_msg("%s %s: %d %s", refused[i].flag, refused[i].value ? refused[i].value : "", status, error.text);
    }
}

static void test_values_taken(void **state)
{
    (void)state;
    struct config c;
    struct tw_error error;
    assert_int_equal(load(&c, &error, "--http", "localhost:0", "--ingest", "tcp://127.0.0.1:*", "--publish",
                          "ipc:///tmp/x", "--hosts", "a.example,b-c", "--threads", "1024", NULL),
                     0);
    assert_string_equal(c.ingest, "tcp://127.0.0.1:*");
    assert_string_equal(c.hosts, "a.example,b-c");
    assert_int_equal(c.threads, 1024);
    assert_int_equal(load(&c, &error, "--ingest", "tcp://[::1]:0", "--http", "127.9.9.9:65535", NULL), 0);
}

static void test_files_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *names;
    } refused[] = {
        {"http = 127.0.0.1:1\nfoo = 1\n", ":2: foo"},
        {"HTTP = 127.0.0.1:1\n", "HTTP"},
        {"check = true\n", "check"},
        {"config = x\n", "config"},
        {"[other]\nhttp = 127.0.0.1:1\n", "[other]"},
        {"\n\nhttp\n", ":3"},
        {"[twind\n", ":1"},
        {"threads = many\n", ":1: threads"},
        {"hosts = "
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "\n",
         "too long"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct config c;
        struct tw_error error;
        int status = load(&c, &error, "--config", write_file(refused[i].text), NULL);
        if (status != TW_INVALID || !strstr(error.text, refused[i].names))
            fail_msg("%s: %d %s", refused[i].text, status, error.text);
    }
    setenv("TWIN_HTTP", "nonsense", 1);
    struct config c;
    struct tw_error error;
    assert_int_equal(load(&c, &error, NULL), TW_INVALID);
    assert_non_null(strstr(error.text, "TWIN_HTTP"));
}

/* Sends what is written to descriptor `fd` to a file for the time of a call. */
static char *capture(int fd, void (*call)(const void *), const void *argument)
{
    static char text[16384];
    char path[100];
    snprintf(path, sizeof path, "%s/captured", folder);
    fflush(stdout);
    int before = dup(fd);
    FILE *file = fopen(path, "w+");
    assert_non_null(file);
    dup2(fileno(file), fd);
    call(argument);
    fflush(stdout);
    dup2(before, fd);
    close(before);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    return text;
}

static void print_it(const void *config)
{
    config_print(config);
}

static void help_it(const void *unused)
{
    (void)unused;
    config_help();
}

/* What is printed is a configuration file that says the same; every setting is in it, and in the help. */
static void test_printed_configuration(void **state)
{
    (void)state;
    struct config c, again;
    struct tw_error error;
    assert_int_equal(load(&c, &error, "--segment-mb", "9", "--hosts", "a,b", "--log-level", "debug", NULL), 0);
    char *text = strdup(capture(STDOUT_FILENO, print_it, &c));
    for (size_t i = 0; config_name(i); i++) {
        char line[80];
        snprintf(line, sizeof line, "\n%s = ", config_name(i));
        assert_non_null(strstr(text, line));
        snprintf(line, sizeof line, "--%s ", config_name(i));
        assert_non_null(strstr(capture(STDOUT_FILENO, help_it, NULL), line));
    }
    setenv("HOME", "/home/else", 1);
    assert_int_equal(load(&again, &error, "--config", write_file(text), NULL), 0);
    assert_string_equal(again.state, c.state);
    assert_string_equal(again.hosts, "a,b");
    assert_string_equal(again.log_level, "debug");
    assert_string_equal(again.kernels, "");
    assert_int_equal(again.segment_mb, 9);
    assert_int_equal(again.credit_mb, c.credit_mb);
    free(text);
}

/* What may change does; what takes effect at a start only is named and left alone; a refused file changes nothing. */
static void test_reload(void **state)
{
    (void)state;
    struct config c;
    struct tw_error error = {""};
    char waiting[CONFIG_WAITING_MAX];
    const char *path = write_file("credit-mb = 20\nthreads = 1\n");
    char flag[120], where[] = "--state=/tmp/x", spool[] = "--spool-mb=7";
    snprintf(flag, sizeof flag, "--config=%s", path);
    char *argv[] = {where, flag, where, spool, NULL};
    assert_int_equal(config_load(&c, 4, argv, &error), 0);
    assert_int_equal(config_reload(&c, 4, argv, waiting, &error), 0);
    assert_string_equal(waiting, "");
    write_file("credit-mb = 30\nlog-level = debug\nthreads = 2\nspool-mb = 8\nhosts = a,b\n");
    assert_int_equal(config_reload(&c, 4, argv, waiting, &error), 0);
    assert_string_equal(waiting, "hosts, threads");
    assert_int_equal(c.credit_mb, 30);
    assert_string_equal(c.log_level, "debug");
    assert_int_equal(c.threads, 1);
    assert_string_equal(c.hosts, "");
    assert_int_equal(c.spool_mb, 7); /* the flag still wins */
    write_file("credit-mb = 40\nno-such-thing = 1\n");
    assert_int_equal(config_reload(&c, 4, argv, waiting, &error), TW_INVALID);
    assert_non_null(strstr(error.text, "no-such-thing"));
    assert_int_equal(c.credit_mb, 30);
}

static void log_some(const void *unused)
{
    (void)unused;
    char quoted[64];
    log_set_level(LOG_LEVEL_INFO);
    log_info("greeting", "twin=%s why=%s", "z", log_quote("a \"b\"\n\\c", quoted, sizeof quoted));
    log_debug("hidden", "x=%d", 1);
    log_set_level(LOG_LEVEL_DEBUG);
    log_debug("shown", "x=%s", "forged\nline=1");
    log_set_level(LOG_LEVEL_ERROR);
    log_warning("hidden", "x=%d", 2);
    log_error("broken", "x=%d", 3);
    log_set_level(LOG_LEVEL_INFO);
}

static void test_log_lines(void **state)
{
    (void)state;
    unsetenv("JOURNAL_STREAM");
    char *text = capture(STDERR_FILENO, log_some, NULL), *line = strtok(text, "\n");
    static const char *const expected[] = {" info event=greeting twin=z why=\"a \\\"b\\\"\\x0a\\\\c\"",
                                           " debug event=shown x=forged?line=1", " error event=broken x=3"};
    for (size_t i = 0; i < 3; i++, line = strtok(NULL, "\n")) {
        assert_non_null(line);
        assert_true(strlen(line) > 24 && line[10] == 'T' && line[23] == 'Z');
        assert_string_equal(line + 24, expected[i]);
    }
    assert_null(line);
}

static void log_long(const void *unused)
{
    (void)unused;
    log_info("long", "x=%*d", 9000, 1);
}

static void test_long_log_line_is_cut(void **state)
{
    (void)state;
    char *text = capture(STDERR_FILENO, log_long, NULL);
    assert_true(strlen(text) < 4200);
    assert_int_equal(strchr(text, '\n') - text, strlen(text) - 1);
}

static void test_journal_fields(void **state)
{
    (void)state;
    static const struct {
        const char *body, *fields;
    } cases[] = {
        {"twin=zmumu version=2 gain=0.05", "TWIN_TWIN=zmumu|TWIN_VERSION=2|TWIN_GAIN=0.05|"},
        {"why=\"a \\\"b\\\"\\x0a\\\\c\" x=1", "TWIN_WHY=a \"b\"\n\\c|TWIN_X=1|"},
        {"empty=\"\" none= last=x", "TWIN_EMPTY=|TWIN_NONE=|TWIN_LAST=x|"},
        {"  a=1   b=2 ", "TWIN_A=1|TWIN_B=2|"},
        {"", ""},
        {"a=1 some words b=2", "TWIN_A=1|"},
        {"a=1 b=\"no end", "TWIN_A=1|"},
        {"a=1 b=\"x\"y c=2", "TWIN_A=1|"},
        {"A=1", ""},
        {"a=1 b=0123456789012345678901234567890123456789", "TWIN_A=1|"}, /* more than the memory */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char memory[48], text[200] = "";
        struct iovec fields[3];
        size_t count = log_journal_fields(cases[i].body, memory, sizeof memory, fields, 3);
        for (size_t k = 0; k < count; k++) {
            strncat(text, fields[k].iov_base, fields[k].iov_len);
            strcat(text, "|");
        }
        assert_string_equal(text, cases[i].fields);
    }
}

static void test_log_quote(void **state)
{
    (void)state;
    char out[8];
    assert_string_equal(log_quote("abcdefghij", out, sizeof out), "\"a\""); /* cut, in time for any escape */
    assert_string_equal(log_quote("", out, sizeof out), "\"\"");
    assert_string_equal(log_quote("x", out, 3), "\"\"");
}

static void test_times(void **state)
{
    (void)state;
    char text[32];
    assert_string_equal(clock_rfc3339(0, text), "1970-01-01T00:00:00.000Z");
    assert_string_equal(clock_rfc3339(1772366400123, text), "2026-03-01T12:00:00.123Z");
    assert_string_equal(clock_rfc3339(-1, text), "1969-12-31T23:59:59.999Z");
    assert_true(clock_ms() > 1600000000000);
    double before = clock_monotonic();
    assert_true(clock_monotonic() >= before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(test_state_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(test_precedence, setup, teardown),
        cmocka_unit_test_setup_teardown(test_switches, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flags_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_values_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_printed_configuration, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reload, setup, teardown),
        cmocka_unit_test_setup_teardown(test_log_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_log_line_is_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_journal_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(test_log_quote, setup, teardown),
        cmocka_unit_test_setup_teardown(test_times, setup, teardown),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
