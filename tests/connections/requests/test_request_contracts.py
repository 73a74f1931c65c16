"""Requests against a model: whoever comes, goes, stalls, cancels, answers in parts or not at all, in any order.

- Every request ends exactly once at its asker: by the last reply, or by an ERROR that names it. One that was cancelled
  ends once or not at all.
- Replies are those of somebody who was given the request, whole, in order, parts before the last one.
- PEER_GONE is said when it has to be: nobody else to ask, a part of the reply had come, or too many were lost with it.
- Who replies is never told that it was not asked, however late it is.
- In the end nothing is left: no table, sum, queue or thread remembers anything.

The reader asserts what the spec says of frames and chunks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    multiple,
    precondition,
    rule,
)

from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.connections.sessions.outstanding_requests import OutstandingRequest, RequestSettings
from gateway.errors import Code
from gateway.protocol.encoding import PLAIN, Chain
from gateway.protocol.messages import Error, Unsubscribe
from gateway.protocol.signals import Cancel
from gateway.protocol.wire import FLAG_FAILED, FLAG_MORE, Opcode
from tests.connections.asking import ask, ask_large, cancel, nothing_is_left, peer_of, reply, reply_large
from tests.connections.frames import CHUNK_BYTES
from tests.connections.memory import EVERY_CODEC, LargePublish, Peer, World
from tests.connections.reader import Arrival

GROUP = "group:g"
MAX_HANDOVERS = 2
LIMIT_BYTES = 64 * 1024
ENDS = (Code.PEER_GONE, Code.NO_SUCH_PEER, Code.EXPIRED, Code.QUEUE_FULL, Code.TRANSFER_TIMEOUT)
WORKER_CODES = {Code.HEARTBEAT_TIMEOUT, Code.QUEUE_FULL, Code.SUPERSEDED, Code.TRANSFER_TIMEOUT}
CODECS = st.sampled_from([(), ("lz4",), EVERY_CODEC])


@dataclass(eq=False)
class Asker:
    """A client that asks."""

    peer: Peer
    alive: bool = True
    asked: int = 0
    cancelled: set[int] = field(default_factory=set)


@dataclass(eq=False)
class Worker:
    """A client that is a member of the group, and has an inbox."""

    peer: Peer
    name: str
    alive: bool = True
    member: bool = True
    busy: dict[tuple[int, int], LargePublish] = field(default_factory=dict)
    replied: set[tuple[int, int]] = field(default_factory=set)
    transfers: int = 0

    def requests(self) -> list[tuple[int, int]]:
        """What it has been given and has not replied to: (asker's peer, correlation). It does not look at CANCEL."""
        arrivals = [entry for entry in self.peer.read().arrivals if entry.opcode == Opcode.REQUEST]
        keys = dict.fromkeys((entry.publisher, entry.offset) for entry in arrivals)
        return [key for key in keys if key not in self.replied]


class Question(NamedTuple):
    """A large request under way."""

    asker: Asker
    large: LargePublish


class Requests(RuleBasedStateMachine):
    """Askers, workers, stalls and threads."""

    askers: Bundle[Asker] = Bundle("askers")
    workers: Bundle[Worker] = Bundle("workers")
    questions: Bundle[Question] = Bundle("questions")

    @initialize()
    def begin(self) -> None:
        delivery = DeliverySettings(outbox_limit_bytes=LIMIT_BYTES)
        self.world = World(delivery=delivery, requests=RequestSettings(max_handovers=MAX_HANDOVERS))
        self.all_askers: list[Asker] = []
        self.all_workers: list[Worker] = []
        self.names = 0

    # Who comes and goes.

    @precondition(lambda self: sum(asker.alive for asker in self.all_askers) < 3)
    @rule(target=askers, codecs=CODECS)
    def asker(self, codecs: tuple[str, ...]) -> Asker:
        asker = Asker(self.world.peer(self.world.free_name("asker"), codecs))
        asker.peer.open(0, GROUP)
        for number in range(5):
            asker.peer.open(1 + number, f"agent:worker-{number}")
        asker.peer.forget()
        self.all_askers.append(asker)
        return asker

    @precondition(lambda self: sum(worker.alive for worker in self.all_workers) < 4)
    @rule(target=workers, codecs=CODECS)
    def worker(self, codecs: tuple[str, ...]) -> Worker:
        taken = {worker.name for worker in self.all_workers if worker.alive}
        while (name := f"worker-{self.names % 5}") in taken:
            self.names += 1
        self.names += 1
        return self.begin_work(self.world.peer(name, codecs), name)

    def begin_work(self, peer: Peer, name: str) -> Worker:
        """Open the inbox and join the group."""
        worker = Worker(peer, name)
        peer.subscribe(f"agent:{name}", 3)
        peer.subscribe(GROUP, 7)
        peer.forget()
        self.all_workers.append(worker)
        return worker

    @rule(worker=workers, closed_first=st.booleans())
    def lose(self, worker: Worker, closed_first: bool) -> None:
        if worker.alive:
            with self.losing(worker, closed_first=closed_first):
                worker.peer.drop()

    @rule(target=workers, worker=workers, codecs=CODECS)
    def take_over(self, worker: Worker, codecs: tuple[str, ...]) -> Worker | MultipleResults[Worker]:
        """Another program comes with the same name."""
        if not worker.alive:
            return multiple()
        with self.losing(worker, closed_first=False):
            peer = self.world.peer(worker.name, codecs)
        assert worker.peer.close_code() == Code.SUPERSEDED
        return self.begin_work(peer, worker.name)

    @contextmanager
    def losing(self, worker: Worker, *, closed_first: bool) -> Iterator[None]:
        """The connection of a worker is lost in the block."""
        worker.alive = False
        if closed_first:
            self.world.clock.advance(0.2)  # so that what has expired is out of the way
            worker.peer.session.connection.close(Code.HEARTBEAT_TIMEOUT, "nothing was heard")
        owed = worker.peer.session.requests.owed.values()
        doomed = {request.key for request in owed if self.is_doomed(request, worker)}
        before = self.gone()
        if closed_first:
            self.world.core._requests._sweep()
        yield
        # Askers that do not read get it behind the parts that wait for them.
        slow = {peer_of(asker.peer) for asker in self.all_askers if asker.peer.session.connection.lagging}
        told = {key for key in self.gone() - before if key[0] not in slow}
        assert told == {key for key in doomed if key[0] not in slow}

    def is_doomed(self, request: OutstandingRequest, lost: Worker) -> bool:
        """Whether nobody else may have a request."""
        others = any(other.alive and other.member and other is not lost for other in self.all_workers)
        return request.address != GROUP or request.streamed or request.handovers >= MAX_HANDOVERS or not others

    def gone(self) -> set[tuple[int, int]]:
        """Requests whose askers were told that their repliers are gone."""
        return {
            (peer_of(asker.peer), error.correlation or 0)
            for asker in self.all_askers
            for error in asker.peer.read().errors
            if error.code == Code.PEER_GONE
        }

    @rule(worker=workers)
    def leave_or_join(self, worker: Worker) -> None:
        if not worker.alive:
            return
        if worker.member:
            worker.peer.say(Unsubscribe(1000, 7))
        else:
            worker.peer.subscribe(GROUP, 7)
        worker.member = not worker.member

    @rule(asker=consumes(askers))
    def lose_asker(self, asker: Asker) -> None:
        asker.peer.drop()
        asker.alive = False

    # Questions.

    @rule(
        asker=askers,
        alias=st.sampled_from([0, 0, 0, 1, 2]),
        size=st.sampled_from([0, 9, 20_000, 90_000]),
        patience_s=st.none() | st.integers(0, 20),
    )
    def ask(self, asker: Asker, alias: int, size: int, patience_s: int | None) -> None:
        asker.asked += 1
        deadline_ns = None if patience_s is None else self.world.clock.now_ns + patience_s * 10**9
        payload = asker.asked.to_bytes(4, "little") + bytes(size)
        ask(asker.peer, asker.asked, payload, alias, deadline_ns)

    @rule(target=questions, asker=askers, chunks=st.integers(1, 4), encoded=st.booleans())
    def ask_large(self, asker: Asker, chunks: int, encoded: bool) -> Question:
        asker.asked += 1
        payload = asker.asked.to_bytes(4, "little") + bytes(chunks * CHUNK_BYTES - 50)
        chain = Chain(codec="lz4") if encoded and "lz4" in asker.peer.reader.codecs else PLAIN
        large = ask_large(asker.peer, asker.asked, payload, transfer=asker.asked, chain=chain)
        return Question(asker, large)

    @rule(question=questions)
    def ask_more(self, question: Question) -> None:
        if question.asker.alive:
            question.large.chunk()

    @rule(question=consumes(questions))
    def ask_rest(self, question: Question) -> None:
        if question.asker.alive:
            question.large.end()

    @rule(asker=askers, data=st.data())
    def cancel(self, asker: Asker, data: st.DataObject) -> None:
        correlation = data.draw(st.integers(1, asker.asked + 1))
        asker.cancelled.add(correlation)
        cancel(asker.peer, correlation)

    # Answers.

    @rule(worker=workers, data=st.data(), flags=st.sampled_from([0, 0, FLAG_MORE, FLAG_MORE, FLAG_FAILED]))
    def reply(self, worker: Worker, data: st.DataObject, flags: int) -> None:
        key = self.draw_request(worker, data)
        if key is None or key in worker.busy:
            return
        if not flags & FLAG_MORE:
            worker.replied.add(key)
        self.answer(worker, key, flags)

    @rule(worker=workers, data=st.data(), more=st.booleans())
    def reply_large(self, worker: Worker, data: st.DataObject, more: bool) -> None:
        key = self.draw_request(worker, data)
        if key is None or key in worker.busy:
            return
        worker.transfers += 1
        payload = key[1].to_bytes(4, "little") + bytes(9_000)
        if not more:
            worker.replied.add(key)
        asker = self.asker_of(key)
        large = reply_large(worker.peer, asker.peer, key[1], payload, worker.transfers, FLAG_MORE if more else 0)
        large.chunk()
        worker.busy[key] = large

    @precondition(lambda self: any(worker.busy for worker in self.all_workers))
    @rule(data=st.data())
    def reply_rest(self, data: st.DataObject) -> None:
        worker = data.draw(st.sampled_from([worker for worker in self.all_workers if worker.busy]))
        key = data.draw(st.sampled_from(sorted(worker.busy)))
        large = worker.busy.pop(key)
        if worker.alive:
            large.end()

    def draw_request(self, worker: Worker, data: st.DataObject) -> tuple[int, int] | None:
        requests = worker.requests() if worker.alive else []
        return data.draw(st.sampled_from(requests)) if requests else None

    def asker_of(self, key: tuple[int, int]) -> Asker:
        return next(asker for asker in self.all_askers if peer_of(asker.peer) == key[0])

    def answer(self, worker: Worker, key: tuple[int, int], flags: int) -> None:
        reply(worker.peer, self.asker_of(key).peer, key[1], key[1].to_bytes(4, "little"), flags)

    # Time, sockets, threads.

    @rule(seconds=st.integers(1, 10))
    def wait(self, seconds: int) -> None:
        self.world.clock.advance(seconds)

    @rule(client=st.one_of(askers, workers), full=st.booleans())
    def stall(self, client: Asker | Worker, full: bool) -> None:
        if client.alive:
            client.peer.transport.stalled = True
            if full:
                client.peer.transport.fill_up()

    @rule(client=st.one_of(askers, workers))
    def read_on(self, client: Asker | Worker) -> None:
        if client.alive:
            client.peer.transport.read_on()

    @rule()
    def turn(self) -> None:
        self.world.turn()

    @precondition(lambda self: len(self.world.workers) > 0)
    @rule(data=st.data())
    def work(self, data: st.DataObject) -> None:
        self.world.workers.step(data.draw(st.integers(0, len(self.world.workers) - 1)))

    # The end.

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.world.settle()
        clients: list[Asker | Worker] = [*self.all_workers, *self.all_askers]
        for client in clients:
            if client.alive:
                client.peer.transport.read_on()
        self.world.settle()
        for worker in self.all_workers:
            assert set(worker.peer.read().codes) <= WORKER_CODES
            if worker.alive:
                self.check_cancels(worker)
                worker.peer.drop()
                worker.alive = False
        self.world.settle()
        for asker in self.all_askers:
            if asker.alive:
                self.check(asker)
        # A large request that was never finished is all that may be left, and goes with its asker.
        for asker in self.all_askers:
            if asker.alive:
                asker.peer.drop()
        assert nothing_is_left(self.world)
        requests = self.world.core._requests
        assert not len(requests.groups)
        assert not requests._outstanding.kept_bytes
        assert not requests._outstanding.owing
        assert not len(requests._outstanding._deadlines)
        assert not len(self.world.workers)
        assert not len(self.world.core.pool)

    def check(self, asker: Asker) -> None:
        reader = asker.peer.read()
        assert not reader.transfers, "a large reply has no end"
        ends: dict[int, int] = {}
        for entry in reader.log:
            if isinstance(entry, Arrival):
                assert entry.offset not in ends, "a reply behind the last one"
                assert entry.payload[:4] == entry.offset.to_bytes(4, "little")
                if entry.flags & (FLAG_MORE | FLAG_FAILED) != FLAG_MORE:
                    ends[entry.offset] = 1
            elif isinstance(entry, Error):
                assert entry.correlation is not None
                ends[entry.correlation] = ends.get(entry.correlation, 0) + 1
                assert entry.code in ENDS
        for correlation in range(1, asker.asked + 1):
            if correlation in asker.cancelled:
                assert ends.get(correlation, 0) <= 1
            else:
                assert ends.get(correlation) == 1

    def check_cancels(self, worker: Worker) -> None:
        given: set[tuple[int, int]] = set()
        for entry in worker.peer.read().log:
            if isinstance(entry, Arrival):
                given.add((entry.publisher, entry.offset))
            elif isinstance(entry, Cancel):
                assert (entry.peer, entry.correlation) in given, "CANCEL of what it was not given"


TestRequests = Requests.TestCase
TestRequests.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
