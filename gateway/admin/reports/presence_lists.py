"""Presence on the admin port: scopes with the number of their members, and the members of one."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from gateway.admin.http.query import check_names
from gateway.admin.http.steps import taken
from gateway.admin.reports.catalogue import page_answer, page_of
from gateway.connections.core import Core
from gateway.connections.presence.scope import Scope
from gateway.connections.presence.scope_member import ScopeMember
from gateway.connections.presence.stats import member_snapshot, scope_snapshot
from gateway.protocol.names import check_scope


class PresenceLists:
    """Lists of scopes and of members.

    Args:
        core: the gateway.
        in_turn: held while a page is made: of many requests at once, one is served at a time.
    """

    def __init__(self, core: Core, in_turn: asyncio.Lock) -> None:
        self._core = core
        self._in_turn = in_turn

    async def scopes(self, request: Request) -> Response:
        """Return up to ``limit`` scopes, in the order of their numbers, after number ``after``.

        Raises:
            RequestRefused: ``INVALID_REQUEST``.
        """
        check_names(request, "after", "limit")
        after, limit = page_of(request)
        async with self._in_turn:
            found, last = await taken(self._core.presence, limit, lambda scope: scope.number > after)
            return await page_answer("scopes", found, _scope, None if last else found[-1].number)

    async def members(self, request: Request) -> Response:
        """Return up to ``limit`` members of a scope, in the order in which they have joined, after number ``after``.

        Raises:
            RequestRefused: ``INVALID_REQUEST``, ``INVALID_NAME``.
        """
        check_names(request, "after", "limit")
        after, limit = page_of(request)
        scope = self._core.presence.get(check_scope(request.path_params["scope"]))
        members = () if scope is None else scope.roster.members.values()
        async with self._in_turn:
            found, last = await taken(members, limit, lambda member: member.number > after)
            return await page_answer("members", found, _member, None if last else found[-1].number)


def _scope(scope: Scope) -> dict[str, Any]:
    return dataclasses.asdict(scope_snapshot(scope))


def _member(member: ScopeMember) -> dict[str, Any]:
    fields = dataclasses.asdict(member_snapshot(member))
    awareness = fields["awareness"]
    written = {"metadata": orjson.loads(fields["metadata"])}
    return fields | written | {"awareness": None if awareness is None else orjson.loads(awareness)}
