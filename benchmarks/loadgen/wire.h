/* The numbers of spec/protocol.md that the load generator needs. */
#ifndef WIRE_H
#define WIRE_H

enum {
    HELLO = 0x01, WELCOME = 0x02, OPEN = 0x05, STREAM = 0x06, SUBSCRIBE = 0x07, SUBSCRIBED = 0x08, LAST_JSON = 0x0c,
    MESSAGE = 0x10, BATCH = 0x11, CHUNK = 0x18, END = 0x19, PING = 0x1d, PONG = 0x1e,
    FLAG_ENCODED = 1, FLAG_CHUNKED = 2,
    UINT8 = 6, FLOAT32 = 12,
    DATA_HEADER = 32, BATCH_BLOCK = 8, DESCRIPTOR = 8, PLAN = 16, CHUNK_HEADER = 16, END_BYTES = 32, PING_BYTES = 16, PONG_BYTES = 32,
    STREAM_AT = 8, OFFSET_AT = 16, TRANSFER_AT = 8, INDEX_AT = 12,
};

#endif
