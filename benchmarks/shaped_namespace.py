"""Shaped namespace: a network namespace whose way from this machine has a rate, by ``ip`` and ``tc`` (iproute2)."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple

BURST_BYTES: Final = 16 * 1024
SUBNETS: Final = 0x8000
"""Subnets of four addresses in 198.18.0.0/15, which is for measurements (RFC 2544)."""
_numbers: Final = itertools.count()


class NotPermitted(Exception):
    """Refusal of the system to make a namespace; the text says why."""


class Namespace(NamedTuple):
    """Place for the clients behind a slow line."""

    command: tuple[str, ...]
    """Words in front of a command that is to run there."""
    host: str
    """Address of this machine, as seen from there."""
    device: str = ""
    """Device of this machine that leads there; empty: the namespace is that of this machine."""
    queue_s: float = 0.0
    """Time that a packet waits at most."""

    def set_rate(self, bits_per_s: int) -> None:
        """Change the rate towards it."""
        _run("tc", "qdisc", "change", "dev", self.device, "root", "tbf", *_shape(bits_per_s, self.queue_s))


@contextmanager
def shaped_namespace(bits_per_s: int, queue_s: float) -> Iterator[Namespace]:
    """Make a namespace for the length of the block.

    Args:
        bits_per_s: rate towards it; the way back is not bounded.
        queue_s: time that a packet waits on the line at most, before it is dropped.

    Raises:
        NotPermitted: the system has no such namespaces, or this user no rights for them.
    """
    if not shutil.which("ip") or not shutil.which("tc"):
        raise NotPermitted("there are no programs ip and tc (iproute2)")
    number = next(_numbers)
    name = f"frys{os.getpid()}x{number}"
    near, far = f"{name}a", f"{name}b"
    at = (os.getpid() * 8 + number) % SUBNETS * 4
    network = f"198.{18 + (at >> 16)}.{at >> 8 & 0xFF}"
    host, client = (f"{network}.{(at & 0xFF) + place}" for place in (1, 2))
    inside = ("ip", "-n", name)
    try:
        _run("ip", "netns", "add", name)
        _run("ip", "link", "add", near, "type", "veth", "peer", "name", far, "netns", name)
        _run("ip", "address", "add", f"{host}/30", "dev", near)
        _run("ip", "link", "set", near, "up")
        _run(*inside, "address", "add", f"{client}/30", "dev", far)
        _run(*inside, "link", "set", far, "up")
        _run(*inside, "link", "set", "lo", "up")
        _run("tc", "qdisc", "add", "dev", near, "root", "tbf", *_shape(bits_per_s, queue_s))
        yield Namespace(("ip", "netns", "exec", name), host, near, queue_s)
    finally:
        for command in (("ip", "link", "delete", near), ("ip", "netns", "delete", name)):
            with suppress(NotPermitted):
                _run(*command)


def _shape(bits_per_s: int, queue_s: float) -> tuple[str, ...]:
    # As much may pass at once as goes over the line between two ticks of the kernel's clock.
    burst_bytes = max(BURST_BYTES, bits_per_s // 8 // 250)
    return "rate", f"{bits_per_s}bit", "burst", f"{burst_bytes}", "latency", f"{queue_s * 1000:.0f}ms"


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotPermitted(f"{' '.join(command)}: {done.stderr.strip()} (needs root)")
