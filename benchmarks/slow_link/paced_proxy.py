"""Program ``python -m benchmarks.slow_link.paced_proxy PORT BITS``: TCP proxy for one client at a bounded rate.

It reads from the server no faster than the rate, into small buffers, so that what waits does so at the server.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from typing import Final

BUFFER_BYTES: Final = 16 * 1024
STEP_BYTES: Final = 2048


def pass_on(source: socket.socket, target: socket.socket, bytes_per_s: float) -> None:
    """Copy bytes from one socket to another until its end, at most so many a second."""
    due_s = time.monotonic()
    while data := source.recv(STEP_BYTES):
        target.sendall(data)
        due_s = max(due_s, time.monotonic() - 0.01) + len(data) / bytes_per_s
        time.sleep(max(0.0, due_s - time.monotonic()))
    target.shutdown(socket.SHUT_WR)


def serve(port: int, bytes_per_s: float) -> None:
    """Serve clients one after the other."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(f"listening on {listening.getsockname()[1]}", flush=True)
        while True:
            client, _ = listening.accept()
            server = socket.socket()
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
            server.connect(("127.0.0.1", port))
            threading.Thread(target=pass_on, args=(client, server, float("inf")), daemon=True).start()
            threading.Thread(target=pass_on, args=(server, client, bytes_per_s), daemon=True).start()


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]) / 8)
