"""Keyboard of a terminal, one key at a time."""

from __future__ import annotations

import asyncio
import os
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def keys_pressed(pressed: Callable[[str], object]) -> Iterator[None]:
    """Call back for each key while this context lasts; do nothing if standard input is no terminal.

    Args:
        pressed: called on the running loop with the characters of a key.
    """
    if not sys.stdin.isatty():
        yield
        return
    loop, descriptor = asyncio.get_running_loop(), sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def read() -> None:
        data = os.read(descriptor, 64)
        if data:
            pressed(data.decode(errors="replace"))
        else:
            loop.remove_reader(descriptor)

    tty.setcbreak(descriptor)
    loop.add_reader(descriptor, read)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
