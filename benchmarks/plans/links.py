"""Links: network namespaces whose way to the clients has a rate, by ``tc``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from benchmarks.plans.scene import Shape
from benchmarks.processes import VerificationFailed
from benchmarks.shaped_namespace import Namespace, NotPermitted, shaped_namespace

QUEUE_S: Final = 0.2
"""Time that bytes wait, at most, in the queue of a link."""

LOOPBACK: Final = Namespace((), "127.0.0.1")


@contextmanager
def shaped(shape: Shape) -> Iterator[Namespace]:
    """Make a namespace for the length of the block; a link without a rate is this machine itself.

    Raises:
        VerificationFailed: the system does not let this user.
    """
    if not shape.bytes_per_s:
        yield LOOPBACK
        return
    try:
        with shaped_namespace(int(shape.bytes_per_s * 8), QUEUE_S) as namespace:
            yield namespace
    except NotPermitted as refusal:
        raise VerificationFailed(str(refusal)) from refusal
