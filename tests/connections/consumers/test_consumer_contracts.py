"""What receivers that acknowledge are owed, against a model: published, answered, cut, timed out, in any order.

The model keeps, for each client, the fate of every message since it subscribed: it waits, is in the client's hands, is
processed, expired, or dead. Always:

- a client gets what it was never sent in order, and nothing twice but what REPLAY announces;
- no more is under way than was granted, nor are more commands than may be pending;
- what is processed does not come again, and what has expired or died does not come at all;
- the gateway holds as many messages as the model says are not settled.

When everybody is back and answers everything, every message is processed, expired or dead, publishers were told of the
latter two, and nothing is held.
"""

from __future__ import annotations

import enum
from collections import Counter

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from gateway.connections.consumers.consumer import Consumer
from gateway.connections.consumers.consumer_fanout import ConsumerFanout
from gateway.connections.consumers.settings import ConsumerSettings
from gateway.errors import Code
from gateway.ids import ClientId, StreamName
from gateway.protocol.data import write_data
from gateway.protocol.extensions import Extensions
from gateway.protocol.messages import Credits, Kind
from gateway.protocol.meta import write_meta
from gateway.protocol.signals import Gap, Replay
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.wire import FLAG_ACK, Opcode
from tests.connections.frames import BYTE, CHUNK_BYTES, START_NS
from tests.connections.memory import Peer, World
from tests.connections.reader import Arrival

STREAM = "wf/tasks"
MAX_TRIES = 3
ACK_TIMEOUT_S = 10.0
TTL_S = 40.0
MAX_PENDING = 6


class Fate(enum.Enum):
    """What has become of a message at one client."""

    WAITS = "waits"
    SENT = "sent"
    PROCESSED = "processed"
    EXPIRED = "expired"
    DEAD = "dead"


class Client:
    """One client and what the model knows of its messages, by offset."""

    def __init__(self, name: str, credits: Credits | None) -> None:
        self.name = name
        self.credits = credits
        self.peer: Peer | None = None
        self.fates: dict[int, Fate] = {}
        self.seen: set[int] = set()
        """Offsets that it was ever sent."""
        self.granted = 0
        self.taken = 0
        """Messages that came on this connection, against what was granted on it."""
        self.announced: set[int] = set()
        self.read = 0

    def unsettled(self) -> list[int]:
        """The offsets that it has not answered, and may still get."""
        return [offset for offset, fate in self.fates.items() if fate in (Fate.WAITS, Fate.SENT)]

    def in_hand(self) -> list[int]:
        """The offsets that were sent on this connection and not answered."""
        return [offset for offset, fate in self.fates.items() if fate is Fate.SENT]


class Consumers(RuleBasedStateMachine):
    """Some clients, one publisher."""

    clients: Bundle[Client] = Bundle("clients")

    @initialize(kind=st.sampled_from([Kind.COLLABORATION, Kind.CONTROL]))
    def begin(self, kind: Kind) -> None:
        consumers = ConsumerSettings(
            consumer_ttl_s=TTL_S, ack_timeout_s=ACK_TIMEOUT_S, max_tries=MAX_TRIES, max_pending_commands=MAX_PENDING
        )
        self.kind = kind
        self.world = World(consumers=consumers)
        self.publisher = self.world.publisher(STREAM, kind=kind)
        self.published = 0
        self.all: list[Client] = []
        self.told: Counter[tuple[str, int]] = Counter()

    @rule(target=clients, messages=st.integers(1, 4), explicit=st.booleans())
    def come(self, messages: int, explicit: bool) -> Client:
        client = Client(f"client-{len(self.all)}", Credits(messages, 1 << 30) if explicit else None)
        self.all.append(client)
        self.connect(client)
        return client

    def connect(self, client: Client) -> None:
        client.peer = self.world.peer(client.name)
        client.read = client.taken = 0
        client.announced = set()
        client.granted = client.credits.messages if client.credits is not None else 1 << 30
        client.peer.subscribe(STREAM, credits=client.credits)
        self.settle()

    @rule(count=st.integers(1, 4), form=st.sampled_from(["small", "small", "large", "timed"]))
    def publish(self, count: int, form: str) -> None:
        frames = []
        for _ in range(count):
            payload = self.published.to_bytes(4, "little")
            for client in self.all:
                if self.owed(client):
                    client.fates[self.published] = Fate.WAITS
            self.published += 1
            if form == "large":
                self.publisher.large(0, payload + bytes(CHUNK_BYTES)).end()
            elif form == "timed":
                frames.append(self.timed(payload))
            else:
                frames.append(b"".join(self.publisher.message(0, payload, ack=True)))
        if frames:
            self.publisher.send(*frames)
        self.settle()

    def timed(self, payload: bytes) -> bytes:
        """A message that expires in five seconds."""
        self.publisher.sequences[0] += 1
        return b"".join(
            write_data(
                Opcode.MESSAGE,
                stream=0,
                offset=self.publisher.sequences[0],
                timestamp_ns=START_NS,
                flags=FLAG_ACK,
                meta=write_meta([TensorSpec("", BYTE, (len(payload),))], None),
                payload=(payload,),
                extensions=Extensions(deadline_ns=self.world.clock.now_ns + 5_000_000_000),
            )
        )

    def owed(self, client: Client) -> bool:
        """Whether the gateway still waits for a client, or serves it."""
        return self.consumer_of(client) is not None

    @rule(client=clients, data=st.data())
    def process(self, client: Client, data: st.DataObject) -> None:
        """A client is through with some of what it has in hand, in any order."""
        hand = client.in_hand()
        if client.peer is None or not hand:
            return
        first = data.draw(st.sampled_from(hand))
        last = data.draw(st.sampled_from([offset for offset in hand if offset >= first]))
        for offset in range(first, last + 1):
            if client.fates.get(offset) is Fate.SENT:
                client.fates[offset] = Fate.PROCESSED
        client.peer.done(STREAM, first, last)
        self.settle()

    @rule(client=clients, data=st.data())
    def refuse(self, client: Client, data: st.DataObject) -> None:
        hand = client.in_hand()
        if client.peer is not None and hand:
            offset = data.draw(st.sampled_from(hand))
            client.fates[offset] = Fate.WAITS
            client.peer.done(STREAM, offset, code=Code.NOT_PROCESSED)
            self.settle()

    @rule(client=clients, messages=st.integers(1, 3))
    def grant(self, client: Client, messages: int) -> None:
        if client.peer is not None and client.credits is not None:
            client.granted += messages
            client.peer.grant(1, messages, 0)
            self.settle()

    @rule(client=clients)
    def cut(self, client: Client) -> None:
        if client.peer is not None:
            client.peer.drop()
            self.lost(client)
            self.settle()

    def lost(self, client: Client) -> None:
        for offset in client.in_hand():
            client.fates[offset] = Fate.WAITS
        client.peer = None

    @rule(client=clients)
    def come_back(self, client: Client) -> None:
        if client.peer is None:
            self.connect(client)

    @rule(client=clients)
    def take_over(self, client: Client) -> None:
        """The client comes a second time while its first connection stands, which is dropped later."""
        before = client.peer
        if before is None:
            return
        self.lost(client)
        self.connect(client)
        before.drop()
        self.settle()

    @rule(seconds=st.sampled_from([1.0, 6.0, 14.0, 50.0]))
    def wait(self, seconds: float) -> None:
        self.world.pass_time(seconds)
        self.settle()

    # What comes of it.

    def settle(self) -> None:
        """Let everything happen that is to happen, and hold it against the model."""
        self.world.settle()
        for notice in self.publisher.read().notices:
            assert notice.first is not None
            assert notice.last is not None
            for offset in range(notice.first, notice.last + 1):
                self.told[notice.client_id or "", offset] += 1
                self.close(notice.client_id or "", offset, notice.code)
        self.publisher.reader.log.clear()
        for client in self.all:
            if client.peer is not None:
                self.receive(client, client.peer)

    def close(self, name: str, offset: int, code: int) -> None:
        """The gateway has given a message up for a client."""
        client = next(client for client in self.all if client.name == name)
        assert client.fates[offset] in (Fate.WAITS, Fate.SENT), "told of a message that was settled"
        client.fates[offset] = Fate.EXPIRED if code == Code.EXPIRED else Fate.DEAD

    def receive(self, client: Client, peer: Peer) -> None:
        reader = peer.read()
        news, client.read = reader.log[client.read :], len(reader.log)
        assert not reader.errors
        for entry in news:
            if isinstance(entry, Replay):
                client.announced |= set(range(entry.first, entry.last + 1))
            elif isinstance(entry, Gap):
                assert all(client.fates[offset] is Fate.EXPIRED for offset in range(entry.first, entry.last + 1))
            elif isinstance(entry, Arrival):
                self.arrive(client, entry)
        if peer.close_code() is not None:
            assert (self.kind, peer.close_code()) == (Kind.CONTROL, Code.SLOW_CONSUMER)
            peer.drop()
            self.lost(client)
            self.settle()

    def arrive(self, client: Client, arrival: Arrival) -> None:
        offset = arrival.offset
        assert int.from_bytes(arrival.payload[:4], "little") == offset
        if offset in client.seen:
            assert offset in client.announced, "again, and not announced"
        else:
            assert not client.seen or offset > max(client.seen), "new, and out of order"
        client.seen.add(offset)
        client.taken += 1
        assert client.fates[offset] in (Fate.WAITS, Fate.SENT, Fate.DEAD), "processed or expired, and sent again"
        if client.fates[offset] is not Fate.DEAD:  # given up in the same turn
            client.fates[offset] = Fate.SENT

    def consumer_of(self, client: Client) -> Consumer | None:
        stream = self.world.core.streams.get(StreamName(STREAM))
        assert stream is not None
        fanout = self.world.core.hub.fanouts.of(stream)
        assert isinstance(fanout, ConsumerFanout)
        return fanout.consumers.get(ClientId(client.name))

    @invariant()
    def what_is_owed_is_what_the_gateway_holds(self) -> None:
        if not hasattr(self, "world"):
            return
        for client in self.all:
            consumer = self.consumer_of(client)
            if consumer is None:
                assert client.peer is None
                assert not client.unsettled()
                continue
            assert consumer.pending == len(client.unsettled())
            if self.kind is Kind.CONTROL:
                assert len(client.in_hand()) <= MAX_PENDING
            else:
                assert client.taken <= client.granted

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        for client in self.all:
            if client.peer is None:
                self.connect(client)
        while any(client.unsettled() for client in self.all):
            for client in self.all:
                if client.peer is None:
                    self.connect(client)
                assert client.peer is not None
                if client.credits is not None:
                    client.granted += 100
                    client.peer.grant(1, 100, 0)
                    self.settle()
                for offset in client.in_hand():
                    client.fates[offset] = Fate.PROCESSED
                    if client.peer is not None:
                        client.peer.done(STREAM, offset)
                self.settle()
        for client in self.all:
            closed = {offset for offset, fate in client.fates.items() if fate in (Fate.EXPIRED, Fate.DEAD)}
            assert {offset for name, offset in self.told if name == client.name} == closed
        assert all(count == 1 for count in self.told.values())
        stream = self.world.core.streams.get(StreamName(STREAM))
        assert stream is not None
        fanout = self.world.core.hub.fanouts.of(stream)
        assert isinstance(fanout, ConsumerFanout)
        assert fanout.held_bytes == 0


TestConsumers = Consumers.TestCase
TestConsumers.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
