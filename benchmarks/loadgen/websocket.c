/* RFC 6455, the client's side: handshake, headers, masking. */
#include "load.h"

#include <stdio.h>
#include <sys/random.h>

/* The sample nonce of RFC 6455 section 1.3, whose answer is known without SHA-1. */
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

size_t upgrade_request(char *text, size_t room, int port, const char *subprotocol)
{
    return (size_t)snprintf(text, room,
                            "GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            "Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 13\r\n%s%s%s\r\n",
                            port, subprotocol ? "Sec-WebSocket-Protocol: " : "", subprotocol ? subprotocol : "",
                            subprotocol ? "\r\n" : "");
}

void check_upgrade_answer(const char *text)
{
    if (strncmp(text, "HTTP/1.1 101", 12) || !strstr(text, ACCEPT))
        fail("upgrade refused: %.60s", text);
}

void upgrade(struct connection *connection, int port, const char *subprotocol)
{
    char text[4096];
    send_all(connection->fd, text, upgrade_request(text, sizeof text, port, subprotocol));
    receive_until(connection->fd, text, sizeof text, "\r\n\r\n");
    check_upgrade_answer(text);
    choose_mask(connection);
}

void choose_mask(struct connection *connection)
{
    uint32_t key = 0;
    while (!key)
        if (getrandom(&key, sizeof key, 0) != sizeof key)
            fail("getrandom");
    connection->mask = (uint64_t)key << 32 | key;
}

size_t write_header(uint8_t *out, size_t payload_bytes, uint64_t mask)
{
    size_t size = 2;
    out[0] = 0x82;
    if (payload_bytes < 126) {
        out[1] = (uint8_t)(0x80 | payload_bytes);
    } else if (payload_bytes < 1 << 16) {
        out[1] = 0x80 | 126;
        out[2] = (uint8_t)(payload_bytes >> 8);
        out[3] = (uint8_t)payload_bytes;
        size = 4;
    } else {
        out[1] = 0x80 | 127;
        store64(out + 2, __builtin_bswap64(payload_bytes));
        size = 10;
    }
    store32(out + size, (uint32_t)mask);
    return size + 4;
}

void mask_bytes(uint8_t *bytes, size_t size, uint64_t mask)
{
    size_t at = 0;
    for (; at + 8 <= size; at += 8)
        store64(bytes + at, load64(bytes + at) ^ mask);
    for (; at < size; at++)
        bytes[at] ^= (uint8_t)(mask >> at % 8 * 8);
}

void answer_websocket_ping(const struct connection *connection, const uint8_t *ping)
{
    uint8_t pong[CLIENT_HEADER_MAX + WEBSOCKET_CONTROL_MAX];
    size_t size = ping[1], header = write_header(pong, size, connection->mask);
    pong[0] = 0x8a;
    memcpy(pong + header, ping + 2, size);
    mask_bytes(pong + header, size, connection->mask);
    send_all(connection->fd, pong, header + size);
}
