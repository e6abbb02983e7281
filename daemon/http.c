/* The server: its limits, its threads, how it starts and stops. */
#include "daemon/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <microhttpd.h>

#include "daemon/clock.h"
#include "daemon/errno_status.h"
#include "daemon/events.h"
#include "daemon/http_check.h"
#include "daemon/http_exchange.h"
#include "daemon/http_work.h"
#include "daemon/log.h"
#include "daemon/publish.h"

enum {
    SERVER_THREADS = 2,
    CALL_THREADS = 3,
    STACK_BYTES = 2 * 1024 * 1024,
    BACKLOG = 1024,
    SEND_BYTES = 256 * 1024,  /* what the kernel keeps of an answer that nobody takes */
    DESCRIPTORS_OTHERS = 256, /* of the process, for whatever else it opens */
};

/* Paths and queries are decoded by http_request alone. */
static size_t keep_escapes(void *context, struct MHD_Connection *connection, char *text)
{
    return strlen(text);
}

static int open_listener(struct http *http, struct tw_error *error)
{
    const char *text = http->api.config->http;
    char host[64];
    int port;
    int status = http_check_address(text, host, &port, error);
    if (status != TW_OK)
        return status;
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    bool is_v6 = inet_pton(AF_INET6, host, &v6.sin6_addr) == 1;
    inet_pton(AF_INET, host, &v4.sin_addr);
    struct sockaddr *address = is_v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
    socklen_t length = is_v6 ? sizeof v6 : sizeof v4;
    int on = 1, send = SEND_BYTES;
    http->listener = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (http->listener < 0)
        return tw_error_set(error, errno_status(errno), "http: socket: %s", strerror(errno));
    setsockopt(http->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(http->listener, SOL_SOCKET, SO_SNDBUF, &send, sizeof send); /* accepted ones inherit it */
    if (bind(http->listener, address, length) != 0 || listen(http->listener, BACKLOG) != 0) {
        if (errno == EADDRINUSE)
            return tw_error_set(error, TW_BUSY, "http: %s is in use by another program; --http takes another", text);
        return tw_error_set(error, TW_IO, "http: cannot listen on %s: %s", text, strerror(errno));
    }
    if (getsockname(http->listener, address, &length) != 0)
        return tw_error_set(error, TW_IO, "http: getsockname: %s", strerror(errno));
    http->port = ntohs(is_v6 ? v6.sin6_port : v4.sin_port);
    return TW_OK;
}

/* As many connections as are configured, or as the process may have descriptors for: one for each, and as many again
 * for those that were ended and are not closed yet. Out of descriptors, nothing else could be opened either. */
static size_t connections_most(const struct config *config)
{
    size_t wanted = (size_t)config_live(&config->http_connections), most = wanted;
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        size_t room = files.rlim_cur > DESCRIPTORS_OTHERS ? (size_t)files.rlim_cur - DESCRIPTORS_OTHERS : 0;
        most = wanted < room / 2 ? wanted : room / 2 > 8 ? room / 2 : 8;
    }
    if (most < wanted)
        log_warning("http_connections_reduced", "configured=%zu limit=%zu reason=\"the process may open %llu files\"",
                    wanted, most, (unsigned long long)files.rlim_cur);
    return most;
}

static void notice_connection(void *context, struct MHD_Connection *connection, void **slot,
                              enum MHD_ConnectionNotificationCode code)
{
    struct http *http = context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        *slot = info != NULL ? http_peers_add(http->peers, info->connect_fd) : NULL;
        if (*slot == NULL && info != NULL) /* nobody would ever end it */
            shutdown(info->connect_fd, SHUT_RDWR);
    } else {
        http_peers_remove(http->peers, *slot);
        *slot = NULL;
    }
}

/* The server's own limit is split over its threads, and one of them may have nearly all connections. At that limit it
 * stops accepting, so it lies above ours. */
static struct MHD_Daemon *start_server(struct http *http)
{
    struct http_peers_counts counts;
    http_peers_count(http->peers, &counts);
    unsigned limit = (unsigned)(SERVER_THREADS * (counts.most + counts.most / 2 + 8));
    return MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, http_exchange_handle, http,
        MHD_OPTION_LISTEN_SOCKET, (MHD_socket)http->listener, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)SERVER_THREADS,
        MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_BYTES, MHD_OPTION_URI_LOG_CALLBACK, http_exchange_new, http,
        MHD_OPTION_NOTIFY_COMPLETED, http_exchange_free, http, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL,
        MHD_OPTION_NOTIFY_CONNECTION, notice_connection, http, MHD_OPTION_CONNECTION_LIMIT, limit,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_CONNECTION_BYTES, MHD_OPTION_END);
}

static void http_free(struct http *http)
{
    http_work_free(http->calls);
    http_work_free(http->queries);
    http_peers_free(http->peers);
    http_kept_fini(&http->kept);
    free(http);
}

int http_start(const struct api *api, struct http **out, struct tw_error *error)
{
    struct http *http = calloc(1, sizeof *http);
    if (http == NULL)
        return tw_error_set(error, TW_NO_MEMORY, "http: memory is out");
    http->api = *api;
    http->listener = -1;
    int status = open_listener(http, error);
    if (status != TW_OK)
        goto failed;
    status = tw_error_set(error, TW_NO_MEMORY, "http: the server's threads could not be started");
    int queries = api->config->query_threads > 0 ? api->config->query_threads : 1;
    http->calls = http_work_new(CALL_THREADS);
    http->queries = http_work_new(queries);
    http->peers = http_peers_new(connections_most(api->config));
    if (http->calls == NULL || http->queries == NULL || http->peers == NULL)
        goto failed;
    http->daemon = start_server(http);
    if (http->daemon == NULL)
        goto failed;
    *out = http;
    return TW_OK;

failed:
    if (http->calls != NULL)
        http_work_stop(http->calls);
    if (http->queries != NULL)
        http_work_stop(http->queries);
    if (http->listener >= 0)
        close(http->listener);
    http_free(http);
    return status;
}

/* Stopping with a suspended connection would abort the process, so everything that waits is resumed first: the queues
 * answer for their work, and refuse more. What can still be sent gets a moment. Newcomers meanwhile are answered with
 * 503: taking the listener away first (MHD_quiesce_daemon) races with the server's own threads, which do the same when
 * they notice, and libmicrohttpd 0.9.75 aborts the process when the second of two finds nothing to take away. */
void http_stop(struct http *http)
{
    if (http == NULL)
        return;
    atomic_store(&http->stopping, true);
    events_stop(publish_events(http->api.publisher));
    http_work_stop(http->calls);
    http_work_stop(http->queries);
    for (int i = 0; i < 100 && atomic_load(&http->active) > 0; i++)
        nanosleep(&(struct timespec){0, 5000000}, NULL);
    MHD_stop_daemon(http->daemon); /* closes the listener, too */
    http_free(http);
}

void http_look(struct http *http)
{
    if (http == NULL)
        return;
    http_peers_look(http->peers, clock_monotonic());
    events_look(publish_events(http->api.publisher), clock_monotonic());
}

int http_port(const struct http *http)
{
    return http->port;
}

bool http_stopping(const struct http *http)
{
    return atomic_load(&((struct http *)http)->stopping);
}

void http_counts(const struct http *http, uint64_t out[5])
{
    for (int i = 0; i < 5; i++)
        out[i] = atomic_load(&((struct http *)http)->counts[i]);
}

void http_connections(const struct http *http, struct http_peers_counts *out)
{
    http_peers_count(http->peers, out);
}
