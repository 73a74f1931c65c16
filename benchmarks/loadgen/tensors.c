/* Large float32 tensors from one connection to another: MB of payload a second.
 *
 * A relay gets the very bytes that the gateway gets and is only counted; from the gateway every frame is verified: index
 * and size of every chunk, offset of every message, and of the first message every byte of the payload. */
#include "reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { CHUNK_BYTES = 512 * 1024, WHOLE_BYTES = 2 * CHUNK_BYTES, WRITE_BYTES = 1 << 20, AHEAD_BYTES = 4 << 20, PATTERN_BYTES = 1000003 };

/* One tensor as it goes to the socket; the numbers in it are patched before each send. */
struct tensor {
    uint8_t *bytes;
    size_t size;
    size_t header_at;
    size_t *transfers_at; /* where CHUNK, END and the plan hold the transfer's number */
    int transfers;
};

static uint8_t pattern[PATTERN_BYTES]; /* payload byte i is pattern[i % PATTERN_BYTES]: no chunk starts like another */
static uint64_t payload_bytes;
static struct { uint64_t position; uint32_t index, transfer; int open; } incoming;
static uint64_t finished; /* tensors that arrived whole */
static uint64_t wire_bytes, relay_bytes;

static void fill_payload(uint8_t *out, uint64_t position, size_t size)
{
    while (size) {
        size_t phase = position % PATTERN_BYTES, take = PATTERN_BYTES - phase < size ? PATTERN_BYTES - phase : size;
        memcpy(out, pattern + phase, take);
        out += take, position += take, size -= take;
    }
}

static void check_payload(const uint8_t *bytes, uint64_t position, size_t size)
{
    while (size) {
        size_t phase = position % PATTERN_BYTES, take = PATTERN_BYTES - phase < size ? PATTERN_BYTES - phase : size;
        if (memcmp(bytes, pattern + phase, take))
            fail("tensor %llu: wrong bytes near %llu", (unsigned long long)finished, (unsigned long long)position);
        bytes += take, position += take, size -= take;
    }
}

static void take_payload(const uint8_t *bytes, size_t size)
{
    if (finished == 0)
        check_payload(bytes, incoming.position, size);
    incoming.position += size;
    if (incoming.position == payload_bytes && !incoming.open) {
        finished++;
        incoming.position = 0;
    }
}

static void on_body(struct connection *connection, const uint8_t *bytes, size_t size)
{
    if (connection->opcode == MESSAGE || connection->opcode == CHUNK)
        take_payload(bytes, size);
}

static void on_frame(struct connection *connection, int opcode, const uint8_t *frame, uint32_t seen,
                     uint32_t frame_bytes, const uint8_t *end)
{
    if (opcode == STREAM)
        return;
    if (opcode == PING) {
        answer_ping(connection, frame);
        return;
    }
    if (connection->publisher || frame[5] & FLAG_ENCODED)
        refuse_frame(opcode, frame, end);
    if (opcode == MESSAGE && frame[5] & FLAG_CHUNKED) {
        const uint8_t *plan = frame + DATA_HEADER + DESCRIPTOR;
        if (frame_bytes != DATA_HEADER + DESCRIPTOR + PLAN || incoming.open)
            fail("tensor %llu: a chunk plan where none was expected", (unsigned long long)finished);
        incoming.transfer = load32(plan);
        incoming.open = 1;
        incoming.index = 0;
        incoming.position = 0;
    } else if (opcode == MESSAGE) {
        if (frame_bytes != DATA_HEADER + DESCRIPTOR + payload_bytes || load64(frame + OFFSET_AT) != finished)
            fail("tensor %llu: %u bytes at offset %llu", (unsigned long long)finished, frame_bytes,
                 (unsigned long long)load64(frame + OFFSET_AT));
        take_payload(frame + DATA_HEADER + DESCRIPTOR, seen - DATA_HEADER - DESCRIPTOR);
    } else if (opcode == CHUNK) {
        if (!incoming.open || load32(frame + TRANSFER_AT) != incoming.transfer || load32(frame + INDEX_AT) != incoming.index)
            fail("tensor %llu: chunk %u where %u was expected", (unsigned long long)finished, load32(frame + INDEX_AT),
                 incoming.index);
        if (incoming.position + frame_bytes - CHUNK_HEADER > payload_bytes)
            fail("tensor %llu: too many bytes", (unsigned long long)finished);
        incoming.index++;
        take_payload(frame + CHUNK_HEADER, seen - CHUNK_HEADER);
    } else if (opcode == END) {
        if (!incoming.open || incoming.position != payload_bytes || load64(frame + OFFSET_AT) != finished)
            fail("tensor %llu: ended after %llu bytes at offset %llu", (unsigned long long)finished,
                 (unsigned long long)incoming.position, (unsigned long long)load64(frame + OFFSET_AT));
        incoming.open = 0;
        incoming.position = 0;
        finished++;
    } else {
        refuse_frame(opcode, frame, end);
    }
}

static void parse_tensors(struct connection *connection, const uint8_t *at, const uint8_t *end)
{
    walk_frames(connection, at, end, on_frame, on_body);
}

static void parse_relay(struct connection *connection, const uint8_t *at, const uint8_t *end)
{
    (void)connection;
    relay_bytes += (uint64_t)(end - at);
    finished = relay_bytes / wire_bytes;
}

/* Appends a WebSocket message of one frame: `header` bytes of it are written already, `data` payload bytes follow. */
static void append(struct tensor *tensor, const uint8_t *header, size_t header_bytes, uint64_t position, size_t data,
                   uint64_t mask)
{
    size_t frame_bytes = header_bytes + data;
    uint8_t *frame = tensor->bytes + tensor->size;
    frame += write_header(frame, padded(frame_bytes), mask);
    memset(frame + frame_bytes, 0, padded(frame_bytes) - frame_bytes);
    memcpy(frame, header, header_bytes);
    fill_payload(frame + header_bytes, position, data);
    int opcode = header[4];
    if (opcode == MESSAGE)
        tensor->header_at = (size_t)(frame - tensor->bytes);
    if (opcode != MESSAGE || header[5] & FLAG_CHUNKED)
        tensor->transfers_at[tensor->transfers++] =
            (size_t)(frame - tensor->bytes) + (opcode == MESSAGE ? DATA_HEADER + DESCRIPTOR : TRANSFER_AT);
    mask_bytes(frame, padded(frame_bytes), mask);
    tensor->size = (size_t)(frame - tensor->bytes) + padded(frame_bytes);
}

static void encode_tensor(struct tensor *tensor, uint64_t mask)
{
    size_t chunks = (payload_bytes + CHUNK_BYTES - 1) / CHUNK_BYTES;
    uint8_t header[64] = {0};
    tensor->bytes = malloc(payload_bytes + (chunks + 3) * 128);
    tensor->transfers_at = calloc(chunks + 2, sizeof *tensor->transfers_at);
    if (!tensor->bytes || !tensor->transfers_at)
        fail("out of memory");
    uint32_t whole = DATA_HEADER + DESCRIPTOR + (uint32_t)payload_bytes, planned = DATA_HEADER + DESCRIPTOR + PLAN;
    if (payload_bytes <= WHOLE_BYTES) {
        data_header(header, whole, MESSAGE, 0, FLOAT32, (uint32_t)(payload_bytes / 4));
        append(tensor, header, DATA_HEADER + DESCRIPTOR, 0, payload_bytes, mask);
        return;
    }
    size_t at = data_header(header, planned, MESSAGE, FLAG_CHUNKED, FLOAT32, (uint32_t)(payload_bytes / 4));
    store32(header + at + 4, CHUNK_BYTES);
    store64(header + at + 8, payload_bytes);
    append(tensor, header, planned, 0, 0, mask);
    for (size_t index = 0; index < chunks; index++) {
        uint64_t position = (uint64_t)index * CHUNK_BYTES;
        size_t data = payload_bytes - position < CHUNK_BYTES ? payload_bytes - position : CHUNK_BYTES;
        memset(header, 0, sizeof header);
        store32(header, (uint32_t)(CHUNK_HEADER + data));
        header[4] = CHUNK;
        store32(header + INDEX_AT, (uint32_t)index);
        append(tensor, header, CHUNK_HEADER, position, data, mask);
    }
    memset(header, 0, sizeof header);
    store32(header, END_BYTES);
    header[4] = END;
    append(tensor, header, END_BYTES, 0, 0, mask);
}

static void number_tensor(struct tensor *tensor, uint64_t number, uint64_t mask)
{
    store64(tensor->bytes + tensor->header_at + OFFSET_AT, (number + 1) ^ mask);
    for (int i = 0; i < tensor->transfers; i++)
        store32(tensor->bytes + tensor->transfers_at[i], (uint32_t)(number + 1) ^ (uint32_t)mask);
}

/* Sends what the socket takes; 1: it takes no more now. */
static int send_tensor(const struct connection *publisher, const struct tensor *tensor, size_t *sent)
{
    while (*sent < tensor->size) {
        size_t size = tensor->size - *sent < WRITE_BYTES ? tensor->size - *sent : WRITE_BYTES;
        ssize_t taken = send(publisher->fd, tensor->bytes + *sent, size, MSG_NOSIGNAL);
        if (taken < 0) {
            if (errno == EAGAIN)
                return 1;
            fail("publish: %s", strerror(errno));
        }
        *sent += (size_t)taken;
        if ((size_t)taken < size)
            return 1;
    }
    return 0;
}

void run_tensors(const struct options *options)
{
    int relay = !strcmp(options->protocol, "raw");
    struct connection connections[2] = {{.publisher = 0}, {.publisher = 1}}, *publisher = &connections[1];
    int epoll = new_epoll();
    for (int i = 0; i < 2; i++) {
        connections[i].fd = dial(options->port);
        choose_mask(&connections[i]);
        if (!relay)
            frys_join(&connections[i], options);
        set_nonblocking(connections[i].fd);
        watch(epoll, &connections[i], i ? EPOLLIN | EPOLLOUT | EPOLLET : EPOLLIN, EPOLL_CTL_ADD);
    }
    uint64_t seed = 0x9e3779b97f4a7c15;
    for (size_t i = 0; i < PATTERN_BYTES; i++) {
        seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
        pattern[i] = (uint8_t)seed;
    }
    payload_bytes = (uint64_t)options->bytes;
    if (payload_bytes % 8) /* so that no frame has padding, which on_payload would take for payload */
        fail("a payload of %ld bytes: a multiple of 8 is needed", options->bytes);
    struct tensor tensor = {0};
    encode_tensor(&tensor, publisher->mask);
    wire_bytes = tensor.size;

    /* Small tensors follow each other closely, a big one has the line for itself; the first is not counted. */
    uint64_t ahead = payload_bytes >= AHEAD_BYTES ? 1 : AHEAD_BYTES / payload_bytes, count = (uint64_t)options->count + 1;
    uint64_t numbered = 0;
    size_t sent = tensor.size;
    double begin = 0, begin_cpu = 0, begin_server = 0, progress = now_s();
    while (finished < count) {
        if (finished && begin == 0) {
            begin = now_s();
            begin_cpu = cpu_s();
            begin_server = server_cpu_s(options->server_pid);
        }
        int blocked = send_tensor(publisher, &tensor, &sent);
        while (!blocked && sent == tensor.size && numbered < count
               && numbered - finished < (finished ? ahead : 1)) {
            number_tensor(&tensor, numbered++, publisher->mask);
            sent = 0;
            blocked = send_tensor(publisher, &tensor, &sent);
        }
        struct epoll_event events[2];
        int ready = epoll_wait(epoll, events, 2, 100);
        if (ready > 0)
            progress = now_s();
        else if (now_s() - progress > options->patience)
            fail("no progress: %llu of %llu tensors", (unsigned long long)finished, (unsigned long long)count);
        for (int i = 0; i < ready; i++)
            if (events[i].events & ~(uint32_t)EPOLLOUT)
                read_and_parse(events[i].data.ptr, relay ? parse_relay : parse_tensors);
    }
    double seconds = now_s() - begin;
    printf("{\"tensors\":%ld,\"seconds\":%.6f,\"bytes_per_second\":%.0f,\"load_cpu\":%.3f,\"server_cpu\":%.3f}\n", options->count, seconds,
           (double)options->count * (double)payload_bytes / seconds, (cpu_s() - begin_cpu) / seconds,
           (server_cpu_s(options->server_pid) - begin_server) / seconds);
}
