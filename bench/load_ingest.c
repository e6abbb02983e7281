/* bench-ingest: what a feed gets through to twind in a second, and what the disk and libzmq would let through without
 * it.
 *
 *   feed ENDPOINT TWIN ROWS BATCHES   batches of ROWS events of 16 features, 64 bytes each; every one is acknowledged
 *   disk FOLDER BYTES TOTAL           writes of BYTES into an allocated file, each followed by fdatasync; the file is
 *                                     left: freed space is faster to write to on some disks than what was never used
 *   raw BYTES COUNT                   messages from a DEALER to a ROUTER in another process, over the loopback
 *
 * Prints one JSON object. What is sent is made beforehand and never copied here. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <zmq.h>

#include "bench/load.h"
#include "proto/wire.h"

enum { COLUMNS = 16, HEADER_MAX = 256, QUEUE = 64, WAIT_MS = 30000 };

static void *bytes_new(size_t size)
{
    unsigned char *bytes = malloc(size);
    if (!bytes)
        load_end("out of memory");
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(i * 2654435761u >> 24);
    return bytes;
}

static void keep(void *bytes, void *hint)
{
    (void)bytes, (void)hint;
}

static void send_part(void *socket, const void *bytes, size_t size, int flags)
{
    zmq_msg_t part;
    zmq_msg_init_data(&part, (void *)bytes, size, keep, NULL);
    if (zmq_msg_send(&part, socket, flags) < 0)
        load_end("sending: %s", zmq_strerror(zmq_errno()));
}

static void *socket_new(void *zmq, int type)
{
    void *socket = zmq_socket(zmq, type);
    int wait = WAIT_MS, queue = QUEUE, none = 0;
    if (!socket)
        load_end("no socket: %s", zmq_strerror(zmq_errno()));
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &wait, sizeof wait);
    zmq_setsockopt(socket, ZMQ_SNDTIMEO, &wait, sizeof wait);
    zmq_setsockopt(socket, ZMQ_SNDHWM, &queue, sizeof queue);
    zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof none);
    return socket;
}

/* --- feed --- */

struct feed {
    void *socket;
    struct twp_key key;
    unsigned char *payload; /* .npy */
    size_t size;
    int64_t credit, in_flight;
};

static void send_header(struct feed *feed, const char *tag, char *json)
{
    if (!json)
        load_end("out of memory");
    zmq_send(feed->socket, tag, strlen(tag), ZMQ_SNDMORE);
    zmq_send(feed->socket, json, strlen(json), feed->key.seq >= 0 ? ZMQ_SNDMORE : 0);
    free(json);
}

static void receive_reply(struct feed *feed, struct twp_reply *reply)
{
    unsigned char bytes[2][4096];
    struct twp_frame frames[2];
    for (int i = 0; i < 2; i++) {
        int got = zmq_recv(feed->socket, bytes[i], sizeof bytes[i], 0);
        if (got < 0 || got > (int)sizeof bytes[i])
            load_end("no answer: %s", zmq_strerror(zmq_errno()));
        frames[i] = (struct twp_frame){bytes[i], (size_t)got};
    }
    if (twp_wire_reply(frames, 2, reply) != TWP_OK)
        load_end("an answer that makes no sense");
    if (strcmp(reply->tag, TWP_NACK) == 0)
        load_end("refused: %s: %s", reply->code, reply->detail);
}

static void greet(struct feed *feed)
{
    struct twp_reply reply;
    feed->key.seq = -1;
    send_header(feed, TWP_HELLO, twp_wire_hello_header(&feed->key));
    receive_reply(feed, &reply);
    feed->credit = reply.credit_bytes;
    feed->key.seq = reply.last_durable_seq;
}

static void send_batch(struct feed *feed)
{
    feed->key.seq++;
    send_header(feed, TWP_BATCH, twp_wire_batch_header(&feed->key, NULL, 0, NULL, 0, NULL));
    send_part(feed->socket, feed->payload, feed->size, 0);
    feed->in_flight += (int64_t)feed->size + HEADER_MAX;
}

static void feed_run(const char *endpoint, const char *twin, long rows, long batches)
{
    size_t values = (size_t)rows * COLUMNS;
    struct feed feed = {.size = TWP_NPY_HEADER + values * sizeof(float)};
    void *zmq = zmq_ctx_new();
    feed.socket = socket_new(zmq, ZMQ_DEALER);
    feed.payload = bytes_new(feed.size);
    twp_npy_header(2, (size_t)rows, COLUMNS, sizeof(float), feed.payload);
    for (size_t i = 0; i < values; i++) {
        float value = (float)(i * 2654435761u >> 8 & 0xffff) / 65536;
        memcpy(feed.payload + TWP_NPY_HEADER + i * sizeof value, &value, sizeof value);
    }
    snprintf(feed.key.twin, sizeof feed.key.twin, "%s", twin);
    snprintf(feed.key.feed, sizeof feed.key.feed, "bench%d", (int)getpid());
    if (zmq_connect(feed.socket, endpoint))
        load_end("%s: %s", endpoint, zmq_strerror(zmq_errno()));
    greet(&feed);

    double begin = load_now();
    for (long sent = 0, acked = 0; acked < batches;) {
        struct twp_reply reply;
        while (sent < batches && feed.in_flight + (int64_t)feed.size + HEADER_MAX <= feed.credit) {
            send_batch(&feed);
            sent++;
        }
        receive_reply(&feed, &reply);
        if (strcmp(reply.tag, TWP_ACK) == 0) {
            feed.in_flight -= (int64_t)feed.size + HEADER_MAX;
            acked++;
        } else if (reply.credit_bytes >= 0) {
            feed.credit = reply.credit_bytes;
        }
    }
    double seconds = load_now() - begin, bytes = (double)feed.size * (double)batches;
    printf("{\"seconds\": %.6f, \"mib_per_s\": %.3f, \"batches_per_s\": %.2f, \"events_per_s\": %.1f}\n", seconds,
           bytes / seconds / (1 << 20), (double)batches / seconds, (double)batches * (double)rows / seconds);
    zmq_close(feed.socket);
    zmq_ctx_term(zmq);
    free(feed.payload);
}

/* --- disk --- */

static void disk_run(const char *folder, long bytes, long total)
{
    char path[4096];
    unsigned char *data = bytes_new((size_t)bytes);
    snprintf(path, sizeof path, "%s/disk-%d.tmp", folder, (int)getpid());
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || (errno = posix_fallocate(fd, 0, total)) != 0 || fsync(fd) != 0)
        load_end("%s: %s", path, strerror(errno));
    double begin = load_now();
    for (long at = 0; at < total; at += bytes) {
        for (long put = 0; put < bytes;) {
            ssize_t wrote = pwrite(fd, data + put, (size_t)(bytes - put), at + put);
            if (wrote < 0)
                load_end("%s: %s", path, strerror(errno));
            put += wrote;
        }
        if (fdatasync(fd) != 0)
            load_end("%s: %s", path, strerror(errno));
    }
    double seconds = load_now() - begin;
    close(fd);
    free(data);
    printf("{\"seconds\": %.6f, \"mib_per_s\": %.3f, \"syncs_per_s\": %.2f}\n", seconds,
           (double)total / seconds / (1 << 20), (double)(total / bytes) / seconds);
}

/* --- libzmq alone --- */

static void raw_send(const char *endpoint, long bytes, long count)
{
    void *zmq = zmq_ctx_new(), *socket = socket_new(zmq, ZMQ_DEALER);
    unsigned char *data = bytes_new((size_t)bytes);
    int wait = WAIT_MS;
    zmq_setsockopt(socket, ZMQ_LINGER, &wait, sizeof wait);
    if (zmq_connect(socket, endpoint))
        load_end("%s: %s", endpoint, zmq_strerror(zmq_errno()));
    for (long i = 0; i < count; i++)
        send_part(socket, data, (size_t)bytes, 0);
    zmq_close(socket);
    zmq_ctx_term(zmq);
    free(data);
}

/* A message is two frames: who sent it, and the bytes. */
static void raw_receive(void *socket)
{
    for (int i = 0; i < 2; i++) {
        zmq_msg_t part;
        zmq_msg_init(&part);
        if (zmq_msg_recv(&part, socket, 0) < 0)
            load_end("receiving: %s", zmq_strerror(zmq_errno()));
        zmq_msg_close(&part);
    }
}

static void raw_run(long bytes, long count)
{
    char endpoint[256];
    size_t size = sizeof endpoint;
    int pipes[2], status;
    if (pipe(pipes) != 0)
        load_end("pipe: %s", strerror(errno));
    pid_t child = fork(); /* before there is any thread */
    if (child == 0) {
        ssize_t got = read(pipes[0], endpoint, sizeof endpoint - 1);
        endpoint[got > 0 ? got : 0] = '\0';
        raw_send(endpoint, bytes, count + 1);
        exit(0);
    }
    void *zmq = zmq_ctx_new(), *socket = socket_new(zmq, ZMQ_ROUTER);
    int queue = QUEUE;
    zmq_setsockopt(socket, ZMQ_RCVHWM, &queue, sizeof queue);
    if (zmq_bind(socket, "tcp://127.0.0.1:*") || zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &size) ||
        write(pipes[1], endpoint, strlen(endpoint)) < 0)
        load_end("binding: %s", zmq_strerror(zmq_errno()));
    raw_receive(socket);
    double begin = load_now();
    for (long i = 0; i < count; i++)
        raw_receive(socket);
    double seconds = load_now() - begin;
    zmq_close(socket);
    zmq_ctx_term(zmq);
    waitpid(child, &status, 0);
    printf("{\"seconds\": %.6f, \"mib_per_s\": %.3f, \"messages_per_s\": %.2f}\n", seconds,
           (double)bytes * (double)count / seconds / (1 << 20), (double)count / seconds);
}

static long number(const char *text)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (*end || end == text || value < 1)
        load_end("\"%s\" is no positive number", text);
    return value;
}

int main(int argc, char **argv)
{
    if (argc == 6 && strcmp(argv[1], "feed") == 0)
        feed_run(argv[2], argv[3], number(argv[4]), number(argv[5]));
    else if (argc == 5 && strcmp(argv[1], "disk") == 0)
        disk_run(argv[2], number(argv[3]), number(argv[4]));
    else if (argc == 4 && strcmp(argv[1], "raw") == 0)
        raw_run(number(argv[2]), number(argv[3]));
    else
        load_end("usage: feed ENDPOINT TWIN ROWS BATCHES | disk FOLDER BYTES TOTAL | raw BYTES COUNT");
    return 0;
}
