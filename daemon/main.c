/* twind: initialises one part after the other, waits for a signal, and takes them down in the reverse order. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/resource.h>
#include <unistd.h>

#include <sodium.h>

#include "daemon/backup.h"
#include "daemon/clock.h"
#include "daemon/config.h"
#include "daemon/damage.h"
#include "daemon/folder.h"
#include "daemon/heartbeat.h"
#include "daemon/http.h"
#include "daemon/ingest.h"
#include "daemon/log.h"
#include "daemon/memory.h"
#include "daemon/notify.h"
#include "daemon/patience.h"
#include "daemon/pipeline.h"
#include "daemon/publish.h"
#include "daemon/registry.h"
#include "daemon/shortage.h"
#include "daemon/space.h"
#include "daemon/store.h"
#include "daemon/token.h"
#include "daemon/trouble.h"
#include "sql/migrations.h"

/* sysexits.h: what a supervisor may conclude. */
enum { EXIT_IO = 74, EXIT_TRY_AGAIN = 75, EXIT_UNUSABLE = 78 };

struct daemon {
    struct config config;
    int argc; /* read again by a reload */
    char **argv;
    const struct tw_kernels *kernels;
    struct store *store;
    struct registry *registry;
    struct publisher *publisher;
    struct pipeline *pipeline;
    struct ingest *ingest;
    struct http *http;
    char token[TOKEN_SIZE];
    struct api api;
};

/* How long a stop may take before what is under way is left as it is: a comparison of a large window takes minutes, a
 * supervisor waits for half of one. */
#define STOP_S 4.0

static volatile sig_atomic_t failed; /* the exit status, if it is not to be 0 */
static pthread_t main_thread;

static void batch_arrived(void *context)
{
    struct daemon *daemon = context;
    pipeline_wake(daemon->pipeline);
}

static int exit_status(int status)
{
    switch (status) {
    case TW_BUSY:
    case TW_NO_MEMORY:
        return EXIT_TRY_AGAIN;
    case TW_INVALID:
    case TW_CONFLICT:
        return EXIT_UNUSABLE;
    case TW_IO:
    case TW_CORRUPT:
    case TW_FULL:
        return EXIT_IO;
    default:
        return EXIT_FAILURE;
    }
}

/* A failed sync is never retried: what was not acked is the feed's to send again, to a daemon that can write. */
static void ingest_failed(void *context, int status, const char *why)
{
    (void)context;
    char quoted[300];
    log_error("ingest_failed", "error=%s", log_quote(why, quoted, sizeof(quoted)));
    failed = exit_status(status);
    kill(getpid(), SIGTERM);
}

static void store_died(void *context)
{
    (void)context;
    kill(getpid(), SIGTERM); /* wait_for_signal looks */
}

/* SQLite removes its log when the last connection is closed: one that is there was left by a kill, a crash or a power
 * cut. Bytes; 0: the last run ended by itself. */
static long long left_behind(const struct config *config)
{
    char log[4200];
    struct stat at;
    snprintf(log, sizeof log, "%s/twin.db-wal", config->state);
    return stat(log, &at) == 0 ? (long long)at.st_size : 0;
}

/* The first line of every story; the folder is locked by now. */
static void log_start(const struct config *config, long long left)
{
    char quoted[300];
    log_info("starting", "version=%s schema=%d pid=%d state=%s clean=%s", TWIN_VERSION, sql_migrations_count,
             (int)getpid(), log_quote(config->state, quoted, sizeof quoted), left ? "false" : "true");
    if (left)
        log_warning("unclean_stop",
                    "wal_bytes=%lld note=\"what was acknowledged is kept, what was interrupted is "
                    "repeated\"",
                    left);
}

/* What was found, summed over the twins. */
static void log_ready(const struct daemon *daemon)
{
    struct twin **twins = NULL;
    size_t count = registry_list(daemon->registry, &twins);
    unsigned long long batches = 0, pending = 0;
    for (size_t i = 0; i < count; i++) {
        pthread_mutex_lock(&twins[i]->lock);
        batches += twins[i]->counters.batches;
        pending += twins[i]->pending_count;
        pthread_mutex_unlock(&twins[i]->lock);
        registry_twin_unref(twins[i]);
    }
    free(twins);
    log_info("ready",
             "http=http://127.0.0.1:%d ingest=%s publish=%s state=%s pid=%d kernels=\"%s\" version=%s twins=%zu "
             "batches=%llu pending=%llu",
             http_port(daemon->http), ingest_endpoint(daemon->ingest), ingest_publish_endpoint(daemon->ingest),
             daemon->config.state, (int)getpid(), daemon->kernels->detail, TWIN_VERSION, count, batches, pending);
}

static int start(struct daemon *daemon, struct tw_error *error)
{
    struct config *config = &daemon->config;
    char note[160] = "";
    daemon->kernels = tw_kernels_choose(config->kernels[0] ? config->kernels : NULL, note);
    if (!daemon->kernels)
        return tw_error_set(error, TW_INVALID, "kernels %s: %s", config->kernels, note);
    if (note[0])
        log_warning("kernels_passed_over", "reason=\"%s\"", note);

    memory_init(&config->memory_mb, (size_t)config->http_connections);
    space_watch(config->state, &config->reserve_mb);
    damage_open(config->state);
    long long left = left_behind(config);
    int status = store_open(config->state, &daemon->store, error);
    if (status == TW_OK)
        log_start(config, left);
    if (status == TW_OK)
        backup_clean(config->state);
    if (status == TW_OK)
        status = token_load(config->state, daemon->token, error);
    if (status == TW_OK)
        status = registry_open(daemon->store, config->state, (size_t)config->segment_mb << 20, daemon->kernels,
                               &daemon->registry, error);
    if (status == TW_OK && !(daemon->publisher = publish_new()))
        status = tw_error_set(error, TW_NO_MEMORY, "no memory");
    if (status != TW_OK)
        return status;

    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct pipeline_options loop = {
        .registry = daemon->registry,
        .store = daemon->store,
        .publisher = daemon->publisher,
        .kernels = daemon->kernels,
        .config = config,
        .threads = config->threads > 0 ? (unsigned)config->threads
                   : cores > 0         ? (unsigned)cores
                                       : 1,
    };
    status = pipeline_start(&loop, &daemon->pipeline, error);
    struct ingest_options ingest = {
        .endpoint = config->ingest,
        .publish_endpoint = config->publish,
        .credit_mb = &config->credit_mb,
        .spool_mb = &config->spool_mb,
        .segment_bytes = (size_t)config->segment_mb << 20,
        .memory_mb = &config->memory_mb,
        .connections = &config->zmq_connections,
        .registry = daemon->registry,
        .store = daemon->store,
        .publisher = daemon->publisher,
        .arrived = batch_arrived,
        .failed = ingest_failed,
        .context = daemon,
    };
    if (status == TW_OK)
        status = ingest_start(&ingest, &daemon->ingest, error);
    daemon->api = (struct api){
        .config = config,
        .registry = daemon->registry,
        .store = daemon->store,
        .ingest = daemon->ingest,
        .pipeline = daemon->pipeline,
        .publisher = daemon->publisher,
        .kernels = daemon->kernels,
        .token = daemon->token,
        .started_ms = clock_ms(),
    };
    if (status == TW_OK)
        status = http_start(&daemon->api, &daemon->http, error);
    if (status == TW_OK && store_failed(daemon->store, error))
        status = TW_IO;
    return status;
}

/* The doors first, then the loop, then what they stand on. */
static void stop(struct daemon *daemon)
{
    http_stop(daemon->http);
    ingest_stop(daemon->ingest);
    pipeline_stop(daemon->pipeline);
    publish_free(daemon->publisher);
    registry_close(daemon->registry);
    if (store_close(daemon->store) != TW_OK)
        failed = EXIT_IO;
}

static void apply_log_level(const struct config *config)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    for (int level = 0; level < 4; level++)
        if (strcmp(config->log_level, names[level]) == 0)
            log_set_level((enum log_level)level);
}

/* SIGHUP. A configuration that is refused changes nothing, and stays on the list of troubles until a good one comes. */
static void reload(struct daemon *daemon)
{
    char waiting[CONFIG_WAITING_MAX], quoted[400];
    struct tw_error error = {""};
    notify_reloading();
    if (config_reload(&daemon->config, daemon->argc, daemon->argv, waiting, &error) != TW_OK) {
        log_error("reload_refused", "error=%s", log_quote(error.text, quoted, sizeof quoted));
        trouble_raise("reload_refused", "", TROUBLE_DEGRADED, "%s", error.text);
        notify_ready();
        return;
    }
    apply_log_level(&daemon->config);
    trouble_clear("reload_refused", "");
    log_info("reloaded", "restart_to_apply=%s", log_quote(waiting, quoted, sizeof quoted));
    if (*waiting)
        trouble_raise("restart_to_apply", "", TROUBLE_DEGRADED, "changed, but read at a start only: %s", waiting);
    else
        trouble_clear("restart_to_apply", "");
    notify_ready();
}

/* Returns the signal that ends the daemon; looks after store, connections and loops once a second. */
static int wait_for_signal(struct daemon *daemon, const sigset_t *signals)
{
    const struct timespec second = {.tv_sec = 1};
    for (;;) {
        notify_second(heartbeat_check(clock_monotonic()));
        int number = sigtimedwait(signals, NULL, &second);
        if (store_failed(daemon->store, NULL)) /* store_close says why */
            return SIGTERM;
        http_look(daemon->http);
        if (number == SIGHUP)
            reload(daemon);
        else if (number > 0)
            return number;
    }
}

/* A thread that a library started before main (OpenBLAS does) has nothing blocked: it hands on what it is given, or a
 * second SIGTERM would kill a daemon that is ending. */
static void hand_on(int number)
{
    pthread_kill(main_thread, number);
}

static void take_signals(sigset_t *signals)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    struct sigaction action = {.sa_handler = hand_on, .sa_flags = SA_RESTART};
    main_thread = pthread_self();
    sigemptyset(signals);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sigaddset(signals, numbers[i]);
    pthread_sigmask(SIG_BLOCK, signals, NULL); /* inherited by every thread */
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sigaction(numbers[i], &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* Connections are files; what is allowed at most is meant for programs like this one. */
static void raise_file_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

static int run(struct daemon *daemon)
{
    sigset_t signals;
    take_signals(&signals);
    raise_file_limit();

    struct tw_error error = {""};
    patience_start();
    int status = start(daemon, &error);
    patience_ready();
    if (status != TW_OK) {
        fprintf(stderr, "twind: %s\n", error.text[0] ? error.text : tw_status_name(status));
        stop(daemon);
        return exit_status(status);
    }
    store_on_failure(daemon->store, store_died, daemon);
    log_ready(daemon);
    notify_ready();
    int number = wait_for_signal(daemon, &signals);
    notify_stopping();
    log_info("stopping", "signal=%s", sigabbrev_np(number));
    patience_end(STOP_S, failed);
    stop(daemon);
    log_info("stopped", "clean=%s", failed ? "false" : "true");
    return failed;
}

int main(int argc, char **argv)
{
    static struct daemon daemon;
    struct tw_error error = {""};
    shortage_watch();
    if (sodium_init() < 0) {
        fputs("twind: libsodium cannot be initialised\n", stderr);
        return EXIT_FAILURE;
    }
    if (config_load(&daemon.config, argc, argv, &error) != TW_OK) {
        fprintf(stderr, "twind: %s\n", error.text);
        return EXIT_UNUSABLE;
    }
    if (daemon.config.help) {
        config_help();
        return EXIT_SUCCESS;
    }
    if (daemon.config.version) {
        puts("twind " TWIN_VERSION);
        return EXIT_SUCCESS;
    }
    if (daemon.config.print_config) {
        config_print(&daemon.config);
        return EXIT_SUCCESS;
    }
    if (daemon.config.check) {
        int status = folder_check(daemon.config.state, &error);
        if (status)
            fprintf(stderr, "twind: state: %s\n", error.text);
        return status ? EXIT_UNUSABLE : EXIT_SUCCESS;
    }
    daemon.argc = argc;
    daemon.argv = argv;
    apply_log_level(&daemon.config);
    return run(&daemon);
}
