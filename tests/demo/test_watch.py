"""Watching ends in time, and when a process that must go on does not."""

import asyncio
import os
import signal
from collections.abc import Iterator

import numpy as np
import pytest

from gateway.client import connect
from gateway.demo import streams
from gateway.demo.board import Board
from gateway.demo.display import LineDisplay
from gateway.demo.family import ChildFailed, Family
from gateway.demo.watch import watch
from gateway.testing import running_gateway


class UntilLoss(LineDisplay):
    """Says when a loss was shown."""

    pause_s = 0.0

    def __init__(self) -> None:
        self.seen = asyncio.Event()

    def show(self, board: Board, now_s: float) -> None:
        """Show it, and tell if there is a loss."""
        super().show(board, now_s)
        if board.losses:
            self.seen.set()


@pytest.fixture
def handlers() -> Iterator[None]:
    """Signals are handled as in a process that was started by ``nohup``."""
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
        signal.SIGTERM: signal.signal(signal.SIGTERM, signal.SIG_DFL),
        signal.SIGHUP: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    }
    yield
    for number, old in before.items():
        signal.signal(number, old)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_it_shows_what_comes_until_a_signal(number: signal.Signals, capsys: pytest.CaptureFixture[str]) -> None:
    if number == signal.SIGHUP:
        signal.signal(number, signal.SIG_DFL)
    board = Board()
    async with running_gateway() as gateway, connect(gateway.url) as client:
        await client.publish(streams.LOSS, np.float32(0.5), kind="state")
        display = UntilLoss()
        watching = asyncio.create_task(watch(gateway.url, board, display, (), None))
        await display.seen.wait()
        assert number == signal.SIGHUP or signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        os.kill(os.getpid(), number)
        await watching
    assert list(board.losses) == [0.5]
    assert capsys.readouterr().out.startswith("run 0 step 0  loss ")


async def test_it_ends_in_time() -> None:
    async with running_gateway() as gateway:
        await watch(gateway.url, Board(), LineDisplay(), (), 0.0)


async def test_a_child_that_ends_is_told() -> None:
    async with running_gateway() as gateway:
        with Family() as family:
            child = family.start("gateway", port=0, admin_port=None)
            child.hear()
            child.let_go()
            with pytest.raises(ChildFailed, match="the process has ended unexpectedly"):
                await watch(gateway.url, Board(), LineDisplay(), (child,), None)
