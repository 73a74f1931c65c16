"""Work of the admin port that takes longer than a message may wait, in threads."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do ``work`` in a thread of its own, and return its result.

    Not ``asyncio.to_thread``, whose threads take no work once the main thread has ended: a gateway in another thread
    goes on.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # there is a result where there is no error

    def run() -> None:
        outcome: partial[None]
        try:
            outcome = partial(settle, work(*args, **kwargs), None)
        except BaseException as error:  # noqa: BLE001 - handed to the caller
            outcome = partial(settle, None, error)
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(outcome)

    threading.Thread(target=run, name="frys-admin", daemon=True).start()
    return await done
