"""Paced line: a way to this machine with a bounded rate, by the system's own queueing if it permits that."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

BURST_BYTES: Final = 16 * 1024
QUEUE_S: Final = 0.4
"""Time that a packet may wait on the line before it is dropped, as at a home router."""
_READY: Final = "listening on "


class NotPermitted(Exception):
    """Refusal of the system to make a line of its own; the text says why."""


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
    """Make a network namespace whose packets pass a token bucket filter, for the length of the block.

    Args:
        port: port of a server that listens on all addresses of this machine.
        bits_per_s: rate of the line towards the namespace.

    Raises:
        NotPermitted: the system has no such namespaces, or no rights for them.
    """
    number = os.getpid() % 0x4000
    name, near, far = f"frys-{number}", f"frys{number}a", f"frys{number}b"
    subnet = f"198.18.{number >> 6}.{(number & 0x3F) << 2}".rsplit(".", 1)
    host, client = (f"{subnet[0]}.{int(subnet[1]) + offset}" for offset in (1, 2))
    inside = ("ip", "netns", "exec", name)
    queue = ("burst", str(BURST_BYTES), "latency", f"{QUEUE_S * 1000:.0f}ms")
    if not shutil.which("ip") or not shutil.which("tc"):
        raise NotPermitted("there are no programs ip and tc (iproute2)")
    try:
        _run("ip", "netns", "add", name)
        _run("ip", "link", "add", near, "type", "veth", "peer", "name", far, "netns", name)
        _run("ip", "address", "add", f"{host}/30", "dev", near)
        _run("ip", "link", "set", near, "up")
        _run(*inside, "ip", "address", "add", f"{client}/30", "dev", far)
        _run(*inside, "ip", "link", "set", far, "up")
        _run("tc", "qdisc", "add", "dev", near, "root", "tbf", "rate", f"{bits_per_s}bit", *queue)
        yield Line(host, port, inside, "network namespace with tc tbf")
    finally:
        for command in (("ip", "link", "delete", near), ("ip", "netns", "delete", name)):
            with suppress(NotPermitted):
                _run(*command)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotPermitted(f"{' '.join(command)}: {done.stderr.strip()}")


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
    try:
        shaped = shaped_line(port, bits_per_s)
        line = shaped.__enter__()
    except NotPermitted as refusal:
        print(f"no network namespace with a bounded rate ({refusal}): a proxy is used", file=sys.stderr)
        with proxied_line(port, bits_per_s) as line:
            yield line
    else:
        try:
            yield line
        finally:
            shaped.__exit__(None, None, None)
