/* Frames of spec/protocol.md, the client's side: session set-up, and small messages alone or in record batches. */
#include "reader.h"

#include <stdio.h>
#include <stdlib.h>

static size_t json_message(uint8_t *out, int opcode, const char *body, uint64_t mask)
{
    size_t body_bytes = strlen(body), frame_bytes = 8 + body_bytes;
    uint8_t *frame = out + write_header(out, padded(frame_bytes), mask);
    memset(frame, 0, padded(frame_bytes));
    store32(frame, (uint32_t)frame_bytes);
    frame[4] = (uint8_t)opcode;
    memcpy(frame + 8, body, body_bytes);
    mask_bytes(frame, padded(frame_bytes), mask);
    return (size_t)(frame - out) + padded(frame_bytes);
}

size_t hello_message(uint8_t *out, uint64_t mask)
{
    return json_message(out, HELLO,
                        "{\"versions\":[1],\"client_type\":\"agent\",\"agent\":\"loadgen\",\"codecs\":[],\"filters\":[]}",
                        mask);
}

/* The server holds back large messages until it is answered (spec section 9). */
void answer_ping(const struct connection *connection, const uint8_t *frame)
{
    uint8_t message[64];
    uint8_t *pong = message + write_header(message, PONG_BYTES, connection->mask);
    memset(pong, 0, PONG_BYTES);
    store32(pong, PONG_BYTES);
    pong[4] = PONG;
    memcpy(pong + 8, frame + 8, 8);
    mask_bytes(pong, PONG_BYTES, connection->mask);
    send_all(connection->fd, message, (size_t)(pong - message) + PONG_BYTES);
}

void refuse_frame(int opcode, const uint8_t *frame, const uint8_t *end)
{
    int64_t body = (int64_t)load32(frame) - 8, there = end - frame - 8;
    if (opcode <= LAST_JSON)
        fail("server sent opcode 0x%02x: %.*s", opcode, (int)(body < there ? body : there), frame + 8);
    fail("server sent opcode 0x%02x, flags %02x, where none was expected", opcode, frame[5]);
}

/* Skips what comes before, up to and including a frame of this opcode. */
static void await_frame(struct connection *connection, int opcode)
{
    static uint8_t message[1 << 16];
    for (int found = 0; !found;) {
        uint8_t header[2 + WEBSOCKET_CONTROL_MAX];
        receive_exactly(connection->fd, header, 2);
        if (header[0] == WEBSOCKET_PING && header[1] <= WEBSOCKET_CONTROL_MAX) {
            receive_exactly(connection->fd, header + 2, header[1]);
            answer_websocket_ping(connection, header);
            continue;
        }
        if (header[0] != 0x82 || header[1] > 126)
            fail("set-up: unexpected WebSocket frame %02x %02x", header[0], header[1]);
        size_t size = header[1];
        if (size == 126) {
            receive_exactly(connection->fd, header, 2);
            size = (size_t)(header[0] << 8 | header[1]);
        }
        receive_exactly(connection->fd, message, size);
        for (size_t at = 0; at + 8 <= size; at += padded(load32(message + at))) {
            if (load32(message + at) < 8)
                fail("set-up: frame of %u bytes", load32(message + at));
            int met = message[at + 4];
            found |= met == opcode;
            if (met != opcode && met != STREAM)
                refuse_frame(met, message + at, message + size);
        }
    }
}

void frys_greet(struct connection *connection, const struct options *options)
{
    uint8_t message[1024];
    upgrade(connection, options->port, "frys.v1");
    send_all(connection->fd, message, hello_message(message, connection->mask));
    await_frame(connection, WELCOME);
}

void frys_subscribe(const struct connection *connection, const struct options *options, const char *fields)
{
    uint8_t message[1024];
    char body[512];
    snprintf(body, sizeof body, "{\"request\":1,\"subscription\":1,\"pattern\":\"%s/*\"%s}", options->workflow, fields);
    send_all(connection->fd, message, json_message(message, SUBSCRIBE, body, connection->mask));
}

void frys_settle(struct connection *connection)
{
    uint8_t message[64];
    uint8_t *ping = message + write_header(message, PING_BYTES, connection->mask);
    memset(ping, 0, PING_BYTES);
    store32(ping, PING_BYTES);
    ping[4] = PING;
    mask_bytes(ping, PING_BYTES, connection->mask);
    send_all(connection->fd, message, (size_t)(ping - message) + PING_BYTES);
    await_frame(connection, PONG);
}

void frys_join(struct connection *connection, const struct options *options)
{
    uint8_t message[1024];
    char body[512];
    frys_greet(connection, options);
    if (connection->publisher) {
        snprintf(body, sizeof body, "{\"alias\":1,\"stream\":\"%s/load\",\"kind\":\"event\"}", options->workflow);
        send_all(connection->fd, message, json_message(message, OPEN, body, connection->mask));
        await_frame(connection, STREAM);
    } else {
        frys_subscribe(connection, options, "");
        await_frame(connection, SUBSCRIBED);
    }
}

/* A data frame's header for alias 1 and the descriptor of one unnamed 1-d tensor; the batch block is the caller's. */
size_t data_header(uint8_t *out, uint32_t frame_bytes, int opcode, int flags, int dtype, uint32_t length)
{
    size_t meta_at = opcode == BATCH ? DATA_HEADER + BATCH_BLOCK : DATA_HEADER;
    memset(out, 0, meta_at + DESCRIPTOR);
    store32(out, frame_bytes);
    out[4] = (uint8_t)opcode;
    out[5] = (uint8_t)flags;
    out[6] = DESCRIPTOR / 8;
    store32(out + STREAM_AT, 1);
    store64(out + 24, (uint64_t)1770000000 * 1000000000);
    out[meta_at] = (uint8_t)dtype;
    out[meta_at + 1] = 1;
    store32(out + meta_at + 4, length);
    return meta_at + DESCRIPTOR;
}

static int record_bytes, batch_records; /* of this run: what every frame has to have */
static uint8_t *first_frame;            /* in the burst, behind the WebSocket header */
static size_t frame_stride;

static void remember(const struct options *options)
{
    if (options->payload % 4 || options->payload < 8)
        fail("payload of %d bytes: a multiple of 4, at least 8, is needed", options->payload);
    record_bytes = options->payload;
    batch_records = options->pack;
}

static void allocate(struct burst *burst, size_t frames_bytes)
{
    burst->bytes = calloc(1, CLIENT_HEADER_MAX + frames_bytes);
    if (!burst->bytes)
        fail("out of memory");
}

/* 100 bytes are uint8[100]; kilobytes are float32. */
static size_t payload_header(uint8_t *out, uint32_t frame_bytes, int opcode)
{
    int floats = record_bytes % 1024 == 0;
    return data_header(out, frame_bytes, opcode, 0, floats ? FLOAT32 : UINT8,
                       (uint32_t)(floats ? record_bytes / 4 : record_bytes));
}

/* All frames in one WebSocket message. */
static void encode_messages(struct burst *burst, const struct connection *publisher, const struct options *options)
{
    remember(options);
    uint32_t frame_bytes = (uint32_t)(DATA_HEADER + DESCRIPTOR + options->payload);
    frame_stride = padded(frame_bytes);
    size_t frames_bytes = (size_t)burst->pack * frame_stride;
    allocate(burst, frames_bytes);
    first_frame = burst->bytes + write_header(burst->bytes, frames_bytes, publisher->mask);
    for (int i = 0; i < burst->pack; i++)
        payload_header(first_frame + (size_t)i * frame_stride, frame_bytes, MESSAGE);
    mask_bytes(first_frame, frames_bytes, publisher->mask);
    burst->size = (size_t)(first_frame - burst->bytes) + frames_bytes;
}

/* Each frame in a WebSocket message of its own; they still go to the socket together. */
static void encode_singles(struct burst *burst, const struct connection *publisher, const struct options *options)
{
    remember(options);
    uint32_t frame_bytes = (uint32_t)(DATA_HEADER + DESCRIPTOR + options->payload);
    allocate(burst, (size_t)burst->pack * (CLIENT_HEADER_MAX + padded(frame_bytes)));
    uint8_t *at = burst->bytes;
    for (int i = 0; i < burst->pack; i++) {
        uint8_t *frame = at + write_header(at, padded(frame_bytes), publisher->mask);
        payload_header(frame, frame_bytes, MESSAGE);
        mask_bytes(frame, padded(frame_bytes), publisher->mask);
        if (!i)
            first_frame = frame;
        frame_stride = (size_t)(frame - at) + padded(frame_bytes);
        at += frame_stride;
    }
    burst->size = (size_t)(at - burst->bytes);
}

static void number_messages(struct burst *burst, uint64_t first, const struct connection *publisher)
{
    uint8_t *frame = first_frame;
    for (int i = 0; i < burst->pack; i++, frame += frame_stride, first++) {
        store64(frame + OFFSET_AT, (first + 1) ^ publisher->mask); /* sequences start at 1, offsets at 0 */
        store64(frame + DATA_HEADER + DESCRIPTOR, first ^ publisher->mask);
    }
}

static void skip_body(struct connection *connection, const uint8_t *bytes, size_t size)
{
    (void)connection, (void)bytes, (void)size;
}

/* 1: a frame that is no message and belongs here. What is recovered is announced once, all of it (spec section 7.3). */
static inline int is_beside(struct connection *connection, int opcode, const uint8_t *frame)
{
    if (opcode == STREAM)
        return 1;
    if (!connection->replay_end || (opcode != REPLAY && opcode != SUBSCRIBED))
        return 0;
    if (opcode == REPLAY && (load32(frame + REPLAY_CODE_AT) || load64(frame + REPLAY_FIRST_AT) != connection->next
                             || load64(frame + REPLAY_LAST_AT) + 1 != connection->replay_end))
        fail("REPLAY of %llu to %llu, code %u, where %llu to %llu was expected",
             (unsigned long long)load64(frame + REPLAY_FIRST_AT), (unsigned long long)load64(frame + REPLAY_LAST_AT),
             load32(frame + REPLAY_CODE_AT), (unsigned long long)connection->next,
             (unsigned long long)connection->replay_end - 1);
    return 1;
}

static inline void on_message(struct connection *connection, int opcode, const uint8_t *frame, uint32_t seen,
                              uint32_t frame_bytes, const uint8_t *end)
{
    (void)seen;
    if (is_beside(connection, opcode, frame))
        return;
    if (opcode != MESSAGE || frame[5])
        refuse_frame(opcode, frame, end);
    uint64_t offset = load64(frame + OFFSET_AT), number = load64(frame + DATA_HEADER + DESCRIPTOR);
    if (offset != connection->next || number != offset || frame_bytes != (uint32_t)(DATA_HEADER + DESCRIPTOR + record_bytes))
        fail("message %llu at offset %llu of %u bytes, after %llu messages", (unsigned long long)number,
             (unsigned long long)offset, frame_bytes, (unsigned long long)connection->next);
    connection->next++;
}

static void parse_messages(struct connection *connection, const uint8_t *at, const uint8_t *end)
{
    walk_frames(connection, at, end, on_message, skip_body);
}

static void encode_batch(struct burst *burst, const struct connection *publisher, const struct options *options)
{
    remember(options);
    size_t frame_bytes = DATA_HEADER + BATCH_BLOCK + DESCRIPTOR + (size_t)burst->pack * (size_t)record_bytes;
    allocate(burst, padded(frame_bytes));
    first_frame = burst->bytes + write_header(burst->bytes, padded(frame_bytes), publisher->mask);
    payload_header(first_frame, (uint32_t)frame_bytes, BATCH);
    store32(first_frame + DATA_HEADER, (uint32_t)burst->pack);
    mask_bytes(first_frame, padded(frame_bytes), publisher->mask);
    burst->size = (size_t)(first_frame - burst->bytes) + padded(frame_bytes);
}

static void number_batch(struct burst *burst, uint64_t first, const struct connection *publisher)
{
    uint8_t *record = first_frame + DATA_HEADER + BATCH_BLOCK + DESCRIPTOR;
    store64(first_frame + OFFSET_AT, (first + 1) ^ publisher->mask);
    for (int i = 0; i < burst->pack; i++, record += record_bytes)
        store64(record, (first + (uint64_t)i) ^ publisher->mask);
}

static inline void on_batch(struct connection *connection, int opcode, const uint8_t *frame, uint32_t seen,
                            uint32_t frame_bytes, const uint8_t *end)
{
    (void)seen;
    if (is_beside(connection, opcode, frame))
        return;
    if (opcode != BATCH || frame[5])
        refuse_frame(opcode, frame, end);
    uint64_t offset = load64(frame + OFFSET_AT), number = load64(frame + DATA_HEADER + BATCH_BLOCK + DESCRIPTOR);
    uint32_t count = load32(frame + DATA_HEADER);
    size_t expected = DATA_HEADER + BATCH_BLOCK + DESCRIPTOR + (size_t)batch_records * (size_t)record_bytes;
    if (offset != connection->next || number != offset || count != (uint32_t)batch_records || frame_bytes != expected)
        fail("%u messages from %llu at offset %llu, after %llu messages", count, (unsigned long long)number,
             (unsigned long long)offset, (unsigned long long)connection->next);
    connection->next += count;
}

static void parse_batches(struct connection *connection, const uint8_t *at, const uint8_t *end)
{
    walk_frames(connection, at, end, on_batch, skip_body);
}

const struct protocol frys_messages = {"frys", 0, frys_join, encode_messages, number_messages, parse_messages};
const struct protocol frys_singles = {"frys-single", 0, frys_join, encode_singles, number_messages, parse_messages};
const struct protocol frys_batches = {"frys-batch", 0, frys_join, encode_batch, number_batch, parse_batches};
