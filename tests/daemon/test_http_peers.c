/* The table of connections, on real sockets of the loopback and with a clock that the test sets. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/http_peers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct pair {
    int client, server;
    struct http_peer *peer;
};

static struct http_peers *peers;
static int listener;
static struct sockaddr_in address;

static int setup(void **state)
{
    socklen_t size = sizeof address;
    int small = 4096;
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 8), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    peers = http_peers_new(3);
    assert_non_null(peers);
    return 0;
}

static int teardown(void **state)
{
    http_peers_free(peers);
    close(listener);
    return 0;
}

static struct pair join(void)
{
    struct pair pair = {.client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    int small = 4096;
    setsockopt(pair.client, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    assert_int_equal(connect(pair.client, (struct sockaddr *)&address, sizeof address), 0);
    pair.server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(pair.server >= 0);
    pair.peer = http_peers_add(peers, pair.server);
    assert_non_null(pair.peer);
    return pair;
}

static void leave(struct pair *pair)
{
    http_peers_remove(peers, pair->peer);
    close(pair->server);
    close(pair->client);
}

/* Waits until the server's kernel has what was sent. */
static void send_text(const struct pair *pair, const char *text)
{
    struct pollfd there = {pair->server, POLLIN, 0};
    assert_int_equal(send(pair->client, text, strlen(text), 0), strlen(text));
    assert_int_equal(poll(&there, 1, 10000), 1);
}

static void expect_counts(size_t open, uint64_t slow, uint64_t crowded)
{
    struct http_peers_counts counts;
    http_peers_count(peers, &counts);
    assert_int_equal(counts.open, open);
    assert_int_equal(counts.slow, slow);
    assert_int_equal(counts.crowded, crowded);
}

static void newcomers_get_in(void **state)
{
    struct pair idle = join(), working = join(), other = join(), newcomer;
    http_peers_turn(working.peer, HTTP_PEER_ANSWER, clock_monotonic());
    newcomer = join();
    assert_true(http_peers_ended(idle.peer));
    assert_false(http_peers_ended(working.peer) || http_peers_ended(other.peer));
    char byte;
    assert_int_equal(recv(idle.client, &byte, 1, 0), 0); /* shut down */
    /* one that was ended but is not closed yet holds no place */
    expect_counts(4, 0, 1);
    leave(&idle);
    leave(&working);
    leave(&other);
    leave(&newcomer);
    expect_counts(0, 0, 1);
}

static void requests_go_before_silence(void **state)
{
    struct pair working = join(), idle = join(), other = join(), newcomer; /* the idle ones are younger */
    http_peers_turn(working.peer, HTTP_PEER_ANSWER, clock_monotonic());
    newcomer = join();
    assert_true(http_peers_ended(idle.peer));
    assert_false(http_peers_ended(working.peer) || http_peers_ended(other.peer));
    leave(&working);
    leave(&idle);
    leave(&other);
    leave(&newcomer);
}

/* Where requests that take long fill the table, one of them goes and not the one that is about to ask. */
static void long_requests_make_room(void **state)
{
    struct pair first = join(), second = join(), fresh, newcomer;
    http_peers_turn(first.peer, HTTP_PEER_ANSWER, clock_monotonic());
    http_peers_turn(second.peer, HTTP_PEER_ANSWER, clock_monotonic());
    fresh = join();
    newcomer = join();
    assert_true(http_peers_ended(first.peer));
    assert_false(http_peers_ended(second.peer) || http_peers_ended(fresh.peer));
    leave(&first);
    leave(&second);
    leave(&fresh);
    leave(&newcomer);
}

static void heads_have_a_deadline(void **state)
{
    double now = clock_monotonic();
    struct pair silent = join(), dripping = join();
    send_text(&dripping, "G");
    http_peers_look(peers, now += 1);
    for (int i = 1; i < HTTP_PEERS_HEAD_S; i++) {
        send_text(&dripping, "x");
        http_peers_look(peers, now += 1);
    }
    expect_counts(2, 0, 0);
    http_peers_look(peers, now += 1);
    assert_true(http_peers_ended(dripping.peer));
    assert_false(http_peers_ended(silent.peer));
    expect_counts(2, 1, 0);
    leave(&silent);
    leave(&dripping);
}

static void silence_has_an_end(void **state)
{
    double now = clock_monotonic(), begin = now;
    struct pair silent = join(), waiting = join(), asking = join();
    http_peers_turn(waiting.peer, HTTP_PEER_ANSWER, clock_monotonic());
    http_peers_look(peers, now += 1);
    while (now < begin + HTTP_PEERS_SILENCE_S - 1)
        http_peers_look(peers, now += 1);
    assert_false(http_peers_ended(silent.peer));
    send_text(&asking, "GET / HTTP/1.1");
    http_peers_look(peers, now += 2);
    assert_true(http_peers_ended(silent.peer));
    assert_false(http_peers_ended(waiting.peer) || http_peers_ended(asking.peer));
    expect_counts(3, 0, 0); /* nobody calls it slow */
    leave(&silent);
    leave(&waiting);
    leave(&asking);
}

static void bodies_have_a_least_rate(void **state)
{
    static char second[HTTP_PEERS_RATE + 1];
    memset(second, 'x', HTTP_PEERS_RATE);
    double now = clock_monotonic();
    struct pair slow = join(), steady = join();
    http_peers_turn(slow.peer, HTTP_PEER_BODY, clock_monotonic());
    http_peers_turn(steady.peer, HTTP_PEER_BODY, clock_monotonic());
    char drain[HTTP_PEERS_RATE];
    for (int i = 0; i < HTTP_PEERS_PATIENCE_S + 1; i++) {
        send_text(&slow, "x");
        send_text(&steady, second);
        assert_int_equal(recv(steady.server, drain, sizeof drain, MSG_WAITALL), sizeof drain);
        http_peers_look(peers, now += 1);
    }
    assert_true(http_peers_ended(slow.peer));
    assert_false(http_peers_ended(steady.peer));
    leave(&slow);
    leave(&steady);
}

static void answers_must_be_taken(void **state)
{
    static char much[1 << 20];
    double now = clock_monotonic();
    struct pair reader = join(), waiting = join();
    http_peers_turn(reader.peer, HTTP_PEER_ANSWER, clock_monotonic());
    http_peers_turn(waiting.peer, HTTP_PEER_ANSWER, clock_monotonic());
    while (send(reader.server, much, sizeof much, MSG_DONTWAIT) > 0)
        continue;
    for (int i = 0; i < HTTP_PEERS_PATIENCE_S + 2; i++)
        http_peers_look(peers, now += 1);
    assert_true(http_peers_ended(reader.peer));
    assert_false(http_peers_ended(waiting.peer)); /* it is the daemon that has not answered yet */
    leave(&reader);
    leave(&waiting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(newcomers_get_in, setup, teardown),
        cmocka_unit_test_setup_teardown(requests_go_before_silence, setup, teardown),
        cmocka_unit_test_setup_teardown(long_requests_make_room, setup, teardown),
        cmocka_unit_test_setup_teardown(heads_have_a_deadline, setup, teardown),
        cmocka_unit_test_setup_teardown(silence_has_an_end, setup, teardown),
        cmocka_unit_test_setup_teardown(bodies_have_a_least_rate, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_must_be_taken, setup, teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
