"""Program ``python -m benchmarks.optimizer.receiver HOST PORT``: decodes payloads as they come, and answers each.

A payload is its encoding block, the length of the data in 8 bytes, and the data. The answer is one byte, once the
payload can be used.
"""

from __future__ import annotations

import socket
import sys

from gateway.protocol.encoding import decode, parse_encoding
from gateway.protocol.wire import ENCODING_BLOCK

HEAD_BYTES = ENCODING_BLOCK.size + 8


def receive(connection: socket.socket, size: int) -> bytearray:
    """Return the next bytes; fewer at the end of the connection."""
    data = bytearray(size)
    at = 0
    while at < size:
        count = connection.recv_into(memoryview(data)[at:])
        if not count:
            return data[:at]
        at += count
    return data


def main(host: str, port: int) -> None:
    """Receive until the connection ends."""
    with socket.create_connection((host, port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while len(head := receive(connection, HEAD_BYTES)) == HEAD_BYTES:
            encoding = parse_encoding(head)
            data = receive(connection, int.from_bytes(head[ENCODING_BLOCK.size :], "little"))
            if encoding.steps:
                decode(encoding, data)
            connection.sendall(b"\x01")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
