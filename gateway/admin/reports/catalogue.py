"""Catalogue of the admin port: lists of streams, connections and workflows, page by page or the largest first."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from gateway.admin.http.query import EVERY_STREAM, check_names, integer_of, order_of, pattern_of
from gateway.admin.http.steps import largest, taken
from gateway.admin.reports.stream_rates import RateColumns, Rates, StreamRates
from gateway.connections.collaboration.workflow import Workflow
from gateway.connections.core import Core
from gateway.connections.outbound.link_reading import LinkSnapshot, link_quality, most_behind, queued_bytes_of
from gateway.connections.sessions.session import Session
from gateway.connections.snapshots import (
    STEP,
    ConnectionSnapshot,
    StreamSnapshot,
    connection_snapshot,
    stream_snapshot,
)
from gateway.connections.workflow_snapshots import WorkflowSnapshot, participants_of, workflow_snapshot
from gateway.protocol.dtypes import dtype_name
from gateway.protocol.link_quality import LinkQuality
from gateway.protocol.names import Pattern
from gateway.protocol.state import State
from gateway.streams.stream import Stream

T = TypeVar("T")

PAGE: Final = 100
MAX_PAGE: Final = 1000
_MAX_NUMBER: Final = 0xFFFF_FFFF
WRITE_STEP: Final = 32
"""Items of a page that are written in one turn, in some 0.5 ms."""

MAX_EDGES: Final = 1000
"""Edges of a workflow in a list: more than any has."""
STREAM_ORDERS: Final[dict[str, Callable[[Stream], float]]] = {
    "messages_per_s": lambda stream: stream.next_offset,
    "bytes_per_s": lambda stream: stream.published_bytes,
}
"""Rates by which streams are sorted, and the totals that stand for them as long as they are not known."""
CONNECTION_ORDERS: Final[dict[str, Callable[[Session], float]]] = {
    "waiting_bytes": lambda session: queued_bytes_of(session.connection),
    "score": lambda session: -link_quality(session.connection).score,
    "behind": lambda session: most_behind(session.connection),
}
"""Numbers by which connections are sorted: of scores of links the lowest come first."""
WORKFLOW_ORDERS: Final[dict[str, Callable[[Workflow], float]]] = {
    "messages_per_s": lambda workflow: workflow.graph.messages_per_s,
    "bytes_per_s": lambda workflow: workflow.graph.bytes_per_s,
}


class Catalogue:
    """Lists of streams, connections and workflows.

    A list is cut into pages by numbers that never change, or has the largest by a number that does: ``sort``.

    Args:
        core: the gateway.
        in_turn: held while a page is made: of many requests at once, one is served at a time.
    """

    def __init__(self, core: Core, in_turn: asyncio.Lock) -> None:
        self._core = core
        self._in_turn = in_turn
        self._rates = StreamRates(core.clock)

    async def streams(self, request: Request) -> Response:
        """Return up to ``limit`` streams whose name matches ``pattern``, in the order of their ids, after id ``after``.

        The parameter ``sort`` asks for those of the highest rates instead.

        Raises:
            RequestRefused: ``INVALID_REQUEST``, ``INVALID_NAME``.
        """
        check_names(request, "pattern", "sort", "after", "limit")
        pattern = pattern_of(request)
        order = order_of(request, STREAM_ORDERS)
        after, limit = page_of(request)
        async with self._in_turn:
            if order is not None:
                return await self._busiest(pattern, order, limit)
            found, last = await taken(
                self._core.streams, limit, lambda stream: stream.id > after and pattern.matches(stream.name)
            )
            following = None if last else found[-1].id
            return await page_answer("streams", found, self._stream, following)

    async def connections(self, request: Request) -> Response:
        """Return up to ``limit`` connections that have sent HELLO, in the order of their peers, after peer ``after``.

        The parameter ``sort`` asks for those with the most bytes that wait, or with the worst links, instead.

        Raises:
            RequestRefused: ``INVALID_REQUEST``.
        """
        check_names(request, "sort", "after", "limit")
        order = order_of(request, CONNECTION_ORDERS)
        after, limit = page_of(request)

        def is_wanted(session: Session) -> bool:
            return session.peer.id > after and (session.state is not State.GREETING or session.connection.closed)

        async with self._in_turn:
            if order is not None:
                greeted = (session if is_wanted(session) else None for session in self._core.pool)
                found, following = await largest(greeted, limit, CONNECTION_ORDERS[order]), None
            else:
                found, last = await taken(self._core.pool, limit, is_wanted)
                following = None if last else found[-1].peer.id
            return await page_answer("connections", found, self._connection, following)

    async def workflows(self, request: Request) -> Response:
        """Return up to ``limit`` workflows with their graphs, in the order of their ids, after id ``after``.

        Each has up to ``edges`` edges. The parameter ``sort`` asks for the busiest instead.

        Raises:
            RequestRefused: ``INVALID_REQUEST``.
        """
        check_names(request, "name", "edges", "sort", "after", "limit")
        name = request.query_params.get("name")
        edges = integer_of(request, "edges", MAX_EDGES, most=MAX_EDGES)
        order = order_of(request, WORKFLOW_ORDERS)
        after, limit = page_of(request)

        def fields_of(workflow: Workflow) -> dict[str, Any]:
            snapshot = workflow_snapshot(self._core, workflow)
            shown = snapshot.edges[:edges]
            participants = [_rounded(each._asdict()) for each in participants_of(self._core, workflow, shown)]
            heaviest = [_rounded(edge._asdict()) for edge in shown]
            return _rounded(_fields(snapshot)) | {"edges": heaviest, "participants": participants}

        async with self._in_turn:
            if order is not None:
                named = (each if name in {None, each.name} else None for each in list(self._core.workflows))
                found, following = await largest(named, limit, WORKFLOW_ORDERS[order]), None
            else:
                found, last = await taken(
                    self._core.workflows, limit, lambda each: each.id > after and name in {None, each.name}
                )
                following = None if last else found[-1].id
            # One at a time: a workflow may have hundreds of edges.
            return await page_answer("workflows", found, fields_of, following, together=1)

    async def _busiest(self, pattern: Pattern, order: str, limit: int) -> Response:
        """Return the streams of the highest rates; by their totals while there are no rates."""
        look, streams = self._rates.look(), list(self._core.streams)

        def rated() -> Iterator[tuple[Stream, Rates | None] | None]:
            for at in range(0, len(streams), STEP):
                part = streams[at : at + STEP]
                rates = look.rates_of(part)
                # Most are among the largest of no part: to leave them out by numpy takes a third of the time.
                best = _largest_in(part, rates, order, pattern, limit)
                for place, stream in enumerate(part):
                    yield (stream, None if rates is None else rates.at(place)) if place in best else None

        def number_of(each: tuple[Stream, Rates | None]) -> float:
            stream, rates = each
            return STREAM_ORDERS[order](stream) if rates is None else getattr(rates, order)

        found = await largest(rated(), limit, number_of)
        self._rates.keep(look)
        return await page_answer("streams", found, lambda each: self._stream(*each), None)

    def _connection(self, session: Session) -> dict[str, Any]:
        snapshot = connection_snapshot(session)
        fields = _fields(snapshot) | {"link": _link(snapshot.link)}
        age_s = self._core.clock.monotonic_s() - fields.pop("opened_s")
        return fields | {"age_s": round(age_s, 3)}

    def _stream(self, stream: Stream, rates: Rates | None = None) -> dict[str, Any] | None:
        return None if stream.ended else _stream(stream_snapshot(self._core, stream), rates)


def _largest_in(
    streams: Sequence[Stream], rates: RateColumns | None, order: str, pattern: Pattern, limit: int
) -> frozenset[int]:
    """Return the places of the ``limit`` streams that a pattern matches with the highest rates, or totals."""
    if rates is None:
        total_of = STREAM_ORDERS[order]
        numbers = np.array([total_of(stream) for stream in streams], np.float64)
    else:
        numbers = getattr(rates, order)
    wanted = np.arange(len(streams))
    if pattern.text != EVERY_STREAM:
        wanted = np.flatnonzero([pattern.matches(stream.name) for stream in streams])
    # Stable: of equal ones the first.
    return frozenset(wanted[np.argsort(-numbers[wanted], kind="stable")[:limit]].tolist())


def page_of(request: Request) -> tuple[int, int]:
    """Return the parameters ``after`` and ``limit``.

    Raises:
        RequestRefused: ``INVALID_REQUEST``.
    """
    after = integer_of(request, "after", 0, most=_MAX_NUMBER)
    return after, integer_of(request, "limit", PAGE, least=1, most=MAX_PAGE)


async def page_answer(
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


def _stream(stream: StreamSnapshot, rates: Rates | None) -> dict[str, Any]:
    newest = None
    if stream.newest is not None:
        newest = [
            {"name": spec.name, "dtype": dtype_name(spec.dtype), "shape": list(spec.shape)} for spec in stream.newest
        ]
    measured = dict.fromkeys(Rates._fields) if rates is None else _rounded(rates._asdict())
    encodings = [{**_rounded(each._asdict()), "chain": str(each.chain)} for each in stream.encodings]
    published = stream.published_encoding
    return (
        _fields(stream)
        | {"encodings": encodings, "published_encoding": None if published is None else _rounded(published._asdict())}
        | {"newest": newest}
        | measured
    )


def _link(link: LinkSnapshot) -> dict[str, Any]:
    """Return the measured values of a link beside its score."""
    fields = _fields(link.quality) | _fields(link)
    del fields["quality"]
    fields["behind"] = [position._asdict() for position in link.behind]
    return fields | {"tcp": None if link.tcp is None else link.tcp._asdict()}


def _rounded(fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields whose fractions have as many digits as say something."""
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in fields.items()}


def _fields(
    snapshot: StreamSnapshot | ConnectionSnapshot | WorkflowSnapshot | LinkSnapshot | LinkQuality,
) -> dict[str, Any]:
    """Return the fields of a snapshot under their names, which are those of the JSON."""
    return {name: getattr(snapshot, name) for name in snapshot.__slots__}
