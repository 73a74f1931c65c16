"""What ties a process of the demo to the one that started it: it ends when that one lets go, or dies in any way.

The child's standard input is the lifeline: nothing is ever written to it, and it ends when the parent closes it or is
gone. On its standard output the child says one JSON object: that it is ready, or why it is not.
"""

from __future__ import annotations

import asyncio
import json
import select
from collections.abc import Coroutine
from typing import Any, TextIO

import uvloop


class Lifeline:
    """The child's end.

    Args:
        hold: ends when the child should end.
        say: takes the child's reports.
    """

    def __init__(self, hold: TextIO, say: TextIO) -> None:
        self._hold = hold
        self._say = say

    def ready(self, **details: Any) -> None:
        """Report that the child does its work from now on."""
        print(json.dumps({"ready": details}), file=self._say, flush=True)

    def failed(self, reason: str, **details: Any) -> None:
        """Report that the child cannot go on."""
        print(json.dumps({"failed": reason, **details}), file=self._say, flush=True)

    def let_go(self, wait_s: float) -> bool:
        """Whether the child should end; waits for that so long at most."""
        return bool(select.select([self._hold], [], [], max(0.0, wait_s))[0])

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine until it is done or the child should end."""
        uvloop.run(self._hold_on(main))

    async def _hold_on(self, main: Coroutine[Any, Any, None]) -> None:
        loop = asyncio.get_running_loop()
        task = loop.create_task(main)

        def cancel() -> None:
            # Once only: the end stays readable, and what the task does in order to end is not to be cancelled too.
            loop.remove_reader(self._hold)
            task.cancel()

        loop.add_reader(self._hold, cancel)
        try:
            await asyncio.wait([task])
        finally:
            loop.remove_reader(self._hold)
        if not task.cancelled():
            task.result()
