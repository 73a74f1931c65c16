"""Lifeline between a child process of the demo and its parent: the child ends when the parent releases it, or dies.

The lifeline is the child's standard input: the parent never writes to it, and it ends when the parent closes it or is
gone. On its standard output the child writes one JSON object: that it is ready, or why it failed.
"""

from __future__ import annotations

import asyncio
import json
import select
from collections.abc import Coroutine
from typing import Any, TextIO

import uvloop


class Lifeline:
    """Child's side of the lifeline.

    Args:
        hold: file that ends when the child should end.
        say: file that takes the child's reports.
    """

    def __init__(self, hold: TextIO, say: TextIO) -> None:
        self._hold = hold
        self._say = say

    def ready(self, **details: Any) -> None:
        """Report that the child has begun its work."""
        print(json.dumps({"ready": details}), file=self._say, flush=True)

    def failed(self, reason: str, **details: Any) -> None:
        """Report that the child has failed."""
        print(json.dumps({"failed": reason, **details}), file=self._say, flush=True)

    def let_go(self, wait_s: float) -> bool:
        """Return whether the child should end; wait for that up to ``wait_s``."""
        return bool(select.select([self._hold], [], [], max(0.0, wait_s))[0])

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine until it is done or the child should end."""
        uvloop.run(self._hold_on(main))

    async def _hold_on(self, main: Coroutine[Any, Any, None]) -> None:
        loop = asyncio.get_running_loop()
        task = loop.create_task(main)

        def cancel() -> None:
            # Once only: the ended file stays readable, and a second cancellation would hit the clean-up of the task.
            loop.remove_reader(self._hold)
            task.cancel()

        loop.add_reader(self._hold, cancel)
        try:
            await asyncio.wait([task])
        finally:
            loop.remove_reader(self._hold)
        if not task.cancelled():
            task.result()
