"""A store that keeps what is appended when the test says so."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from gateway.errors import StoreFailed
from gateway.ids import ClientId
from gateway.streams.history import EntriesRead, Entry
from gateway.streams.large import LargeMessage, TransferNumbers
from gateway.streams.producers import Producers
from gateway.streams.progress import Mark, Unsettled
from gateway.streams.run import Origin
from gateway.streams.span import held_bytes_of
from gateway.streams.store_health import StoreHealth
from gateway.streams.stream import Stream
from gateway.streams.stream_registry import StreamRegistry


class Appended(NamedTuple):
    """Messages that wait to be stored, or are."""

    stream: Stream
    entry: Entry
    done: Callable[[Exception | None], object]
    origin: Origin | None


class StepStore:
    """A :class:`~gateway.connections.ports.DurableStore` that is a list.

    Attributes:
        waiting: appended and not stored yet.
        stored: stored, in order.
        staged: the chunks of large messages that were staged.
        discarded: large messages that will not come.
        marks: by stream and client, how far it has got; ``None``: it receives the stream no more.
    """

    def __init__(self) -> None:
        self.waiting: deque[Appended] = deque()
        self.stored: list[Appended] = []
        self.staged: list[tuple[LargeMessage, int]] = []
        self.staging: list[Callable[[Exception | None], object]] = []
        self.discarded: list[LargeMessage] = []
        self.marks: dict[tuple[str, str], Mark | None] = {}
        self.closed = False
        self.problem: str | None = None
        self.forgotten: list[Stream] = []
        self.forgetting: list[Callable[[Exception | None], object]] = []
        self.extra_bytes = 0
        """Pretend that so much more waits."""

    @property
    def waiting_bytes(self) -> int:
        return sum(held_bytes_of(appended.entry) for appended in self.waiting) + self.extra_bytes

    @property
    def health(self) -> StoreHealth:
        return StoreHealth(self.problem, 0, 0)

    def restore(self, streams: StreamRegistry, transfers: TransferNumbers, producers: Producers) -> None:
        """Nothing was stored before."""

    def unsettled(self, stream: Stream) -> Unsettled:
        return Unsettled({}, ())

    def advance(self, stream: Stream, client_id: ClientId, mark: Mark | None) -> None:
        self.marks[stream.name, client_id] = mark

    def append(
        self, stream: Stream, entry: Entry, done: Callable[[Exception | None], object], origin: Origin | None = None
    ) -> None:
        self.waiting.append(Appended(stream, entry, done, origin))

    def stage(self, message: LargeMessage, index: int, done: Callable[[Exception | None], object]) -> None:
        self.staged.append((message, index))
        self.staging.append(done)

    def discard(self, message: LargeMessage) -> None:
        self.discarded.append(message)

    def read(self, stream: Stream, first: int, last: int, max_bytes: int, done: EntriesRead) -> None:
        done(stream.history.read(first, last, max_bytes))

    def forget(self, stream: Stream, done: Callable[[Exception | None], object]) -> None:
        self.forgotten.append(stream)
        self.forgetting.append(done)

    def close(self) -> None:
        self.closed = True

    def commit(self, count: int = 1) -> None:
        """Store what was appended first."""
        for _ in range(count):
            appended = self.waiting.popleft()
            self.stored.append(appended)
            appended.done(None)

    def fail(self) -> None:
        """What was appended first cannot be stored, nor anything of its stream that follows."""
        failed = self.waiting[0].stream
        behind = [appended for appended in self.waiting if appended.stream is failed]
        self.waiting = deque(appended for appended in self.waiting if appended.stream is not failed)
        for appended in behind:
            appended.done(StoreFailed("the disk is full"))
