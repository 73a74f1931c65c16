/* A subscriber that missed messages of an event stream: how fast it has them, and that nothing is lost at the seam. */
#include "load.h"

#include <stdio.h>
#include <sys/epoll.h>

enum {
    SEEN_BURSTS = 16, /* published before those that are missed: not to be sent again */
    LIVE_BURSTS = 16, /* published while the missed ones are on their way */
};

/* Publishes `bursts` bursts from number `first` on; returns the number behind them. */
static uint64_t publish_some(const struct protocol *protocol, struct burst *burst, const struct connection *publisher,
                             uint64_t first, uint64_t bursts)
{
    for (; bursts; bursts--, first += (uint64_t)burst->pack) {
        protocol->number(burst, first, publisher);
        send_all(publisher->fd, burst->bytes, burst->size);
    }
    return first;
}

static uint64_t bursts_of(const struct options *options)
{
    return ((uint64_t)options->count + (uint64_t)options->pack - 1) / (uint64_t)options->pack;
}

static void start_publisher(const struct protocol *protocol, struct connection *publisher, struct burst *burst,
                            const struct options *options)
{
    publisher->publisher = 1;
    publisher->fd = dial(options->port);
    protocol->join(publisher, options);
    burst->pack = options->pack;
    protocol->encode(burst, publisher, options);
}

/* Whole bursts, `count` messages at least, for others to recover. */
void run_publish(const struct options *options)
{
    const struct protocol *protocol = find_protocol(options->protocol);
    struct connection publisher = {0};
    struct burst burst = {0};
    start_publisher(protocol, &publisher, &burst, options);
    double begin = now_s();
    uint64_t published = publish_some(protocol, &burst, &publisher, 0, bursts_of(options));
    frys_settle(&publisher);
    double seconds = now_s() - begin;
    printf("{\"messages\":%llu,\"seconds\":%.6f,\"per_second\":%.1f}\n", (unsigned long long)published, seconds,
           (double)published / seconds);
}

void run_recovery(const struct options *options)
{
    const struct protocol *protocol = find_protocol(options->protocol);
    struct connection publisher = {0}, subscriber = {0};
    struct burst burst = {0};
    start_publisher(protocol, &publisher, &burst, options);
    uint64_t seen = publish_some(protocol, &burst, &publisher, 0, SEEN_BURSTS);
    uint64_t missed = publish_some(protocol, &burst, &publisher, seen, bursts_of(options));
    frys_settle(&publisher);

    int epoll = new_epoll();
    char since[64];
    subscriber.fd = dial(options->port);
    frys_greet(&subscriber, options);
    subscriber.next = seen;
    subscriber.replay_end = missed;
    snprintf(since, sizeof since, ",\"since\":%llu", (unsigned long long)seen);
    set_nonblocking(subscriber.fd);
    watch(epoll, &subscriber, EPOLLIN, EPOLL_CTL_ADD);
    double begin = now_s(), progress = begin, end = 0;
    frys_subscribe(&subscriber, options, since);
    uint64_t live = missed;
    while (!end || subscriber.next < live) {
        struct epoll_event event;
        if (epoll_wait(epoll, &event, 1, 100) > 0)
            progress = now_s();
        else if (now_s() - progress > options->patience)
            fail("no progress: message %llu of %llu", (unsigned long long)subscriber.next, (unsigned long long)live);
        read_and_parse(&subscriber, protocol->parse);
        if (live == missed && subscriber.next > (seen + missed) / 2)
            live = publish_some(protocol, &burst, &publisher, missed, LIVE_BURSTS);
        if (!end && subscriber.next >= missed)
            end = now_s();
    }
    double seconds = end - begin;
    printf("{\"messages\":%llu,\"live\":%llu,\"seconds\":%.6f,\"per_second\":%.1f}\n",
           (unsigned long long)(missed - seen), (unsigned long long)(live - missed), seconds,
           (double)(missed - seen) / seconds);
}
