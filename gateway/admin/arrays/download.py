"""Download of the newest state as a ``.npy`` file, piece by piece: ``GET /api/v1/streams/{name}``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Send

from gateway.admin.arrays.newest import NewestMessage, PieceSlice
from gateway.admin.arrays.npy import write_header
from gateway.admin.http.etags import is_known
from gateway.admin.http.query import check_names
from gateway.admin.http.thread import in_thread
from gateway.connections.core import Core
from gateway.connections.fanout.patch_merger import PatchMerger
from gateway.connections.fanout.recode import THREAD_BYTES
from gateway.errors import Code, PeerError, RequestRefused
from gateway.protocol.dtypes import dtype_name
from gateway.protocol.encoding import decode
from gateway.protocol.messages import Kind
from gateway.protocol.names import check_stream_name
from gateway.protocol.signals import Gap
from gateway.protocol.wire import Buffer
from gateway.streams.large import LargeMessage
from gateway.streams.run import Run
from gateway.streams.state import patch_of
from gateway.streams.stream import Stream

logger = logging.getLogger(__name__)


class FileDownload:
    """Handler of downloads.

    Args:
        core: the gateway.
        idle_timeout_s: longest time in which a client reads nothing.
    """

    def __init__(self, core: Core, idle_timeout_s: float) -> None:
        self._core = core
        self._idle_timeout_s = idle_timeout_s

    async def get(self, request: Request) -> Response:
        """Return the tensor of the stream's newest message, or the one of its tensors that ``tensor`` names.

        Raises:
            RequestRefused: ``INVALID_NAME``, ``UNKNOWN_STREAM`` (also while the stream is empty), ``KIND_MISMATCH``
                (the stream is not of kind ``state``), ``INVALID_TENSOR``, ``INVALID_REQUEST``, ``CORRUPT_PAYLOAD``.
        """
        check_names(request, "tensor")
        stream = self._stream_of(request.path_params["name"])
        newest = await _newest_of(stream, self._core.merger)
        if isinstance(newest, Run) and newest.size > THREAD_BYTES:
            message = await in_thread(NewestMessage.of, newest)
        else:
            message = NewestMessage.of(newest)
        index = message.index_of(request.query_params.get("tensor"))
        spec = message.specs[index]
        start = write_header(spec.dtype, spec.shape)
        etag = f'"{stream.epoch}-{message.offset}-{index}"'
        headers = {
            "etag": etag,
            "cache-control": "no-cache",
            "x-frys-offset": str(message.offset),
            "x-frys-epoch": str(stream.epoch),
            "x-frys-dtype": dtype_name(spec.dtype),
        }
        if is_known(etag, request):
            return Response(status_code=304, headers=headers)
        headers |= {
            "content-length": str(len(start) + spec.nbytes),
            "content-type": "application/octet-stream",
            "content-disposition": f'attachment; filename="{stream.name.rpartition("/")[2]}.npy"',
        }
        if request.method == "HEAD":
            return Response(headers=headers)
        pieces = _pieces(message, index)
        # The first piece before the status: if it does not decode, the answer is an error.
        first = await anext(pieces, b"")
        return _PieceByPiece(_joined(start, first, pieces), headers, self._idle_timeout_s)

    def _stream_of(self, name: str) -> Stream:
        stream = self._core.streams.get(check_stream_name(name))
        if stream is None:
            raise RequestRefused(Code.UNKNOWN_STREAM, f"there is no stream {name}: list them at /api/v1/streams")
        if stream.kind is not Kind.STATE:
            problem = f"stream {name} is of kind {stream.kind.value}: only streams of kind state can be downloaded"
            raise RequestRefused(Code.KIND_MISMATCH, problem)
        return stream


async def _newest_of(stream: Stream, merger: PatchMerger) -> Run | LargeMessage:
    """Return the newest state, complete."""
    newest = stream.newest
    if newest is None:
        raise RequestRefused(Code.UNKNOWN_STREAM, f"no message was published to {stream.name} yet")
    patch = patch_of(newest)
    if patch is None:
        return newest
    merged = asyncio.Event()
    while (state := merger.keyframe(patch, None, merged.set)) is None:
        await merged.wait()
    if isinstance(state, Gap):
        raise RequestRefused(Code.CORRUPT_PAYLOAD, f"message {patch.offset} of {stream.name} does not decode")
    return state


async def _pieces(message: NewestMessage, index: int) -> AsyncIterator[Buffer]:
    dtype = message.specs[index].dtype
    for part in message.parts_of(index):
        yield _cut(part, await _decoded(part), dtype)


async def _decoded(part: PieceSlice) -> Buffer:
    encoding, data = part.piece
    return data if encoding is None else await in_thread(decode, encoding, data)


def _cut(part: PieceSlice, data: Buffer, dtype: np.dtype[Any]) -> Buffer:
    view = memoryview(data)[part.start : part.stop]
    # numpy trusts that a bool is 0 or 1 (see gateway.protocol.tensors.view_tensors); a publisher may send other values.
    return (np.frombuffer(view, np.uint8) != 0).view(np.uint8).data if dtype.kind == "b" else view


async def _joined(start: bytes, first: Buffer, rest: AsyncIterator[Buffer]) -> AsyncIterator[Buffer]:
    yield start
    yield first
    async for piece in rest:
        yield piece


class _PieceByPiece(StreamingResponse):
    """Body of known length. If a piece fails, the connection is closed before the end, so that the client notices."""

    def __init__(self, pieces: AsyncIterator[Buffer], headers: dict[str, str], idle_timeout_s: float) -> None:
        super().__init__((), headers=headers)
        self._pieces = pieces
        self._idle_timeout_s = idle_timeout_s

    async def stream_response(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            async for piece in self._pieces:
                async with asyncio.timeout(self._idle_timeout_s):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        except PeerError as error:
            logger.warning("a download was cut off, its stream's newest message cannot be read: %s", error)
        except TimeoutError:
            logger.warning("a download was cut off, its client has read nothing for %g s", self._idle_timeout_s)
        else:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
