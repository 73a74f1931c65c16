"""Keys of a terminal."""

from __future__ import annotations

import asyncio
import io
import os
import pty
import sys
import termios

import pytest

from gateway.cli.keyboard import keys_pressed


async def test_each_key_is_told_at_once_and_the_terminal_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    keys: asyncio.Queue[str] = asyncio.Queue()
    with os.fdopen(ours, "wb", buffering=0) as typist, os.fdopen(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        before = termios.tcgetattr(terminal)
        with keys_pressed(keys.put_nowait):
            typist.write(b"m")
            assert await keys.get() == "m"
            typist.write("ü".encode())
            assert await keys.get() == "ü"
        assert termios.tcgetattr(terminal) == before


async def test_without_a_terminal_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("q"))
    with keys_pressed(pytest.fail):
        await asyncio.sleep(0)
