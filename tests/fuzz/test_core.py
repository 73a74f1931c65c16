"""Whatever a client sends: documented errors or a documented close, never an exception, and nobody else notices.

Invariants of every example: no INTERNAL, neither as an error nor as a close; a connection is written nothing once it is
closed; a publisher and a subscriber beside it go on without a gap; what the subscriber gets of the fuzzed client's
streams can be read by the spec; once the client is gone nothing of it is left.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Code
from gateway.protocol.encoding import Chain
from gateway.protocol.messages import Kind
from tests.connections.memory import EVERY_CODEC, FixedPolicy, Peer, World
from tests.fuzz.frames import mutated

DOCUMENTED = {int(code) for code in Code}


def check(world: World, fuzzed: Peer, publisher: Peer, watcher: Peer, sent: int) -> None:
    """The invariants."""
    world.settle()
    codes = fuzzed.read().codes
    assert set(codes) <= DOCUMENTED
    assert Code.INTERNAL not in codes
    assert fuzzed.close_code() not in (Code.INTERNAL, Code.INTERNAL_ERROR)
    assert not fuzzed.transport.late
    if fuzzed.close_code() is not None:
        assert codes[-1] == fuzzed.close_code()
    publisher.publish(0, b"still here", ack=True)
    world.settle()
    stream = watcher.read().stream_id("by/stander")
    mine = [arrival.offset for arrival in watcher.reader.arrivals if arrival.stream == stream]
    assert mine == list(range(sent))


@settings(max_examples=250)
@given(
    messages=st.lists(mutated(), min_size=1, max_size=12),
    greeted=st.booleans() | st.just(True),
    opened=st.booleans() | st.just(True),
    stalled=st.booleans(),
)
def test_anything_from_a_client(messages: list[bytes], greeted: bool, opened: bool, stalled: bool) -> None:
    world = World(FixedPolicy(Chain(codec="lz4")))
    publisher = world.publisher("by/stander")
    watcher = world.subscriber("**", "watcher", ("lz4",))
    watcher.reader.strict = False
    fuzzed = world.peer("fuzz", EVERY_CODEC) if greeted else world.stranger()
    if greeted and opened:
        fuzzed.open(0, "wf/a", Kind.EVENT)
        fuzzed.open(1, "wf/b", Kind.STATE)
        fuzzed.open(2, "agent:fuzz")
        fuzzed.subscribe("agent:fuzz", 3)
    if stalled:
        watcher.transport.fill_up()
    for count, message in enumerate(messages):
        fuzzed.send(message)
        if count % 3 == 2:
            world.settle()
    watcher.transport.read_on()
    check(world, fuzzed, publisher, watcher, 1)
    fuzzed.drop()
    world.settle()
    assert not watcher.read().transfers
    assert len(world.core.pool) == 2
    assert not any(session.transfers or session.requests.asked or session.requests.owed for session in world.core.pool)
    assert not len(world.core.hub.views)
    assert world.core.drained


@given(data=st.binary(max_size=400))
def test_random_bytes(data: bytes) -> None:
    world = World()
    publisher = world.publisher("by/stander")
    watcher = world.subscriber("**", "watcher")
    fuzzed = world.peer("fuzz")
    fuzzed.send(data)
    check(world, fuzzed, publisher, watcher, 1)
