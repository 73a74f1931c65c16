"""Catalogue of the admin port: lists of streams, connections and workflows, page by page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from gateway.admin.query import check_names, integer_of
from gateway.connections.collaboration.workflow import Workflow
from gateway.connections.core import Core
from gateway.connections.sessions.session import Session
from gateway.connections.snapshots import (
    STEP,
    ConnectionSnapshot,
    StreamSnapshot,
    WorkflowSnapshot,
    connection_snapshot,
    stream_snapshot,
    workflow_snapshot,
)
from gateway.protocol.dtypes import dtype_name
from gateway.protocol.names import compile_pattern
from gateway.protocol.state import State
from gateway.streams.stream import Stream

T = TypeVar("T")

PAGE: Final = 100
MAX_PAGE: Final = 1000
_MAX_NUMBER: Final = 0xFFFF_FFFF
WRITE_STEP: Final = 32
"""Items of a page that are written in one turn, in some 0.5 ms."""
EVERY_STREAM: Final = "**"


class Catalogue:
    """Lists of streams, connections and workflows, cut into pages by their numbers, which never change.

    Args:
        core: the gateway.
        in_turn: held while a page is made: of many requests at once, one is served at a time.
    """

    def __init__(self, core: Core, in_turn: asyncio.Lock) -> None:
        self._core = core
        self._in_turn = in_turn

    async def streams(self, request: Request) -> Response:
        """Return up to ``limit`` streams whose name matches ``pattern``, in the order of their ids, after id ``after``.

        Raises:
            RequestRefused: ``INVALID_REQUEST``, ``INVALID_NAME``.
        """
        check_names(request, "pattern", "after", "limit")
        pattern = compile_pattern(request.query_params.get("pattern", EVERY_STREAM))
        after, limit = _page_of(request)
        async with self._in_turn:
            found, last = await _take(
                self._core.streams, limit, lambda stream: stream.id > after and pattern.matches(stream.name)
            )
            following = None if last else found[-1].id
            return await _answer("streams", found, self._stream, following)

    async def connections(self, request: Request) -> Response:
        """Return up to ``limit`` connections that have sent HELLO, in the order of their peers, after peer ``after``.

        Raises:
            RequestRefused: ``INVALID_REQUEST``.
        """
        check_names(request, "after", "limit")
        after, limit = _page_of(request)

        def is_wanted(session: Session) -> bool:
            return session.peer.id > after and (session.state is not State.GREETING or session.connection.closed)

        async with self._in_turn:
            found, last = await _take(self._core.pool, limit, is_wanted)
            following = None if last else found[-1].peer.id
            return await _answer("connections", found, lambda each: _fields(connection_snapshot(each)), following)

    async def workflows(self, request: Request) -> Response:
        """Return up to ``limit`` workflows with their graphs, in the order of their ids, after id ``after``.

        Raises:
            RequestRefused: ``INVALID_REQUEST``.
        """
        check_names(request, "name", "after", "limit")
        name = request.query_params.get("name")
        after, limit = _page_of(request)
        async with self._in_turn:
            found, last = await _take(
                self._core.workflows, limit, lambda each: each.id > after and name in {None, each.name}
            )
            following = None if last else found[-1].id
            # One at a time: a workflow may have hundreds of edges.
            return await _answer("workflows", found, self._workflow, following, together=1)

    def _workflow(self, workflow: Workflow) -> dict[str, Any]:
        snapshot = workflow_snapshot(self._core, workflow)
        return _rounded(_fields(snapshot)) | {"edges": [_rounded(edge._asdict()) for edge in snapshot.edges]}

    def _stream(self, stream: Stream) -> dict[str, Any] | None:
        return None if stream.ended else _stream(stream_snapshot(self._core, stream))


def _page_of(request: Request) -> tuple[int, int]:
    after = integer_of(request, "after", 0, most=_MAX_NUMBER)
    return after, integer_of(request, "limit", PAGE, least=1, most=MAX_PAGE)


async def _take(items: Iterable[T], limit: int, is_wanted: Callable[[T], bool]) -> tuple[list[T], bool]:
    """Return the first ``limit`` wanted items, and whether no more follow; let the loop turn in between."""
    found: list[T] = []
    for index, item in enumerate(list(items), start=1):
        if is_wanted(item):
            if len(found) == limit:
                return found, False
            found.append(item)
        if not index % STEP:
            await asyncio.sleep(0)
    return found, True


async def _answer(
    name: str,
    page: Sequence[T],
    fields_of: Callable[[T], dict[str, Any] | None],
    following: int | None,
    together: int = WRITE_STEP,
) -> Response:
    """Return a page as JSON; let the loop turn while it is written.

    Args:
        name: of the list.
        page: items of the page.
        fields_of: returns the fields of an item; ``None``: it has ended since the page was begun.
        following: number of the last item, if others follow.
        together: items that are written in one turn.
    """
    written: list[str] = []
    for index, item in enumerate(page, start=1):
        fields = fields_of(item)
        if fields is not None:
            written.append(json.dumps(fields, ensure_ascii=False, separators=(",", ":")))
        if not index % together:
            await asyncio.sleep(0)
    body = f'{{"{name}":[{",".join(written)}],"next":{json.dumps(following)}}}'
    return Response(body.encode(), media_type="application/json")


def _stream(stream: StreamSnapshot) -> dict[str, Any]:
    newest = None
    if stream.newest is not None:
        newest = [
            {"name": spec.name, "dtype": dtype_name(spec.dtype), "shape": list(spec.shape)} for spec in stream.newest
        ]
    return _fields(stream) | {"newest": newest}


def _rounded(fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields whose fractions have as many digits as say something."""
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in fields.items()}


def _fields(snapshot: StreamSnapshot | ConnectionSnapshot | WorkflowSnapshot) -> dict[str, Any]:
    """Return the fields of a snapshot under their names, which are those of the JSON."""
    return {name: getattr(snapshot, name) for name in snapshot.__slots__}
