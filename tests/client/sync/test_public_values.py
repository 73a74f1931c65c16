"""Every public method and property of the blocking client returns plain values: nothing to be awaited.

Each is called on real objects, with a real gateway in a process of its own. A new one has to be entered here.
"""

from __future__ import annotations

import copy
import inspect
import operator
import pickle
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar

import numpy as np
import pytest

from gateway.client import sync
from gateway.errors import RequestRefused
from gateway.testing import GatewayProcess, running_gateway_process
from tests.public_api import public_names

Started = TypeVar("Started", sync.Subscription, sync.Presence)
Call = Callable[[Any], object]
Members = dict[str, Call]

EVENTS: Final = "plain/events"
TASKS: Final = "plain/tasks"


def read(*names: str) -> Members:
    """Return properties that are read."""
    return {name: operator.attrgetter(name) for name in names}


ANSWERS: Final[Members] = {
    "ack": lambda message: message.ack(),
    "in_progress": lambda message: message.in_progress(),
    "nack": lambda message: message.nack(),
}
RECEIVED: Final[Members] = {
    **read("count", "epoch", "kind", "latency_s", "nbytes", "observed", "offset", "publisher", "quantization"),
    **read("received_ns", "stream", "timestamp_ns"),
    "dequantized": lambda message: message.dequantized(),
    "newest": lambda message: message.newest(complete=False),
}
MESSAGE: Final[Members] = {
    **read("headers", "patch", "patched", "region", "specs", "tensor", "tensors"),
    **RECEIVED,
    **ANSWERS,
}

MEMBERS: Final[dict[str, Members]] = {
    "Client": {
        **read("client_id", "clock_offset_s", "link", "rtt_s", "state"),
        "account": lambda client: client.account(_started(client.subscribe("plain/none"))),
        "authenticate": lambda client: client.authenticate("token"),
        "delete": lambda client: client.delete("plain/deleted/**"),
        "drain": lambda client: client.drain(),
        "inbox": lambda client: client.inbox(group="plain"),
        "presence": lambda client: client.presence("plain"),
        "publish": lambda client: client.publish("plain/x", 1.0),
        "publish_nowait": lambda client: client.publish_nowait("plain/x", 1.0),
        "request": lambda client: client.request("group:echo", 1.0),
        "request_stream": lambda client: client.request_stream("group:echo", 1.0),
        "subscribe": lambda client: client.subscribe("plain/**"),
        "close": lambda client: client.close(),
    },
    "Inbox": {"start": lambda inbox: inbox.start(), "close": lambda inbox: inbox.close()},
    "Message": MESSAGE,
    "Presence": {
        **read("count", "members", "scope"),
        "start": lambda presence: presence.start(),
        "changes": lambda presence: presence.changes(),
        "update": lambda presence: presence.update({"role": "tester"}),
        "set_awareness": lambda presence: presence.set_awareness({"cursor": 7}),
        "close": lambda presence: presence.close(),
    },
    "RecordBatch": {
        **RECEIVED,
        **read("array"),
        "messages": lambda batch: batch.messages(),
        **ANSWERS,
    },
    "ReplyStream": {"close": lambda replies: replies.close()},
    "Request": {
        **MESSAGE,
        **read("cancelled"),
        "on_cancel": lambda request: request.on_cancel(print),
        "reply_partial": lambda request: request.reply_partial(1.0),
        "reply": lambda request: request.reply(2.0),
        "fail": lambda request: request.fail("it was replied to already"),
        "wait_cancelled": lambda request: request.wait_cancelled(0.0),
    },
    "Subscription": {
        **read("account", "lowered", "stats"),
        "start": lambda messages: messages.start(),
        "batches": lambda messages: messages.batches(),
        "close": lambda messages: messages.close(),
    },
}
"""Calls of all public methods and properties, those that end an object behind the others."""


def _started(thing: Started) -> Started:
    thing.start()
    return thing


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayProcess]:
    with running_gateway_process() as running:
        yield running


@pytest.fixture(scope="module")
def echo(gateway: GatewayProcess) -> Iterator[None]:
    """Something that answers requests."""
    client = sync.connect(gateway.url)
    requests = client.inbox(group="echo")
    requests.start()

    def answer() -> None:
        for request in requests:
            request.reply_partial(request.tensor)
            request.reply(request.tensor)

    answering = threading.Thread(target=answer)
    answering.start()
    yield
    client.close()
    answering.join()


class Gave:
    """Objects of the blocking client, each made anew."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self._url = gateway.url
        self.client = sync.connect(gateway.url, client_id="plain")
        self._threads: list[threading.Thread] = []

    def end(self) -> None:
        self.client.close()
        for thread in self._threads:
            thread.join()

    def subscription(self, *, tasks: bool, count: int = 1) -> sync.Subscription:
        """Return a subscription for which messages wait; several may come as a batch."""
        stream = TASKS if tasks else EVENTS
        messages = _started(self.client.subscribe(stream, auto_ack=False))
        with sync.connect(self._url) as publisher, publisher._batcher.lock:  # so that they are sent together
            for step in range(count):
                publisher.publish_nowait(stream, np.full(3, step, "f4"), kind="collaboration" if tasks else "event")
        return messages

    def message(self, *, tasks: bool) -> sync.Message:
        """Return a message."""
        return next(self.subscription(tasks=tasks))

    def batch(self, *, tasks: bool) -> sync.RecordBatch:
        """Return a batch of several records."""
        return next(batch for batch in self.subscription(tasks=tasks, count=5).batches() if batch.count > 1)

    def inbox(self) -> sync.Inbox:
        """Return an inbox in which a request waits."""
        requests = self.client.inbox()
        requests.start()

        def ask() -> None:
            with sync.connect(self._url) as asker, suppress(RequestRefused):  # it may not be answered
                asker.request("agent:plain", 1.0)

        asking = threading.Thread(target=ask)
        self._threads.append(asking)
        asking.start()
        return requests

    def replies(self) -> sync.ReplyStream:
        """Return the replies to a request."""
        return self.client.request_stream("group:echo", 1.0)


OBJECTS: Final[dict[str, Callable[[Gave], object]]] = {
    "Client": lambda gave: gave.client,
    "Inbox": lambda gave: gave.inbox(),
    "Message": lambda gave: gave.message(tasks=False),
    "Message, to be acknowledged": lambda gave: gave.message(tasks=True),
    "Message, of a batch": lambda gave: next(gave.batch(tasks=False).messages()),
    "Message, of a batch to be acknowledged": lambda gave: next(gave.batch(tasks=True).messages()),
    "Message, a reply": lambda gave: gave.client.request("group:echo", 1.0),
    "Message, a part of a reply": lambda gave: next(gave.replies()),
    "Message, a copy of a request": lambda gave: copy.deepcopy(next(gave.inbox())),
    "Message, pickled": lambda gave: pickle.loads(pickle.dumps(gave.message(tasks=False))),  # noqa: S301
    "Presence": lambda gave: _started(gave.client.presence("plain", metadata={})),
    "RecordBatch": lambda gave: gave.batch(tasks=False),
    "RecordBatch, to be acknowledged": lambda gave: gave.batch(tasks=True),
    "RecordBatch, pickled": lambda gave: pickle.loads(pickle.dumps(gave.batch(tasks=False))),  # noqa: S301
    "ReplyStream": lambda gave: gave.replies(),
    "Request": lambda gave: next(gave.inbox()),
    "Subscription": lambda gave: gave.subscription(tasks=False),
    "Subscription, of tasks": lambda gave: gave.subscription(tasks=True),
}
"""By the class, and where the object is from."""

AWAITED: Final = ("__aenter__", "__aiter__", "__anext__", "__await__", "cr_await")


def check_plain(value: object, name: str) -> None:
    """Check that nothing about a value is asynchronous, nor about what it holds."""
    kind = type(value)
    assert not [each for each in AWAITED if hasattr(kind, each)], f"{name} returned {kind}"
    if kind.__module__.startswith("gateway."):
        coroutines = [each for each in dir(kind) if inspect.iscoroutinefunction(getattr(kind, each))]
        assert not [each for each in coroutines if not each.startswith("_")], f"{name} returned {kind}"
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, Iterator) and not kind.__module__.startswith("gateway."):
        value = [next(value)]
    if isinstance(value, list | tuple):
        for each in value:
            check_plain(each, name)


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.usefixtures("echo")
def test_nothing_that_it_returns_is_to_be_awaited(gateway: GatewayProcess, name: str) -> None:
    gave = Gave(gateway)
    try:
        thing: Any = OBJECTS[name](gave)
        check_plain(thing, name)
        for each, call in MEMBERS[name.partition(",")[0]].items():
            check_plain(call(thing), f"{name}.{each}")
    finally:
        gave.end()


@pytest.mark.parametrize(
    "name", ["Client", "Inbox", "Presence", "ReplyStream", "Subscription", "Subscription, of tasks"]
)
@pytest.mark.usefixtures("echo")
def test_with_and_for_give_plain_values(gateway: GatewayProcess, name: str) -> None:
    gave = Gave(gateway)
    try:
        thing: Any = OBJECTS[name](gave)
        with thing as entered:
            assert entered is thing
            if name not in ("Client", "Presence"):
                assert iter(thing) is thing
                item = next(thing)
                check_plain(item, name)
                if isinstance(item, sync.Request):
                    item.reply(2.0)
    finally:
        gave.end()


def test_every_class_and_every_member_is_called() -> None:
    classes = {name for name in sync.__all__ if isinstance(getattr(sync, name), type)}
    assert MEMBERS.keys() == classes == {name.partition(",")[0] for name in OBJECTS}
    for name, members in MEMBERS.items():
        public = {each for each in public_names(getattr(sync, name)) if not each.startswith("_")}
        assert public == members.keys(), name
