"""Watch loop of the demo: subscribes to its streams as a dashboard does, and shows them until the end."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Collection
from contextlib import suppress

from gateway.client import Subscription, connect
from gateway.demo.board import Board
from gateway.demo.display import Display
from gateway.demo.family import Child, ChildFailed
from gateway.demo.streams import WORKFLOW


async def watch(url: str, board: Board, display: Display, children: Collection[Child], seconds: float | None) -> None:
    """Show the streams until SIGINT, SIGTERM or SIGHUP comes, or the time is over.

    Args:
        url: URL of the gateway.
        board: takes in the messages.
        display: shows the board.
        children: the processes of the demo, which are ready; the watch ends if one fails.
        seconds: duration; None: until a signal comes.

    Raises:
        ChildFailed: one of the processes failed.
        FrysError: no gateway listens at the URL, or the gateway refuses.
    """
    loop = asyncio.get_running_loop()
    end: asyncio.Future[None] = loop.create_future()

    def stop() -> None:
        if not end.done():
            end.set_result(None)

    def report(child: Child) -> None:
        loop.remove_reader(child)
        try:
            child.hear()
        except ChildFailed as error:
            if not end.done():
                end.set_exception(error)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # by the parent process (nohup, &)
            loop.add_signal_handler(number, stop)
    for child in children:
        loop.add_reader(child, report, child)
    if seconds is not None:
        loop.call_later(seconds, stop)
    async with (
        connect(url, client_type="admin_panel", client_id="demo-view") as client,
        client.subscribe(f"{WORKFLOW}/**") as messages,
    ):
        tasks = (
            loop.create_task(_receive(messages, board)),
            loop.create_task(_show(board, display)),
        )
        try:
            await asyncio.wait((end, *tasks), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            for child in children:
                loop.remove_reader(child)
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
        if end.done():
            end.result()


async def _receive(messages: Subscription, board: Board) -> None:
    async for message in messages:
        board.receive(message, time.monotonic())


async def _show(board: Board, display: Display) -> None:
    while True:
        display.show(board, time.monotonic())
        await asyncio.sleep(display.pause_s)
