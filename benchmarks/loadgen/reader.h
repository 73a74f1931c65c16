/* Walks the frames that a frys server sends, as the bytes come. In a header so that each caller's functions are inlined. */
#ifndef READER_H
#define READER_H

#include "load.h"
#include "wire.h"

/* `seen` bytes of the frame are there for sure; `end` is where the received bytes end. */
typedef void on_frame_function(struct connection *, int opcode, const uint8_t *frame, uint32_t seen, uint32_t frame_bytes,
                               const uint8_t *end);
/* What follows them, in pieces, padding included. */
typedef void on_body_function(struct connection *, const uint8_t *bytes, size_t size);

/* How much of a frame on_frame sees: its header and a few bytes of the payload, or all of a small frame. */
static inline uint32_t wanted(int opcode, uint32_t frame_bytes)
{
    uint32_t want = opcode == MESSAGE ? DATA_HEADER + DESCRIPTOR + PLAN
                  : opcode == BATCH ? DATA_HEADER + BATCH_BLOCK + DESCRIPTOR + 8
                  : opcode == CHUNK ? CHUNK_HEADER + 8
                  : opcode == END ? END_BYTES
                  : opcode == REPLAY ? REPLAY_BYTES
                  : opcode == PING ? PING_BYTES : 8;
    return want < frame_bytes ? want : frame_bytes;
}

__attribute__((noreturn, cold)) static void refuse_websocket(const uint8_t *at, const uint8_t *end)
{
    if (at[0] == 0x88 && end - at >= 4)
        fail("server closed with %d: %.*s", at[2] << 8 | at[3], (int)(end - at - 4), at + 4);
    fail("unexpected WebSocket frame, first bytes %02x %02x", at[0], at[1]);
}

__attribute__((always_inline)) static inline void walk_frames(struct connection *connection, const uint8_t *at,
                                                              const uint8_t *end, on_frame_function *on_frame,
                                                              on_body_function *on_body)
{
    while (at < end) {
        size_t there = (size_t)(end - at);
        if (connection->skip) {
            size_t take = connection->skip < there ? connection->skip : there;
            on_body(connection, at, take);
            connection->skip -= take;
            connection->left -= take;
            at += take;
            continue;
        }
        if (!connection->left) {
            size_t header = there < 2 || at[1] < 126 ? 2 : at[1] == 126 ? 4 : 10;
            if (there < header) {
                stash(connection, at, end);
                return;
            }
            if (at[0] == WEBSOCKET_PING && at[1] <= WEBSOCKET_CONTROL_MAX) {
                if (there < 2 + (size_t)at[1]) {
                    stash(connection, at, end);
                    return;
                }
                if (!connection->publisher) /* its messages are a sign of life, and one may be half sent */
                    answer_websocket_ping(connection, at);
                at += 2 + at[1];
                continue;
            }
            if (at[0] != 0x82 || at[1] > 127)
                refuse_websocket(at, end);
            connection->left = header == 2 ? at[1] : header == 4 ? (uint64_t)(at[2] << 8 | at[3])
                                                                 : __builtin_bswap64(load64(at + 2));
            if (!connection->left || connection->left % 8)
                fail("WebSocket message of %llu bytes", (unsigned long long)connection->left);
            connection->messages++;
            at += header;
            continue;
        }
        if (there < 8) {
            stash(connection, at, end);
            return;
        }
        uint32_t frame_bytes = load32(at);
        int opcode = at[4];
        if (frame_bytes < 8 || padded(frame_bytes) > connection->left)
            fail("frame of %u bytes in the last %llu of its message", frame_bytes, (unsigned long long)connection->left);
        uint32_t seen = wanted(opcode, frame_bytes);
        if (there < seen) {
            stash(connection, at, end);
            return;
        }
        on_frame(connection, opcode, at, seen, frame_bytes, end);
        connection->opcode = opcode;
        connection->skip = padded(frame_bytes) - seen;
        connection->left -= seen;
        at += seen;
    }
}

#endif
