"""Links: network namespaces whose way to the clients has a rate, by ``tc``."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from benchmarks.plans.scene import Shape
from benchmarks.processes import VerificationFailed

QUEUE_MS: Final = 200
"""Time that bytes wait, at most, in the queue of a link: what a home router has."""
_numbers: Final = itertools.count(1)


class Link(NamedTuple):
    """Way from clients to the gateway."""

    command: tuple[str, ...]
    """Words in front of the command of a client."""
    host: str
    """Address of the gateway."""


LOOPBACK: Final = Link((), "127.0.0.1")


def _ip(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise VerificationFailed(f"{' '.join(words)}: {done.stderr.strip()} (network namespaces need root)")


@contextmanager
def shaped(shape: Shape) -> Iterator[Link]:
    """Make a namespace for the length of the block.

    Raises:
        VerificationFailed: the system does not let this user.
    """
    if not shape.bytes_per_s:
        yield LOOPBACK
        return
    number = next(_numbers)
    name, near, far = f"frys-plans-{number}", f"frysp{number}a", f"frysp{number}b"
    subnet = f"10.213.{number}"
    try:
        _ip("ip", "netns", "add", name)
        _ip("ip", "link", "add", near, "type", "veth", "peer", "name", far, "netns", name)
        _ip("ip", "addr", "add", f"{subnet}.1/24", "dev", near)
        _ip("ip", "link", "set", near, "up")
        _ip("ip", "-n", name, "addr", "add", f"{subnet}.2/24", "dev", far)
        _ip("ip", "-n", name, "link", "set", far, "up")
        _ip("ip", "-n", name, "link", "set", "lo", "up")
        rate = f"{int(shape.bytes_per_s * 8)}bit"
        limit = f"{QUEUE_MS}ms"
        _ip("tc", "qdisc", "add", "dev", near, "root", "tbf", "rate", rate, "burst", "16kb", "latency", limit)
        yield Link(("ip", "netns", "exec", name), f"{subnet}.1")
    finally:
        for words in (("ip", "link", "del", near), ("ip", "netns", "del", name)):
            subprocess.run(words, capture_output=True)
