/* Opens many connections as far as their first answers, then holds them until stdin ends. */
#define _GNU_SOURCE
#include "load.h"
#include "wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* asyncio servers listen with a backlog of 100: more handshakes at once would wait for retransmitted SYNs. */
enum { AT_ONCE = 64, ANSWER_BYTES = 4096 };

struct step {
    const uint8_t *bytes; /* what we send */
    size_t size;
    int (*answered)(const uint8_t *answer, size_t size); /* 1: the answer is complete; a wrong one fails the run */
};

struct handshake {
    struct connection connection; /* first, so that an epoll event leads to it */
    int step;
    size_t size;
    uint8_t *answer;
};

static int upgraded(const uint8_t *answer, size_t size)
{
    if (!memmem(answer, size, "\r\n\r\n", 4))
        return 0;
    check_upgrade_answer((const char *)answer);
    return 1;
}

static int welcomed(const uint8_t *answer, size_t size)
{
    if (size < 4)
        return 0;
    size_t header = answer[1] < 126 ? 2 : 4, body = answer[1] < 126 ? answer[1] : (size_t)(answer[2] << 8 | answer[3]);
    if (answer[0] != 0x82 || answer[1] > 126)
        fail("no WELCOME: WebSocket frame %02x %02x", answer[0], answer[1]);
    if (size < header + body)
        return 0;
    if (answer[header + 4] != WELCOME)
        fail("opcode 0x%02x instead of WELCOME", answer[header + 4]);
    return 1;
}

static int informed(const uint8_t *answer, size_t size) { return size > 2 && !memcmp(answer + size - 2, "\r\n", 2); }

static int ponged(const uint8_t *answer, size_t size) { return size >= 6 && !memcmp(answer + size - 6, "PONG\r\n", 6); }

static int choose_steps(const struct options *options, struct step steps[2])
{
    static uint8_t first[1024], second[1024];
    struct connection mask = {0};
    choose_mask(&mask);
    int frys = !strcmp(options->protocol, "frys");
    if (!strcmp(options->protocol, "nats")) {
        steps[0] = (struct step){first, 0, informed};
        steps[1] = (struct step){(const uint8_t *)NATS_CONNECT, strlen(NATS_CONNECT), ponged};
        return 2;
    }
    size_t size = upgrade_request((char *)first, sizeof first, options->port, frys ? "frys.v1" : NULL);
    steps[0] = (struct step){first, size, upgraded};
    steps[1] = (struct step){second, hello_message(second, mask.mask), welcomed};
    return frys ? 2 : 1;
}

static void begin_step(struct handshake *handshake, const struct step *step)
{
    handshake->size = 0;
    if (step->size && send(handshake->connection.fd, step->bytes, step->size, MSG_NOSIGNAL) != (ssize_t)step->size)
        fail("handshake: %s", strerror(errno));
}

/* 1: this was the last step. */
static int receive_answer(struct handshake *handshake, const struct step *steps, int count)
{
    ssize_t received = recv(handshake->connection.fd, handshake->answer + handshake->size,
                            ANSWER_BYTES - 1 - handshake->size, 0);
    if (received < 0 && errno == EAGAIN)
        return 0;
    if (received <= 0)
        fail("handshake: %s", received ? strerror(errno) : "the server closed a connection");
    if (handshake->step == count)
        return 0; /* what comes to an open connection is of no interest here */
    handshake->size += (size_t)received;
    handshake->answer[handshake->size] = 0;
    if (!steps[handshake->step].answered(handshake->answer, handshake->size))
        return 0;
    if (++handshake->step == count) {
        handshake->size = 0;
        return 1;
    }
    begin_step(handshake, &steps[handshake->step]);
    return 0;
}

void run_idle(const struct options *options)
{
    struct step steps[2];
    int step_count = choose_steps(options, steps), epoll = new_epoll();
    long opened = 0, ready = 0;
    struct handshake *handshakes = calloc((size_t)options->count, sizeof *handshakes);
    uint8_t *answers = malloc((size_t)options->count * ANSWER_BYTES);
    if (!handshakes || !answers)
        fail("out of memory");
    double begin = now_s(), progress = begin, begin_cpu = cpu_s(), begin_server = server_cpu_s(options->server_pid);
    while (ready < options->count) {
        for (; opened < options->count && opened - ready < AT_ONCE; opened++) {
            struct handshake *handshake = &handshakes[opened];
            handshake->answer = answers + opened * ANSWER_BYTES;
            handshake->connection.fd = dial(options->port);
            set_nonblocking(handshake->connection.fd);
            watch(epoll, &handshake->connection, EPOLLIN, EPOLL_CTL_ADD);
            begin_step(handshake, &steps[0]);
        }
        struct epoll_event events[AT_ONCE];
        int count = epoll_wait(epoll, events, AT_ONCE, 100);
        if (count > 0)
            progress = now_s();
        else if (now_s() - progress > options->patience)
            fail("no progress: %ld of %ld connections", ready, options->count);
        for (int i = 0; i < count; i++)
            ready += receive_answer(events[i].data.ptr, steps, step_count);
    }
    double seconds = now_s() - begin;
    printf("{\"connections\":%ld,\"seconds\":%.6f,\"per_second\":%.1f,\"load_cpu\":%.3f,\"server_cpu\":%.3f}\n", ready, seconds,
           (double)ready / seconds, (cpu_s() - begin_cpu) / seconds,
           (server_cpu_s(options->server_pid) - begin_server) / seconds);
    fflush(stdout);
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    for (long i = 0; i < options->count; i++)
        close(handshakes[i].connection.fd);
}
