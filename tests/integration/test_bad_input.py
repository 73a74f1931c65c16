"""Every line of what may go wrong, over real sockets: its documented code, and nobody else notices."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio

from gateway.app import Gateway
from gateway.client import connect
from gateway.config import Settings
from gateway.connections.core_settings import CoreSettings
from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.errors import Code, RequestRefused
from gateway.protocol.data import write_data
from gateway.protocol.dtypes import BYTE
from gateway.protocol.encoding import Chain, Encoding, encode
from gateway.protocol.frames import START_BYTES
from gateway.protocol.messages import ClientType, Error, Hello, Kind
from gateway.protocol.meta import write_meta
from gateway.protocol.session_body import write_session
from gateway.protocol.tensors import spec_of
from gateway.protocol.wire import DATA_HEADER, FRAME_START, SUBPROTOCOL_JSON, Opcode
from gateway.testing import running_gateway
from tests.connections.frames import START_NS, message_frame
from tests.connections.reader import Reader
from tests.integration.peer import RawPeer, publisher_of, raw_peer, raw_websocket, subscriber_of, until

MIB = 1024 * 1024
META = write_meta([spec_of(np.zeros(4, np.float32))], None)


@pytest_asyncio.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with running_gateway() as running:
        yield running


class Bystanders:
    """A publisher and a subscriber that must not notice what the others do."""

    def __init__(self, publisher: RawPeer, subscriber: RawPeer) -> None:
        self.publisher = publisher
        self.subscriber = subscriber

    async def check(self) -> None:
        """A message still goes from one to the other."""
        before = len(self.subscriber.reader.arrivals)
        await self.publisher.publish(0, b"still here", ack=True)
        await self.subscriber.until(lambda reader: len(reader.arrivals) > before)
        assert self.subscriber.reader.offsets == list(range(before + 1))


@pytest_asyncio.fixture
async def bystanders(gateway: Gateway) -> AsyncIterator[Bystanders]:
    async with (
        subscriber_of(gateway.url, "by/*", "bystander") as subscriber,
        publisher_of(gateway.url, "by/stander") as publisher,
    ):
        pair = Bystanders(publisher, subscriber)
        await pair.check()
        yield pair
        await pair.check()


def message(payload: bytes = bytes(16), **options: object) -> bytes:
    fields = {"stream": 0, "offset": 1, "timestamp_ns": START_NS, "meta": META, "payload": (payload,), **options}
    return b"".join(write_data(Opcode.MESSAGE, **fields))  # type: ignore[arg-type]


def frame_start(frame_bytes: int, opcode: int, size: int) -> bytes:
    return FRAME_START.pack(frame_bytes, opcode, 0, 0) + bytes(size - START_BYTES)


CLOSES = {
    "an empty message": (b"", Code.MALFORMED_FRAME),
    "a message that is no multiple of 8": (bytes(13), Code.MALFORMED_FRAME),
    "a frame of no bytes": (frame_start(0, Opcode.PING, 16), Code.MALFORMED_FRAME),
    "a frame that claims more than there is": (frame_start(4096, Opcode.MESSAGE, 64), Code.MALFORMED_FRAME),
    "a frame that claims 4 GiB": (frame_start(2**32 - 1, Opcode.CHUNK, 64), Code.MALFORMED_FRAME),
    "a PING that is too short": (frame_start(8, Opcode.PING, 8), Code.MALFORMED_FRAME),
    "a CHUNK that is too short": (frame_start(8, Opcode.CHUNK, 8), Code.MALFORMED_FRAME),
    "a data frame that is too short": (frame_start(24, Opcode.MESSAGE, 24), Code.MALFORMED_FRAME),
    "a meta block behind the end": (
        DATA_HEADER.pack(32, Opcode.MESSAGE, 0, 0xFFFF, 0, 0, 1, 0),
        Code.MALFORMED_FRAME,
    ),
    "a second HELLO": (write_session(Hello((1,), ClientType.AGENT)), Code.UNEXPECTED_MESSAGE),
    "what only the server sends": (frame_start(32, Opcode.ACK, 32), Code.UNEXPECTED_MESSAGE),
}


@pytest.mark.parametrize("name", CLOSES)
async def test_what_breaks_the_protocol_closes(gateway: Gateway, bystanders: Bystanders, name: str) -> None:
    data, code = CLOSES[name]
    async with raw_peer(gateway.url, "bad") as peer:
        await peer.send(data)
        assert await peer.closing() == code
        (error,) = peer.reader.errors
        assert error.code == code


def refused() -> dict[str, tuple[bytes, Code]]:
    found = encode(Chain(codec="zstd"), bytes(MIB), BYTE)
    small = encode(Chain(codec="lz4"), bytes(4000), BYTE)
    assert found is not None
    assert small is not None
    numbers = encode(Chain(codec="pco"), bytes(8000), BYTE)
    assert numbers is not None
    bytes_meta = write_meta([spec_of(np.zeros(4000, np.uint8))], None)
    unknown = bytearray(message(bytes(small[1]), meta=bytes_meta, encoding=small[0]))
    unknown[32 + len(bytes_meta) + 8] = 77
    return {
        "a payload shorter than dtype and shape": (message(bytes(12)), Code.SIZE_MISMATCH),
        "a payload longer than dtype and shape": (message(bytes(20)), Code.SIZE_MISMATCH),
        "a shape of more bytes than there are numbers": (
            message(meta=b"\x0c\x02\x00\x02" + bytes([255] * 16) + bytes(4)),
            Code.INVALID_TENSOR,
        ),
        "an unknown dtype": (message(meta=b"\x63" + META[1:]), Code.INVALID_TENSOR),
        "an unknown codec": (bytes(unknown), Code.UNKNOWN_CODEC),
        "an unknown stream": (message(stream=99), Code.UNKNOWN_STREAM),
        "a compressed payload that declares less than it expands to": (
            message(bytes(found[1]), meta=bytes_meta, encoding=Encoding(4000, found[0].steps)),
            Code.CORRUPT_PAYLOAD,
        ),
        "a compressed payload that declares another size than dtype and shape": (
            message(bytes(found[1]), meta=bytes_meta, encoding=found[0]),
            Code.SIZE_MISMATCH,
        ),
        "a file of numbers that counts others than it declares": (
            message(bytes(numbers[1]), meta=bytes_meta, encoding=Encoding(4000, numbers[0].steps)),
            Code.CORRUPT_PAYLOAD,
        ),
    }


@pytest.mark.parametrize("name", refused())
async def test_what_is_wrong_with_one_message_is_answered(gateway: Gateway, bystanders: Bystanders, name: str) -> None:
    data, code = refused()[name]
    async with publisher_of(gateway.url, "bad/stream") as peer:
        await peer.send(data)
        await peer.until(lambda reader: reader.errors)
        assert peer.reader.codes == [code]
        if code is not Code.UNKNOWN_STREAM:
            assert peer.reader.errors[0].sequence == 1
            peer.sequences[0] += 1
        await peer.publish(0, b"goes on", ack=True)
        await peer.until(lambda reader: reader.acks)


async def test_an_unknown_message_type_is_answered_and_skipped(gateway: Gateway, bystanders: Bystanders) -> None:
    async with publisher_of(gateway.url, "bad/stream") as peer:
        await peer.send(frame_start(24, 0x77, 24), message_frame(0, 1, b"after it", ack=True))
        await peer.until(lambda reader: reader.acks)
        assert peer.reader.codes == [Code.UNKNOWN_MESSAGE_TYPE]


async def test_data_that_expands_beyond_what_it_declares_never_reaches_a_plain_receiver(
    gateway: Gateway, bystanders: Bystanders
) -> None:
    """lz4 says no size of its own, so only decoding tells: the receiver is told of a gap."""
    found = encode(Chain(codec="lz4"), bytes(8 * MIB), BYTE)
    assert found is not None
    meta = write_meta([spec_of(np.zeros(4 * MIB, np.uint8))], None)
    async with (
        subscriber_of(gateway.url, "bad/*", "plain") as plain,
        publisher_of(gateway.url, "bad/stream") as peer,
    ):
        await peer.send(message(bytes(found[1]), meta=meta, encoding=Encoding(4 * MIB, found[0].steps)))
        await plain.until(lambda reader: reader.gaps)
        assert plain.reader.gaps[0].code == Code.CORRUPT_PAYLOAD


async def test_a_file_of_numbers_that_is_damaged_behind_its_header_is_a_gap(
    gateway: Gateway, bystanders: Bystanders
) -> None:
    """The gateway passes it on to those who know pco, after a look at its header; who decodes it finds the damage."""
    numbers = np.cumsum(np.random.default_rng(2).integers(0, 9, 30_000))
    found = encode(Chain(codec="pco"), numbers.tobytes(), numbers.dtype)
    assert found is not None
    damaged = bytearray(found[1])
    damaged[16:24] = bytes([255] * 8)
    sent = message(bytes(damaged), meta=write_meta([spec_of(numbers)], None), encoding=found[0])
    told: list[BaseException] = []
    async with (
        subscriber_of(gateway.url, "bad/*", "plain") as plain,
        connect(gateway.url, on_error=told.append) as client,
        client.subscribe("bad/*") as messages,
        publisher_of(gateway.url, "bad/stream") as peer,
    ):
        await peer.send(sent)
        await plain.until(lambda reader: reader.gaps)
        assert plain.reader.gaps[0].code == Code.CORRUPT_PAYLOAD
        await client.publish("bad/stream", numbers, kind="event", codec="pco")
        np.testing.assert_array_equal((await anext(messages)).tensor, numbers)
    (error,) = told
    assert isinstance(error, RequestRefused)
    assert (error.code, "pco file" in str(error)) == (Code.CORRUPT_PAYLOAD, True)


async def test_a_websocket_message_above_the_limit(gateway: Gateway, bystanders: Bystanders) -> None:
    async with raw_peer(gateway.url, "bad") as peer:
        await peer.send(bytes(8 * MIB + 8))
        assert await peer.closing() == Code.FRAME_TOO_BIG


async def test_text_on_the_binary_subprotocol(gateway: Gateway, bystanders: Bystanders) -> None:
    async with raw_peer(gateway.url, "bad") as peer:
        await peer.websocket.send("hello?")
        assert await peer.closing() == Code.UNSUPPORTED_DATA


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (write_session(Hello((99,), ClientType.AGENT)), Code.UNSUPPORTED_VERSION),
        (frame_start(8, Opcode.HELLO, 8), Code.BAD_HELLO),
        (message(), Code.UNEXPECTED_MESSAGE),
        (bytes(5), Code.MALFORMED_FRAME),
    ],
)
async def test_a_greeting_that_fails(gateway: Gateway, bystanders: Bystanders, frame: bytes, code: Code) -> None:
    async with raw_websocket(gateway.url) as websocket:
        peer = RawPeer(websocket)
        await peer.send(frame)
        assert await peer.closing() == code
        assert peer.reader.codes == [code]


async def test_half_handshakes_are_ended_each_in_its_way(bystanders: Bystanders, gateway: Gateway) -> None:
    settings = Settings(admin_port=None, core=CoreSettings(hello_timeout_s=0.2))
    async with running_gateway(settings) as impatient:
        silent = await asyncio.open_connection("127.0.0.1", impatient.port)
        half = await asyncio.open_connection("127.0.0.1", impatient.port)
        half[1].write(b"GET / HTTP/1.1\r\nHost: gateway\r\nUpgrade: webso")
        async with raw_websocket(impatient.url) as websocket:
            peer = RawPeer(websocket)
            assert await peer.closing() == Code.HANDSHAKE_TIMEOUT
            assert peer.reader.codes == [Code.HANDSHAKE_TIMEOUT]
        for reader, writer in (silent, half):
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()
        await until(lambda: not len(impatient.core.pool))


async def test_half_handshakes_do_not_hold_up_the_stop() -> None:
    """With an hour to stop in, it takes no time."""
    settings = Settings(admin_port=None, drain_deadline_s=3600)
    async with running_gateway(settings) as gateway:
        _, silent = await asyncio.open_connection("127.0.0.1", gateway.port)
        _, half = await asyncio.open_connection("127.0.0.1", gateway.port)
        half.write(b"GET / HTTP/1.1\r\n")
        async with raw_websocket(gateway.url) as websocket:
            peer = RawPeer(websocket)
            async with asyncio.timeout(20):
                await asyncio.gather(gateway.stop(), peer.closing())
    silent.close()
    half.close()


def offsets_of(reader: Reader, stream: str) -> list[int]:
    id = reader.stream_id(stream)
    return [arrival.offset for arrival in reader.arrivals if arrival.stream == id]


def caught_up(reader: Reader) -> bool:
    """Of 120 events, each has come or was announced as missing; and the newest state has come."""
    if len(reader.streams) < 2:
        return False
    missing = sum([gap.last - gap.first + 1 for gap in reader.gaps])
    return missing + len(offsets_of(reader, "wf/event")) == 120 and 119 in offsets_of(reader, "wf/state")


async def test_a_client_that_stops_reading_is_bounded_in_memory(bystanders: Bystanders) -> None:
    limit = 4 * MIB
    delivery = DeliverySettings(outbox_limit_bytes=limit)
    settings = Settings(admin_port=None, drain_deadline_s=0.1, core=CoreSettings(delivery=delivery))
    async with (
        running_gateway(settings) as gateway,
        subscriber_of(gateway.url, "wf/*", "stuck") as stuck,
        subscriber_of(gateway.url, "wf/*", "other") as other,
        publisher_of(gateway.url, "wf/event") as publisher,
        publisher_of(gateway.url, "wf/state", kind=Kind.STATE) as second,
    ):
        stuck.stop_reading()
        payload = bytes(500_000)
        (session,) = [session for session in gateway.core.pool if session.peer.client_id == "stuck"]
        for count in range(1, 121):
            await publisher.publish(0, payload, ack=True)
            await second.publish(0, payload, ack=True)
            await other.until(lambda reader, count=count: len(reader.arrivals) == 2 * count)  # type: ignore[misc]
            outbox = session.connection.outbox
            assert outbox is None or outbox.waiting_bytes <= limit + 2 * len(payload)
            assert session.connection.transport.waiting_bytes() < 8 * MIB
        stuck.read_on()
        other.reader.log.clear()
        await stuck.until(caught_up)
        assert stuck.reader.gaps
        states = offsets_of(stuck.reader, "wf/state")
        assert states == sorted(set(states))


async def test_a_client_that_does_not_drain_its_control_messages_is_closed(bystanders: Bystanders) -> None:
    delivery = DeliverySettings(urgent_limit_bytes=100_000)
    settings = Settings(admin_port=None, drain_deadline_s=0.1, core=CoreSettings(delivery=delivery))
    async with (
        running_gateway(settings) as gateway,
        subscriber_of(gateway.url, "wf/*", "stuck") as stuck,
        publisher_of(gateway.url, "wf/control", kind=Kind.CONTROL) as publisher,
    ):
        stuck.stop_reading()
        (session,) = [session for session in gateway.core.pool if session.peer.client_id == "stuck"]
        while not session.connection.closed:
            await publisher.publish(0, bytes(10_000), ack=True)
        stuck.read_on()
        assert await stuck.closing() == Code.SLOW_CONSUMER
        assert stuck.reader.offsets == list(range(len(stuck.reader.arrivals)))


async def test_a_client_that_vanishes_in_the_middle_of_a_tensor(gateway: Gateway, bystanders: Bystanders) -> None:
    async with subscriber_of(gateway.url, "wf/*") as subscriber:
        async with publisher_of(gateway.url, "wf/tensor") as publisher:
            await publisher.publish_large(0, bytes(16 * MIB), chunks=10)
            await subscriber.until(lambda reader: reader.received_chunks == 10)
            publisher.reset()
        await subscriber.until(lambda reader: reader.aborts)
        assert subscriber.reader.aborts[0].code == Code.TRANSFER_ABORTED
        assert not subscriber.reader.transfers
    await until(lambda: len(gateway.core.pool) == 2)


async def test_a_receiver_that_vanishes_in_the_middle_of_a_tensor(gateway: Gateway, bystanders: Bystanders) -> None:
    async with (
        subscriber_of(gateway.url, "wf/*", "gone") as gone,
        subscriber_of(gateway.url, "wf/*", "other") as other,
        publisher_of(gateway.url, "wf/tensor") as publisher,
    ):
        sending = asyncio.create_task(publisher.publish_large(0, bytes(16 * MIB)))
        await gone.until(lambda reader: reader.received_chunks > 3)
        gone.reset()
        await asyncio.gather(sending, other.until(lambda reader: reader.arrivals))
        await publisher.until(lambda reader: reader.acks)


async def test_a_replier_that_vanishes_in_the_middle_of_a_request(gateway: Gateway, bystanders: Bystanders) -> None:
    async with raw_peer(gateway.url, "asker") as asker, raw_peer(gateway.url, "replier") as replier:
        await replier.subscribe("agent:replier")
        await asker.open(0, "agent:replier")
        head = bytearray(b"".join(write_data(Opcode.REQUEST, stream=0, offset=5, timestamp_ns=0)))
        await asker.send(bytes(head))
        await replier.until(lambda reader: reader.arrivals)
        replier.reset()
        await asker.until(lambda reader: reader.errors)
        (error,) = asker.reader.errors
        assert isinstance(error, Error)
        assert (error.code, error.correlation) == (Code.PEER_GONE, 5)


async def test_a_flood_of_refused_messages_does_not_fill_the_gateway(bystanders: Bystanders) -> None:
    """A publisher that never reads its errors is read no more, or closed."""
    delivery = DeliverySettings(urgent_limit_bytes=MIB)
    settings = Settings(admin_port=None, drain_deadline_s=0.1, core=CoreSettings(delivery=delivery))
    async with running_gateway(settings) as gateway, publisher_of(gateway.url, "wf/a") as publisher:
        (session,) = list(gateway.core.pool)
        publisher.stop_reading()
        bad = message(stream=77) * 1000
        sending = asyncio.create_task(flood(publisher, bad))
        await until(lambda: session.connection.closed or session.connection.reading.held)
        await asyncio.sleep(0)
        assert session.connection.transport.waiting_bytes() < 8 * MIB
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        publisher.reset()


async def flood(peer: RawPeer, data: bytes) -> None:
    while True:
        await peer.send(data)


async def test_random_text_on_the_json_subprotocol(gateway: Gateway, bystanders: Bystanders) -> None:
    async with raw_websocket(gateway.url, SUBPROTOCOL_JSON) as websocket:
        for text in ("", "nonsense", "{}", "[" * 10_000, '{"message_type":' + "9" * 400 + "}"):
            await websocket.send(text)
            answer = await websocket.recv()
            assert str(int(Code.INVALID_REQUEST)) in str(answer)
