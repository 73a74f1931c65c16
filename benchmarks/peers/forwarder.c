/* The least that a server can do, in C: what it reaches is the ceiling of the load generator and of the loopback.
 *
 * forwarder frys   unmasks what a publisher sends, writes stream and offset into each frame, and sends it to every
 *                  subscriber: no routing, no queues, no limits, one stream
 * forwarder relay  passes bytes between the first and the second connection, the third and the fourth, ...
 * forwarder echo   sends back what comes */
#define _GNU_SOURCE
#include "../loadgen/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FD = 1 << 16, READ_BYTES = 1 << 18 };

struct connection {
    uint8_t *bytes;       /* received and not taken yet */
    size_t size, room;
    uint64_t sequence;    /* of the message under way */
    int upgraded, partner;
};

static struct connection *connections[MAX_FD];
static int subscribers[MAX_FD], subscriber_count;
static uint8_t *out; /* what the subscribers get after this read */
static size_t out_size, out_room;
static int waiting; /* of a relay's pair the one that came first */

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* The load reads all the time, so waiting for room cannot wait for ever. */
static void send_all(int fd, const void *bytes, size_t size)
{
    for (const uint8_t *at = bytes; size;) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EAGAIN) {
            struct pollfd wait = {.fd = fd, .events = POLLOUT};
            poll(&wait, 1, 1000);
            continue;
        }
        if (sent < 0)
            return; /* it has gone; its own read will tell */
        at += sent;
        size -= (size_t)sent;
    }
}

static size_t server_header(uint8_t *at, uint64_t size)
{
    at[0] = 0x82;
    if (size < 126)
        return at[1] = (uint8_t)size, 2;
    if (size < 1 << 16)
        return at[1] = 126, at[2] = (uint8_t)(size >> 8), at[3] = (uint8_t)size, 4;
    uint64_t big = __builtin_bswap64(size);
    at[1] = 127;
    memcpy(at + 2, &big, 8);
    return 10;
}

static void answer(int fd, int opcode, const char *body)
{
    uint8_t message[512] = {0};
    uint32_t frame_bytes = (uint32_t)(8 + strlen(body)), size = (frame_bytes + 7) & ~7u;
    uint8_t *frame = message + server_header(message, size);
    memcpy(frame, &frame_bytes, 4);
    frame[4] = (uint8_t)opcode;
    memcpy(frame + 8, body, strlen(body));
    send_all(fd, message, (size_t)(frame - message) + size);
}

/* Writes what the server writes into each frame: stream and offset, which is the sequence less one. */
static void address_frames(struct connection *from, uint8_t *at, const uint8_t *end)
{
    while (at < end) {
        uint32_t frame_bytes, one = 1;
        memcpy(&frame_bytes, at, 4);
        if (at[4] == MESSAGE || at[4] == BATCH) {
            memcpy(&from->sequence, at + OFFSET_AT, 8);
            memcpy(at + STREAM_AT, &one, 4);
        }
        if (at[4] == MESSAGE || at[4] == BATCH || at[4] == END) {
            uint64_t offset = from->sequence - 1;
            memcpy(at + OFFSET_AT, &offset, 8);
        }
        at += (frame_bytes + 7) & ~7u;
    }
}

static void unmask(uint8_t *to, const uint8_t *from, size_t size, const uint8_t *key)
{
    uint32_t half;
    memcpy(&half, key, 4);
    uint64_t mask = (uint64_t)half << 32 | half, word;
    for (size_t at = 0; at < size; at += 8) { /* the size of a message is a multiple of 8 */
        memcpy(&word, from + at, 8);
        word ^= mask;
        memcpy(to + at, &word, 8);
    }
}

static void take_message(int fd, const uint8_t *payload, size_t size, const uint8_t *key)
{
    if (out_size + size + 10 > out_room) {
        out_room = 2 * (out_size + size + 10);
        if (!(out = realloc(out, out_room)))
            die("realloc");
    }
    uint8_t *message = out + out_size, *frame = message + server_header(message, size);
    unmask(frame, payload, size, key);
    int opcode = frame[4];
    if (opcode == HELLO) {
        answer(fd, WELCOME, "{\"version\":1,\"client_id\":\"x\",\"peer\":1,\"limits\":{\"chunk_bytes\":524288}}");
    } else if (opcode == SUBSCRIBE) {
        answer(fd, SUBSCRIBED, "{\"request\":1,\"subscription\":1}");
        subscribers[subscriber_count++] = fd;
    } else if (opcode == OPEN) {
        answer(fd, STREAM, "{\"id\":1,\"stream\":\"bench/load\",\"kind\":\"event\",\"epoch\":1,\"offset\":0,\"alias\":1}");
    } else if (opcode >= MESSAGE && opcode <= END) {
        address_frames(connections[fd], frame, frame + size);
        out_size = (size_t)(frame - out) + size;
    }
}

/* Takes the WebSocket messages that are complete; returns how many bytes they were. */
static size_t take_messages(int fd, const uint8_t *bytes, size_t size)
{
    size_t at = 0;
    while (size - at >= 14) {
        const uint8_t *p = bytes + at;
        uint64_t length = p[1] & 0x7f;
        size_t header = 2;
        if (length == 126) {
            length = (uint64_t)(p[2] << 8 | p[3]);
            header = 4;
        } else if (length == 127) {
            memcpy(&length, p + 2, 8);
            length = __builtin_bswap64(length);
            header = 10;
        }
        if (size - at < header + 4 + length)
            break;
        take_message(fd, p + header + 4, length, p + header);
        at += header + 4 + length;
    }
    return at;
}

static void serve_frys(int fd)
{
    struct connection *connection = connections[fd];
    if (!connection->upgraded) {
        uint8_t *end = memmem(connection->bytes, connection->size, "\r\n\r\n", 4);
        if (!end)
            return;
        const char *text = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                           "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" /* the load sends RFC 6455's sample key */
                           "Sec-WebSocket-Protocol: frys.v1\r\n\r\n";
        send_all(fd, text, strlen(text));
        connection->upgraded = 1;
        connection->size -= (size_t)(end + 4 - connection->bytes);
        memmove(connection->bytes, end + 4, connection->size);
    }
    size_t taken = take_messages(fd, connection->bytes, connection->size);
    connection->size -= taken;
    memmove(connection->bytes, connection->bytes + taken, connection->size);
    for (int i = 0; out_size && i < subscriber_count; i++)
        send_all(subscribers[i], out, out_size);
    out_size = 0;
}

static void forget(int fd)
{
    for (int i = 0; i < subscriber_count; i++)
        if (subscribers[i] == fd)
            subscribers[i--] = subscribers[--subscriber_count];
    if (waiting == fd)
        waiting = 0;
    if (connections[fd]->partner && connections[connections[fd]->partner])
        connections[connections[fd]->partner]->partner = 0;
    free(connections[fd]->bytes);
    free(connections[fd]);
    connections[fd] = NULL;
    close(fd);
}

static void serve(int fd, const char *mode)
{
    struct connection *connection = connections[fd];
    if (connection->room - connection->size < READ_BYTES) {
        connection->room = 2 * connection->room + READ_BYTES;
        if (!(connection->bytes = realloc(connection->bytes, connection->room)))
            die("realloc");
    }
    ssize_t received = recv(fd, connection->bytes + connection->size, READ_BYTES, MSG_DONTWAIT);
    if (received < 0 && errno == EAGAIN)
        return;
    if (received <= 0) {
        forget(fd);
        return;
    }
    connection->size += (size_t)received;
    if (!strcmp(mode, "frys")) {
        serve_frys(fd);
        return;
    }
    int to = !strcmp(mode, "echo") ? fd : connection->partner;
    if (to)
        send_all(to, connection->bytes, connection->size);
    connection->size = 0;
}

static void welcome(int listener, int epoll)
{
    int fd = accept(listener, NULL, NULL), on = 1;
    if (fd < 0 || fd >= MAX_FD)
        die("accept");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (!(connections[fd] = calloc(1, sizeof *connections[fd])))
        die("calloc");
    if (waiting) {
        connections[fd]->partner = waiting;
        connections[waiting]->partner = fd;
    }
    waiting = waiting ? 0 : fd;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        die("epoll_ctl");
}

int main(int count, char **arguments)
{
    const char *mode = count > 1 ? arguments[1] : "frys";
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 1024) < 0
        || getsockname(listener, (struct sockaddr *)&address, &size) < 0
        || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0)
        die("listen");
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        struct epoll_event events[64];
        int ready = epoll_wait(epoll, events, 64, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd == listener)
                welcome(listener, epoll);
            else if (connections[events[i].data.fd])
                serve(events[i].data.fd, mode);
        }
    }
}
