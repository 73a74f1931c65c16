"""Dead letters over HTTP: ``GET /api/v1/dead-letters`` lists them, ``POST …/resend`` sends one again.

A dead letter stays where it is when it was sent again. The gateway remembers, until it stops, that it was: a second
click sends nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from weakref import WeakValueDictionary

from starlette.requests import Request
from starlette.responses import JSONResponse

from gateway.admin.arrays.upload import AGENT
from gateway.admin.commands.command_body import command_body
from gateway.admin.http.awaited_answer import AwaitedAnswer
from gateway.admin.http.query import check_names, integer_of, pattern_of
from gateway.admin.http.steps import taken
from gateway.admin.http.thread import in_thread
from gateway.connections.consumers.dead_letter import HEADER, HEADERS_TENSOR, OpenedUnit, opened
from gateway.connections.core import Core
from gateway.connections.fanout.recode import frame_of
from gateway.connections.sessions.local import LocalConnection
from gateway.connections.sessions.publication import PublishOutcome, PublishReceipt
from gateway.errors import Code, RequestRefused, StoreFailed
from gateway.ids import StreamName
from gateway.protocol.dtypes import dtype_name
from gateway.protocol.messages import ClientType
from gateway.protocol.meta import parse_meta
from gateway.protocol.names import check_stream_name, is_dead_letter_name
from gateway.protocol.tensors import TensorSpec, payload_layout
from gateway.protocol.wire import Buffer
from gateway.streams.history import Entry
from gateway.streams.large import LargeMessage
from gateway.streams.span import held_bytes_of, offsets_of
from gateway.streams.stream import Stream

SHOWN: Final = 100
MAX_SHOWN: Final = 1000
"""Dead letters of an answer."""

READ_BYTES: Final = 64 * 1024 * 1024
"""Bytes of dead letters that are read for an answer; the last one may be larger."""

MAX_SENDING: Final = 8
"""Dead letters that are sent again at a time: each may be large, and wait for room in its stream."""

MAX_REMEMBERED: Final = 10_000
"""Dead letters that are known to have been sent again, the last ones."""

_Letter = tuple[int, int]
"""Id of the stream of a dead letter, and its offset: no two letters of a gateway's life share both."""


class TaskMessage(NamedTuple):
    """Message that a dead letter holds, as it was published."""

    specs: Sequence[TensorSpec]
    payload: Buffer


@dataclass(slots=True, eq=False)
class Resent:
    """Dead letter that was sent again, whole or in part."""

    time_s: float
    """Unix time of the first message."""
    messages: int = 0
    """Messages that were published: several of a record batch."""
    is_complete: bool = False


class DeadLetterCommands:
    """Handlers of requests about dead letters.

    Args:
        core: the gateway.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._resent: OrderedDict[_Letter, Resent] = OrderedDict()
        self._reading = asyncio.Lock()
        """Held while letters are read, which may be large."""
        self._sending: WeakValueDictionary[_Letter, asyncio.Lock] = WeakValueDictionary()
        """Locks of the letters that are sent again, so that two requests for one do not both send it."""

    async def show(self, request: Request) -> JSONResponse:
        """Answer with the newest dead letters of the streams that ``pattern`` matches, the newest of each first.

        Raises:
            RequestRefused: ``INVALID_REQUEST``, ``INVALID_NAME``.
        """
        check_names(request, "pattern", "limit")
        pattern = pattern_of(request)
        limit = integer_of(request, "limit", SHOWN, least=1, most=MAX_SHOWN)

        def is_wanted(stream: Stream) -> bool:
            return is_dead_letter_name(stream.name) and bool(stream.next_offset) and pattern.matches(stream.name)

        found, _ = await taken(self._core.streams, MAX_SHOWN, is_wanted)
        letters: list[dict[str, Any]] = []
        read_bytes = 0
        async with self._reading:
            for stream in found:
                async for entry in self._newest_of(stream, limit - len(letters)):
                    letters.append(self._fields(stream, entry))
                    read_bytes += held_bytes_of(entry)
                    if read_bytes >= READ_BYTES:
                        break
                if len(letters) >= limit or read_bytes >= READ_BYTES:
                    break
        streams = [{"stream": stream.name, "messages": stream.next_offset - stream.first_offset} for stream in found]
        return JSONResponse({"dead_letters": letters, "streams": streams})

    async def resend(self, request: Request) -> JSONResponse:
        """Publish the message of a dead letter again, to the stream that it came from, unless that was done before.

        Raises:
            HTTPException: the content type is not JSON, which no page of another site can send.
            RequestRefused: ``INVALID_REQUEST``; ``UNKNOWN_STREAM``: there is no such letter, or its stream has ended;
                ``CORRUPT_PAYLOAD``; or the gateway refuses the message.
            ConnectionClosed: the gateway takes no further client.
        """
        check_names(request)
        fields = await command_body(request, "resend", ("stream", "offset"))
        name, offset = check_stream_name(fields.text("stream")), fields.integer("offset")
        stream = self._core.streams.get(name)
        if stream is None or not is_dead_letter_name(name):
            raise _no_letter(name, offset)
        letter = stream.id, offset
        lock = self._sending.get(letter)
        if lock is None:
            if len(self._sending) >= MAX_SENDING:
                problem = f"{MAX_SENDING} dead letters are being sent again, for which no stream has room: try later"
                raise RequestRefused(Code.QUEUE_FULL, problem)
            lock = self._sending[letter] = asyncio.Lock()
        async with lock:
            entry = await self._entry_at(stream, offset)
            if entry is None:
                raise _no_letter(name, offset)
            unit = await in_thread(opened, entry)
            origin = _origin_of(unit.headers, name, offset)
            resent = self._resent.get(letter)
            is_new = resent is None or not resent.is_complete
            if is_new:
                resent = await self._send(unit, self._target_of(origin), letter)
        assert resent is not None
        return JSONResponse(
            {"stream": origin, "messages": resent.messages, "time_s": round(resent.time_s, 3), "already": not is_new}
        )

    async def _newest_of(self, stream: Stream, limit: int) -> AsyncIterator[Entry]:
        """Yield the newest letters of a stream, the newest first: one by one, as each may be large."""
        newest = stream.next_offset - 1
        for offset in range(newest, max(newest - limit, stream.first_offset - 1), -1):
            entry = await self._entry_at(stream, offset)
            if entry is None:
                return
            yield entry

    def _fields(self, stream: Stream, entry: Entry) -> dict[str, Any]:
        offset, _ = offsets_of(entry)
        if isinstance(entry, LargeMessage):
            meta, timestamp_ns = parse_meta(entry.meta), entry.timestamp_ns
        else:
            frame = frame_of(entry)
            meta, timestamp_ns = parse_meta(frame.meta), frame.timestamp_ns
        origin = (meta.headers or {}).get(HEADER) or {}
        resent = self._resent.get((stream.id, offset))
        return {
            "stream": stream.name,
            "offset": offset,
            "time_s": round(timestamp_ns / 1e9, 3),
            "origin": origin.get("stream"),
            "origin_offset": origin.get("offset"),
            "client_id": origin.get("client_id"),
            "tries": origin.get("tries"),
            "reason": origin.get("reason"),
            "records": origin.get("records"),
            "undecodable": origin.get("undecodable"),
            "tensors": [
                {"name": spec.name, "dtype": dtype_name(spec.dtype), "shape": [*spec.shape]} for spec in meta.specs
            ],
            "resent_s": None if resent is None or not resent.is_complete else round(resent.time_s, 3),
        }

    async def _entry_at(self, stream: Stream, offset: int) -> Entry | None:
        """Return the message at an offset, from memory or from the store; ``None``: it is not held."""
        if not stream.first_offset <= offset < stream.next_offset:
            return None
        read = AwaitedAnswer[Sequence[Entry] | Exception]()
        self._core.hub.fanouts.tails.read(stream, offset, offset, READ_BYTES, read.give)
        entries = await read
        if isinstance(entries, StoreFailed):
            return None  # the store has logged it
        if isinstance(entries, Exception):
            raise entries
        return entries[0] if entries and offsets_of(entries[0])[0] == offset else None

    def _target_of(self, origin: str) -> StreamName:
        stream = self._core.streams.get(StreamName(origin))
        if stream is None or not stream.kind.acknowledged:
            problem = f"stream {origin}, from which the letter comes, has ended: nobody would get the message"
            raise RequestRefused(Code.UNKNOWN_STREAM, f"{problem}; open it again, with its kind, and send then")
        return stream.name

    async def _send(self, unit: OpenedUnit, target: StreamName, letter: _Letter) -> Resent:
        """Publish the messages of a letter that were not published before."""
        if unit.headers[HEADER].get("undecodable"):
            problem = f"the message does not decode, and nobody could read it: {unit.headers[HEADER]['undecodable']}"
            raise RequestRefused(Code.CORRUPT_PAYLOAD, problem)
        messages, headers = await in_thread(_contents_of, unit)
        resent = self._resent.setdefault(letter, Resent(self._core.clock.time_ns() / 1e9))
        if len(self._resent) > MAX_REMEMBERED:
            self._resent.popitem(last=False)
        connection = LocalConnection(self._core, client_type=ClientType.ADMIN_PANEL, agent=AGENT)
        try:
            for message in messages[resent.messages :]:
                await _publish(connection, target, message, headers)
                resent.messages += 1
        finally:
            connection.close()
        resent.is_complete = True
        return resent


async def _publish(
    connection: LocalConnection, target: StreamName, message: TaskMessage, headers: Mapping[str, Any]
) -> None:
    answered = AwaitedAnswer[PublishOutcome]()
    connection.publish(target, message.specs, [message.payload], answered.give, headers=headers)
    outcome = await answered
    if not isinstance(outcome, PublishReceipt):
        raise outcome


def _no_letter(name: str, offset: int) -> RequestRefused:
    problem = f"{name} has no dead letter at offset {offset}: GET /api/v1/dead-letters lists them"
    return RequestRefused(Code.UNKNOWN_STREAM, problem)


def _origin_of(headers: Mapping[str, Any], name: str, offset: int) -> str:
    origin = headers.get(HEADER)
    if not isinstance(origin, dict) or not isinstance(origin.get("stream"), str):
        raise RequestRefused(Code.INVALID_REQUEST, f"message {offset} of {name} does not say where it comes from")
    return check_stream_name(origin["stream"])


def _contents_of(unit: OpenedUnit) -> tuple[list[TaskMessage], Mapping[str, Any]]:
    """Return the messages of a letter as they were published, and their headers."""
    specs, headers = list(unit.specs), {key: value for key, value in unit.headers.items() if key != HEADER}
    payload = memoryview(b"".join(unit.payload))
    if specs and specs[-1].name == HEADERS_TENSOR:
        own = specs.pop()
        headers = json.loads(bytes(payload[len(payload) - own.nbytes :]))
        payload = payload[: payload_layout(specs)[1]]
    if unit.headers[HEADER].get("records") is None:
        return [TaskMessage(specs, payload)], headers
    (batch,) = specs
    count, *shape = batch.shape
    record = TensorSpec(batch.name, batch.dtype, tuple(shape))
    size = record.nbytes
    return [TaskMessage([record], payload[size * index : size * (index + 1)]) for index in range(count)], headers
