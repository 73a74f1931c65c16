"""Publish counts: every message that a stream took counts once, for the one that published it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.rates.publish_counts import NOTHING, PublishCounts, Published
from gateway.protocol.messages import Kind
from tests.connections.memory import Peer, World


def taken(counts: PublishCounts, *peers: Peer) -> list[Published]:
    """What each peer has published to its alias 0 since the last round."""
    counts.begin()
    return [counts.take(peer.session.bindings[0]) for peer in peers]


def test_messages_count_from_the_opening_on() -> None:
    world, counts = World(), PublishCounts()
    publisher = world.publisher("wf/a", kind=Kind.EVENT)
    publisher.publish(0, bytes(100))
    publisher.publish(0, bytes(50))
    stream = publisher.session.bindings[0].stream
    assert stream is not None
    first_bytes = stream.published_bytes
    assert taken(counts, publisher) == [Published(2, first_bytes)]
    assert taken(counts, publisher) == [NOTHING]
    publisher.publish(0, bytes(10))
    assert taken(counts, publisher) == [Published(1, stream.published_bytes - first_bytes)]
    assert len(counts) == 1
    counts.begin()
    counts.begin()
    assert not len(counts)


def test_what_the_graph_has_counted_before_does_not_count_again() -> None:
    world, counts = World(), PublishCounts()
    publisher = world.publisher("wf/a", kind=Kind.EVENT)
    publisher.publish(0, bytes(100))
    binding = publisher.session.bindings[0]
    assert binding.stream is not None
    binding.counted = binding.next_sequence, binding.stream.next_offset, binding.stream.published_bytes
    assert taken(counts, publisher) == [NOTHING]


def test_refused_messages_do_not_count_and_an_alias_without_a_stream_counts_nothing() -> None:
    world, counts = World(), PublishCounts()
    publisher = world.publisher("wf/a", kind=Kind.EVENT)
    publisher.session.bindings[0].next_sequence += 5
    assert taken(counts, publisher) == [NOTHING]
    publisher.open(0, "agent:nobody")
    assert taken(counts, publisher) == [NOTHING]


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 200)), max_size=40), st.integers(1, 7))
def test_all_messages_count_once_whoever_else_publishes_to_the_stream(
    messages: list[tuple[int, int]], looks: int
) -> None:
    world, counts = World(), PublishCounts()
    peers = [world.publisher("wf/a", kind=Kind.EVENT), world.publisher("wf/a", kind=Kind.EVENT)]
    sums, sent = [0.0, 0.0], [0, 0]
    for number, (who, size) in enumerate(messages):
        peers[who].publish(0, bytes(size))
        sent[who] += 1
        if not number % looks:
            sums = [total + each.messages for total, each in zip(sums, taken(counts, *peers), strict=True)]
    sums = [total + each.messages for total, each in zip(sums, taken(counts, *peers), strict=True)]
    assert sums == sent
