"""TextRenderer: messages that go out as ``frys.v1.json`` (spec section 14)."""

from __future__ import annotations

import base64
import gc

import numpy as np
import orjson
import pytest

from gateway.connections.fanout.form import LONG_TEXT_BYTES, TEXTS_AT_ONCE
from gateway.connections.fanout.history_reader import MANY_TEXTS
from gateway.connections.fanout.recode import THREAD_BYTES
from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.connections.ports import Steps
from gateway.errors import Code
from gateway.ids import StreamName
from gateway.protocol.data import write_data
from gateway.protocol.encoding import PLAIN, Chain
from gateway.protocol.limits import Limits
from gateway.protocol.message_text import BASE64_BYTES
from gateway.protocol.messages import Kind
from gateway.protocol.meta import write_meta
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.wire import MAX_BATCH_RECORDS, MAX_NAME_BYTES, Opcode
from gateway.streams.history import HistoryLimits
from gateway.streams.large import LargeMessage
from gateway.streams.run import Run
from tests.connections.frames import BYTE, CHUNK_BYTES, START_NS
from tests.connections.memory import LargePublish, Peer, TextPeer, World
from tests.connections.text_messages import SUBSCRIBE, lagging_person, message, news, noting_written, only, person

ZSTD = Chain(codec="zstd")


def test_messages_between_both_subprotocols() -> None:
    world = World()
    peer = person(world)
    peer.send(SUBSCRIBE)
    binary = world.subscriber("wf-42/*", "binary")
    publisher = world.publisher("wf-42/loss")
    publisher.publish(0, b"\x01\x02")
    arrived = only(peer, world, "message")
    assert base64.b64decode(arrived["payload"]["data"]) == b"\x01\x02"
    assert arrived["client_id"] == "publisher"
    peer.send(message(headers={"step": 7}, timestamp=1.5))
    world.settle()
    first, second = binary.read().arrivals
    assert (first.payload, second.payload) == (b"\x01\x02", b"")
    assert second.headers == (("step", 7),)


def test_record_batches_arrive_record_by_record() -> None:
    world = World()
    peer = person(world)
    peer.send(SUBSCRIBE)
    publisher = world.publisher("wf-42/loss")
    publisher.send(publisher.batch(0, [b"a", b"b"]))
    publisher.send(publisher.batch(0, [bytes(500)] * 3, chain=Chain(codec="zstd")))
    texts = [text for text in news(peer, world) if text["message_type"] == "message"]
    assert [text["offset"] for text in texts] == [0, 1, 2, 3, 4]
    assert [text["id"] for text in texts] == [0, 1, 2, 3, 4]
    assert base64.b64decode(texts[1]["payload"]["data"]) == b"b"


@pytest.mark.parametrize("chain", [Chain(), Chain(codec="lz4")])
def test_a_large_message_arrives_in_one_piece_and_in_order(chain: Chain) -> None:
    world = World()
    peer = person(world)
    peer.send(SUBSCRIBE)
    world.subscriber("wf-42/*", "binary")
    publisher = world.publisher("wf-42/loss")
    payload = bytes(3 * CHUNK_BYTES)
    large = publisher.large(0, payload, chain=chain)
    large.end()
    publisher.publish(0, b"after")
    texts = [text for text in news(peer, world) if text["message_type"] == "message"]
    assert [text["offset"] for text in texts] == [0, 1]
    assert base64.b64decode(texts[0]["payload"]["data"]) == payload


def test_a_message_too_large_for_text_becomes_a_gap() -> None:
    world = World(limits=Limits(max_frame_bytes=8192))
    peer = person(world)
    peer.send(SUBSCRIBE)
    publisher = world.publisher("wf-42/loss")
    publisher.publish(0, bytes(7000))
    publisher.large(0, bytes(20_000)).end()
    publisher.publish(0, b"small")
    texts = news(peer, world)
    gaps = [text["payload"] for text in texts if text["message_type"] == "gap"]
    assert [(gap["stream"], gap["code"], gap["first"], gap["last"]) for gap in gaps] == [
        ("wf-42/loss", Code.MESSAGE_TOO_BIG, offset, offset) for offset in range(2)
    ]
    assert [text["offset"] for text in texts if text["message_type"] == "message"] == [2]


def test_a_batch_whose_records_repeat_too_much_becomes_a_gap() -> None:
    world = World()
    peer = person(world)
    peer.send(SUBSCRIBE)
    publisher = world.publisher("wf-42/loss")
    meta = write_meta([TensorSpec("\x01" * MAX_NAME_BYTES, BYTE, (0,))], None)
    count = MAX_BATCH_RECORDS
    publisher.send(write_data(Opcode.BATCH, stream=0, offset=1, timestamp_ns=START_NS, count=count, meta=meta))
    publisher.sequences[0] += count
    publisher.publish(0, b"small")
    texts = news(peer, world)
    (gap,) = [text["payload"] for text in texts if text["message_type"] == "gap"]
    assert (gap["code"], gap["first"], gap["last"]) == (Code.MESSAGE_TOO_BIG, 0, count - 1)
    assert [text["offset"] for text in texts if text["message_type"] == "message"] == [count]


def ask_person() -> tuple[World, TextPeer, Peer]:
    world = World(limits=Limits(max_frame_bytes=8192))
    peer = person(world)
    peer.send('{"id":1,"message_type":"subscribe","payload":{"pattern":"agent:person"}}')
    asker = world.peer("asker", ("lz4",))
    asker.open(0, "agent:person")
    asker.forget()
    news(peer, world)
    return world, peer, asker


def request_of(asker: Peer, correlation: int, payload: bytes, chain: Chain = PLAIN) -> bytearray:
    """Return a request, with alias 0, in one frame."""
    frame = bytearray(b"".join(asker.message(1, payload, chain=chain)))
    frame[4], frame[8:12], frame[16:24] = Opcode.REQUEST, bytes(4), correlation.to_bytes(8, "little")
    return frame


@pytest.mark.parametrize("size", [7000, 20_000])
def test_a_request_too_large_for_text_is_answered_to_its_asker(size: int) -> None:
    world, peer, asker = ask_person()
    if size > 8192:
        question = LargePublish(asker, 1, bytes(size))
        question.begin(Opcode.REQUEST, 0, 9)
        question.end()
    else:
        asker.open(1, "wf/x")
        asker.send(request_of(asker, 9, bytes(size)))
    assert news(peer, world) == []
    (error,) = asker.read().errors
    assert (error.code, error.correlation) == (Code.MESSAGE_TOO_BIG, 9)
    assert not asker.session.requests.asked
    assert not peer.session.requests.owed


@pytest.mark.parametrize("size", [THREAD_BYTES // 2, 2 * THREAD_BYTES])
@pytest.mark.parametrize("lags", [False, True])
def test_a_request_that_does_not_decode_costs_no_other_one(size: int, lags: bool) -> None:
    world = World()
    peer = person(world)
    peer.send('{"id":1,"message_type":"subscribe","payload":{"pattern":"agent:person"}}')
    asker, other = world.peer("asker", ("zstd",)), world.peer("other", ())
    for each in (asker, other):
        each.open(0, "agent:person")
        each.open(1, "wf/x")
        each.forget()
    news(peer, world)
    if lags:
        peer.transport.fill_up()
    other.send(request_of(other, 8, b"fine"))
    corrupt = request_of(asker, 9, b"".join(b"%d," % (number * number) for number in range(size))[:size], ZSTD)
    corrupt[-600:-20] = bytes(580)
    asker.send(corrupt)
    world.settle()
    peer.transport.read_on()
    assert only(peer, world, "request")["correlation"] == 8
    (error,) = asker.read().errors
    assert (error.code, error.correlation) == (Code.CORRUPT_PAYLOAD, 9)
    assert not asker.session.requests.asked
    assert len(other.session.requests.asked) == 1


def test_a_long_request_is_written_in_steps_and_keeps_its_place() -> None:
    world = World()
    peer = person(world)
    peer.send('{"id":1,"message_type":"subscribe","payload":{"pattern":"agent:person"}}')
    asker = world.peer("asker", ())
    asker.open(0, "agent:person")
    asker.open(1, "wf/x")
    news(peer, world)
    world.take_one_step_a_turn()
    asker.send(request_of(asker, 8, bytes(1_000_000)))
    asker.send(request_of(asker, 9, b"short"))
    world.turns(2)
    assert not peer.texts()
    assert [text["correlation"] for text in news(peer, world)] == [8, 9]


def test_a_late_joiner_in_text_gets_the_newest_state() -> None:
    world = World()
    publisher = world.publisher("wf-42/loss", kind=Kind.STATE)
    publisher.send(publisher.batch(0, [b"a", b"b"]))
    peer = person(world)
    peer.send(SUBSCRIBE)
    assert only(peer, world, "message")["offset"] == 1
    publisher.large(0, bytes(2 * CHUNK_BYTES), chain=Chain(codec="lz4")).end()
    late = person(world)
    late.send(SUBSCRIBE)
    publisher.publish(0, b"newest")
    offsets = [text["offset"] for text in news(late, world) if text["message_type"] == "message"]
    assert offsets == [2, 3]


def test_a_lagging_reader_of_text_gets_the_newest_state_only() -> None:
    world = World()
    publisher = world.publisher("wf-42/loss", kind=Kind.STATE)
    peer = lagging_person(world)
    for number in range(5):
        publisher.publish(0, np.int64(number).tobytes())
        world.settle()
    peer.transport.read_on()
    assert only(peer, world, "message")["offset"] == 4


def test_the_bytes_are_made_once_for_all_readers_of_text() -> None:
    world = World()
    peers = [person(world) for _ in range(3)]
    for peer in peers:
        peer.send(SUBSCRIBE)
        news(peer, world)
    world.publisher("wf-42/loss").publish(0, b"x")
    world.settle()
    first, *others = [peer.transport.writes for peer in peers]
    assert all(other == first for other in others)


def test_a_gap_names_the_stream() -> None:
    world = World(delivery=DeliverySettings(outbox_limit_bytes=5000), history=HistoryLimits(5))
    publisher = world.publisher("wf-42/events", kind=Kind.EVENT)
    peer = lagging_person(world)
    for _ in range(10):
        publisher.publish(0, bytes(2000))
        world.settle()
    peer.transport.read_on()
    texts = news(peer, world)
    (gap,) = [text["payload"] for text in texts if text["message_type"] == "gap"]
    assert gap == {"stream": "wf-42/events", "code": Code.QUEUE_FULL, "first": 1, "last": 4}
    (replay,) = [text["payload"] for text in texts if text["message_type"] == "replay"]
    assert (replay["stream"], replay["first"]) == ("wf-42/events", 5)
    assert [text["offset"] for text in texts if text["message_type"] == "message"] == [0, *range(5, 10)]


@pytest.mark.parametrize("size", [7000, 20_000])
def test_a_reply_too_large_for_text_is_a_failed_one(size: int) -> None:
    world = World(limits=Limits(max_frame_bytes=8192))
    replier = world.subscriber("agent:replier", "replier")
    peer = person(world)
    peer.send('{"id":9,"message_type":"request","stream":"agent:replier","payload":null}')
    world.settle()
    (request,) = replier.read().arrivals
    answer = LargePublish(replier, 1, bytes(size))
    answer.begin(Opcode.REPLY, request.publisher, request.offset)
    answer.end()
    reply = only(peer, world, "reply")
    assert (reply["correlation"], reply["failed"]) == (9, True)
    assert "8192" in reply["headers"]["error"]
    assert reply["peer"] == replier.session.peer.id


@pytest.mark.parametrize("goes", ["subscriber", "publisher"])
def test_somebody_goes_while_a_large_message_is_written(goes: str) -> None:
    world = World()
    publisher = world.publisher("wf-42/loss", kind=Kind.STATE)
    peer, other = person(world), person(world)
    for reader in (peer, other):
        reader.send(SUBSCRIBE)
        news(reader, world)
    publisher.large(0, bytes(3 * CHUNK_BYTES)).end()
    if goes == "subscriber":
        world.core.disconnect(peer.session)
    else:
        publisher.drop()
    arrived = only(other, world, "message")
    assert arrived["client_id"] == ("publisher" if goes == "subscriber" else None)
    assert len(news(peer, world)) == (goes == "publisher")


@pytest.mark.parametrize("records", [1, 1000])
def test_what_takes_long_is_written_in_steps_and_keeps_its_place(records: int) -> None:
    world = World()
    world.take_one_step_a_turn()
    peer = person(world)
    peer.send(SUBSCRIBE)
    publisher = world.publisher("wf-42/loss")
    news(peer, world)
    publisher.send(publisher.batch(0, [bytes(100_000 // records)] * records))
    publisher.publish(0, b"behind it")
    world.turns(1)
    assert not len(world.workers), "a thread would hold the GIL"
    assert not peer.texts()
    assert [text["offset"] for text in news(peer, world)] == list(range(records + 1))


def test_nothing_is_written_for_readers_that_have_gone() -> None:
    world = World()
    peer = person(world)
    peer.send(SUBSCRIBE)
    publisher = world.publisher("wf-42/loss", kind=Kind.STATE)
    news(peer, world)
    written: list[Run | LargeMessage] = []

    def writing(message: Run | LargeMessage) -> Steps[Run]:
        written.append(message)
        return world.renderer.writing(message)

    peer.form.writing = writing
    publisher.publish(0, bytes(100_000))
    world.settle()
    publisher.publish(0, bytes(100_000))
    world.core.disconnect(peer.session)
    world.settle()
    assert [message.first for message in written if isinstance(message, Run)] == [0]


def test_views_are_told_apart_by_their_ids_and_say_what_their_integers_stand_for() -> None:
    world = World()
    peer = person(world)
    publisher = world.publisher("wf-42/loss")
    asked = {1: {"slice": [0]}, 2: {"dtype": "uint8"}, 3: None}
    for number, view in asked.items():
        payload = {"pattern": "wf-42/*", "view": view}
        peer.send(orjson.dumps({"id": number, "message_type": "subscribe", "payload": payload}))
    announced = [text["payload"] for text in news(peer, world) if text["message_type"] == "stream"]
    ids = {stream.get("subscription"): stream["id"] for stream in announced}
    publisher.publish_array(0, np.array([0.0, 127.5]))
    messages = {text.get("view"): text for text in news(peer, world)}
    row, quantized, whole = messages[ids[1]], messages[ids[2]], messages[None]
    assert row["payload"] == {"dtype": "float64", "shape": [], "data": base64.b64encode(bytes(8)).decode()}
    assert quantized["quantized"] == {"dtype": "float64", "scale": 0.5, "zero_point": 0.0}
    assert quantized["payload"] == {"dtype": "uint8", "shape": [2], "data": "AP8="}
    assert whole["payload"]["shape"] == [2]
    assert not {"view", "quantized"} & set(whole)
    publisher.publish_array(0, np.array(1.0))
    told = news(peer, world)
    (gap,) = [text["payload"] for text in told if text["message_type"] == "gap"]
    assert gap == {"stream": "wf-42/loss", "code": Code.INVALID_VIEW, "first": 1, "last": 1, "view": ids[1]}
    (error,) = [text["payload"] for text in told if text["message_type"] == "error"]
    assert (error["code"], error["stream"], error["subscription"]) == (Code.INVALID_VIEW, "wf-42/loss", 1)


def test_a_large_result_of_a_view_arrives_in_one_piece() -> None:
    world = World(limits=Limits(chunk_bytes=CHUNK_BYTES))
    peer = person(world)
    publisher = world.publisher("wf-42/loss")
    peer.send('{"id":1,"message_type":"subscribe","payload":{"pattern":"wf-42/*","view":{"dtype":"uint8"}}}')
    publisher.publish_array(0, np.linspace(0, 255, 10_000))
    arrived = only(peer, world, "message")
    assert arrived["quantized"] == {"dtype": "float64", "scale": 1.0, "zero_point": 0.0}
    assert len(base64.b64decode(arrived["payload"]["data"])) == 10_000


def batches(peer: Peer, alias: int, count: int, records: int) -> None:
    for _ in range(count):
        peer.send(peer.batch(alias, [b"x"] * records))


def test_the_text_of_a_message_is_not_kept_with_it() -> None:
    world = World()
    peer = person(world)
    peer.send(SUBSCRIBE)
    news(peer, world)
    publisher = world.publisher("wf-42/events", "wf-42/more", kind=Kind.EVENT)
    states = world.publisher("wf-42/state", kind=Kind.STATE)
    for each in (publisher, states):
        batches(each, 0, 1, 5000)
        batches(each, 0, 1, 5)
    assert len([text for text in news(peer, world) if text["message_type"] == "message"]) == 10_010
    streams = [*world.core.streams]
    runs = [run for run in gc.get_objects() if issubclass(type(run), Run) and run.source in streams]
    assert runs
    assert not [run for run in runs if run.is_text]


def test_text_that_waits_for_a_slow_reader_counts_as_such() -> None:
    world = World(delivery=DeliverySettings(outbox_limit_bytes=200_000, max_event_hold_s=0.0))
    peer = lagging_person(world)
    publisher = world.publisher("wf-42/events", kind=Kind.EVENT)
    for _ in range(20):
        batches(publisher, 0, 1, 300)  # some 400 bytes, and 70,000 as text
        world.settle()
    outbox = peer.session.connection.outbox
    assert outbox is not None
    assert 70_000 < outbox.waiting_bytes <= 200_000
    peer.transport.read_on()
    offsets = [text["offset"] for text in news(peer, world) if text["message_type"] == "message"]
    assert offsets == list(range(6000))


@pytest.mark.parametrize(("count", "records"), [(100, 300), (4, 20_000)])
def test_history_is_written_bit_by_bit_for_a_reader_of_text(count: int, records: int) -> None:
    world = World(history=HistoryLimits(max_messages=10**6))
    publisher = world.publisher("wf-42/events", kind=Kind.EVENT)
    empty = [b"x" if records < MANY_TEXTS else b""] * records
    for _ in range(count):
        publisher.send(publisher.batch(0, empty))
    world.settle()
    peer = person(world)
    writing = world.renderer.writing

    def noted(message: Run | LargeMessage) -> Steps[Run]:
        peer.transport.fill_up()
        return writing(message)

    peer.form.writing = noted
    peer.send('{"id":1,"message_type":"subscribe","payload":{"pattern":"wf-42/*","since":"beginning"}}')
    offsets: list[int] = []
    while len(offsets) < count * records:
        found = [text["offset"] for text in news(peer, world) if text["message_type"] == "message"]
        assert len(found) <= max(MANY_TEXTS, records) + 300
        outbox = peer.session.connection.outbox
        assert outbox is not None
        assert outbox.waiting_bytes < 20_000_000
        offsets += found
        peer.transport.read_on()
    assert offsets == list(range(count * records))


def test_a_slow_reader_of_a_state_gets_the_newest_text_of_a_run_only() -> None:
    world = World()
    publisher = world.publisher("wf-42/loss", kind=Kind.STATE)
    peer = lagging_person(world)
    publisher.send(*[publisher.message(0, bytes(10)) for _ in range(500)])
    world.settle()
    publisher.send(publisher.message(0, b"a"), publisher.batch(0, [b"b", b"c"]))
    world.settle()
    peer.transport.read_on()
    offsets = [text["offset"] for text in news(peer, world) if text["message_type"] == "message"]
    assert offsets == [501, 502]


def test_slow_readers_share_the_text() -> None:
    world = World()
    peers = [person(world) for _ in range(3)]
    written = noting_written(world, peers)
    for peer in peers:
        peer.send(SUBSCRIBE)
        news(peer, world)
        peer.transport.fill_up()
    publisher = world.publisher("wf-42/loss")
    publisher.publish(0, b"small")
    batches(publisher, 0, 1, 1000)
    world.settle()
    assert len(written) == 2
    for peer in peers:
        peer.transport.read_on()
        assert len([text for text in news(peer, world) if text["message_type"] == "message"]) == 1001
    assert len(written) == 2


def test_what_is_sent_in_one_turn_is_written_in_steps_past_a_bound() -> None:
    world = World()
    peers = [person(world) for _ in range(4)]
    for number, peer in enumerate(peers):
        peer.send(f'{{"id":1,"message_type":"subscribe","payload":{{"pattern":"wf-42/s{number}"}}}}')
        news(peer, world)
    publisher = world.publisher(*[f"wf-42/s{number}" for number in range(4)])
    world.take_one_step_a_turn()
    for number in range(4):
        batches(publisher, number, 1, TEXTS_AT_ONCE // 2)
    world.turns(1)
    came = [b'"message"' in b"".join(peer.texts()) for peer in peers]
    assert came == [True, True, False, False]
    world.settle()
    assert all(peer.texts() for peer in peers[2:])


@pytest.mark.parametrize(("tensors", "values"), [(62, 0), (1, 6000)])
def test_a_step_writes_few_messages_of_many_tensors_or_with_long_headers(tensors: int, values: int) -> None:
    world = World()
    world.publisher("wf-42/loss")
    stream = world.core.streams.get(StreamName("wf-42/loss"))
    assert stream is not None
    meta = write_meta([TensorSpec(f"t{number}", BYTE, ()) for number in range(tensors)], {"a": [[]] * values})
    data = bytes(8 * (tensors - 1) + 1)
    frame = b"".join(write_data(Opcode.MESSAGE, stream=1, offset=0, timestamp_ns=0, meta=meta, payload=(data,)))
    steps = list(world.renderer.writing(Run.of_frames(stream, 0, [(frame, 1)] * 20)))
    assert len(steps) >= 20


def test_whoever_comes_while_a_run_waits_gets_it_in_steps() -> None:
    world = World()
    world.take_one_step_a_turn()
    first = person(world)
    first.send(SUBSCRIBE)
    news(first, world)
    publisher = world.publisher("wf-42/loss", kind=Kind.EVENT)
    batches(publisher, 0, 1, 1000)
    world.core.disconnect(first.session)
    second = person(world)
    second.send(SUBSCRIBE)
    batches(publisher, 0, 1, 1000)
    offsets = [text["offset"] for text in news(second, world) if text["message_type"] == "message"]
    assert offsets == list(range(2000 - len(offsets), 2000))


def test_long_payloads_are_decoded_in_a_thread_and_written_outside() -> None:
    world = World()
    peer = person(world)
    peer.send(SUBSCRIBE)
    news(peer, world)
    publisher = world.publisher("wf-42/loss")
    publisher.publish(0, bytes(200_000), chain=Chain(codec="zstd"))
    world.turn()
    assert len(world.workers) == 1
    assert b'"message"' not in b"".join(peer.texts())
    assert base64.b64decode(only(peer, world, "message")["payload"]["data"]) == bytes(200_000)


def test_long_records_are_written_in_steps() -> None:
    world = World()
    peer = person(world)
    peer.send(SUBSCRIBE)
    news(peer, world)
    publisher = world.publisher("wf-42/loss")
    publisher.send(publisher.batch(0, [bytes([number]) * (BASE64_BYTES + 1) for number in range(3)]))
    texts = [text for text in news(peer, world) if text["message_type"] == "message"]
    assert [base64.b64decode(text["payload"]["data"])[0] for text in texts] == [0, 1, 2]
    assert [text["id"] for text in texts] == [0, 1, 2]


def test_requests_that_wait_are_written_when_they_come() -> None:
    world, peer, asker = ask_person()
    written = noting_written(world, [peer])
    peer.transport.fill_up()
    asker.open(1, "wf/x")
    for correlation in (1, 2):
        frame = bytearray(b"".join(asker.message(1, b"?")))
        frame[4], frame[8:12], frame[16:24] = Opcode.REQUEST, bytes(4), correlation.to_bytes(8, "little")
        asker.send(bytes(frame))
        world.settle()
    assert len(written) == 2
    peer.transport.read_on()
    came = [(text["message_type"], text["correlation"]) for text in news(peer, world)]
    assert came == [("request", 1), ("request", 2)]
    assert len(written) == 2


def test_long_text_is_written_to_one_reader_after_the_other() -> None:
    world = World()
    peers = [person(world) for _ in range(3)]
    for peer in peers:
        peer.send(SUBSCRIBE)
        news(peer, world)
    publisher = world.publisher("wf-42/loss")
    for peer in peers:
        news(peer, world)
    world.take_one_step_a_turn()
    batches(publisher, 0, 1, 5000)
    publisher.publish(0, b"behind it")
    had: list[int] = []
    while not all(peer.transport.writes for peer in peers):
        world.turns(1)
        had.append(sum(len(b"".join(peer.transport.writes)) > LONG_TEXT_BYTES for peer in peers))
    assert {1, 2} <= set(had)
    for peer in peers:
        offsets = [text["offset"] for text in news(peer, world) if text["message_type"] == "message"]
        assert offsets == list(range(5001))
        assert not peer.session.connection.lagging
