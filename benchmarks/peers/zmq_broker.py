"""Server ``python -m benchmarks.peers.zmq_broker``: a broker with pyzmq, which does what ``hub.py`` does."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import zmq

SUBSCRIBE: Final = b"subscribe"


def main() -> None:
    """Serve until the process is ended."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        # A message to a subscriber that is gone is an error, and one to a slow subscriber waits: none is dropped.
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        print(f"listening on 127.0.0.1:{port}", flush=True)
        subscriber = b""
        while True:
            sender, message = socket.recv_multipart(copy=False)
            if len(message) == len(SUBSCRIBE) and message.bytes == SUBSCRIBE:
                subscriber = sender.bytes
            else:
                with suppress(zmq.ZMQError):  # the subscriber is gone
                    socket.send_multipart((subscriber, message), copy=False)
            socket.send_multipart((sender, b"ok"))


if __name__ == "__main__":
    main()
