"""``python -m benchmarks.json_edge``: JSON receivers rendered in the core, and by a translator at the edge.

Three ways to serve N receivers of ``frys.v1.json``, measured by the CPU time of the core in process (no sockets):

- *core*: the gateway as it is. A JSON connection has a format of its own, its delivery class renders each message once.
- *edge*: the connection is a binary one in the core; a translator in front of its socket renders what it is sent.
- *edge, cached*: the same, with a small cache shared by all translators and keyed by the buffer that was written.

The record is ``docs/decisions/0014-json-is-a-format-of-the-core.md``.
"""

from __future__ import annotations

import argparse
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import numpy as np

from gateway.connections.outbound.formats import BinaryFormat
from gateway.connections.sliced_workers import taken_at_once
from gateway.connections.socket_counts import NO_SOCKET_COUNTS, SocketCounts
from gateway.connections.text.renderer import TextRenderer
from gateway.protocol.data import parse_data, write_data
from gateway.protocol.frames import iter_frames
from gateway.protocol.messages import Kind
from gateway.protocol.signals import End
from gateway.protocol.transfers import ChunkPlan, parse_chunk, split_payload, write_chunk
from gateway.protocol.wire import CHUNK_HEADER, DATA_OPCODES, Buffer, Opcode, padded
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.run import Run
from gateway.streams.stream import Stream
from tests.connections.frames import tensor_meta
from tests.connections.memory import Peer, TextPeer, World

RECEIVERS: Final = 100
CACHED_TEXTS: Final = 64
EDGE_FORMAT: Final = BinaryFormat("edge", lambda size: b"", answers_pings=False)
STREAM: Final = "bench/json"
SMALL, MIDDLE, LARGE = "100 B", "64 KiB", "4 MiB"
LOADS: Final = {SMALL: (1000, 100), MIDDLE: (100, 65536), LARGE: (5, 4 << 20)}
"""By name, how many messages, and the bytes of each."""


class Sink:
    """A :class:`~gateway.connections.ports.Transport` that counts what it is given."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, data: Buffer) -> None:
        """Count a buffer."""
        self.size += len(data)

    def raw_write(self, data: Buffer, /) -> None:
        """Take a buffer as :meth:`write` does."""
        self.write(data)

    def writelines(self, buffers: Sequence[Buffer]) -> None:
        """Count buffers."""
        self.size += sum([len(buffer) for buffer in buffers])

    def ping(self, payload: bytes) -> None:
        """Do nothing."""

    def pause_reading(self) -> None:
        """Do nothing."""

    def resume_reading(self) -> None:
        """Do nothing."""

    def close(self, code: int, reason: str) -> None:
        """Do nothing."""

    def waiting_bytes(self) -> int:
        """Return 0."""
        return 0

    def socket_counts(self) -> SocketCounts:
        """Return nothing: there is no socket."""
        return NO_SOCKET_COUNTS

    def peer_address(self) -> str:
        """Return nothing: there is no socket."""
        return ""


class Translator(Sink):
    """A transport of a binary connection that renders the frames it is given as text.

    Args:
        renderer: of the gateway.
        stream: the one stream that it is sent; the prototype looks up no other.
        cache: texts by the buffer they were rendered from, shared by all translators; ``None``: none.
    """

    def __init__(self, renderer: TextRenderer, stream: Stream, cache: Cache | None) -> None:
        super().__init__()
        self._renderer = renderer
        self._stream = stream
        self._cache = cache
        self._transfers: dict[int, LargeMessage] = {}

    def write(self, data: Buffer) -> None:
        """Render a WebSocket message in one buffer."""
        self._send((data,), data)

    def writelines(self, buffers: Sequence[Buffer]) -> None:
        """Render frames that come in several buffers each, without joining the data of chunks."""
        frame: list[Buffer] = []
        missing = 0
        for buffer in buffers:
            if not len(buffer):
                continue
            if not missing:
                missing = padded(CHUNK_HEADER.unpack_from(buffer)[0])
            frame.append(buffer)
            missing -= len(buffer)
            if missing <= 0:
                self._send(frame, max(frame, key=len))
                frame, missing = [], 0

    def _send(self, frame: Sequence[Buffer], key: Buffer) -> None:
        """Send what a frame says, from the cache if another translator has rendered it."""
        if frame[0][4] == Opcode.CHUNK and len(frame) > 1:
            transfer = CHUNK_HEADER.unpack_from(frame[0])[4]
            self._transfers[transfer].chunks.append(StoredChunk(None, memoryview(frame[1])))
            return
        text = None if self._cache is None else self._cache.get(key)
        if text is None:
            text = self._render(frame[0] if len(frame) == 1 else b"".join(frame))
            # A head has no text, and each connection has to assemble its own message.
            if self._cache is not None and text:
                self._cache.put(key, text)
        self.size += len(text)

    def _render(self, data: Buffer) -> bytes:
        view = memoryview(data)
        texts: list[bytes] = []
        for frame in iter_frames(view):
            if frame.opcode in DATA_OPCODES:
                parsed = parse_data(view, frame)
                if parsed.plan is None:
                    run = Run(
                        self._stream, parsed.offset, parsed.count, (view[frame.start : padded(frame.end)],), 0, 0, 1
                    )
                    texts.append(b"".join(map(bytes, self._renderer.runs((run,)))))
                else:
                    self._transfers[parsed.plan.transfer] = LargeMessage(
                        self._stream,
                        parsed.opcode,
                        parsed.publisher,
                        parsed.timestamp_ns,
                        parsed.flags,
                        bytes(parsed.meta),
                        parsed.plan,
                    )
            elif frame.opcode == Opcode.CHUNK:
                chunk = parse_chunk(view, frame)
                self._transfers[chunk.transfer].chunks.append(StoredChunk(None, chunk.data))
            elif frame.opcode == Opcode.END:
                end = End.parse(view, frame)
                texts.append(self._complete(self._transfers.pop(end.transfer), end.offset))
        return b"".join(texts)

    def _complete(self, message: LargeMessage, offset: int) -> bytes:
        message.offset = offset
        cache = self._cache
        text = None if cache is None else cache.large.get(message.plan.transfer)
        if text is None:
            text = b"".join(taken_at_once(self._renderer.writing(message)).buffers)
            if cache is not None:
                cache.large = {message.plan.transfer: text}
        return text


class Cache:
    """Texts of the buffers that were written last; a buffer is the same object for all members of a class."""

    def __init__(self) -> None:
        self._texts: OrderedDict[int, tuple[Buffer, bytes]] = OrderedDict()
        self.large: dict[int, bytes] = {}

    def get(self, data: Buffer) -> bytes | None:
        """Return the text of this very buffer."""
        found = self._texts.get(id(data))
        return None if found is None else found[1]

    def put(self, data: Buffer, text: bytes) -> None:
        """Keep a text, and the buffer, so that its id stays its own."""
        self._texts[id(data)] = (data, text)
        if len(self._texts) > CACHED_TEXTS:
            self._texts.popitem(last=False)


def publish_large(publisher: Peer, payload: bytes, chunk_bytes: int) -> None:
    """Publish a message in chunks as the SDK cuts them."""
    publisher.sequences[0] += 1
    sequence = publisher.sequences[0]
    plan = ChunkPlan(sequence, chunk_bytes, len(payload))
    meta = tensor_meta(np.frombuffer(payload, np.uint8))
    publisher.send(write_data(Opcode.MESSAGE, stream=0, offset=sequence, timestamp_ns=0, meta=meta, plan=plan))
    for index, data in enumerate(split_payload([payload], chunk_bytes)):
        publisher.send(write_chunk(sequence, index, data))
    publisher.send(End(sequence, 0, 0, zlib.crc32(payload)).write())


def in_core(world: World, stream: Stream) -> Sink:
    """Add a JSON connection as the gateway has it."""
    person = TextPeer(world)
    person.send('{"message_type":"hello","client_type":"agent","payload":{"versions":[1]}}')
    person.send('{"id":1,"message_type":"subscribe","payload":{"pattern":"' + STREAM + '"}}')
    sink = Sink()
    person.session.connection.transport = sink
    return sink


def at_edge(cache: Cache | None, world: World, stream: Stream) -> Sink:
    """Add a binary connection without codecs, whose transport is a translator."""
    peer = Peer(world, world.free_name("person"), ())
    peer.session.connection.format = EDGE_FORMAT
    peer.hello()
    peer.subscribe(STREAM)
    sink = Translator(world.renderer, stream, cache)
    peer.session.connection.transport = sink
    return sink


def measure(receive: Callable[[World, Stream], Sink], receivers: int, count: int, size: int) -> tuple[float, int]:
    """Return the CPU time in us for a message to all receivers, and the bytes that each was sent."""
    world = World(max_connections=receivers + 1)
    publisher = world.publisher(STREAM, kind=Kind.EVENT)
    stream = next(iter(world.core.streams))
    sinks = [receive(world, stream) for _ in range(receivers)]
    for session in world.core.pool:
        world.core.lag_changes.note(session.connection, lagging=False)
    world.settle()
    before = [sink.size for sink in sinks]
    payload = bytes(size)
    began_ns = time.process_time_ns()
    for _ in range(count):
        if size > 1 << 20:
            publish_large(publisher, payload, chunk_bytes=world.core.settings.limits.chunk_bytes)
        else:
            publisher.publish(0, payload)
        world.settle()
    used_us = (time.process_time_ns() - began_ns) / 1000 / count
    sent = {sink.size - size_before for sink, size_before in zip(sinks, before, strict=True)}
    (each,) = sent
    assert each >= count * size * 4 // 3, f"{each} bytes cannot hold {count} messages of {size}"
    return used_us, each


def main() -> None:
    """Print a table: the lowest of the rounds, in us of CPU a message."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--receivers", type=int, default=RECEIVERS)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print("| us a message | " + " | ".join(LOADS) + " |\n|---|" + "---|" * len(LOADS))
    ways: dict[str, Callable[[], Callable[[World, Stream], Sink]]] = {
        "core": lambda: in_core,
        "edge": lambda: partial(at_edge, None),
        "edge, cached": lambda: partial(at_edge, Cache()),
    }
    best: dict[tuple[str, str], float] = {}
    sizes: dict[str, set[int]] = {}
    for _ in range(options.rounds):
        for way, receive in ways.items():
            for load, (count, size) in LOADS.items():
                used_us, sent = measure(receive(), options.receivers, count, size)
                best[way, load] = min(used_us, best.get((way, load), used_us))
                sizes.setdefault(load, set()).add(sent // count)
    for way in ways:
        print(f"| {way} | " + " | ".join([f"{best[way, load]:,.0f}" for load in LOADS]) + " |")
    print({load: sorted(each) for load, each in sizes.items()})


if __name__ == "__main__":
    main()
