/* From publish to delivery, message by message: one in flight, or at a rate. */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static int ascending(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return a < b ? -1 : a > b;
}

static void send_now(const struct protocol *protocol, struct burst *burst, struct connection *publisher, uint64_t number)
{
    protocol->number(burst, number, publisher);
    if (send(publisher->fd, burst->bytes, burst->size, MSG_NOSIGNAL) != (ssize_t)burst->size)
        fail("publish: the socket did not take message %llu at once", (unsigned long long)number);
}

/* With a rate, message i is due at start + i / rate and its latency counts from there, whether or not it could be sent
 * then: a stall is seen by every message that it delays. Polls instead of sleeping, so that a timer adds nothing. */
static void measure(const struct protocol *protocol, struct burst *burst, struct connection *publisher,
                    struct connection *subscriber, int epoll, const struct options *options, int64_t *samples)
{
    uint64_t count = (uint64_t)options->count, sent = 0;
    int64_t period = options->rate > 0 ? (int64_t)(1e9 / options->rate) : 0, start = now_ns(), progress = start;
    while (subscriber->next < count) {
        int64_t now = now_ns();
        if (period) {
            for (; sent < count && start + (int64_t)sent * period <= now; sent++)
                send_now(protocol, burst, publisher, sent);
        } else if (sent == subscriber->next) {
            samples[sent] = now_ns();
            send_now(protocol, burst, publisher, sent++);
        }
        struct epoll_event events[2];
        int ready = epoll_wait(epoll, events, 2, period ? 0 : 1000);
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            uint64_t before = connection->next;
            read_and_parse(connection, protocol->parse);
            int64_t arrived = now_ns();
            for (uint64_t number = before; number < connection->next; number++)
                samples[number] = arrived - (period ? start + (int64_t)number * period : samples[number]);
            progress = arrived;
        }
        if (!ready && (double)(now_ns() - progress) > options->patience * 1e9)
            fail("no progress: %llu of %llu messages", (unsigned long long)subscriber->next, (unsigned long long)count);
    }
}

void run_latency(const struct options *options)
{
    const struct protocol *protocol = find_protocol(options->protocol);
    struct connection connections[2] = {{.publisher = protocol->echo}, {.publisher = 1}};
    struct connection *subscriber = &connections[0], *publisher = &connections[protocol->echo ? 0 : 1];
    int epoll = new_epoll();
    for (int i = 0; i < (protocol->echo ? 1 : 2); i++) {
        connections[i].fd = dial(options->port);
        protocol->join(&connections[i], options);
        set_nonblocking(connections[i].fd);
        watch(epoll, &connections[i], EPOLLIN, EPOLL_CTL_ADD);
    }
    struct burst burst = {.pack = 1};
    protocol->encode(&burst, publisher, options);
    int64_t *samples = calloc((size_t)options->count, sizeof *samples);
    if (!samples)
        fail("out of memory");
    measure(protocol, &burst, publisher, subscriber, epoll, options, samples);
    /* The first tenth warms caches up. */
    size_t cold = (size_t)options->count / 10, warm = (size_t)options->count - cold;
    qsort(samples + cold, warm, sizeof *samples, ascending);
    const int64_t *sorted = samples + cold;
    printf("{\"samples\":%zu,\"p50_us\":%.2f,\"p99_us\":%.2f,\"p999_us\":%.2f,\"max_us\":%.2f}\n", warm,
           (double)sorted[warm / 2] * 1e-3, (double)sorted[warm * 99 / 100] * 1e-3,
           (double)sorted[warm * 999 / 1000] * 1e-3, (double)sorted[warm - 1] * 1e-3);
}
