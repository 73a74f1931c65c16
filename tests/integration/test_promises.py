"""What streams promise, against a simple model: real clients and sockets, cuts, slow networks, restarts, in any order.

A stream is its acknowledged messages in order of offsets, each incarnation by itself. Of what every subscriber saw:

- nothing twice, nothing out of order, nothing that was not published, every payload its own;
- event, durable: everything since it subscribed, over all cuts and restarts;
- event in memory: everything of an incarnation that lived on; what a restart took is all that may be missing;
- state: versions in order, and in the end the newest;
- collaboration and control, durable: everything since it subscribed, though it was away, cut off or asleep meanwhile;
  of a stream that began later and after a restart, everything since it was back;
- collaboration in memory: the same as long as the gateway lives, and nothing between what it gets of one incarnation;
- all that is acknowledged is acknowledged in the end;
- and the accounts of both ends agree on every number.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from gateway.app import Gateway
from gateway.client import Backoff, Client, Gap, Message, Subscription, connect
from gateway.client.transmission_result import TransmissionResult
from gateway.config import Settings
from gateway.connections.consumers.settings import ConsumerSettings
from gateway.connections.core_settings import CoreSettings
from gateway.ids import ClientId
from tests.integration.peer import until
from tests.integration.proxy import CuttingProxy, Way, cutting_proxy

# A gateway that stops while somebody connects: asyncio drops the socket that it has accepted for a server that is
# closed by now, and leaves it to the garbage collector (`Server._attach`, CPython 3.11; uvloop closes it).
pytestmark = pytest.mark.filterwarnings(
    r"ignore:Exception ignored in. <(function _SelectorT|socket\.socket):pytest.PytestUnraisableExceptionWarning"
)

T = TypeVar("T")

QUICK = Backoff(base_s=0.005, cap_s=0.02, later_s=0.01)
SETTLED_S = 30.0
STREAMS = {
    "wf/ledger": ("event", "fsync"),
    "wf/log": ("event", "os"),
    "wf/trace": ("event", "memory"),
    "wf/model": ("state", "os"),
    "wf/pose": ("state", "memory"),
    "wf/tasks": ("collaboration", "fsync"),
    "wf/errands": ("collaboration", "memory"),
    "wf/orders": ("control", "os"),
}
ACKNOWLEDGED = ("collaboration", "control")
PATIENT = ConsumerSettings(
    max_tries=1000, max_pending_commands=1000, hold_bytes=1_000_000_000, limit_bytes=2_000_000_000
)
"""Cuts make no dead letters, and nobody is closed for being asleep."""


@dataclass
class Publish:
    """One call of publish: what was sent, and where it ended up."""

    stream: str
    number: int
    done: asyncio.Task[TransmissionResult]


@dataclass
class Reader:
    """A subscriber and what it saw."""

    client: Client
    subscription: Subscription
    proxy: CuttingProxy
    gaps: list[Gap]
    since: dict[str, tuple[int, int]]
    """Where the streams stood when it subscribed, or 0 if they began later: epoch and offset of the next message."""
    restarts: int
    """How many there had been when it subscribed."""
    seen: list[tuple[str, int, int, int]] = field(default_factory=list)
    """Stream, epoch, offset and what the payload says."""
    awake: asyncio.Event = field(default_factory=asyncio.Event)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self) -> None:
        """Take message after message, while awake."""
        async for message in self.subscription:
            self.seen.append((message.stream, message.epoch, message.offset, number_in(message)))
            self.came.set()
            await self.awake.wait()

    def of(self, stream: str) -> list[tuple[int, int, int]]:
        """Epoch, offset and number of what it saw of a stream."""
        return [(epoch, offset, number) for name, epoch, offset, number in self.seen if name == stream]


def number_in(message: Message) -> int:
    """What the payload says, which is the same in all its elements."""
    array = message.tensor
    number = int(array[0])
    assert np.array_equal(array, np.full(array.shape, number, array.dtype))
    return number


class Promises(RuleBasedStateMachine):
    """A gateway that is cut off, held up and started anew, and those who use it all the while."""

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp())
        self.stack = AsyncExitStack()
        self.numbers = 0
        self.published: list[Publish] = []
        self.readers: list[Reader] = []
        self.names = count()
        self.restarts = 0
        self.run(self.open())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(SETTLED_S):
                return await work

        return self.loop.run_until_complete(bounded())

    async def open(self) -> None:
        path = self.folder / "streams.db"
        core = CoreSettings(consumers=PATIENT)
        self.settings = Settings(admin_port=None, port=0, drain_deadline_s=0.05, store=f"sqlite:{path}", core=core)
        self.gateway = Gateway(self.settings)
        await self.gateway.start()
        self.settings = replace(self.settings, port=self.gateway.port)
        self.stack.push_async_callback(self.stop)
        self.proxy = await self.stack.enter_async_context(cutting_proxy(self.gateway.url))
        self.publisher = await self.stack.enter_async_context(connect(self.proxy.url, backoff=QUICK))

    async def stop(self) -> None:
        await self.gateway.stop()

    # What happens.

    @rule(
        stream=st.sampled_from(list(STREAMS)),
        elements=st.sampled_from([1, 1, 50, 5000, 200_000]),
        count=st.integers(1, 4),
    )
    def publish(self, stream: str, elements: int, count: int) -> None:
        kind, durability = STREAMS[stream]
        for _ in range(count):
            self.numbers += 1
            array = np.full(elements, self.numbers, np.int32)
            work = self.publisher.publish(stream, array, kind=kind, durability=durability, timeout_s=SETTLED_S)
            self.published.append(Publish(stream, self.numbers, self.loop.create_task(work)))
        self.run(asyncio.sleep(0))

    @precondition(lambda self: len(self.readers) < 3)
    @rule()
    def subscribe(self) -> None:
        self.run(self.joined())

    async def joined(self) -> None:
        await self.settled()
        since = {
            str(stream.name): (int(stream.epoch), stream.next_offset)
            for stream in self.gateway.core.streams
            if stream.name in STREAMS
        }
        proxy = await self.stack.enter_async_context(cutting_proxy(self.gateway.url))
        # A name of its own: clients without one only look at acknowledged streams.
        name = f"reader-{next(self.names)}"
        client = await self.stack.enter_async_context(connect(proxy.url, client_id=name, backoff=QUICK))
        gaps: list[Gap] = []
        subscription = client.subscribe("wf/*", on_gap=gaps.append)
        await subscription.start()
        reader = Reader(client, subscription, proxy, gaps, since, self.restarts)
        reader.awake.set()
        self.readers.append(reader)
        task = self.loop.create_task(reader.read())
        self.stack.callback(task.cancel)

    async def settled(self) -> None:
        """Wait until everything that was published is acknowledged."""
        self.proxy.release(Way.TO_CLIENT)
        self.proxy.release(Way.TO_GATEWAY)
        await asyncio.gather(*[publish.done for publish in self.published])

    @rule()
    def cut_publisher(self) -> None:
        self.proxy.cut()

    @rule(way=st.sampled_from(Way), hold=st.booleans())
    def slow_publisher(self, way: Way, hold: bool) -> None:
        (self.proxy.hold if hold else self.proxy.release)(way)

    @precondition(lambda self: self.readers)
    @rule(which=st.integers(0, 2))
    def cut_reader(self, which: int) -> None:
        self.readers[which % len(self.readers)].proxy.cut()

    @precondition(lambda self: self.readers)
    @rule(which=st.integers(0, 2), hold=st.booleans())
    def slow_network(self, which: int, hold: bool) -> None:
        proxy = self.readers[which % len(self.readers)].proxy
        (proxy.hold if hold else proxy.release)(Way.TO_CLIENT)

    @precondition(lambda self: self.readers)
    @rule(which=st.integers(0, 2), awake=st.booleans())
    def slow_program(self, which: int, awake: bool) -> None:
        reader = self.readers[which % len(self.readers)]
        (reader.awake.set if awake else reader.awake.clear)()

    @rule(turns=st.integers(1, 30))
    def go_on(self, turns: int) -> None:
        """Let everybody do something, and not all."""

        async def some() -> None:
            for _ in range(turns):
                await asyncio.sleep(0.0005)

        self.run(some())

    @precondition(lambda self: self.restarts < 2)
    @rule()
    def restart(self) -> None:
        self.note_consumers()
        self.restarts += 1

        async def again() -> None:
            await self.gateway.stop()
            self.gateway = Gateway(self.settings)
            await self.gateway.start()

        self.run(again())

    def note_consumers(self) -> None:
        """Streams that began since readers subscribed are theirs from the first message on, whatever is restarted."""
        for fanout in self.gateway.core.hub.fanouts.acknowledged:
            for reader in self.readers:
                # After a restart a stream may begin before a reader is back.
                if reader.restarts == self.restarts and reader.client.client_id in fanout.consumers:
                    reader.since.setdefault(fanout.source.name, (fanout.source.epoch, 0))

    # What is promised.

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        try:
            self.run(self.check())
        finally:
            self.run(self.stack.aclose())
            self.loop.close()
            shutil.rmtree(self.folder)

    async def check(self) -> None:
        for reader in self.readers:
            reader.awake.set()
            reader.proxy.release(Way.TO_CLIENT)
        await self.settled()
        model = self.model()
        self.note_consumers()
        newest = {str(stream.name): (int(stream.epoch), stream.next_offset) for stream in self.gateway.core.streams}
        for reader in self.readers:
            await self.caught_up(reader, newest)
            for stream, (kind, durability) in STREAMS.items():
                seen = reader.of(stream)
                self.check_order(stream, seen, model)
                if stream not in newest:
                    # A restart took it, and nobody has published to it since.
                    assert durability == "memory" or not seen
                elif kind == "event" or (stream in reader.since and durability != "memory" and kind != "state"):
                    self.check_all(reader, stream, seen, durability, newest[stream])
                elif kind in ACKNOWLEDGED:
                    self.check_unbroken(reader, stream, seen, newest[stream], model)
            await self.check_account(reader)

    async def check_account(self, reader: Reader) -> None:
        """Both ends agree in the end: what comes once more may be behind a large message that is being decoded."""
        own: object = None
        try:
            async with asyncio.timeout(SETTLED_S / 2):
                while own != (gateways := dict(await reader.client.account(reader.subscription))):
                    own = {name: reader.subscription.account[name] for name in gateways}
        except TimeoutError:
            raise AssertionError((own, gateways)) from None

    def model(self) -> dict[tuple[str, int, int], int]:
        """What was acknowledged: by stream, epoch and offset the number in the payload; no place is given twice."""
        places: dict[tuple[str, int, int], int] = {}
        for publish in self.published:
            result = publish.done.result()
            place = publish.stream, int(result.epoch), int(result.offset)
            assert place not in places
            places[place] = publish.number
        return places

    async def caught_up(self, reader: Reader, newest: dict[str, tuple[int, int]]) -> None:
        """Wait until a reader has everything that is there for it."""
        for stream, (epoch, following) in newest.items():
            if STREAMS[stream][0] in ACKNOWLEDGED:
                await until(partial(self.is_through, reader, stream))
                continue
            came = reader.since.get(stream) != (epoch, following) or STREAMS[stream][0] == "state"
            while following and came and (epoch, following - 1) not in [place[:2] for place in reader.of(stream)]:
                reader.came.clear()
                await reader.came.wait()

    def is_through(self, reader: Reader, stream: str) -> bool:
        """Whether a reader is there and has acknowledged everything."""
        (fanout,) = (fanout for fanout in self.gateway.core.hub.fanouts.acknowledged if fanout.source.name == stream)
        consumer = fanout.consumers.get(ClientId(reader.client.client_id))
        return consumer is not None and consumer.connection is not None and not consumer.pending

    def check_order(
        self, stream: str, seen: list[tuple[int, int, int]], model: dict[tuple[str, int, int], int]
    ) -> None:
        epochs = list(dict.fromkeys(epoch for epoch, _, _ in seen))
        assert epochs == sorted(epochs)
        assert [place[:2] for place in seen] == sorted({place[:2] for place in seen})
        for epoch, offset, number in seen:
            # A publish that was repeated in a new incarnation was acknowledged there only.
            assert model.get((stream, epoch, offset), number) == number

    def check_all(
        self, reader: Reader, stream: str, seen: list[tuple[int, int, int]], durability: str, newest: tuple[int, int]
    ) -> None:
        epoch, following = newest
        since_epoch, since = reader.since.get(stream, (epoch, 0))
        if durability != "memory":
            assert since_epoch == epoch, "a durable stream keeps its incarnation"
        first = since if since_epoch == epoch else 0
        assert [offset for at, offset, _ in seen if at == epoch] == list(range(first, following))
        assert not [gap for gap in reader.gaps if gap.stream == stream]

    def check_unbroken(
        self,
        reader: Reader,
        stream: str,
        seen: list[tuple[int, int, int]],
        newest: tuple[int, int],
        model: dict[tuple[str, int, int], int],
    ) -> None:
        """From the moment at which an incarnation had this receiver it got everything, and each message once."""
        epoch, following = newest
        offsets = [offset for at, offset, _ in seen if at == epoch]
        since_epoch, since = reader.since.get(stream, (0, 0))
        first = since if since_epoch == epoch else min(offsets, default=following)
        before = {number for at, _, number in seen if at != epoch}
        for offset in set(range(first, following)) - set(offsets):
            # It was sent again to the next incarnation, whose receiver knows it.
            assert model[stream, epoch, offset] in before
        assert not [gap for gap in reader.gaps if gap.stream == stream]


TestPromises = Promises.TestCase
TestPromises.settings = settings(
    max_examples=50, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
