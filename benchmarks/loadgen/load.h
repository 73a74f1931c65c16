/* The load generator: one thread, raw sockets, epoll, frames that were encoded before the clock starts.
 *
 * Whatever breaks a promise of the server (an offset that is not the next one, a message too few, an error frame) ends
 * the program with exit status 1 and one line on stderr. Results go to stdout, one JSON object a line. */
#ifndef LOAD_H
#define LOAD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct options {
    const char *mode;     /* fanout, latency, tensors, idle, publish, recovery */
    const char *protocol; /* frys, frys-single, frys-batch, nats, websocket, raw */
    const char *workflow; /* first segment of the stream's name, so that each run has a stream of its own */
    int port;
    int server_pid;
    int subscribers;
    int payload;    /* bytes of a message */
    int pack;       /* messages that the publisher puts into one WebSocket message or one write */
    int window;     /* messages that the slowest subscriber may lack */
    double seconds; /* how long it publishes after the warm-up */
    double warmup;
    double rate;    /* latency: messages a second; 0: one in flight */
    const char *arrivals; /* latency with a rate: even, poisson, bursty, periodic */
    long count;     /* latency: samples; tensors: how many; idle: connections; publish and recovery: messages */
    long bytes;     /* tensors: of one payload */
    double patience; /* seconds without progress before giving up */
};

/* One connection and what its reader has to remember between two reads. */
struct connection {
    int fd;
    uint64_t mask;     /* RFC 6455 masking key, twice; bytes at a multiple of 4 are masked by its start */
    uint64_t left;     /* bytes left of the WebSocket message under way */
    uint64_t skip;     /* bytes left of the frame under way that are not looked at */
    int opcode;        /* of that frame */
    uint64_t next;     /* number of the message that has to come next */
    uint64_t messages; /* WebSocket messages of frames so far */
    uint64_t replay_end; /* messages below this one have to be announced by REPLAY; 0: none */
    uint32_t carried;  /* bytes of an incomplete header, kept for the next read */
    uint8_t carry[64];
    int publisher;
};

/* The publisher's bytes for `pack` messages, masked already; only the numbers in it change. */
struct burst {
    uint8_t *bytes;
    size_t size;
    int pack;
};

struct protocol {
    const char *name;
    int echo; /* the publisher is its own subscriber */
    /* Takes a fresh connection to the state in which messages flow; blocking. */
    void (*join)(struct connection *connection, const struct options *options);
    void (*encode)(struct burst *burst, const struct connection *publisher, const struct options *options);
    /* Writes the numbers first, first + 1, ... into the burst. */
    void (*number)(struct burst *burst, uint64_t first, const struct connection *publisher);
    /* Reads what has come and verifies it; moves connection->next. What is incomplete goes to the carry. */
    void (*parse)(struct connection *connection, const uint8_t *at, const uint8_t *end);
};

const struct protocol *find_protocol(const char *name);

/* network.c */
enum { RECEIVE_BYTES = 1 << 18 };
__attribute__((noreturn, format(printf, 1, 2))) void fail(const char *format, ...);
double now_s(void);
int64_t now_ns(void);
double cpu_s(void);
/* CPU time of the server with this pid so far, in steps of 10 ms; 0 without a pid. */
double server_cpu_s(int pid);
int dial(int port);
void set_nonblocking(int fd);
void send_all(int fd, const void *bytes, size_t size);
void receive_exactly(int fd, void *bytes, size_t size);
size_t receive_until(int fd, char *text, size_t room, const char *ending);
int new_epoll(void);
void watch(int epoll, struct connection *connection, uint32_t events, int operation);
/* One read into a buffer that all connections share, so that it stays in the cache; 0: nothing was there. */
size_t read_and_parse(struct connection *connection, void (*parse)(struct connection *, const uint8_t *, const uint8_t *));
void stash(struct connection *connection, const uint8_t *at, const uint8_t *end);

/* websocket.c: RFC 6455, the client's side */
enum { CLIENT_HEADER_MAX = 14, WEBSOCKET_PING = 0x89, WEBSOCKET_CONTROL_MAX = 125 };
size_t upgrade_request(char *text, size_t room, int port, const char *subprotocol);
void check_upgrade_answer(const char *text);
void upgrade(struct connection *connection, int port, const char *subprotocol);
void choose_mask(struct connection *connection);
size_t write_header(uint8_t *out, size_t payload_bytes, uint64_t mask);
void mask_bytes(uint8_t *bytes, size_t size, uint64_t mask);
/* `ping` is the whole frame. A server closes clients that it has not heard of for long (spec section 9). */
void answer_websocket_ping(const struct connection *connection, const uint8_t *ping);

/* frys.c: frames of spec/protocol.md, the client's side */
size_t hello_message(uint8_t *out, uint64_t mask);
void frys_greet(struct connection *connection, const struct options *options);
void frys_subscribe(const struct connection *connection, const struct options *options, const char *fields);
void frys_join(struct connection *connection, const struct options *options);
/* Waits until the server has taken everything that was sent on the connection. */
void frys_settle(struct connection *connection);
size_t data_header(uint8_t *out, uint32_t frame_bytes, int opcode, int flags, int dtype, uint32_t length);
void answer_ping(const struct connection *connection, const uint8_t *frame);
__attribute__((noreturn)) void refuse_frame(int opcode, const uint8_t *frame, const uint8_t *end);
extern const struct protocol frys_messages, frys_singles, frys_batches;

/* fixed.c: nats-server, a plain WebSocket server, raw TCP: every message has the same bytes around it */
extern const struct protocol nats, websocket, raw;
#define NATS_CONNECT "CONNECT {\"verbose\":false,\"pedantic\":false,\"tls_required\":false,\"protocol\":0}\r\nPING\r\n"

void run_fanout(const struct options *options);
void run_latency(const struct options *options);
void run_tensors(const struct options *options);
void run_idle(const struct options *options);
void run_publish(const struct options *options);
void run_recovery(const struct options *options);

static inline uint16_t load16(const uint8_t *at) { uint16_t v; memcpy(&v, at, 2); return v; }
static inline uint32_t load32(const uint8_t *at) { uint32_t v; memcpy(&v, at, 4); return v; }
static inline uint64_t load64(const uint8_t *at) { uint64_t v; memcpy(&v, at, 8); return v; }
static inline void store32(uint8_t *at, uint32_t v) { memcpy(at, &v, 4); }
static inline void store64(uint8_t *at, uint64_t v) { memcpy(at, &v, 8); }
static inline size_t padded(size_t size) { return (size + 7) & ~(size_t)7; }

#endif
