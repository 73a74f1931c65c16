"""WebSocket frames as both ends read and write them (RFC 6455, section 5): the server and the SDK share this room.

No I/O and no event loop: a caller reads into the buffer of a reader, and writes the bytes that it gets.
"""
