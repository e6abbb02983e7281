/* twind: initialises one part after the other, waits for a signal, and takes them down in the reverse order. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "daemon/clock.h"
#include "daemon/config.h"
#include "daemon/damage.h"
#include "daemon/http.h"
#include "daemon/ingest.h"
#include "daemon/log.h"
#include "daemon/patience.h"
#include "daemon/pipeline.h"
#include "daemon/publish.h"
#include "daemon/registry.h"
#include "daemon/shortage.h"
#include "daemon/space.h"
#include "daemon/store.h"
#include "daemon/token.h"

/* sysexits.h: what a supervisor may conclude. */
enum { EXIT_IO = 74, EXIT_TRY_AGAIN = 75, EXIT_UNUSABLE = 78 };

struct daemon {
    struct config config;
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

static volatile sig_atomic_t failed;
static pthread_t main_thread;

static void notify(const char *state)
{
#ifdef HAVE_SYSTEMD
    sd_notify(0, state);
#else
    (void)state;
#endif
}

static void batch_arrived(void *context)
{
    struct daemon *daemon = context;
    pipeline_wake(daemon->pipeline);
}

/* A failed sync is never retried: what was not acked is the feed's to send again, to a daemon that can write. */
static void ingest_failed(void *context, const char *why)
{
    (void)context;
    char quoted[300];
    log_error("ingest_failed", "error=%s", log_quote(why, quoted, sizeof(quoted)));
    failed = 1;
    kill(getpid(), SIGTERM);
}

static void store_died(void *context)
{
    (void)context;
    kill(getpid(), SIGTERM); /* wait_for_signal looks */
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

static int start(struct daemon *daemon, struct tw_error *error)
{
    struct config *config = &daemon->config;
    char note[160] = "";
    daemon->kernels = tw_kernels_choose(config->kernels[0] ? config->kernels : NULL, note);
    if (!daemon->kernels)
        return tw_error_set(error, TW_INVALID, "kernels %s: %s", config->kernels, note);
    if (note[0])
        log_warning("kernels_passed_over", "reason=\"%s\"", note);

    space_watch(config->state, &config->reserve_mb);
    damage_open(config->state);
    int status = store_open(config->state, &daemon->store, error);
    if (status == TW_OK)
        store_on_failure(daemon->store, store_died, daemon);
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
        .credit_bytes = (int64_t)config->credit_mb << 20,
        .segment_bytes = (size_t)config->segment_mb << 20,
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
        failed = 1;
}

/* Returns the signal that ends the daemon; looks after the store and the connections once a second. */
static int wait_for_signal(struct daemon *daemon, const sigset_t *signals)
{
    const struct timespec second = {.tv_sec = 1};
    for (;;) {
        int number = sigtimedwait(signals, NULL, &second);
        if (store_failed(daemon->store, NULL)) /* store_close says why */
            return SIGTERM;
        http_look(daemon->http);
        if (number == SIGHUP)
            log_info("reload_ignored", "reason=\"no setting can be changed while running; restart instead\"");
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

static int run(struct daemon *daemon)
{
    sigset_t signals;
    take_signals(&signals);

    struct tw_error error = {""};
    patience_start();
    int status = start(daemon, &error);
    patience_ready();
    if (status != TW_OK) {
        fprintf(stderr, "twind: %s\n", error.text[0] ? error.text : tw_status_name(status));
        stop(daemon);
        return exit_status(status);
    }
    log_info("ready", "http=http://127.0.0.1:%d ingest=%s publish=%s state=%s pid=%d kernels=\"%s\"",
             http_port(daemon->http), ingest_endpoint(daemon->ingest), ingest_publish_endpoint(daemon->ingest),
             daemon->config.state, (int)getpid(), daemon->kernels->detail);
    notify("READY=1");
    int number = wait_for_signal(daemon, &signals);
    notify("STOPPING=1");
    log_info("stopping", "signal=%s", sigabbrev_np(number));
    patience_end(STOP_S, failed ? EXIT_IO : EXIT_SUCCESS);
    stop(daemon);
    log_info("stopped", "clean=%s", failed ? "false" : "true");
    return failed ? EXIT_IO : EXIT_SUCCESS;
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
    if (daemon.config.check)
        return EXIT_SUCCESS;
    static const char *const names[] = {"error", "warning", "info", "debug"};
    for (int level = 0; level < 4; level++)
        if (strcmp(daemon.config.log_level, names[level]) == 0)
            log_set_level((enum log_level)level);
    return run(&daemon);
}
