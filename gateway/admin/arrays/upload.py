"""Upload of a ``.npy`` file, published chunk by chunk while it comes: ``PUT /api/v1/streams/{name}``.

A body without bytes is a message of headers alone, such as a command.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.admin.arrays.npy import NpyHeader, parse_header
from gateway.admin.http.awaited_answer import AwaitedAnswer
from gateway.admin.http.query import HEADER_PREFIX, check_names, durability_of, headers_of, kind_of
from gateway.connections.core import Core
from gateway.connections.sessions.local import LocalConnection
from gateway.connections.sessions.publication import Publication, PublishOutcome, PublishReceipt
from gateway.errors import Code, RequestRefused, UsageError
from gateway.protocol.durability import Durability
from gateway.protocol.messages import ClientType, Kind
from gateway.protocol.names import check_stream_name

AGENT = "http"

MAX_UPLOADS: Final = 128
"""Uploads at once; so at least as many connections of the admin port remain for everything else."""

PROGRESS_BYTES: Final = 64 * 1024
"""Bytes of a body that must come within the time in which its client may send nothing."""


class _Message(NamedTuple):
    """Message that is to be published, but for its payload."""

    stream: str
    kind: Kind | None
    durability: Durability | None
    headers: Mapping[str, Any] | None


class FileUpload:
    """Handler of uploads. Each upload is a client of its own, with a local connection for as long as it lasts.

    Args:
        core: the gateway.
        idle_timeout_s: longest time that :data:`PROGRESS_BYTES`, or the end of the body, may take to come.
        max_uploads: uploads at once.
    """

    def __init__(self, core: Core, idle_timeout_s: float, max_uploads: int = MAX_UPLOADS) -> None:
        self._core = core
        self._idle_timeout_s = idle_timeout_s
        self._max_uploads = max_uploads
        self._uploads = 0

    async def put(self, request: Request) -> Response:
        """Publish the file as one message of the stream, which is made if it does not exist.

        Raises:
            RequestRefused: the gateway refuses the message; or ``INVALID_REQUEST``: a query parameter is wrong, or the
                body is no ``.npy`` file; ``INVALID_TENSOR``: its array cannot be published in its layout or dtype;
                ``SIZE_MISMATCH``: its length is not the one of its header; ``LIMIT_EXCEEDED``: there are as many
                uploads as the gateway takes.
            ConnectionClosed: the gateway takes no further client.
            HTTPException: 408: the client sends nothing, or too slowly.
            ClientDisconnect: the client has left within the body.
        """
        name = check_stream_name(request.path_params["name"])
        check_names(request, "kind", "durability", headers=True)
        message = _Message(name, kind_of(request), durability_of(request), headers_of(request))
        if self._core.draining:
            raise RequestRefused(Code.DRAINING, "the gateway is stopping: try again later")
        if self._uploads >= self._max_uploads:
            problem = f"{self._uploads} uploads are under way, and the gateway takes no more at once: try again later"
            raise RequestRefused(Code.LIMIT_EXCEEDED, problem)
        pieces = self._pieces(request)
        self._uploads += 1
        try:
            header, data = await _read_header(pieces, may_be_empty=message.headers is not None)
            if header is not None:
                _check_length(request, header)
            outcome = await self._publish(message, header, data, pieces)
        except UsageError as error:
            raise RequestRefused(Code.INVALID_TENSOR, str(error)) from None
        finally:
            self._uploads -= 1
        if not isinstance(outcome, PublishReceipt):
            raise outcome
        return JSONResponse(
            {
                "stream": outcome.stream,
                "epoch": outcome.epoch,
                "offset": outcome.offset,
                "kind": outcome.kind.value,
                "durability": outcome.durability.value,
            }
        )

    async def _publish(
        self,
        message: _Message,
        header: NpyHeader | None,
        data: memoryview,
        pieces: AsyncIterator[bytes],
    ) -> PublishOutcome:
        answered = AwaitedAnswer[PublishOutcome]()
        connection = LocalConnection(self._core, client_type=ClientType.ADMIN_PANEL, agent=AGENT)
        try:
            name, kind, durability, headers = message
            specs = () if header is None else (header.spec,)
            publication = connection.begin(
                name, specs, answered.give, kind=kind, headers=headers, durability=durability
            )
            try:
                await _pass_on(connection, publication, data, pieces)
                return await answered
            finally:
                publication.abort()
        finally:
            connection.close()

    async def _pieces(self, request: Request) -> AsyncIterator[bytes]:
        stream = request.stream()
        now = asyncio.get_running_loop().time
        received, waited_s = 0, 0.0
        while True:
            # The time that the gateway itself takes does not count.
            began_s = now()
            try:
                async with asyncio.timeout(self._idle_timeout_s - waited_s):
                    piece = await anext(stream)
            except StopAsyncIteration:
                return
            except TimeoutError:
                problem = (
                    f"the client sent {received} bytes in {self._idle_timeout_s} s: send at least {PROGRESS_BYTES}"
                )
                raise HTTPException(408, problem) from None
            received += len(piece)
            waited_s += now() - began_s
            if received >= PROGRESS_BYTES:
                received, waited_s = 0, 0.0
            yield piece


async def _read_header(pieces: AsyncIterator[bytes], *, may_be_empty: bool) -> tuple[NpyHeader | None, memoryview]:
    """Return the header of the file, and the data that came with it; ``None``: the body has no bytes, and need not."""
    start = bytearray()
    async for piece in pieces:
        start += piece
        header = parse_header(start)
        if header is not None:
            return header, memoryview(start)[header.data_at :]
    if may_be_empty and not start:
        return None, memoryview(b"")
    problem = f"the body is not a .npy file: it ends after {len(start)} bytes, within the header"
    if not start:
        problem = (
            f"the body is not a .npy file, but empty: a message needs none with headers, as ?{HEADER_PREFIX}step=7"
        )
    raise RequestRefused(Code.INVALID_REQUEST, problem)


def _check_length(request: Request, header: NpyHeader) -> None:
    declared = request.headers.get("content-length")
    expected = header.data_at + header.spec.nbytes
    if declared is not None and int(declared) != expected:
        problem = f"the body has {declared} bytes, but {expected} by its .npy header: upload the complete file"
        raise RequestRefused(Code.SIZE_MISMATCH, problem)


async def _pass_on(
    connection: LocalConnection, publication: Publication, data: memoryview, pieces: AsyncIterator[bytes]
) -> None:
    """Hand the data to the gateway as it comes, no faster than the gateway takes it; stop if the message is refused."""
    publication.write(data)
    while publication.outcome is None:
        piece = await anext(pieces, None)
        if piece is None:
            publication.end()
            return
        if connection.paused:
            ready = asyncio.Event()
            connection.when_ready(ready.set)
            await ready.wait()
        publication.write(piece)
