/* Sockets, time, and giving up. */
#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("loadgen: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

int64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

double now_s(void) { return (double)now_ns() * 1e-9; }

double cpu_s(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
         + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

double server_cpu_s(int pid)
{
    char path[64], text[1024] = "";
    unsigned long user = 0, system = 0;
    if (!pid)
        return 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (file) {
        size_t size = fread(text, 1, sizeof text - 1, file);
        text[size] = 0;
        fclose(file);
    }
    char *name_end = strrchr(text, ')');
    if (!name_end || sscanf(name_end + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        fail("the server with pid %d has gone", pid);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

int dial(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fail("socket: %s", strerror(errno));
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail("connect to port %d: %s", port, strerror(errno));
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    /* So that a server that never answers a set-up step fails the run instead of hanging it. */
    struct timeval patience = {.tv_sec = 10};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

void set_nonblocking(int fd)
{
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        fail("fcntl: %s", strerror(errno));
}

void send_all(int fd, const void *bytes, size_t size)
{
    for (const char *at = bytes; size;) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
        if (sent < 0)
            fail("send: %s", strerror(errno));
        at += sent;
        size -= (size_t)sent;
    }
}

static size_t receive_some(int fd, void *bytes, size_t size)
{
    ssize_t received = recv(fd, bytes, size, 0);
    if (received < 0)
        fail("receive: %s", errno == EAGAIN ? "no answer in 10 s" : strerror(errno));
    if (!received)
        fail("the server closed a connection");
    return (size_t)received;
}

void receive_exactly(int fd, void *bytes, size_t size)
{
    for (char *at = bytes; size;) {
        size_t received = receive_some(fd, at, size);
        at += received;
        size -= received;
    }
}

size_t receive_until(int fd, char *text, size_t room, const char *ending)
{
    size_t size = 0;
    text[0] = 0;
    while (!strstr(text, ending)) {
        if (size + 1 >= room)
            fail("no \"%s\" in the first %zu bytes of an answer", ending, size);
        size += receive_some(fd, text + size, 1); /* one by one: what follows belongs to the next reader */
        text[size] = 0;
    }
    return size;
}

int new_epoll(void)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        fail("epoll_create1: %s", strerror(errno));
    return epoll;
}

void watch(int epoll, struct connection *connection, uint32_t events, int operation)
{
    struct epoll_event event = {.events = events, .data.ptr = connection};
    if (epoll_ctl(epoll, operation, connection->fd, &event) < 0)
        fail("epoll_ctl: %s", strerror(errno));
}

void stash(struct connection *connection, const uint8_t *at, const uint8_t *end)
{
    size_t size = (size_t)(end - at);
    if (size > sizeof connection->carry)
        fail("an incomplete header of %zu bytes", size);
    memcpy(connection->carry, at, size);
    connection->carried = (uint32_t)size;
}

size_t read_and_parse(struct connection *connection, void (*parse)(struct connection *, const uint8_t *, const uint8_t *))
{
    static uint8_t buffer[sizeof connection->carry + RECEIVE_BYTES] __attribute__((aligned(64)));
    uint8_t *start = buffer + sizeof connection->carry;
    ssize_t received = recv(connection->fd, start, RECEIVE_BYTES, 0);
    if (received < 0) {
        if (errno == EAGAIN)
            return 0;
        fail("receive: %s", strerror(errno));
    }
    if (!received)
        fail("the server closed a connection after message %llu", (unsigned long long)connection->next);
    const uint8_t *end = start + received;
    start -= connection->carried;
    memcpy(start, connection->carry, connection->carried);
    connection->carried = 0;
    parse(connection, start, end);
    return (size_t)received;
}
