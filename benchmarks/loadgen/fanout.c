/* One publisher, N subscribers: how many messages a second reach all of them. */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

struct run {
    const struct protocol *protocol;
    struct connection *connections; /* the publisher is the last one */
    int subscribers;
    struct burst burst;
    size_t unsent;          /* bytes of the burst that the socket did not take yet */
    uint64_t window;        /* bursts that may be under way */
    uint64_t sent;          /* bursts handed to the socket, whole or in part */
    uint64_t delivered;     /* bursts that every subscriber has */
    uint32_t *arrivals;     /* per burst under way: how many subscribers have all of it */
    uint64_t receptions;    /* messages, over all subscribers */
};

/* Counts what one subscriber got; every subscriber gets bursts in order, so the oldest is complete first. */
static void count(struct run *run, uint64_t before, uint64_t after)
{
    uint64_t pack = (uint64_t)run->burst.pack;
    run->receptions += after - before;
    for (uint64_t burst = before / pack; burst < after / pack; burst++)
        run->arrivals[burst % run->window]++;
    while (run->delivered < run->sent && run->arrivals[run->delivered % run->window] == (uint32_t)run->subscribers)
        run->arrivals[run->delivered++ % run->window] = 0;
}

/* 1: the socket takes no more. */
static int flush(struct run *run, struct connection *publisher)
{
    while (run->unsent) {
        ssize_t sent = send(publisher->fd, run->burst.bytes + run->burst.size - run->unsent, run->unsent, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EAGAIN)
                return 1;
            fail("publish: %s", strerror(errno));
        }
        run->unsent -= (size_t)sent;
    }
    return 0;
}

static void publish(struct run *run, int epoll, int stop)
{
    struct connection *publisher = &run->connections[run->subscribers];
    int blocked = flush(run, publisher);
    while (!blocked && !stop && run->sent - run->delivered < run->window) {
        run->protocol->number(&run->burst, run->sent * (uint64_t)run->burst.pack, publisher);
        run->unsent = run->burst.size;
        run->sent++;
        blocked = flush(run, publisher);
    }
    static int waiting = 0;
    if (blocked != waiting)
        watch(epoll, publisher, blocked ? EPOLLIN | EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
    waiting = blocked;
}

static void set_up(struct run *run, const struct options *options, int epoll)
{
    run->connections = calloc((size_t)run->subscribers + 1, sizeof *run->connections);
    run->arrivals = calloc(run->window, sizeof *run->arrivals);
    if (!run->connections || !run->arrivals)
        fail("out of memory");
    for (int i = 0; i <= run->subscribers; i++) {
        struct connection *connection = &run->connections[i];
        connection->publisher = i == run->subscribers;
        connection->fd = dial(options->port);
        run->protocol->join(connection, options);
        set_nonblocking(connection->fd);
        watch(epoll, connection, EPOLLIN, EPOLL_CTL_ADD);
    }
    run->protocol->encode(&run->burst, &run->connections[run->subscribers], options);
}

static void give_up(const struct run *run)
{
    int slowest = 0;
    for (int i = 1; i < run->subscribers; i++)
        if (run->connections[i].next < run->connections[slowest].next)
            slowest = i;
    fail("no progress: subscriber %d has %llu of %llu messages", slowest,
         (unsigned long long)run->connections[slowest].next,
         (unsigned long long)(run->sent * (uint64_t)run->burst.pack));
}

void run_fanout(const struct options *options)
{
    struct run run = {.protocol = find_protocol(options->protocol), .subscribers = options->subscribers};
    run.burst.pack = options->pack;
    run.window = options->window / options->pack < 1 ? 1 : (uint64_t)(options->window / options->pack);
    int epoll = new_epoll();
    set_up(&run, options, epoll);

    double begin = now_s() + options->warmup, end = begin + options->seconds, progress = now_s(), begin_cpu = cpu_s();
    double begin_server = server_cpu_s(options->server_pid);
    uint64_t begin_receptions = 0;
    int warm = 0;
    for (;;) {
        double now = now_s();
        if (!warm && now >= begin) {
            warm = 1;
            begin = now;
            begin_cpu = cpu_s();
            begin_server = server_cpu_s(options->server_pid);
            begin_receptions = run.receptions;
        }
        publish(&run, epoll, now >= end);
        if (now >= end && run.delivered == run.sent && !run.unsent)
            break;
        struct epoll_event events[256];
        int ready = epoll_wait(epoll, events, 256, 100);
        if (ready > 0)
            progress = now;
        else if (now - progress > options->patience)
            give_up(&run);
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            uint64_t before = connection->next;
            if (events[i].events & ~(uint32_t)EPOLLOUT)
                read_and_parse(connection, run.protocol->parse);
            if (!connection->publisher)
                count(&run, before, connection->next);
            else if (connection->next)
                fail("the publisher received a message");
        }
    }
    double seconds = now_s() - begin;
    uint64_t sent = run.sent * (uint64_t)run.burst.pack;
    for (int i = 0; i < run.subscribers; i++)
        if (run.connections[i].next != sent)
            fail("subscriber %d has %llu of %llu messages", i, (unsigned long long)run.connections[i].next,
                 (unsigned long long)sent);
    printf("{\"sent\":%llu,\"delivered\":%llu,\"seconds\":%.6f,\"per_second\":%.1f,\"load_cpu\":%.3f,\"server_cpu\":%.3f}\n",
           (unsigned long long)sent, (unsigned long long)run.receptions, seconds,
           (double)(run.receptions - begin_receptions) / seconds, (cpu_s() - begin_cpu) / seconds,
           (server_cpu_s(options->server_pid) - begin_server) / seconds);
}
