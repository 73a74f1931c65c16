"""Whatever an extension sends: no stream changes, nobody gets a request, and what others publish goes on.

The frames are those of the other fuzz tests, and beside them the ones by which other clients change streams.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Code
from gateway.ids import ClientId
from gateway.protocol.durability import Durability
from gateway.protocol.messages import (
    Account,
    ClientType,
    Credits,
    Delete,
    Hello,
    Kind,
    Open,
    Refresh,
    SessionMessage,
    Subscribe,
    Unsubscribe,
)
from gateway.protocol.session_body import write_session
from gateway.protocol.signals import Conflated, Credit, Done, InProgress
from tests.connections.asking import ask
from tests.connections.memory import EVERY_CODEC, Peer, TextPeer, World
from tests.connections.text_messages import HELLO
from tests.fuzz.frames import SMALL, mutated

STREAMS = {"wf/a": Kind.EVENT, "wf/b": Kind.STATE, "wf/tasks": Kind.COLLABORATION, "wf/orders": Kind.CONTROL}
NAMES = st.sampled_from([*STREAMS, "wf/new", "agent:fuzz", "agent:worker", "group:g", "wf/tasks.dead"])
PATTERNS = NAMES | st.sampled_from(["wf/*", "**", "**.dead"])
OBSERVE = st.none() | st.booleans()


def frames_of(*messages: SessionMessage) -> bytes:
    return b"".join(map(write_session, messages))


CHANGING = st.one_of(
    st.builds(
        lambda *fields: frames_of(Open(*fields)),
        SMALL,
        NAMES,
        st.none() | st.sampled_from(Kind),
        st.none() | st.just({"dtype": "uint8", "shape": [1]}),
        st.sampled_from([None, Durability.MEMORY]),
        st.none() | SMALL,
    ),
    st.builds(
        lambda number, pattern, observe, credits: frames_of(
            Subscribe(number, number, pattern, credits=credits, observe=observe)
        ),
        SMALL,
        PATTERNS,
        OBSERVE,
        st.none() | st.just(Credits(1, 100)),
    ),
    st.builds(lambda number, keep: frames_of(Unsubscribe(number, number, keep)), SMALL, OBSERVE),
    st.builds(lambda number, pattern: frames_of(Delete(number, pattern)), SMALL, PATTERNS),
    st.builds(lambda number: frames_of(Refresh(number)), SMALL),
    st.builds(lambda number: frames_of(Account(number, number)), SMALL),
    st.builds(lambda stream, code, at: Done(stream, code, at, at).write(), SMALL, st.sampled_from([0, 5224]), SMALL),
    st.builds(lambda stream, at: InProgress(stream, at, at).write(), SMALL, SMALL),
    st.builds(lambda stream, count: Conflated(stream, count).write(), SMALL, SMALL),
    st.builds(lambda number, count: Credit(number, count, count).write(), SMALL, SMALL),
)
MESSAGES = st.lists(CHANGING | mutated(), min_size=1, max_size=12)


class Scene:
    """A workflow in which a message of every kind is published, and a worker has not acknowledged any."""

    def __init__(self) -> None:
        self.world = World()
        self.publisher = self.world.peer("publisher")
        self.worker = self.world.subscriber("wf/*", "worker")
        self.worker.subscribe("agent:worker")
        self.worker.subscribe("group:g")
        for alias, (stream, kind) in enumerate(STREAMS.items()):
            self.publisher.open(alias, stream, kind)
            self.publisher.publish(alias, b"one")
        self.world.settle()
        self.worker.read()
        self.before = self.facts()

    def facts(self) -> list[tuple[object, ...]]:
        """All that a stream is, and how far its consumers are."""
        core = self.world.core
        return [
            (
                stream.id,
                stream.name,
                stream.kind,
                stream.epoch,
                stream.first_offset,
                stream.next_offset,
                stream.published_bytes,
                stream.schema,
                stream.ended,
                stream.newest,
                core.hub.stream_stats(stream).consumers,
            )
            for stream in core.streams
        ]

    def check(self) -> None:
        """Nothing has changed, and what is published next is acknowledged at once."""
        self.world.settle()
        assert self.facts() == self.before
        assert not self.worker.news().log
        for alias in range(len(STREAMS)):
            self.publisher.publish(alias, b"two", ack=True)
        self.world.settle()
        assert [ack.offset for ack in self.publisher.read().acks] == [1] * len(STREAMS)
        assert len(self.worker.read().arrivals) == len(STREAMS)

    def leave(self, fuzzed: Peer | TextPeer) -> None:
        """Nothing is left of the extension, not even a client that is waited for."""
        self.world.core.disconnect(fuzzed.session)
        self.world.settle()
        assert [row[-1].absent for row in self.facts()] == [0] * len(STREAMS)  # type: ignore[attr-defined]


def extension(world: World) -> Peer:
    peer = Peer(world, "fuzz", EVERY_CODEC)
    peer.say(Hello((1,), ClientType.EXTENSION, ClientId("fuzz"), codecs=("lz4", "zstd", "snappy", "pco")))
    peer.forget()
    peer.reader.strict = False
    return peer


@settings(max_examples=200)
@given(MESSAGES, st.booleans())
def test_frames(messages: Sequence[bytes], asked: bool) -> None:
    scene = Scene()
    fuzzed = extension(scene.world)
    if asked:
        fuzzed.subscribe("agent:fuzz", 3)
        scene.publisher.open(9, "agent:fuzz")
        ask(scene.publisher, 1, alias=9)
    for message in messages:
        fuzzed.send(message)
    fuzzed.read()
    assert Code.INTERNAL not in fuzzed.reader.codes
    scene.check()
    scene.leave(fuzzed)


def text(message_type: str, **fields: object) -> str:
    return orjson.dumps({"message_type": message_type, **fields}).decode()


TENSOR = {"dtype": "uint8", "shape": [2], "data": "AAE="}
TEXTS = st.one_of(
    st.builds(
        lambda name, kind, ack, payload: text("message", id=1, stream=name, kind=kind, ack=ack, payload=payload),
        NAMES,
        st.none() | st.sampled_from(list(Kind)),
        OBSERVE,
        st.sampled_from([None, TENSOR]),
    ),
    st.builds(lambda name: text("open", id=2, payload={"alias": 3, "stream": name}), NAMES),
    st.builds(lambda name, number: text("request", id=number, stream=name, payload=TENSOR), NAMES, SMALL),
    st.builds(lambda number: text("reply", peer=number, correlation=number, payload=TENSOR), SMALL),
    st.builds(
        lambda pattern, observe, number: text("subscribe", id=number, payload={"pattern": pattern, "observe": observe}),
        PATTERNS,
        OBSERVE,
        SMALL,
    ),
    st.builds(lambda number: text("unsubscribe", payload={"subscription": number, "keep": True}), SMALL),
    st.builds(lambda pattern: text("delete", id=3, payload={"pattern": pattern}), PATTERNS),
    st.builds(
        lambda kind, number: text(kind, id=number, correlation=number, payload={"stream": number, "token": "x"}),
        st.sampled_from(["refresh", "account", "cancel", "authenticate", "ping", "done", "credit", "hello"]),
        SMALL,
    ),
)


@settings(max_examples=100)
@given(st.lists(TEXTS, min_size=1, max_size=12))
def test_texts(texts: Sequence[str]) -> None:
    scene = Scene()
    fuzzed = TextPeer(scene.world)
    fuzzed.send(HELLO.replace('"agent"', '"extension"'))
    for each in texts:
        fuzzed.send(each)
    assert not [each for each in fuzzed.texts() if b'"INTERNAL"' in each]
    scene.check()
    scene.leave(fuzzed)
