/* Sends a batch of events to a twin, again and again until it is on the daemon's disk: feed TWIN FEED SEQ < EVENTS.npy
 *
 *     cc feed.c $(pkg-config --cflags --libs twinproto libzmq) -o feed
 *     ./feed zmumu daq1 0 < events.npy
 *
 * The endpoint is TWIN_INGEST, or tcp://127.0.0.1:8471.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

#include "proto/wire.h"

enum { PATIENCE_MS = 5000, ATTEMPTS = 5, FRAMES = 2 };

static char *read_all(FILE *file, size_t *size)
{
    size_t room = 1 << 20;
    char *bytes = malloc(room);

    for (*size = 0; bytes; *size += fread(bytes + *size, 1, room - *size, file)) {
        if (feof(file) || ferror(file))
            return bytes;
        if (*size == room) {
            char *grown = realloc(bytes, room *= 2);

            if (!grown)
                free(bytes);
            bytes = grown;
        }
    }
    return NULL;
}

/* The daemon's next message; false after PATIENCE_MS without one. */
static bool receive(void *socket, struct twp_reply *reply)
{
    zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
    zmq_msg_t message[FRAMES];
    struct twp_frame frames[FRAMES];
    size_t count = 0;

    if (zmq_poll(&item, 1, PATIENCE_MS) != 1)
        return false;
    do {
        zmq_msg_init(&message[count]);
        zmq_msg_recv(&message[count], socket, 0);
        frames[count] = (struct twp_frame){zmq_msg_data(&message[count]), zmq_msg_size(&message[count])};
        count++;
    } while (count < FRAMES && zmq_msg_more(&message[count - 1]));

    bool read = twp_wire_reply(frames, count, reply) == TWP_OK;

    while (count > 0)
        zmq_msg_close(&message[--count]);
    return read;
}

/* True once the batch is durable. */
static bool deliver(void *socket, const struct twp_key *key, const char *header, const char *npy, size_t size)
{
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        struct twp_reply reply;

        zmq_send(socket, TWP_BATCH, strlen(TWP_BATCH), ZMQ_SNDMORE);
        zmq_send(socket, header, strlen(header), ZMQ_SNDMORE);
        zmq_send(socket, npy, size, 0);
        while (receive(socket, &reply)) {
            if (reply.key.seq != key->seq) /* credit, or about another batch */
                continue;
            if (!strcmp(reply.tag, TWP_ACK))
                return true;
            fprintf(stderr, "%s: %s\n", reply.code, reply.detail);
            if (strcmp(reply.code, "no_credit") && strcmp(reply.code, "full")) /* sending again would not help */
                return false;
            zmq_poll(NULL, 0, 1000);
            break;
        }
    }
    fprintf(stderr, "no answer\n");
    return false;
}

int main(int argc, char **argv)
{
    struct twp_key key = {.run = 1};
    struct twp_npy events;
    size_t size;
    const char *endpoint = getenv("TWIN_INGEST");

    if (argc != 4 || !twp_wire_name_ok(argv[1]) || !twp_wire_name_ok(argv[2])) {
        fprintf(stderr, "usage: feed TWIN FEED SEQ < EVENTS.npy\n");
        return 64;
    }
    strcpy(key.twin, argv[1]);
    strcpy(key.feed, argv[2]);
    key.seq = strtoll(argv[3], NULL, 10);

    char *npy = read_all(stdin, &size);
    int bad = npy ? twp_npy_parse(npy, size, &events) : TWP_NPY_BAD_LENGTH;

    if (bad) {
        fprintf(stderr, "standard input: %s\n", twp_npy_strerror(bad));
        return 1;
    }

    char *header = twp_wire_batch_header(&key, NULL, 0, NULL, 0, NULL);
    void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_DEALER);
    bool done = header && zmq_connect(socket, endpoint ? endpoint : "tcp://127.0.0.1:8471") == 0 &&
                deliver(socket, &key, header, npy, size);

    if (done)
        printf("%zu events are durable as batch %lld\n", events.rows, (long long)key.seq);
    zmq_setsockopt(socket, ZMQ_LINGER, &(int){0}, sizeof(int));
    zmq_close(socket);
    zmq_ctx_term(context);
    free(header);
    free(npy);
    return !done;
}
