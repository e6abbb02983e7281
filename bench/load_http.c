/* bench-http: how long answers take, and a server that does nothing but answer.
 *
 *   load PORT CONNECTIONS SECONDS METHOD PATH [BODY MEDIA]   requests over connections that are kept alive, one at a
 *                                                            time on each; BODY is a file
 *   serve                                                    libmicrohttpd on its own, two threads as twind has: writes
 *                                                            its port, ends with its stdin
 *
 * `load` is one thread that waits for all connections at once, so that what it adds to a time is small. A request is
 * timed from the first byte that is sent to the last that comes. Prints one JSON object; anything but 200 ends it. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#include "base/slice.h"
#include "bench/load.h"

enum { HEAD_MAX = 32 * 1024, PIECE = 256 * 1024, CONNECTIONS_MAX = 64, WAIT_MS = 30000 };

/* --- load --- */

struct load {
    char *request;
    size_t size;
    double *taken; /* seconds, of each answer */
    size_t count, room;
    double bytes; /* of bodies */
};

struct connection {
    int fd;
    double begin;
    size_t sent;         /* of the request */
    char head[HEAD_MAX]; /* what came, until the head is whole */
    size_t got;          /* of the head */
    bool body;           /* the head is whole */
    unsigned long left;  /* of the body */
};

static char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    char *bytes = malloc(1 << 20);
    if (!file || !bytes)
        load_end("%s: %s", path, strerror(errno));
    *size = fread(bytes, 1, 1 << 20, file);
    fclose(file);
    return bytes;
}

static void make_request(struct load *load, int port, char **args, int count)
{
    size_t size = 0;
    char *body = count > 2 ? read_file(args[2], &size) : NULL;
    int head =
        asprintf(&load->request, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: application/x-npy, */*;q=0.5\r\n",
                 args[0], args[1], port);
    if (head < 0 || !(load->request = realloc(load->request, (size_t)head + size + 256)))
        load_end("out of memory");
    char *at = load->request + head;
    if (body)
        at += sprintf(at, "Content-Type: %s\r\nContent-Length: %zu\r\n", args[3], size);
    at = stpcpy(at, "\r\n");
    if (body)
        memcpy(at, body, size);
    load->size = (size_t)(at - load->request) + size;
    free(body);
}

static void connect_to(struct connection *connection, int port, int poll)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    int on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connection->fd < 0 || connect(connection->fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        epoll_ctl(poll, EPOLL_CTL_ADD, connection->fd, &event) != 0)
        load_end("connecting: %s", strerror(errno));
}

static void ask(const struct load *load, struct connection *connection)
{
    connection->begin = load_now();
    connection->got = 0;
    connection->body = false;
    for (connection->sent = 0; connection->sent < load->size;) {
        ssize_t put =
            send(connection->fd, load->request + connection->sent, load->size - connection->sent, MSG_NOSIGNAL);
        if (put < 0)
            load_end("sending: %s", strerror(errno));
        connection->sent += (size_t)put;
    }
}

/* Looks whether the head is whole; what came of the body with it is counted. */
static void read_head(struct load *load, struct connection *connection)
{
    connection->head[connection->got] = '\0';
    char *end = strstr(connection->head, "\r\n\r\n");
    if (!end)
        return;
    const char *length = strcasestr(connection->head, "\r\nContent-Length:");
    if (strncmp(connection->head, "HTTP/1.1 200 ", 13) != 0 || !length || length > end)
        load_end("an answer that is not 200 with a length: %.300s", connection->head);
    connection->left = strtoul(length + 17, NULL, 10);
    connection->body = true;
    size_t came = connection->got - (size_t)(end + 4 - connection->head);
    connection->left -= came;
    load->bytes += (double)came;
}

/* True when the answer is whole. */
static bool take(struct load *load, struct connection *connection)
{
    static char piece[PIECE];
    char *to = connection->body ? piece : connection->head + connection->got;
    size_t room = connection->body ? sizeof piece : HEAD_MAX - 1 - connection->got;
    ssize_t got = recv(connection->fd, to, room, 0);
    if (got <= 0)
        load_end("the connection ended: %s", got < 0 ? strerror(errno) : "closed");
    if (!connection->body) {
        connection->got += (size_t)got;
        read_head(load, connection);
    } else {
        connection->left -= (unsigned long)got;
        load->bytes += (double)got;
    }
    return connection->body && connection->left == 0;
}

static void note(struct load *load, double seconds)
{
    if (load->count == load->room) {
        load->room = load->room ? 2 * load->room : 1 << 16;
        load->taken = reallocarray(load->taken, load->room, sizeof *load->taken);
        if (!load->taken)
            load_end("out of memory");
    }
    load->taken[load->count++] = seconds;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Milliseconds below which the share lies. */
static double quantile(const struct load *load, double share)
{
    size_t at = (size_t)(share * (double)load->count);
    return 1e3 * load->taken[at < load->count ? at : load->count - 1];
}

static void load_run(int port, int connections, double seconds, char **args, int count)
{
    static struct connection all[CONNECTIONS_MAX];
    struct load load = {0};
    int poll = epoll_create1(EPOLL_CLOEXEC), active = connections;
    make_request(&load, port, args, count);
    tw_slice_shortest(); /* or it would time how long it waits itself */
    for (int i = 0; i < connections; i++)
        connect_to(&all[i], port, poll);
    double begin = load_now(), end;
    for (int i = 0; i < connections; i++)
        ask(&load, &all[i]);
    while (active > 0) {
        struct epoll_event ready[CONNECTIONS_MAX];
        int n = epoll_wait(poll, ready, CONNECTIONS_MAX, WAIT_MS);
        if (n <= 0 && errno != EINTR)
            load_end("no answer for %d s", WAIT_MS / 1000);
        for (int i = 0; i < n; i++) {
            struct connection *connection = ready[i].data.ptr;
            if (!take(&load, connection))
                continue;
            end = load_now();
            note(&load, end - connection->begin);
            if (end - begin < seconds)
                ask(&load, connection);
            else
                active--;
        }
    }
    end = load_now();
    qsort(load.taken, load.count, sizeof *load.taken, by_size);
    printf(
        "{\"requests\": %zu, \"requests_per_s\": %.1f, \"body_mib_per_s\": %.2f, \"p50_ms\": %.4f, \"p99_ms\": %.4f, "
        "\"most_ms\": %.4f}\n",
        load.count, (double)load.count / (end - begin), load.bytes / (end - begin) / (1 << 20), quantile(&load, 0.5),
        quantile(&load, 0.99), quantile(&load, 1));
    for (int i = 0; i < connections; i++)
        close(all[i].fd);
    close(poll);
    free(load.request);
    free(load.taken);
}

/* --- serve --- */

static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *data, size_t *size, void **slot)
{
    (void)url, (void)method, (void)version, (void)data, (void)slot;
    *size = 0;
    if (!*slot) { /* the head is there; what follows is the body */
        *slot = context;
        return MHD_YES;
    }
    return MHD_queue_response(connection, 200, context);
}

static void serve(void)
{
    static char body[] = "{\"status\":\"ok\"}";
    struct MHD_Response *response = MHD_create_response_from_buffer(sizeof body - 1, body, MHD_RESPMEM_PERSISTENT);
    MHD_add_response_header(response, "Content-Type", "application/json");
    struct MHD_Daemon *daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, answer, response,
                                                 MHD_OPTION_THREAD_POOL_SIZE, 2u, MHD_OPTION_END);
    const union MHD_DaemonInfo *info = daemon ? MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT) : NULL;
    if (!info)
        load_end("libmicrohttpd does not start");
    printf("{\"port\": %u}\n", info->port);
    fflush(stdout);
    while (getchar() != EOF)
        ;
    MHD_stop_daemon(daemon);
    MHD_destroy_response(response);
}

static double number(const char *text, double most)
{
    char *end;
    double value = strtod(text, &end);
    if (*end || end == text || !(value > 0 && value <= most))
        load_end("\"%s\" is not between 0 and %g", text, most);
    return value;
}

int main(int argc, char **argv)
{
    if ((argc == 7 || argc == 9) && strcmp(argv[1], "load") == 0)
        load_run((int)number(argv[2], 65535), (int)number(argv[3], CONNECTIONS_MAX), number(argv[4], 3600), argv + 5,
                 argc - 5);
    else if (argc == 2 && strcmp(argv[1], "serve") == 0)
        serve();
    else
        load_end("usage: load PORT CONNECTIONS SECONDS METHOD PATH [BODY MEDIA] | serve");
    return 0;
}
