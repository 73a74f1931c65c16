"""Receivers that grant credit for streams of all kinds: served by shared bytes, apart while they have none."""

from __future__ import annotations

import numpy as np

from gateway.connections.fanout.credited_class import CreditedClass
from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.ids import StreamName
from gateway.protocol.encoding import Chain
from gateway.protocol.messages import Account, Counts, Credits, Delete, Kind, Refresh
from gateway.protocol.views import View
from gateway.streams.stream import Stream
from tests.connections.frames import CHUNK_BYTES
from tests.connections.memory import EVERY_CODEC, FixedPolicy, Peer, World
from tests.connections.patches import PATCH_CODECS, STREAM, Publisher, Receiver
from tests.connections.text_messages import HELLO, news, person

EVENTS, STATE = "wf/events", "wf/state"
PLENTY = Credits(1000, 1 << 30)


def page(world: World, *patterns: str, credits: Credits | None = PLENTY, codecs: tuple[str, ...] = ()) -> Peer:
    """A receiver that grants credit, and has one subscription to each pattern: 1, 2, ..."""
    peer = world.peer(codecs=codecs, credits=True)
    for pattern in patterns:
        peer.subscribe(pattern, credits=credits)
    world.settle()
    peer.forget()
    return peer


def publish(world: World, publisher: Peer, payloads: list[bytes], alias: int = 0) -> None:
    """Publish each in a turn of its own."""
    for payload in payloads:
        publisher.publish(alias, payload)
        world.settle()


def stream(world: World, name: str) -> Stream:
    found = world.core.streams.get(StreamName(name))
    assert found is not None
    return found


def counts(peer: Peer, name: str, subscription: int = 1) -> Counts:
    peer.say(Account(77, subscription))
    answer = next(entry for entry in peer.read().log if isinstance(entry, Account))
    assert answer.streams is not None
    return answer.streams[name]


def test_hello_decides_about_the_class_and_welcome_confirms_it() -> None:
    world = World()
    world.publisher(EVENTS)
    with_credit, without = page(world, EVENTS), world.subscriber(EVENTS)
    classes = {type(membership) for membership in with_credit.session.connection.memberships.values()}
    assert classes == {CreditedClass}
    assert CreditedClass not in map(type, without.session.connection.memberships.values())


def test_with_ample_credit_all_members_are_written_the_same_bytes() -> None:
    world = World()
    publisher = world.publisher(EVENTS)
    pages = [page(world, EVENTS) for _ in range(3)]
    publisher.send(publisher.message(0, b"ab"), publisher.message(0, b"c"))
    world.settle()
    first, *others = [peer.transport.writes for peer in pages]
    assert len(first) == 1
    assert all(other == first for other in others)
    assert all(peer.session.connection.outbox is None for peer in pages)
    credits = [credit for peer in pages for credit in peer.session.credits.values()]
    assert [(credit.messages, credit.nbytes) for credit in credits] == 3 * [(998, (1 << 30) - 3)]


def test_without_credit_only_the_newest_state_waits_and_comes_with_credit_at_once() -> None:
    world = World()
    publisher = world.publisher(STATE, kind=Kind.STATE)
    peer = page(world, STATE, credits=Credits(2, 1000))
    publish(world, publisher, [number.to_bytes(2, "little") for number in range(9)])
    assert peer.read().offsets == [0, 1]
    outbox = peer.session.connection.outbox
    assert outbox is not None
    waiting_bytes = outbox.waiting_bytes
    publish(world, publisher, [number.to_bytes(2, "little") for number in range(9, 600)])
    assert outbox.waiting_bytes == waiting_bytes
    assert peer.session.out_of_credit == 1
    assert not peer.session.connection.lagging
    peer.grant(1, 1, 0)
    world.settle()
    assert peer.read().offsets == [0, 1, 599]
    assert counts(peer, STATE) == Counts(delivered=3, conflated=597)
    assert outbox.conflated == 597


def test_without_credit_events_wait_in_order_and_follow_one_another() -> None:
    world = World()
    publisher = world.publisher(EVENTS)
    peer = page(world, EVENTS, credits=Credits(2, 1000))
    publish(world, publisher, [b"a", b"b", b"c", b"d"])
    publisher.send(publisher.message(0, b"e"), publisher.batch(0, [b"f", b"g"]), publisher.message(0, b"h"))
    world.settle()
    assert peer.read().offsets == [0, 1]
    peer.grant(1, 4, 0)
    world.settle()
    assert peer.read().offsets == [0, 1, 2, 3, 4, 5, 6]
    peer.grant(1, 5, 0)
    world.settle()
    assert peer.read().offsets == list(range(8))
    outbox = peer.session.connection.outbox
    assert outbox is not None
    taken_bytes = outbox.taken_bytes
    publish(world, publisher, [b"i"])
    assert peer.read().offsets == list(range(9))
    assert outbox.taken_bytes == taken_bytes, "it is written the bytes of the class again"


def test_events_past_the_bound_come_from_history_with_credit() -> None:
    world = World(delivery=DeliverySettings(outbox_limit_bytes=4000, max_event_hold_s=5.0))
    publisher = world.publisher(EVENTS)
    peer = page(world, EVENTS, credits=Credits(1, 1))
    peer.responsive = False
    for number in range(40):
        publisher.publish(0, number.to_bytes(2, "little") + bytes(400), ack=True)
        world.settle()
    assert 0 < len(publisher.read().acks) < 40, "publishers wait for a receiver that is behind"
    world.pass_time(5.1)
    assert publisher.read().acks[-1].offset == 39, "but not for one that counts as slow"
    outbox = peer.session.connection.outbox
    assert outbox is not None
    assert outbox.waiting_bytes <= 4000
    assert peer.read().offsets == [0]
    peer.grant(1, 1000, 1 << 20)
    world.settle()
    reader = peer.read()
    assert reader.offsets == list(range(40))
    assert reader.replays
    assert not reader.gaps
    assert counts(peer, EVENTS).delivered == 40


def test_streams_of_other_subscriptions_and_answers_go_on() -> None:
    world = World()
    publisher = world.publisher(EVENTS, "other/events")
    peer = page(world, EVENTS, credits=Credits(0, 0))
    peer.subscribe("other/**")
    peer.forget()
    publish(world, publisher, [b"a"])
    publish(world, publisher, [b"b", b"c"], alias=1)
    assert [arrival.payload for arrival in peer.read().arrivals] == [b"b", b"c"]
    assert not peer.session.connection.lagging


def test_a_message_takes_credit_of_every_subscription_that_receives_the_stream() -> None:
    world = World()
    publisher = world.publisher(EVENTS)
    peer = page(world, EVENTS, "wf/*", credits=Credits(1, 10))
    publish(world, publisher, [b"a", b"b"])
    assert peer.read().offsets == [0]
    peer.grant(1, 1, 10)
    world.settle()
    assert peer.read().offsets == [0]
    peer.grant(2, 1, 10)
    world.settle()
    assert peer.read().offsets == [0, 1]


def test_the_end_of_the_subscription_that_has_no_credit_frees_its_streams() -> None:
    world = World()
    publisher = world.publisher(EVENTS)
    peer = page(world, EVENTS, credits=Credits(0, 0))
    peer.subscribe("wf/*")
    publish(world, publisher, [b"a", b"b"])
    assert peer.read().offsets == []
    peer.unsubscribe(1)
    world.settle()
    assert peer.read().offsets == [0, 1]


def test_a_subscription_that_ends_without_credit_gets_nothing_more() -> None:
    world = World()
    publisher = world.publisher(EVENTS)
    peer = page(world, EVENTS, credits=Credits(0, 0))
    publish(world, publisher, [b"a", b"b"])
    peer.unsubscribe(1)
    world.settle()
    assert peer.read().offsets == []
    outbox = peer.session.connection.outbox
    assert outbox is not None
    assert not outbox.waiting_bytes


def test_a_large_message_takes_credit_with_its_head_and_then_goes_on() -> None:
    world = World()
    publisher = world.publisher(EVENTS)
    other = world.peer()
    other.open(0, EVENTS)
    peer = page(world, EVENTS, credits=Credits(1, 1))
    large = publisher.large(0, bytes(3 * CHUNK_BYTES))
    large.chunk()
    other.publish(0, b"small")
    world.settle()
    large.end()
    world.settle()
    reader = peer.read()
    assert reader.received_chunks == 3
    assert reader.offsets == [], "its END waits behind the message before it"
    peer.grant(1, 1, 1 + 3 * CHUNK_BYTES)
    world.settle()
    assert peer.read().offsets == [0, 1]
    (credit,) = peer.session.credits.values()
    assert (credit.messages, credit.nbytes) == (0, 1 + 1 - 5)


def test_a_receiver_without_credit_gets_a_large_message_when_it_has_some() -> None:
    world = World()
    publisher = world.publisher(STATE, kind=Kind.STATE)
    peer = page(world, STATE, credits=Credits(0, 0))
    for number in range(3):
        publisher.large(0, bytes([number]) * (2 * CHUNK_BYTES)).end()
        world.settle()
    assert peer.read().received_chunks == 0
    peer.grant(1, 1, 1)
    world.settle()
    assert peer.read().offsets == [2]


def test_deltas_wait_for_nobody_and_the_version_that_waits_is_complete() -> None:
    chain = Chain(codec="zstd", delta="xor", distance=1)
    world = World(FixedPolicy(delta=chain))
    publisher = world.publisher(STATE, kind=Kind.STATE)
    peer = page(world, STATE, credits=Credits(2, 1 << 20), codecs=EVERY_CODEC)
    noise = np.random.default_rng(3).bytes(20_000)
    publish(world, publisher, [bytes([number]) + noise for number in range(6)])
    assert [arrival.delta for arrival in peer.read().arrivals] == [False, True]
    peer.grant(1, 2, 0)
    world.settle()
    publish(world, publisher, [b"!" + noise])
    arrivals = peer.read().arrivals
    assert [(arrival.offset, arrival.delta) for arrival in arrivals[2:]] == [(5, False), (6, True)]
    (credit,) = peer.session.credits.values()
    assert credit.nbytes == (1 << 20) - 4 * (len(noise) + 1), "a delta counts by the size of the version"


def test_a_late_joiner_and_refresh_take_credit() -> None:
    world = World()
    publisher = world.publisher(STATE, kind=Kind.STATE)
    publish(world, publisher, [b"newest"])
    peer = page(world, STATE, credits=Credits(0, 0))
    assert peer.read().offsets == []
    peer.grant(1, 2, 100)
    world.settle()
    peer.say(Refresh(stream(world, STATE).id))
    world.settle()
    assert peer.read().offsets == [0, 0]
    (credit,) = peer.session.credits.values()
    assert credit.messages == 0


def test_the_end_of_a_stream_passes_what_waits_for_credit() -> None:
    world = World()
    publisher = world.publisher(EVENTS)
    peer = page(world, EVENTS, credits=Credits(0, 0))
    publish(world, publisher, [b"a", b"b"])
    publisher.say(Delete(9, EVENTS))
    world.settle()
    reader = peer.read()
    assert [info.ended for info in reader.ended] == ["deleted"]
    assert reader.offsets == []
    publisher.open(1, EVENTS, Kind.EVENT)
    publisher.publish(1, b"of the next stream")
    world.settle()
    peer.grant(1, 1, 1)
    world.settle()
    assert [arrival.payload for arrival in peer.read().arrivals] == [b"of the next stream"]


def test_a_receiver_that_is_gone_leaves_nothing_behind() -> None:
    world = World()
    publisher = world.publisher(EVENTS)
    peer = page(world, EVENTS, credits=Credits(0, 0))
    publish(world, publisher, [b"a"])
    (window,) = peer.session.credits.values()
    gates, outbox = peer.session.connection.gates, peer.session.connection.outbox
    assert gates is not None
    assert outbox is not None
    world.lose(peer)
    assert not gates.by_source
    assert not outbox.waiting_bytes
    assert not window.abandon()


def test_history_takes_credit() -> None:
    world = World()
    publisher = world.publisher(EVENTS)
    publish(world, publisher, [b"a", b"b", b"c"])
    peer = world.peer(credits=True)
    peer.subscribe(EVENTS, since="beginning", credits=Credits(2, 100))
    world.settle()
    assert peer.read().offsets == [0, 1]
    publish(world, publisher, [b"d"])
    peer.grant(1, 5, 0)
    world.settle()
    assert peer.read().offsets == [0, 1, 2, 3]


def test_a_view_takes_credit_of_its_subscription() -> None:
    world = World()
    publisher = world.publisher(STATE, kind=Kind.STATE)
    peer = world.peer(credits=True)
    peer.subscribe(STATE, view=View(slice=(slice(None, None, 2),)), credits=Credits(1, 1))
    for number in range(5):
        publisher.publish_array(0, np.full(8, number, np.uint8))
        world.settle()
    world.clock.advance(1.0)
    world.settle()
    assert peer.read().offsets == [0]
    peer.grant(1, 1, 1 << 20)
    world.settle()
    arrivals = peer.read().arrivals
    assert [(arrival.offset, arrival.payload) for arrival in arrivals[1:]] == [(4, bytes([4] * 4))]
    (credit,) = peer.session.credits.values()
    assert credit.nbytes == (1 << 20) + 1 - 8
    peer.unsubscribe(1)
    assert not peer.session.credits


def test_an_observed_stream_takes_credit() -> None:
    world = World()
    publisher = world.publisher("wf/tasks", kind=Kind.COLLABORATION)
    peer = world.peer(credits=True)
    peer.subscribe("wf/tasks", credits=Credits(1, 100), observe=True)
    publish(world, publisher, [b"a", b"b"])
    assert peer.read().offsets == [0]
    peer.grant(1, 1, 0)
    world.settle()
    assert peer.read().offsets == [0, 1]


def test_credit_is_shared_with_acknowledged_streams() -> None:
    world = World()
    publisher = world.publisher("wf/tasks", kind=Kind.COLLABORATION)
    publisher.open(1, EVENTS, Kind.EVENT)
    peer = page(world, "wf/*", credits=Credits(2, 100))
    publish(world, publisher, [b"a", b"b"])
    publish(world, publisher, [b"c"], alias=1)
    assert [arrival.payload for arrival in peer.read().arrivals] == [b"a", b"b"]
    peer.grant(1, 1, 0)
    world.settle()
    assert peer.read().arrivals[-1].payload == b"c"


def test_patches_take_credit_and_a_large_one_is_given_up_if_the_version_before_it_waits() -> None:
    world = World()
    publisher = Publisher(world)
    zeros, threes = np.zeros((160, 120), np.int32), np.full((160, 120), 3, np.int32)
    publisher.whole(zeros)
    receiver = Receiver(world.peer(codecs=PATCH_CODECS, credits=True))
    receiver.peer.subscribe(STREAM, credits=Credits(3, 1 << 20))
    world.settle()
    publisher.patch(np.s_[0:2, :], 1)
    world.settle()
    receiver.read()
    (credit,) = receiver.peer.session.credits.values()
    assert (credit.messages, credit.nbytes) == (1, (1 << 20) - zeros.nbytes - 2 * 120 * 4)
    *frames, end = publisher.patch_frames(np.s_[0:40, :], 7)
    for frame in frames:
        publisher.peer.send(frame)
    Publisher(world, publisher).whole(threes)
    world.turn()
    publisher.peer.send(end)
    publisher.patched(np.s_[0:40, :], 7)
    world.settle()
    receiver.read()
    assert receiver.offset == 1
    receiver.peer.grant(1, 1, 1 << 20)
    world.settle()
    receiver.read()
    assert receiver.offset == 3
    np.testing.assert_array_equal(receiver.versions[3], publisher.versions[3])
    assert receiver.peer.reader.transfers == {}


def test_what_waits_for_the_link_is_not_passed_by_what_comes_behind() -> None:
    world = World()
    publisher = world.publisher("wf/tasks", kind=Kind.COLLABORATION)
    peer = page(world, "wf/tasks")
    publisher.send(*[publisher.message(0, bytes(200_000)) for _ in range(20)])
    world.settle()
    publish(world, publisher, [b"small"])
    while len(peer.read().offsets) < 21:
        world.settle()
    assert peer.read().offsets == list(range(21))


def test_a_thousand_streams_get_the_credit_of_one_subscription_in_turn() -> None:
    world = World()
    names = [f"wf/{number}" for number in range(300)]
    publisher = world.publisher(*names, kind=Kind.STATE)
    peer = page(world, "wf/*", credits=Credits(0, 0))
    for _ in range(2):
        for alias in range(len(names)):
            publisher.publish(alias, b"x")
        world.settle()
    peer.grant(1, 250, 1000)
    world.settle()
    assert len({arrival.stream for arrival in peer.read().arrivals}) == 250
    peer.grant(1, 50, 1000)
    world.settle()
    assert len({arrival.stream for arrival in peer.read().arrivals}) == 300


def test_a_client_that_says_nothing_in_hello_bounds_acknowledged_streams_only() -> None:
    world = World()
    publisher = world.publisher(EVENTS)
    peer = world.peer()
    peer.subscribe(EVENTS, credits=Credits(0, 0))
    publish(world, publisher, [b"a", b"b"])
    assert peer.read().offsets == [0, 1]


def test_a_page_of_text_grants_by_the_message() -> None:
    world = World()
    publisher = world.publisher(EVENTS)
    peer = person(world, HELLO.replace('{"versions":[1]}', '{"versions":[1],"credits":true}'))
    peer.send('{"id":1,"message_type":"subscribe","payload":{"pattern":"wf/*","credits":{"messages":1,"bytes":100}}}')
    news(peer, world)
    publish(world, publisher, [b"a", b"b", b"c"])
    texts = [text for text in news(peer, world) if text["message_type"] == "message"]
    assert [text["offset"] for text in texts] == [0]
    peer.send('{"message_type":"credit","payload":{"subscription":1,"messages":1,"bytes":0}}')
    assert [text["offset"] for text in news(peer, world)] == [1]
    (credit,) = peer.session.credits.values()
    assert (credit.messages, credit.nbytes) == (0, 98)


def test_text_that_came_together_is_sent_together() -> None:
    world = World()
    publisher = world.publisher(EVENTS)
    peer = person(world, HELLO.replace('{"versions":[1]}', '{"versions":[1],"credits":true}'))
    peer.send('{"id":1,"message_type":"subscribe","payload":{"pattern":"wf/*","credits":{"messages":2,"bytes":100}}}')
    news(peer, world)
    publisher.send(*[publisher.message(0, payload) for payload in (b"ab", b"cd", b"ef")])
    world.settle()
    assert [text["offset"] for text in news(peer, world)] == [0, 1, 2]
    (credit,) = peer.session.credits.values()
    assert (credit.messages, credit.nbytes) == (2 - 3, 100 - 6)
