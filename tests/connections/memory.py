"""The core with everything around it in memory: time, threads and sockets that move only when a test says so."""

from __future__ import annotations

import heapq
import itertools
import zlib
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy.typing as npt

from gateway.connections.admission.settings import AdmissionSettings
from gateway.connections.consumers.settings import ConsumerSettings
from gateway.connections.core import Core
from gateway.connections.core_settings import CoreSettings
from gateway.connections.link_tier import LinkTier
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.delivery_accounts import DeliveryAccounts
from gateway.connections.outbound.formats import BinaryFormat
from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.connections.overload.overload import OverloadSettings
from gateway.connections.ports import DeliveryPolicy, DurableStore, EncodingOutcome, Memory, Sample, Steps
from gateway.connections.presence.settings import PresenceSettings
from gateway.connections.receiver_profile import ReceiverProfile
from gateway.connections.sessions.outstanding_requests import RequestSettings
from gateway.connections.sliced_workers import taken_at_once
from gateway.connections.slices import SLICE_S
from gateway.connections.text.renderer import TextRenderer
from gateway.connections.text.session import TextSession
from gateway.ids import ClientId
from gateway.protocol.codecs import CODEC_NAMES, FILTER_NAMES
from gateway.protocol.data import write_data
from gateway.protocol.durability import Durability
from gateway.protocol.encoding import PLAIN, Chain
from gateway.protocol.extensions import Extensions
from gateway.protocol.limits import Limits
from gateway.protocol.messages import (
    ClientType,
    Counts,
    Credits,
    Hello,
    Kind,
    Open,
    SessionMessage,
    Since,
    Subscribe,
    Unsubscribe,
)
from gateway.protocol.meta import write_meta
from gateway.protocol.names import compile_pattern
from gateway.protocol.negotiation import PATCH
from gateway.protocol.session_body import write_session
from gateway.protocol.signals import Credit, Done, End, InProgress, Pong
from gateway.protocol.state import State
from gateway.protocol.tensors import TensorSpec, payload_buffers, spec_of
from gateway.protocol.transfers import ChunkPlan, split_payload, write_chunk
from gateway.protocol.views import View
from gateway.protocol.wire import FLAG_ACK, SUBPROTOCOL_BINARY, Buffer, Opcode
from gateway.security.allow_all import AllowAll
from gateway.streams.history import HistoryLimits
from gateway.streams.rules import StreamConfig, StreamRules
from gateway.streams.stream import Stream
from tests.connections.frames import BYTE, CHUNK_BYTES, START_NS, encoded, message_frame
from tests.connections.reader import Reader
from tests.connections.transport import MemoryTransport

T = TypeVar("T")

EVERY_CODEC = (*CODEC_NAMES, *FILTER_NAMES)


class ManualClock:
    """A :class:`~gateway.connections.ports.Clock` that stands still; every look at the Unix time costs 1 ns.

    Attributes:
        look_s: what a look at the monotonic time costs; with :data:`SLICE_S`, a turn takes one step of long work.
    """

    def __init__(self) -> None:
        self.now_ns = START_NS
        self._soon: deque[Callable[[], object]] = deque()
        self._later: list[tuple[int, int, Callable[[], object]]] = []
        self._asked = 0
        self.look_s = 0.0

    def time_ns(self) -> int:
        self.now_ns += 1
        return self.now_ns

    ahead_ns = 0

    def follow(self) -> None:
        """There is no other clock."""

    def monotonic_s(self) -> float:
        self.now_ns += round(self.look_s * 1e9)
        return self.now_ns / 1e9

    def call_soon(self, callback: Callable[[], object]) -> None:
        self._soon.append(callback)

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> None:
        self._asked += 1
        heapq.heappush(self._later, (self.now_ns + round(delay_s * 1e9), self._asked, callback))

    @property
    def timers(self) -> int:
        """How many calls are still to be made later."""
        return len(self._later)

    def advance(self, seconds: float) -> None:
        """Let time pass; who asked to be called within it is called, each at its time."""
        until_ns = self.now_ns + round(seconds * 1e9)
        while self._later and self._later[0][0] <= until_ns:
            due_ns, _, callback = heapq.heappop(self._later)
            self.now_ns = max(self.now_ns, due_ns)
            callback()
        self.now_ns = max(self.now_ns, until_ns)

    def turn(self) -> bool:
        """End the turn: call back whoever asked for it; whether anybody did."""
        callbacks, self._soon = self._soon, deque()
        for callback in callbacks:
            callback()
        return bool(callbacks)


class StepWorkers:
    """:class:`~gateway.connections.ports.Threads` whose work is done when the test says so, in any order.

    As :class:`~gateway.connections.ports.Workers` they take all steps of a piece of work together.
    """

    def __init__(self) -> None:
        self._tasks: list[Callable[[], None]] = []

    def __len__(self) -> int:
        return len(self._tasks)

    def submit(self, work: Callable[[], T] | Steps[T], done: Callable[[T | BaseException], None]) -> None:
        def task() -> None:
            try:
                result: T | BaseException = taken_at_once(work) if isinstance(work, Generator) else work()
            except Exception as error:  # noqa: BLE001 - the caller gets it as the result
                result = error
            done(result)
            del result  # the traceback of an error holds this frame

        self._tasks.append(task)

    def step(self, index: int = 0) -> None:
        """Do one of the tasks that wait."""
        self._tasks.pop(index)()


class FixedPolicy:
    """A :class:`~gateway.connections.ports.DeliveryPolicy` with one chain for all who can decode it.

    Attributes:
        anew: chain of payloads that their publisher has encoded.
        apart: whether receivers are told apart.
        by_tier: chains of complete payloads and of deltas for link tiers that have others.
    """

    def __init__(self, chain: Chain = PLAIN, delta: Chain = PLAIN) -> None:
        self.chain = chain
        self.delta = delta
        self.anew: Chain | None = None
        self.apart = False
        self.by_tier: dict[LinkTier, tuple[Chain, Chain]] = {}
        self.forgotten: list[int] = []
        self.outcomes: list[EncodingOutcome] = []
        self.changed: list[Stream] = []

    def chain_for(self, stream: Stream, profile: ReceiverProfile) -> Chain:
        chain, _ = self.by_tier.get(profile.tier, (self.chain, self.delta))
        return chain if chain.names <= profile.codecs else PLAIN

    def delta_for(self, stream: Stream, profile: ReceiverProfile) -> Chain:
        _, delta = self.by_tier.get(profile.tier, (self.chain, self.delta))
        return delta if delta.names <= profile.codecs else PLAIN

    def anew_for(self, stream: Stream, profile: ReceiverProfile) -> Chain | None:
        return self.anew if self.anew is not None and self.anew.names <= profile.codecs else None

    def tells_apart(self, stream: Stream) -> bool:
        return self.apart

    def in_use(self, stream: Stream, profile: ReceiverProfile) -> dict[Chain, float | None]:
        chains = self.delta_for(stream, profile), self.chain_for(stream, profile)
        return dict.fromkeys(chain for chain in chains if chain != PLAIN)

    def report(self, stream: Stream, outcome: EncodingOutcome) -> None:
        self.outcomes.append(outcome)

    def wants_sample(self, stream: Stream, *, based: bool) -> bool:
        return False

    def observe(self, stream: Stream, sample: Sample) -> None:
        raise AssertionError("it wants none")

    def take_changed(self) -> Sequence[Stream]:
        changed, self.changed = self.changed, []
        return changed

    def forget(self, stream: Stream) -> None:
        self.forgotten.append(stream.id)


class Peer:
    """A client of ``frys.v1`` on a memory transport."""

    def __init__(
        self,
        world: World,
        client_id: str,
        codecs: Sequence[str],
        instance: int | None = None,
        generation: int | None = None,
        transport: MemoryTransport | None = None,
        *,
        credits: bool | None = None,
    ) -> None:
        self._world = world
        self._instance = instance
        self._generation = generation
        self._credits = credits
        self.client_id = client_id
        self.transport = transport or MemoryTransport()
        self.session = world.core.connect(self.transport, world.binary)
        self.transport.session = self.session
        self._codecs = tuple(codecs)
        self.reader = Reader(frozenset(codecs))
        self.sequences: dict[int, int] = {}
        self.responsive = True
        """Whether the client answers PINGs while time passes, and not only when the test reads."""
        self.last_request = 0

    def read(self) -> Reader:
        """Everything so far that the gateway has written, read; its PINGs are answered."""
        while self.transport.writes:
            writes, self.transport.writes = self.transport.writes, []
            for ping in self.reader.feed(b"".join(writes)):
                self.send(Pong(ping.t0, START_NS, START_NS).write())
        return self.reader

    def news(self) -> Reader:
        """As :meth:`read`, with a log of what is new only."""
        self.reader.log.clear()
        return self.read()

    def forget(self) -> None:
        """Read what there is and forget it."""
        self.read().log.clear()

    def close_code(self) -> int | None:
        """The code with which the gateway has closed the connection."""
        return None if self.transport.closed is None else self.transport.closed[0]

    def send(self, *frames: Sequence[Buffer] | Buffer) -> None:
        """Send frames as one WebSocket message."""
        parts = [bytes(f) if isinstance(f, bytes | bytearray | memoryview) else b"".join(f) for f in frames]
        self.session.heard = True
        self._world.core.dispatcher.receive(self.session, b"".join(parts))

    def say(self, *messages: SessionMessage) -> None:
        """Send session messages as one WebSocket message."""
        self.send(*map(write_session, messages))

    def hello(self) -> None:
        """Greet."""
        codecs = tuple(name for name in self._codecs if name in CODEC_NAMES)
        filters = tuple(name for name in self._codecs if name in (*FILTER_NAMES, PATCH))
        client_id = ClientId(self.client_id)
        introduction = Hello((1,), ClientType.AGENT, client_id, codecs=codecs, filters=filters, credits=self._credits)
        self.say(replace(introduction, instance=self._instance, generation=self._generation))

    def open(self, alias: int, stream: str, kind: Kind | None = None) -> None:
        """Open an alias."""
        self.say(Open(alias, stream, kind))
        self.sequences[alias] = 0

    def produce(self, alias: int, stream: str, sequence: int = 1, producer: int = 7, kind: Kind = Kind.EVENT) -> None:
        """Open an alias as a producer; ``sequence`` is that of the next message."""
        self.say(Open(alias, stream, kind, producer=producer, sequence=sequence))
        self.sequences[alias] = sequence - 1

    def subscribe(
        self,
        pattern: str,
        subscription: int | None = None,
        since: Since | None = None,
        view: View | Mapping[str, object] | None = None,
        credits: Credits | None = None,
        observe: bool | None = None,
        lower: View | None = None,
    ) -> int:
        """Subscribe; the number of the subscription."""
        self.last_request += 1
        number = self.last_request if subscription is None else subscription
        fields = view.to_json() if isinstance(view, View) else view
        less = None if lower is None else lower.to_json()
        self.say(Subscribe(self.last_request, number, pattern, since, fields, credits, observe=observe, lower=less))
        return number

    def unsubscribe(self, subscription: int, *, keep: bool | None = None) -> None:
        """Take a subscription back."""
        self.last_request += 1
        self.say(Unsubscribe(self.last_request, subscription, keep))

    def done(self, stream: str, first: int, last: int | None = None, code: int = 0) -> None:
        """Be through with messages of a stream that was announced."""
        self.send(Done(self.read().stream_id(stream), code, first, first if last is None else last).write())

    def in_progress(self, stream: str, first: int, last: int | None = None) -> None:
        """Still have messages of a stream that was announced."""
        self.send(InProgress(self.read().stream_id(stream), first, first if last is None else last).write())

    def grant(self, subscription: int, messages: int, nbytes: int) -> None:
        """Take more for a subscription."""
        self.send(Credit(subscription, messages, nbytes).write())

    def message(self, alias: int, payload: bytes, *, ack: bool = False, chain: Chain = PLAIN) -> list[Buffer]:
        """The next MESSAGE to an alias, with a uint8 tensor."""
        self.sequences[alias] += 1
        return message_frame(alias, self.sequences[alias], payload, ack=ack, chain=chain)

    def batch(self, alias: int, records: Sequence[bytes], *, ack: bool = False, chain: Chain = PLAIN) -> list[Buffer]:
        """The next BATCH to an alias."""
        sequence = self.sequences[alias] + 1
        self.sequences[alias] += len(records)
        payload: Buffer = b"".join(records)
        encoding, payload = encoded(chain, payload)
        return write_data(
            Opcode.BATCH,
            stream=alias,
            offset=sequence,
            timestamp_ns=START_NS,
            flags=FLAG_ACK if ack else 0,
            meta=write_meta([TensorSpec("", BYTE, (len(records[0]),))], None),
            count=len(records),
            encoding=encoding,
            payload=(payload,),
        )

    def publish_array(
        self, alias: int, *arrays: npt.NDArray[Any], headers: dict[str, Any] | None = None, ack: bool = False
    ) -> None:
        """Send one MESSAGE with this tensor, or with several that are named 0, 1, …"""
        self.sequences[alias] += 1
        names = map(str, range(len(arrays))) if len(arrays) > 1 else [""]
        frame = write_data(
            Opcode.MESSAGE,
            stream=alias,
            offset=self.sequences[alias],
            timestamp_ns=START_NS,
            flags=FLAG_ACK if ack else 0,
            meta=write_meta([spec_of(array, name) for array, name in zip(arrays, names, strict=True)], headers),
            payload=payload_buffers(arrays),
        )
        self.send(frame)

    def publish(self, alias: int, payload: bytes, *, ack: bool = False, chain: Chain = PLAIN) -> None:
        """Send one MESSAGE."""
        self.send(self.message(alias, payload, ack=ack, chain=chain))

    def large(
        self,
        alias: int,
        payload: bytes,
        transfer: int = 1,
        *,
        ack: bool = False,
        chain: Chain = PLAIN,
        resuming: bool = False,
    ) -> LargePublish:
        """Begin a large message; its chunks go out one by one."""
        self.sequences[alias] += 1
        publish = LargePublish(self, transfer, payload, ack=ack, chain=chain)
        publish.begin(Opcode.MESSAGE, alias, self.sequences[alias], Extensions(resuming=True) if resuming else None)
        return publish

    def drop(self) -> None:
        """The transport is gone."""
        self._world.core.disconnect(self.session)


class LargePublish:
    """A large message on its way from a peer."""

    def __init__(self, peer: Peer, transfer: int, payload: bytes, *, ack: bool = False, chain: Chain = PLAIN) -> None:
        self.plan = ChunkPlan(transfer, CHUNK_BYTES, len(payload))
        self._peer = peer
        self._payload = payload
        self._ack = ack
        self._chain = chain
        self._chunks = enumerate(split_payload([payload], CHUNK_BYTES))
        self.spoiled = False
        """Whether encoded chunks are sent so that they do not decode."""

    def begin(
        self, opcode: int, stream: int, offset: int, extensions: Extensions | None = None, flags: int = 0
    ) -> None:
        """Send the head."""
        meta = write_meta([TensorSpec("", BYTE, (len(self._payload),))], None)
        flags |= FLAG_ACK if self._ack else 0
        head = write_data(
            opcode,
            stream=stream,
            offset=offset,
            timestamp_ns=START_NS,
            flags=flags,
            meta=meta,
            plan=self.plan,
            extensions=extensions,
        )
        self._peer.send(head)

    def chunk(self) -> bool:
        """Send the next chunk; whether there was one."""
        index, data = next(self._chunks, (0, None))
        if data is None:
            return False
        encoding, chunk = encoded(self._chain, b"".join(data))
        if self.spoiled:
            chunk = bytes(chunk[:-200]) + b"\xff" * 200
        self._peer.send(write_chunk(self.plan.transfer, index, (chunk,), encoding))
        return True

    def skip(self, count: int) -> None:
        """Leave out the next chunks, which the gateway has."""
        for _ in range(count):
            next(self._chunks)

    def end(self) -> None:
        """Send what is left, and END."""
        while self.chunk():
            pass
        self._peer.send(End(self.plan.transfer, 0, START_NS, zlib.crc32(self._payload)).write())


class TextPeer:
    """A client of ``frys.v1.json`` on a memory transport; texts are told apart by a line break before each."""

    def __init__(self, world: World) -> None:
        core = world.core
        self.form = TextSession(world.renderer, core.dispatcher, world.clock, core.settings.limits)
        self.transport = MemoryTransport()
        self.session = core.connect(self.transport, self.form)
        self.transport.session = self.session

    def send(self, text: str | bytes) -> None:
        """Send one text message."""
        self.form.receive(self.session, text.encode() if isinstance(text, str) else text)

    def texts(self) -> list[bytes]:
        """What is new."""
        writes, self.transport.writes = self.transport.writes, []
        return [line for line in b"".join(writes).split(b"\n") if line]


class World:
    """A core and all that it lives on.

    Args:
        policy: how payloads are encoded for those who can decode; plain if absent.
        limits: of the gateway.
        delivery: bounds of a connection.
        history: what streams keep; the defaults of their kinds if absent.
        requests: what is kept of requests to groups.
        store: what keeps durable streams; none if absent.
        durability: what all streams are configured to have.
        keyframe_every: of states.
        consumers: how receivers that acknowledge are served.
        rules: configuration of some streams, by pattern; it goes before that of all.
        presence: times and bounds of members.
        admission: bounds on clients.
        clock: the time, and workers the threads, if something outside of the core has them, too.
    """

    def __init__(
        self,
        policy: DeliveryPolicy | None = None,
        limits: Limits | None = None,
        delivery: DeliverySettings | None = None,
        max_connections: int = 100,
        history: HistoryLimits | None = None,
        requests: RequestSettings | None = None,
        store: DurableStore | None = None,
        durability: Durability | None = None,
        keyframe_every: int = 64,
        consumers: ConsumerSettings | None = None,
        overload: OverloadSettings | None = None,
        memory: Memory | None = None,
        rules: Sequence[tuple[str, StreamConfig]] = (),
        presence: PresenceSettings | None = None,
        admission: AdmissionSettings | None = None,
        clock: ManualClock | None = None,
        workers: StepWorkers | None = None,
    ) -> None:
        self.clock = clock or ManualClock()
        self.workers = StepWorkers() if workers is None else workers
        config = StreamConfig(history=history, durability=durability, keyframe_every=keyframe_every)
        every_rule = [(compile_pattern(pattern), rule) for pattern, rule in (*rules, ("**", config))]
        settings = CoreSettings(
            limits=limits or Limits(),
            delivery=delivery or DeliverySettings(),
            requests=requests or RequestSettings(),
            max_connections=max_connections,
            rules=StreamRules(every_rule),
            consumers=consumers or ConsumerSettings(),
            overload=overload or OverloadSettings(),
            presence=presence or PresenceSettings(),
            admission=admission or AdmissionSettings(),
        )
        policy = policy or FixedPolicy()
        self.core = Core(settings, self.clock, self.workers, policy, AllowAll(), store, memory=memory)
        self._peers: list[Peer] = []
        self.binary = BinaryFormat(SUBPROTOCOL_BINARY, lambda size: b"")
        self.renderer = TextRenderer(lambda size: b"\n", self.core.pool, settings.limits.max_frame_bytes)

    def free_name(self, client_id: str) -> str:
        """An id that no other client has: this one, or this one with a number behind it."""
        names = itertools.chain((client_id,), (f"{client_id}-{number}" for number in itertools.count(2)))
        return next(name for name in names if self.core.pool.newest_of(name) is None)

    def peer(
        self,
        client_id: str = "",
        codecs: Sequence[str] = (),
        instance: int | None = None,
        generation: int | None = None,
        transport: MemoryTransport | None = None,
        *,
        credits: bool | None = None,
    ) -> Peer:
        """A client whose HELLO is answered; its log is empty."""
        name = client_id or self.free_name("peer")
        peer = Peer(self, name, codecs, instance, generation, transport, credits=credits)
        self._peers.append(peer)
        peer.hello()
        self.answer_hello(peer)
        peer.forget()
        return peer

    def answer_hello(self, client: Peer | TextPeer) -> None:
        """End the turn if HELLOs have had their share of it, so that the HELLO of this client is answered."""
        session = client.session
        while session.state is State.GREETING and not session.connection.closed and self.clock.turn():
            pass

    def stranger(self) -> Peer:
        """A client that has said nothing yet."""
        return Peer(self, self.free_name("stranger"), ())

    def publisher(self, *streams: str, kind: Kind | None = Kind.EVENT, codecs: Sequence[str] = EVERY_CODEC) -> Peer:
        """A client that has opened these streams as aliases 0, 1, …"""
        peer = self.peer(self.free_name("publisher"), codecs)
        for alias, stream in enumerate(streams):
            peer.open(alias, stream, kind)
        peer.forget()
        return peer

    def subscriber(
        self, pattern: str, client_id: str = "", codecs: Sequence[str] = (), since: Since | None = None
    ) -> Peer:
        """A client that subscribes."""
        peer = self.peer(client_id or self.free_name("subscriber"), codecs)
        peer.subscribe(pattern, since=since)
        return peer

    def lose(self, *peers: Peer | TextPeer) -> None:
        """The transports of these clients are gone, and nothing in the test keeps what they have got."""
        for peer in peers:
            self.core.disconnect(peer.session)
            peer.transport.session = None
            peer.transport.writes.clear()
        self._peers = [peer for peer in self._peers if peer not in peers]
        self.settle()

    def pass_time(self, seconds: float) -> None:
        """Let time pass, look at deadlines and time-outs as often as a gateway does, and have clients answer PINGs."""
        interval_s = self.core.settings.consumer_sweep_interval_s
        while seconds > 0:
            self.clock.advance(min(interval_s, seconds))
            seconds -= interval_s
            for _ in self.core.sweep_consumers():
                pass
            self.turn()
            for peer in self._peers:
                if peer.responsive:
                    peer.read()

    def turn(self) -> None:
        """End the turn, and those that follow from it."""
        while self.clock.turn():
            pass

    def take_one_step_a_turn(self) -> None:
        """Have each turn take one step of long work, so that a test sees what is between them."""
        self.clock.look_s = SLICE_S

    def turns(self, count: int) -> None:
        """End some turns."""
        for _ in range(count):
            self.clock.turn()

    def settle(self) -> None:
        """Do all that is to be done."""
        while True:
            self.turn()
            if not len(self.workers):
                return
            self.workers.step()


def counts_in(accounts: DeliveryAccounts, subscription: int) -> dict[str, Counts]:
    """The counts of a subscription by stream, as far as they are booked."""
    found = [accounts.find(stream, subscription) for stream in accounts.ids]
    return {each[0].name: each[1].counts for each in found if each is not None}


def book_all(connection: Connection) -> None:
    """Bring the accounts of a connection up to date."""
    for membership in connection.memberships.values():
        membership.book(connection)
