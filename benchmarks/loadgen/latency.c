/* From publish to delivery, message by message: one in flight, or at a rate. */
#include "load.h"

#include <errno.h>
#include <math.h>
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

enum { BURST_MESSAGES = 64, PERIODS_A_SECOND = 100 };

/* An exponential interval with this mean: the same ones in each run. */
static double random_interval_ns(uint64_t *state, double mean_ns)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return -log(((double)(*state >> 11) + 1) * 0x1p-53) * mean_ns;
}

/* Fills in when each message is due, in nanoseconds from the start: one by one, at equal (even) or random (poisson)
 * intervals; or many at once, at random (bursty) or a hundred times a second (periodic). */
static void plan_arrivals(int64_t *due, uint64_t count, const struct options *options)
{
    double gap_ns = 1e9 / options->rate, at_ns = 0;
    uint64_t state = 1, together = 1;
    int random = !strcmp(options->arrivals, "poisson") || !strcmp(options->arrivals, "bursty");
    if (!strcmp(options->arrivals, "bursty"))
        together = BURST_MESSAGES;
    else if (!strcmp(options->arrivals, "periodic"))
        together = options->rate > PERIODS_A_SECOND ? (uint64_t)(options->rate / PERIODS_A_SECOND) : 1;
    else if (!random && strcmp(options->arrivals, "even"))
        fail("unknown arrivals \"%s\": even, poisson, bursty or periodic", options->arrivals);
    for (uint64_t i = 0; i < count; i++) {
        due[i] = (int64_t)at_ns;
        if ((i + 1) % together == 0)
            at_ns += random ? random_interval_ns(&state, gap_ns * (double)together) : gap_ns * (double)together;
    }
}

/* With a rate, the latency of a message counts from when it is due, whether or not it could be sent then: a stall is
 * seen by every message that it delays. Polls instead of sleeping, so that a timer adds nothing. Returns the WebSocket
 * messages that have come from number `cold` on. */
static uint64_t measure(const struct protocol *protocol, struct burst *burst, struct connection *publisher,
                        struct connection *subscriber, int epoll, const struct options *options, int64_t *samples,
                        uint64_t cold)
{
    uint64_t count = (uint64_t)options->count, sent = 0, messages = 0;
    int paced = options->rate > 0;
    if (paced)
        plan_arrivals(samples, count, options);
    int64_t start = now_ns(), progress = start;
    while (subscriber->next < count) {
        int64_t now = now_ns();
        if (paced) {
            for (; sent < count && start + samples[sent] <= now; sent++)
                send_now(protocol, burst, publisher, sent);
        } else if (sent == subscriber->next) {
            samples[sent] = now_ns();
            send_now(protocol, burst, publisher, sent++);
        }
        struct epoll_event events[2];
        int ready = epoll_wait(epoll, events, 2, paced ? 0 : 1000);
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            uint64_t before = connection->next;
            read_and_parse(connection, protocol->parse);
            int64_t arrived = now_ns();
            for (uint64_t number = before; number < connection->next; number++)
                samples[number] = arrived - (paced ? start + samples[number] : samples[number]);
            if (before < cold)
                messages = subscriber->messages;
            progress = arrived;
        }
        if (!ready && (double)(now_ns() - progress) > options->patience * 1e9)
            fail("no progress: %llu of %llu messages", (unsigned long long)subscriber->next, (unsigned long long)count);
    }
    return subscriber->messages - messages;
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
    /* The first tenth warms caches up; with a rate, the messages of the warm-up do. */
    size_t cold = (size_t)options->count / 10, warming = (size_t)(options->rate * options->warmup);
    if (warming > cold && warming < (size_t)options->count)
        cold = warming;
    uint64_t messages = measure(protocol, &burst, publisher, subscriber, epoll, options, samples, cold);
    size_t warm = (size_t)options->count - cold;
    qsort(samples + cold, warm, sizeof *samples, ascending);
    const int64_t *sorted = samples + cold;
    printf("{\"samples\":%zu,\"frames\":%llu,\"p50_us\":%.2f,\"p99_us\":%.2f,\"p999_us\":%.2f,\"max_us\":%.2f}\n", warm,
           (unsigned long long)messages,
           (double)sorted[warm / 2] * 1e-3, (double)sorted[warm * 99 / 100] * 1e-3,
           (double)sorted[warm * 999 / 1000] * 1e-3, (double)sorted[warm - 1] * 1e-3);
}
