"""Paced line: a way to this machine with a bounded rate, by the system's own queueing if it permits that."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from benchmarks.shaped_namespace import NotPermitted, shaped_namespace

QUEUE_S: Final = 0.4
"""Time that a packet may wait on the line before it is dropped, as at a home router."""
_READY: Final = "listening on "


@dataclass(frozen=True, slots=True)
class Line:
    """Way to this machine."""

    host: str
    """Address of this machine at its near end."""
    port: int
    """Port to connect to."""
    command: tuple[str, ...]
    """Words before a command that is to run at its far end."""
    kind: str
    """Words about it, for a report."""


@contextmanager
def shaped_line(port: int, bits_per_s: int) -> Iterator[Line]:
    """Make a line to a network namespace, for the length of the block.

    Args:
        port: port of a server that listens on all addresses of this machine.
        bits_per_s: rate of the line towards the namespace.

    Raises:
        NotPermitted: see :func:`~benchmarks.shaped_namespace.shaped_namespace`.
    """
    with shaped_namespace(bits_per_s, QUEUE_S) as namespace:
        yield Line(namespace.host, port, namespace.command, "network namespace with tc tbf")


@contextmanager
def proxied_line(port: int, bits_per_s: int) -> Iterator[Line]:
    """Run a proxy that passes on no more than a rate, with small buffers, for the length of the block.

    Args:
        port: port of the server, on the loopback address.
        bits_per_s: rate towards the client.
    """
    command = [sys.executable, "-m", "benchmarks.slow_link.paced_proxy", str(port), str(bits_per_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as proxy:
        assert proxy.stdout is not None
        try:
            own_port = int(proxy.stdout.readline().removeprefix(_READY))
            yield Line("127.0.0.1", own_port, (), "proxy that reads no faster")
        finally:
            proxy.terminate()


@contextmanager
def paced_line(port: int, bits_per_s: int) -> Iterator[Line]:
    """Make a line as :func:`shaped_line` does, or if that is not permitted, as :func:`proxied_line`; and say which."""
    with ExitStack() as stack:
        try:
            line = stack.enter_context(shaped_line(port, bits_per_s))
        except NotPermitted as refusal:
            print(f"no network namespace with a bounded rate ({refusal}): a proxy is used", file=sys.stderr)
            line = stack.enter_context(proxied_line(port, bits_per_s))
        yield line
