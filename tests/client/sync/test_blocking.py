"""Tests that the blocking methods say and take what the async ones do, and what they do when they are called."""

import asyncio
import inspect
from collections.abc import Iterator
from typing import assert_type

import pytest

from gateway import client
from gateway.client import TransmissionResult, sync
from gateway.client.sync.blocking import blocking, wrapping
from gateway.client.sync.loop_thread import LoopThread
from gateway.errors import UsageError

TWINS = [
    (getattr(client, name), getattr(sync, name), method)
    for name in ("Client", "Inbox", "Request", "Subscription")
    for method in vars(getattr(sync, name))
    if not method.startswith("_") and callable(getattr(sync, name).__dict__[method])
]
OTHERWISE = {"wait_cancelled", "batches"}
"""A blocking wait needs a limit of its own; ``batches`` of the async client returns what the blocking one is."""


class Counter:
    """An async object."""

    def __init__(self) -> None:
        self.total = 0

    async def add(self, number: int, *, times: int = 1) -> int:
        """Add on the loop: ``await counter.add(1)``, in ``async with`` or not."""
        asyncio.get_running_loop()
        if times < 0:
            raise UsageError("times")
        self.total += number * times
        return self.total

    def part(self, step: int = 2) -> "Counter":
        """Return one for ``async for``."""
        made = Counter()
        made.total = self.total // step
        return made


class BlockingPart:
    """Stands for the twin of what ``part`` returns."""

    def __init__(self, thread: LoopThread, source: Counter) -> None:
        self.thread = thread
        self.source = source


class BlockingCounter:
    """Its blocking twin."""

    def __init__(self, thread: LoopThread, source: Counter) -> None:
        self._thread = thread
        self._source = source

    add = blocking(Counter.add)
    part = wrapping(Counter.part, BlockingPart)


@pytest.fixture
def thread() -> Iterator[LoopThread]:
    running = LoopThread(asyncio.new_event_loop)
    yield running
    running.stop()


def test_a_blocking_method_returns_what_the_async_one_does(thread: LoopThread) -> None:
    counter = BlockingCounter(thread, Counter())
    assert_type(counter.add(2), int)
    assert counter.add(3, times=2) == 8


def test_it_raises_what_the_async_one_does(thread: LoopThread) -> None:
    with pytest.raises(UsageError, match="times"):
        BlockingCounter(thread, Counter()).add(1, times=-1)


def test_what_a_plain_method_returns_comes_as_its_twin(thread: LoopThread) -> None:
    source = Counter()
    source.total = 9
    part = BlockingCounter(thread, source).part(step=3)
    assert_type(part, BlockingPart)
    assert (part.thread, part.source.total) == (thread, 3)
    assert inspect.signature(BlockingCounter.part).return_annotation is BlockingPart


def test_the_documentation_is_that_of_the_async_method_without_its_words() -> None:
    assert BlockingCounter.add.__doc__ == "Add on the loop: ``counter.add(1)``, in ``with`` or not."
    assert BlockingCounter.part.__doc__ == "Return one for ``for``."


@pytest.mark.parametrize(
    ("original", "twin", "name"), TWINS, ids=[f"{twin.__name__}.{name}" for _, twin, name in TWINS]
)
def test_a_blocking_method_takes_what_the_async_one_does(original: type, twin: type, name: str) -> None:
    method = getattr(twin, name)
    assert not inspect.iscoroutinefunction(method)
    assert "async " not in method.__doc__
    assert "await " not in method.__doc__
    if name not in OTHERWISE:
        assert inspect.signature(method).parameters == inspect.signature(getattr(original, name)).parameters


def test_the_types_are_kept() -> None:
    def typed(blocking_client: sync.Client) -> None:
        assert_type(blocking_client.publish("wf/x", 1.0, timeout_s=None), TransmissionResult)
        assert_type(blocking_client.request("agent:a"), sync.Message)
        assert_type(blocking_client.subscribe("wf/*", since=3), sync.Subscription)
        assert_type(blocking_client.request_stream("agent:a"), sync.ReplyStream)
        assert_type(blocking_client.inbox(group="g"), sync.Inbox)

    assert callable(typed)  # mypy has checked it
