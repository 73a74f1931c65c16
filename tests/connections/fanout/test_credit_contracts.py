"""The delivery contracts of receivers that grant credit, with those of all others (spec section 7.5), in any order.

Credit is checked frame by frame as the gateway writes: each message finds at least one message and one byte granted in
every subscription that it belongs to. Once everybody is granted enough, the contracts are those of all receivers.
"""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import precondition, rule

from gateway.protocol.data import parse_data
from gateway.protocol.frames import body_of, frame_at
from gateway.protocol.messages import Credits, Kind, StreamInfo, Subscribed, Unsubscribed
from gateway.protocol.session_body import parse_session
from gateway.protocol.wire import DATA_OPCODES, FRAME_START, Buffer, Opcode, padded
from tests.connections.fanout.test_delivery_contracts import CODECS, STREAMS, Contracts, Subscriber
from tests.connections.memory import EVERY_CODEC
from tests.connections.transport import MemoryTransport

PLENTY = Credits(2**32 - 1, 1 << 50)


class Ledger(MemoryTransport):
    """A transport that counts what each message takes of the credit of each subscription, when it is written.

    Attributes:
        left: by subscription, messages and bytes that are granted and not taken.
    """

    def __init__(self) -> None:
        super().__init__()
        self.left: dict[int, tuple[int, int]] = {}
        self._wanted: dict[int, str] = {}
        self._subscribed: set[int] = set()
        self._receiving: dict[int, set[int]] = {}
        self._begun = b""
        """A frame of which only a part has been written."""

    def subscribe(self, subscription: int, stream: str, credits: Credits) -> None:
        """Grant for a subscription from its beginning."""
        self.left[subscription] = credits.messages, credits.bytes
        self._wanted[subscription] = stream

    def grant(self, subscription: int, messages: int, nbytes: int) -> None:
        """Grant more."""
        before = self.left[subscription]
        self.left[subscription] = before[0] + messages, before[1] + nbytes

    def write(self, data: Buffer) -> None:
        self._begun += bytes(data)
        while self._begun and padded(FRAME_START.unpack_from(self._begun)[0]) <= len(self._begun):
            size = padded(FRAME_START.unpack_from(self._begun)[0])
            message, self._begun = memoryview(self._begun[:size]), self._begun[size:]
            frame = frame_at(message, 0)
            if frame.opcode in DATA_OPCODES:
                head = parse_data(message, frame)
                if head.plan is not None:
                    self._take(head.stream, head.plan.payload_bytes)
                else:
                    encoding = head.encoding
                    self._take(head.stream, len(head.payload) if encoding is None else encoding.decoded_bytes)
            elif frame.opcode in (Opcode.SUBSCRIBED, Opcode.STREAM, Opcode.UNSUBSCRIBED):
                self._note(parse_session(frame.opcode, body_of(message, frame)))
        super().write(data)

    def _note(self, message: object) -> None:
        if isinstance(message, Subscribed):
            self._subscribed.add(message.subscription)
        elif isinstance(message, StreamInfo) and message.id is not None and message.alias is None:
            wanting = {number for number in self._subscribed if self._wanted.get(number) == message.stream}
            self._receiving.setdefault(message.id, set()).update(wanting)
        elif isinstance(message, Unsubscribed):
            for receiving in self._receiving.values():
                receiving.discard(message.subscription)

    def _take(self, stream: int, nbytes: int) -> None:
        for number in self._receiving.get(stream, ()):
            messages_left, bytes_left = self.left[number]
            assert messages_left > 0, f"subscription {number} has granted no message more"
            assert bytes_left > 0, f"subscription {number} has granted no byte more"
            self.left[number] = messages_left - 1, bytes_left - nbytes


class CreditContracts(Contracts):
    """The same with receivers that grant credit now and then, and little of it."""

    @precondition(lambda self: len(self.alive) < 4)
    @rule(
        target=Contracts.subscribers,
        codecs=CODECS,
        kinds=st.frozensets(st.sampled_from(Kind), min_size=1),
        credits=st.lists(
            st.builds(Credits, st.integers(0, 6), st.sampled_from([0, 1, 300, 40_000])) | st.none(),
            min_size=1,
            max_size=2,
        ),
    )
    def credited_subscriber(
        self, codecs: tuple[str, ...], kinds: frozenset[Kind], credits: list[Credits | None]
    ) -> Subscriber:
        """A receiver that subscribes to each stream once or twice, and may bound those that it does not acknowledge."""
        if self.states:
            codecs, kinds = codecs or EVERY_CODEC, kinds | {Kind.STATE}
        self.count += 1
        ledger = Ledger()
        peer = self.world.peer(f"subscriber-{self.count}", codecs, transport=ledger, credits=True)
        subscriber = Subscriber(peer, kinds, exact=not len(self.world.workers))
        for kind in sorted(kinds):
            for bound in [None] if kind.acknowledged else credits:
                number = peer.last_request + 1
                if bound is not None:
                    ledger.subscribe(number, STREAMS[kind], bound)
                peer.subscribe(STREAMS[kind], credits=bound)
            subscriber.since[kind] = len(self.published[kind])
        self.alive.append(subscriber)
        return subscriber

    @rule(
        subscriber=Contracts.subscribers,
        at=st.integers(0, 3),
        messages=st.integers(0, 4),
        nbytes=st.sampled_from([0, 1, 500, 30_000, 200_000]),
    )
    def grant(self, subscriber: Subscriber, at: int, messages: int, nbytes: int) -> None:
        """Grant more for one of the subscriptions."""
        ledger = subscriber.peer.transport
        if isinstance(ledger, Ledger) and ledger.left:
            number = list(ledger.left)[at % len(ledger.left)]
            ledger.grant(number, messages, nbytes)
            subscriber.peer.grant(number, messages, nbytes)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.settle()
            for subscriber in self.alive:
                ledger = subscriber.peer.transport
                if isinstance(ledger, Ledger):
                    for number in ledger.left:
                        ledger.grant(number, PLENTY.messages, PLENTY.bytes)
                        subscriber.peer.grant(number, PLENTY.messages, PLENTY.bytes)
        super().teardown()


TestCreditContracts = CreditContracts.TestCase
TestCreditContracts.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
