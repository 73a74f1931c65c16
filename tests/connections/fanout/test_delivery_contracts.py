"""The delivery contracts of all kinds against a model: whatever is published, read, paused and encoded, in any order.

Every subscriber of every kind: nothing twice, nothing that was not published, payloads bit for bit, chunks and frames
as the spec says (the reader asserts that). Once everybody reads on:

- event: offsets follow one another but for the announced gaps;
- state: offsets grow, the last one is the newest, what is missing was counted as conflated;
  deltas refer to what was the newest (which the reader asserts);
- collaboration and control: every message since the subscription, in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import hypothesis.strategies as st
import numpy as np
from hypothesis import settings
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from gateway.connections.consumers.settings import ConsumerSettings
from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.ids import StreamName
from gateway.protocol.account import StreamAccount
from gateway.protocol.encoding import PLAIN, Chain
from gateway.protocol.messages import Account, Counts, Kind, Refresh, StreamInfo, Subscribed, Unsubscribe
from gateway.protocol.names import Pattern
from gateway.protocol.signals import Gap, Replay
from tests.connections.frames import CHUNK_BYTES
from tests.connections.memory import EVERY_CODEC, FixedPolicy, LargePublish, Peer, World
from tests.connections.reader import Arrival

LIMIT_BYTES = 64 * 1024
STREAMS = {kind: f"wf/{kind.value}" for kind in Kind}
XOR = Chain(codec="zstd", delta="xor", distance=1)
LARGE_BYTES = 5 * CHUNK_BYTES - 50
"""Of which deltas are made, in one piece or in chunks."""
CODECS = st.sampled_from([(), ("lz4",), EVERY_CODEC])
NOISE = np.random.default_rng(1).bytes(200_000)


class Transfer(NamedTuple):
    """A large message under way."""

    peer: Peer
    large: LargePublish
    kind: Kind
    payload: bytes


class Subscriber:
    """One subscriber and what the model expects of it: per stream, from which offset on.

    It may get more than that if something was being encoded when it came.
    """

    def __init__(self, peer: Peer, kinds: frozenset[Kind], exact: bool) -> None:
        self.peer = peer
        self.kinds = kinds
        self.exact = exact
        self.since: dict[Kind, int] = {}


class Contracts(RuleBasedStateMachine):
    """Publishers, subscribers, stalls and threads."""

    publishers: Bundle[Peer] = Bundle("publishers")
    subscribers: Bundle[Subscriber] = Bundle("subscribers")
    transfers: Bundle[Transfer] = Bundle("transfers")

    @initialize(
        policy=st.sampled_from([PLAIN, Chain(codec="lz4"), Chain(shuffle=True, codec="zstd")]),
        delta=st.sampled_from([PLAIN, XOR, XOR]),
        keyframe_every=st.sampled_from([1, 3, 64]),
        states=st.booleans(),
    )
    def begin(self, policy: Chain, delta: Chain, keyframe_every: int, states: bool) -> None:
        # Control may fill a transport as much as it likes here: how it closes has a test of its own.
        delivery = DeliverySettings(outbox_limit_bytes=LIMIT_BYTES, urgent_limit_bytes=1 << 30)
        # Nobody acknowledges, which has a model of its own.
        consumers = ConsumerSettings(max_pending_commands=1 << 30, limit_bytes=1 << 30)
        self.policy = FixedPolicy(policy, delta)
        self.world = World(self.policy, delivery=delivery, keyframe_every=keyframe_every, consumers=consumers)
        self.published: dict[Kind, list[bytes]] = {kind: [] for kind in Kind}
        self.alive: list[Subscriber] = []
        self.busy: dict[Peer, set[int]] = {}
        self.count = 0
        self.states = states
        """Everything is a state of one size, so that most of it may go out as deltas."""

    def payload(self, size: int) -> bytes:
        """A payload of about this size, unlike every other; the first half of a larger one does not compress."""
        self.count += 1
        return self.count.to_bytes(4, "little") + NOISE[: size // 2] + bytes(size - size // 2)

    @rule(target=publishers, codecs=CODECS)
    def publisher(self, codecs: tuple[str, ...]) -> Peer:
        peer = self.world.publisher(codecs=codecs)
        for alias, (kind, stream) in enumerate(STREAMS.items()):
            peer.open(alias, stream, kind)
        peer.forget()
        self.busy[peer] = set()
        return peer

    @precondition(lambda self: len(self.alive) < 4)
    @rule(target=subscribers, codecs=CODECS, kinds=st.frozensets(st.sampled_from(Kind), min_size=1), wide=st.booleans())
    def subscriber(self, codecs: tuple[str, ...], kinds: frozenset[Kind], wide: bool) -> Subscriber:
        if self.states:
            codecs, kinds = codecs or EVERY_CODEC, kinds | {Kind.STATE}
        self.count += 1
        peer = self.world.peer(f"subscriber-{self.count}", codecs)
        kinds = frozenset(Kind) if wide else kinds
        subscriber = Subscriber(peer, kinds, exact=not len(self.world.workers))
        if wide:
            peer.subscribe("wf/*")
        for kind in sorted(kinds):
            peer.subscribe(STREAMS[kind])
            subscriber.since[kind] = len(self.published[kind])
        self.alive.append(subscriber)
        return subscriber

    @rule(subscriber=subscribers)
    def refresh(self, subscriber: Subscriber) -> None:
        """Ask for the newest state whole, whether something waits or not."""
        stream = self.world.core.streams.get(StreamName(STREAMS[Kind.STATE]))
        if Kind.STATE in subscriber.kinds and stream is not None:
            subscriber.peer.say(Refresh(stream.id))

    @rule(subscriber=consumes(subscribers))
    def leave(self, subscriber: Subscriber) -> None:
        subscriber.peer.drop()
        self.alive.remove(subscriber)
        assert not subscriber.peer.transport.late

    @rule(subscriber=consumes(subscribers))
    def unsubscribe(self, subscriber: Subscriber) -> None:
        """All of it; what comes later must not reach it."""
        for subscription in list(subscriber.peer.session.subscriptions):
            subscriber.peer.say(Unsubscribe(1000 + subscription, subscription))
        self.alive.remove(subscriber)
        self.world.settle()
        subscriber.peer.transport.read_on()
        self.world.settle()
        assert not subscriber.peer.news().transfers

    @rule(
        peer=publishers,
        sends=st.lists(
            st.tuples(
                st.sampled_from(Kind),
                st.sampled_from([1, 8, 300, 2000, 17_000, 90_000, LARGE_BYTES]),
                st.sampled_from(["message", "message", "batch", "encoded"]),
            ),
            min_size=1,
            max_size=6,
        ),
    )
    def publish(self, peer: Peer, sends: list[tuple[Kind, int, str]]) -> None:
        """Some messages in one WebSocket message."""
        frames = []
        aliases = list(STREAMS)
        full = self.full()
        for kind, size, form in sends:
            if self.states:
                kind, size = Kind.STATE, LARGE_BYTES
            alias = aliases.index(kind)
            if alias in self.busy[peer] or (kind is Kind.COLLABORATION and full):
                continue
            size = min(size, 300) if kind is Kind.CONTROL else size
            chain = Chain(codec="lz4") if form == "encoded" and size >= 300 and "lz4" in peer.reader.codecs else PLAIN
            records = [self.payload(size) for _ in range(3 if form == "batch" else 1)]
            if form == "batch":
                frames.append(peer.batch(alias, records))
            else:
                frames.append(peer.message(alias, records[0], chain=chain))
            self.published[kind] += records
        if frames:
            peer.send(*frames)
        assert not peer.news().errors

    def full(self) -> bool:
        """Whether collaboration would pile up in an outbox: it does so up to the receiver's credit."""
        return any(subscriber.peer.session.connection.lagging for subscriber in self.alive)

    @rule(
        target=transfers,
        peer=publishers,
        kind=st.sampled_from([*Kind, Kind.STATE]),
        chunks=st.integers(1, 6),
        encoded=st.booleans(),
    )
    def begin_large(self, peer: Peer, kind: Kind, chunks: int, encoded: bool) -> MultipleResults[Transfer]:
        if self.states:
            kind, chunks = Kind.STATE, 5
        alias = list(STREAMS).index(kind)
        if alias in self.busy[peer] or (kind is Kind.COLLABORATION and self.full()):
            return multiple()
        self.busy[peer].add(alias)
        payload = self.payload(chunks * CHUNK_BYTES - 50)
        payload = payload[:4] + bytes(len(payload) - 4) if encoded else payload
        chain = Chain(codec="lz4") if encoded and "lz4" in peer.reader.codecs else PLAIN
        large = peer.large(alias, payload, transfer=alias, chain=chain)
        assert not peer.news().errors
        return multiple(Transfer(peer, large, kind, payload))

    @rule(transfer=transfers)
    def chunk(self, transfer: Transfer) -> None:
        if transfer.peer in self.busy:
            transfer.large.chunk()

    @rule(transfer=consumes(transfers))
    def end(self, transfer: Transfer) -> None:
        peer, large, kind, payload = transfer
        if peer not in self.busy:
            return
        large.end()
        self.busy[peer].discard(list(STREAMS).index(kind))
        self.published[kind].append(payload)
        assert not peer.news().errors

    @rule(peer=consumes(publishers))
    def vanish(self, peer: Peer) -> None:
        """A publisher goes, and with it what it had not finished."""
        peer.drop()
        del self.busy[peer]

    @rule(subscriber=subscribers, hard=st.booleans())
    def stall(self, subscriber: Subscriber, hard: bool) -> None:
        subscriber.peer.transport.stalled = True
        if hard:
            subscriber.peer.transport.fill_up()

    @rule(subscriber=subscribers)
    def read_some(self, subscriber: Subscriber) -> None:
        subscriber.peer.transport.empty()

    @rule(subscriber=subscribers)
    def read_on(self, subscriber: Subscriber) -> None:
        subscriber.peer.transport.read_on()

    @rule()
    def turn(self) -> None:
        self.world.turn()

    @precondition(lambda self: len(self.world.workers) > 0)
    @rule(data=st.data())
    def work(self, data: st.DataObject) -> None:
        self.world.workers.step(data.draw(st.integers(0, len(self.world.workers) - 1)))

    @invariant()
    def nobody_is_closed_and_memory_is_bounded(self) -> None:
        for subscriber in self.alive:
            assert subscriber.peer.close_code() is None
            outbox = subscriber.peer.session.connection.outbox
            assert outbox is None or outbox.waiting_bytes < LIMIT_BYTES + 2_000_000

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        for peer in list(self.busy):
            peer.drop()
        self.world.settle()
        for subscriber in self.alive:
            subscriber.peer.transport.read_on()
        self.world.settle()
        for subscriber in self.alive:
            self.check(subscriber)
        assert not len(self.world.workers)

    def check(self, subscriber: Subscriber) -> None:
        reader = subscriber.peer.read()
        assert not reader.transfers, "a large message has no end"
        assert not reader.errors
        conflated = 0
        for kind in subscriber.kinds:
            published = self.published[kind]
            since = subscriber.since[kind]
            if not any(info.stream == STREAMS[kind] for info in reader.streams.values()):
                assert not published
                continue
            stream = reader.stream_id(STREAMS[kind])
            arrivals = [arrival for arrival in reader.arrivals if arrival.stream == stream]
            offsets = [arrival.offset for arrival in arrivals]
            assert [arrival.payload for arrival in arrivals] == [published[offset] for offset in offsets]
            if kind is Kind.STATE:
                # A second subscription that overlaps brings the newest once more.
                assert offsets == sorted(offsets)
                offsets = sorted(set(offsets))
                assert (offsets[-1] if offsets else -1) == len(published) - 1
                conflated += len(published) - max(0, since - 1) - len(offsets)
                continue
            got = covered(reader.log, stream) if kind is Kind.EVENT else offsets
            first = since if subscriber.exact else min([since, *got])
            assert got == list(range(first, len(published)))
        self.check_accounts(subscriber)
        outbox = subscriber.peer.session.connection.outbox
        if subscriber.exact:
            assert (0 if outbox is None else outbox.conflated) == conflated

    def check_accounts(self, subscriber: Subscriber) -> None:
        """What the gateway says became of the messages of each subscription is what its frames say."""
        peer = subscriber.peer
        log = peer.read().log
        for request, number in enumerate(list(peer.session.subscriptions), start=1000):
            begun = next(
                at for at, entry in enumerate(log) if isinstance(entry, Subscribed) and entry.subscription == number
            )
            kept = accounts(log[begun:], peer.session.subscriptions[number])
            peer.say(Account(request, number))
            answer = next(entry for entry in peer.read().log if isinstance(entry, Account) and entry.request == request)
            assert answer.streams == kept


def accounts(log: Sequence[object], pattern: Pattern) -> dict[str, Counts]:
    """The accounts that a subscriber keeps by what it gets after SUBSCRIBED."""
    streams: dict[int, tuple[str, StreamAccount]] = {}
    for entry in log:
        if isinstance(entry, StreamInfo) and pattern.matches(entry.stream) and entry.id not in streams:
            assert entry.id is not None
            assert entry.epoch is not None
            assert entry.since is not None
            assert entry.kind is not None
            account = StreamAccount(entry.kind)
            account.start(entry.epoch, None, entry.since)
            streams[entry.id] = entry.stream, account
        elif isinstance(entry, Arrival | Gap | Replay) and entry.stream in streams:
            account = streams[entry.stream][1]
            if isinstance(entry, Arrival):
                account.messages(account.epoch, entry.offset, 1)
            elif isinstance(entry, Gap):
                account.gap(account.epoch, entry.code, entry.first, entry.last)
            else:
                account.replay(entry.first, entry.last)
    return {name: account.counts for name, account in streams.values()}


def covered(log: Sequence[object], stream: int) -> list[int]:
    """The offsets that arrived or were announced as missing, in that order."""
    offsets: list[int] = []
    for entry in log:
        if isinstance(entry, Arrival) and entry.stream == stream:
            offsets.append(entry.offset)
        elif isinstance(entry, Gap) and entry.stream == stream:
            offsets += range(entry.first, entry.last + 1)
    return offsets


TestContracts = Contracts.TestCase
TestContracts.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)


def test_a_pending_delta_goes_to_a_receiver_that_leaves_before_its_base_is_forgotten() -> None:
    state = Contracts()
    delta = Chain(codec="zstd", delta="xor", distance=1)
    state.begin(policy=PLAIN, delta=delta, keyframe_every=3, states=True)
    publisher = state.publisher(codecs=())
    state.vanish(peer=publisher)
    publisher = state.publisher(codecs=())
    subscriber = state.subscriber(codecs=(), kinds=frozenset([Kind.STATE]), wide=False)
    state.stall(hard=True, subscriber=subscriber)
    for _ in range(2):
        state.refresh(subscriber=subscriber)
        state.publish(peer=publisher, sends=[(Kind.STATE, 1, "message")])
    state.unsubscribe(subscriber=subscriber)
    state.teardown()
