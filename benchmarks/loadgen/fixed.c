/* Peers whose messages all have the same bytes around the payload: nats-server, a plain WebSocket server, raw TCP.
 * The first eight bytes of the payload are the message's number. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>

static char before[128];  /* what stands before each payload from the server */
static size_t before_bytes, after_bytes, payload_bytes;

static void allocate(struct burst *burst, size_t size)
{
    burst->bytes = calloc(1, size);
    if (!burst->bytes)
        fail("out of memory");
    burst->size = size;
}

static size_t number_at; /* in the first message of the burst, and the distance to the next one */
static size_t stride;

static void number(struct burst *burst, uint64_t first, const struct connection *publisher)
{
    uint8_t *at = burst->bytes + number_at;
    for (int i = 0; i < burst->pack; i++, at += stride, first++)
        store64(at, first ^ publisher->mask);
}

static void parse(struct connection *connection, const uint8_t *at, const uint8_t *end)
{
    while (at < end) {
        size_t there = (size_t)(end - at);
        if (connection->skip) {
            size_t take = connection->skip < there ? connection->skip : there;
            connection->skip -= take;
            at += take;
            continue;
        }
        if (there < before_bytes + 8) {
            stash(connection, at, end);
            if (before_bytes > 4 && there >= 6 && !memcmp(at, "PING\r\n", 6)) { /* nats-server measures its round trip */
                connection->carried = 0;
                send_all(connection->fd, "PONG\r\n", 6);
                parse(connection, at + 6, end);
            }
            return;
        }
        if (memcmp(at, before, before_bytes)) {
            if (before_bytes > 4 && !memcmp(at, "PING\r\n", 6)) {
                send_all(connection->fd, "PONG\r\n", 6);
                at += 6;
                continue;
            }
            fail("unexpected bytes after %llu messages: %.60s", (unsigned long long)connection->next, (const char *)at);
        }
        uint64_t met = load64(at + before_bytes);
        if (met != connection->next)
            fail("message %llu after %llu messages", (unsigned long long)met, (unsigned long long)connection->next);
        connection->next++;
        connection->skip = payload_bytes - 8 + after_bytes;
        at += before_bytes + 8;
    }
}

static void join_nats(struct connection *connection, const struct options *options)
{
    char text[8192];
    receive_until(connection->fd, text, sizeof text, "\r\n");
    send_all(connection->fd, NATS_CONNECT, strlen(NATS_CONNECT));
    receive_until(connection->fd, text, sizeof text, "PONG\r\n");
    if (connection->publisher)
        return;
    snprintf(text, sizeof text, "SUB %s.load 1\r\nPING\r\n", options->workflow);
    send_all(connection->fd, text, strlen(text));
    receive_until(connection->fd, text, sizeof text, "PONG\r\n");
}

static void encode_nats(struct burst *burst, const struct connection *publisher, const struct options *options)
{
    (void)publisher;
    char head[128];
    payload_bytes = (size_t)options->payload;
    number_at = (size_t)snprintf(head, sizeof head, "PUB %s.load %d\r\n", options->workflow, options->payload);
    stride = number_at + payload_bytes + 2;
    allocate(burst, stride * (size_t)burst->pack);
    for (int i = 0; i < burst->pack; i++) {
        uint8_t *message = burst->bytes + stride * (size_t)i;
        memcpy(message, head, number_at);
        memcpy(message + stride - 2, "\r\n", 2);
    }
    before_bytes = (size_t)snprintf(before, sizeof before, "MSG %s.load 1 %d\r\n", options->workflow, options->payload);
    after_bytes = 2;
}

static void join_websocket(struct connection *connection, const struct options *options)
{
    upgrade(connection, options->port, NULL);
}

static void encode_websocket(struct burst *burst, const struct connection *publisher, const struct options *options)
{
    payload_bytes = (size_t)options->payload;
    uint8_t header[CLIENT_HEADER_MAX];
    number_at = write_header(header, payload_bytes, publisher->mask);
    stride = number_at + payload_bytes;
    allocate(burst, stride * (size_t)burst->pack);
    for (int i = 0; i < burst->pack; i++) {
        uint8_t *message = burst->bytes + stride * (size_t)i;
        memcpy(message, header, number_at);
        mask_bytes(message + number_at, payload_bytes, publisher->mask);
    }
    before_bytes = number_at - 4; /* the server's header is the client's without the key */
    memcpy(before, header, before_bytes);
    before[1] &= 0x7f;
    after_bytes = 0;
}

static void join_raw(struct connection *connection, const struct options *options)
{
    (void)connection, (void)options;
}

static void encode_raw(struct burst *burst, const struct connection *publisher, const struct options *options)
{
    (void)publisher;
    payload_bytes = stride = (size_t)options->payload;
    before_bytes = after_bytes = number_at = 0;
    allocate(burst, stride * (size_t)burst->pack);
}

const struct protocol nats = {"nats", 0, join_nats, encode_nats, number, parse};
const struct protocol websocket = {"websocket", 0, join_websocket, encode_websocket, number, parse};
const struct protocol raw = {"raw", 1, join_raw, encode_raw, number, parse};
