"""Units of one stream until every consumer has done with them, and what is made of their outcomes."""

from __future__ import annotations

import pytest

from gateway.connections.consumers.ack_unit import OVERHEAD_BYTES, AckUnit, units_of
from gateway.connections.consumers.consumer import Consumer
from gateway.connections.consumers.held_units import HeldUnits
from gateway.connections.consumers.outcomes import Buried, Expired, Released, Retried
from gateway.connections.consumers.prepared_deliveries import PreparedDeliveries
from gateway.connections.consumers.settings import ConsumerSettings
from gateway.connections.outbound.delayed_acks import DelayedAcks
from gateway.connections.sessions.notices import Author
from gateway.errors import Code
from gateway.ids import ClientId, StreamName
from gateway.protocol.durability import Durability
from gateway.protocol.messages import Kind
from gateway.protocol.signals import Ack
from gateway.streams.progress import ConsumerProgress, Mark
from tests.connections.consumer_context import consumer_context
from tests.connections.consumers.test_ack_unit import frame, run_of
from tests.connections.memory import Peer, World
from tests.connections.step_store import StepStore

NAME = StreamName("wf/tasks")


class Holder:
    """The units of one stream, its consumers, and a publisher that is told."""

    def __init__(self, *clients: str, kind: Kind = Kind.COLLABORATION, durable: bool = False, **bounds: int) -> None:
        self.store = StepStore()
        self.world = World(store=self.store)
        self.publisher: Peer = self.world.peer("publisher")
        durability = Durability.FSYNC if durable else Durability.MEMORY
        self.stream, _ = self.world.core.streams.open(NAME, kind, 0, durability)
        self.settings = ConsumerSettings(**bounds)
        context = consumer_context(self.world, self.store, self.settings)
        self.deliveries = PreparedDeliveries(self.stream, self.world.workers, context.kept_forms, lambda: None)
        self.consumers: dict[ClientId, Consumer] = {}
        self.units = HeldUnits(self.stream, context, self.deliveries, self.consumers)
        for client in clients:
            self.add(client)

    def add(self, client: str) -> None:
        """Begin with a consumer, or with another one for the same client."""
        progress = ConsumerProgress(Mark(0))
        self.consumers[ClientId(client)] = Consumer(
            ClientId(client), self.stream, self.settings, self.deliveries, lambda consumer: None, 0.0, progress
        )

    def keep(self, count: int, deadline_ns: int | None = None) -> list[AckUnit]:
        """Hold so many units of 100 bytes for all consumers."""
        units = [unit for offset in range(count) for unit in units_of(run_of(frame(bytes(100)), first=offset))]
        for unit in units:
            unit.author = Author(self.publisher.session.peer.id)
            unit.deadline_ns = deadline_ns
        self.units.keep(units, self.consumers.values())
        return units

    def __getitem__(self, client: str) -> Consumer:
        return self.consumers[ClientId(client)]

    def settle(self) -> None:
        """Let everything happen, and have everything stored."""
        self.world.settle()
        while self.store.waiting:
            self.store.commit()
            self.world.settle()


def test_a_unit_is_held_until_the_last_consumer_has_done_with_it() -> None:
    holder = Holder("one", "two")
    first, second = holder.keep(2)
    assert holder.units.held_bytes == first.size + second.size > 2 * OVERHEAD_BYTES
    holder.units.enact(holder["one"], [Released([first, second])])
    assert holder.units.held_bytes == first.size + second.size
    holder.units.enact(holder["two"], [Released([second])])
    assert holder.units.held_bytes == first.size
    assert (holder["one"].progress.next_offset, holder["two"].progress.mark()) == (2, Mark(0, ((1, 1),)))
    holder.units.enact(holder["two"], [Retried(first)])
    assert holder.units.held_bytes == first.size
    holder.units.enact(holder["two"], [Released([first])])
    assert not holder.units.held_bytes


def test_the_publisher_is_told_of_what_expired() -> None:
    holder = Holder("worker")
    units = holder.keep(2, deadline_ns=holder.world.clock.now_ns - 1_500_000_000)
    holder.units.enact(holder["worker"], [Expired(units)])
    assert not holder.units.held_bytes
    holder.settle()
    (notice,) = holder.publisher.read().notices
    assert (notice.stream, notice.first, notice.last, notice.code) == (NAME, 0, 1, Code.EXPIRED)
    assert notice.reason == "its deadline passed 1.5 s before it could be delivered"
    assert notice.client_id == "worker"


def test_a_unit_is_held_until_its_dead_letter_is_published() -> None:
    holder = Holder("worker")
    (unit,) = holder.keep(1)
    auditor = holder.world.subscriber(NAME + ".dead")
    holder.units.enact(holder["worker"], [Buried(unit, 3, "too hard")])
    assert holder.units.held_bytes == unit.size
    holder.settle()
    assert holder.units.held_bytes == 0
    assert len(auditor.read().arrivals) == 1
    (notice,) = holder.publisher.read().notices
    assert (notice.code, notice.reason) == (Code.DEAD_LETTER, "too hard")


def test_progress_is_stored_once_a_turn() -> None:
    holder = Holder("worker", durable=True)
    units = holder.keep(3)
    for unit in units:
        holder.units.enact(holder["worker"], [Released([unit])])
    assert not holder.store.marks
    holder.units.end_turn()
    assert holder.store.marks == {(NAME, "worker"): Mark(3)}
    holder.store.marks.clear()
    holder.units.end_turn()
    assert not holder.store.marks


def test_the_progress_of_a_memory_stream_is_not_stored() -> None:
    holder = Holder("worker")
    holder.units.store_mark(holder["worker"])
    holder.units.enact(holder["worker"], [Released(holder.keep(1))])
    holder.units.end_turn()
    holder.units.forget(holder.consumers.pop(ClientId("worker")), 1)
    assert not holder.store.marks


def test_the_progress_of_others_is_stored_although_that_of_one_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    clients = ("one", "two", "three")
    holder = Holder(*clients, durable=True)
    units = holder.keep(1)
    for client in clients:
        holder.units.enact(holder[client], [Released(units)])
    store_mark, failed = HeldUnits.store_mark, list[Consumer]()

    def fail(held: HeldUnits, consumer: Consumer) -> None:
        if not failed:
            failed.append(consumer)
            raise OSError("a fault")
        store_mark(held, consumer)

    monkeypatch.setattr(HeldUnits, "store_mark", fail)
    flushed: list[DelayedAcks] = []
    monkeypatch.setattr(DelayedAcks, "flush", lambda acks: flushed.append(acks))
    with pytest.raises(OSError, match="a fault"):
        holder.units.end_turn()
    assert flushed == [holder.units.acks], "publishers wait for no other turn"
    holder.units.end_turn()
    assert {client for _, client in holder.store.marks} == {*clients} - {failed[0].client_id}


def test_a_consumer_that_is_over_is_forgotten_when_its_dead_letters_are_safe() -> None:
    holder = Holder("worker", durable=True)
    (unit,) = holder.keep(1)
    worker = holder["worker"]
    holder.units.enact(worker, [Buried(unit, 1, "gone")])
    del holder.consumers[worker.client_id]
    holder.units.forget(worker, 1)
    assert not holder.store.marks
    holder.settle()
    assert holder.store.marks == {(NAME, "worker"): None}


def test_a_client_that_is_back_goes_on_behind_what_is_still_to_become_a_dead_letter() -> None:
    holder = Holder("worker", durable=True)
    (unit,) = holder.keep(1)
    former = holder["worker"]
    holder.units.enact(former, [Buried(unit, 1, "gone")])
    del holder.consumers[former.client_id]
    holder.units.forget(former, 1)
    # Two messages that were published meanwhile are not for it.
    progress = holder.units.begin_progress(former.client_id, 3)
    assert progress.mark() == Mark(0, ((1, 2),))
    back = Consumer(
        former.client_id, holder.stream, ConsumerSettings(), holder.deliveries, lambda consumer: None, 0.0, progress
    )
    holder.consumers[former.client_id] = back
    holder.units.store_mark(back)
    assert holder.store.marks == {(NAME, "worker"): Mark(0, ((1, 2),))}
    holder.settle()
    assert holder.store.marks == {(NAME, "worker"): Mark(3)}
    assert holder.units.begin_progress(ClientId("other"), 5).mark() == Mark(5)


def test_publishers_wait_while_more_is_held_than_may_be() -> None:
    holder = Holder("worker", hold_bytes=1000)
    connection = holder.publisher.session.connection
    first, second = holder.keep(2)
    holder.units.acks.send(connection, Ack(0, 2, 2, 1))
    assert not holder.publisher.read().acks
    holder.units.enact(holder["worker"], [Released([first])])
    holder.units.end_turn()
    assert holder.publisher.read().acks == [Ack(0, 2, 2, 1)]
    # One unit alone makes nobody wait, however large it is.
    assert holder.units.held_bytes == second.size
    holder.units.acks.send(connection, Ack(0, 1, 3, 2))
    assert len(holder.publisher.read().acks) == 2
