"""Tests presence as the program holds it, without a connection."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Mapping
from typing import Any

import pytest

from gateway.client.presence.presence import Presence, PresenceCore
from gateway.errors import Code, ConnectionFailed, InvalidArgument, RequestRefused, UsageError
from gateway.protocol.presence import Members, PresentMember, Watching


class Noted:
    """Control of a presence that notes what it is asked for."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    async def start(self, core: PresenceCore) -> None:
        self.calls.append("start")
        core.answered = True

    async def stop(self, core: PresenceCore) -> None:
        self.calls.append("stop")

    async def update(self, core: PresenceCore, metadata: Mapping[str, Any] | None, timeout_s: float | None) -> None:
        self.calls.append(metadata)

    def show(self, core: PresenceCore, state: Mapping[str, Any] | None) -> None:
        self.calls.append(state)

    def make(self, metadata: Mapping[str, Any] | None = None, watching: Watching | None = Watching.MEMBERS) -> Presence:
        return Presence(PresenceCore("wf", metadata, watching, lambda: None), self, None)


ROSTER = Members("wf", 1, [PresentMember("a", "agent", 3, 1, {})], roster=True)


async def test_it_starts_and_stops_once() -> None:
    noted = Noted()
    async with noted.make() as presence:
        await presence.start()
        assert presence.scope == "wf"
    await presence.close()
    assert noted.calls == ["start", "stop"]


async def test_members_and_count_are_those_that_were_told() -> None:
    async with Noted().make() as presence:
        assert (presence.members, presence.count) == ({}, 0)
        presence.core.take(ROSTER)
        assert (presence.members["a"].peer, presence.count) == (3, 1)
        assert presence.core.known.is_set()


async def test_what_an_earlier_presence_asked_for_is_ignored() -> None:
    presence = Noted().make()
    presence.core.take(ROSTER)
    assert presence.members == {}


async def test_changes_end_with_the_presence() -> None:
    noted = Noted()
    presence = noted.make()
    changes = presence.changes()
    first = asyncio.ensure_future(anext(changes))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    presence.core.take(ROSTER)
    assert (await first).member.client_id == "a"
    presence.core.take(Members("wf", 0, None, None, ["a"]))
    await presence.close()
    assert [change.kind async for change in changes] == ["left"]
    assert [change.kind async for change in presence.changes()] == []
    assert await changes.several(10) == []
    assert noted.calls == ["start", "stop"]


async def test_several_changes_come_together() -> None:
    presence = Noted().make()
    changes = presence.changes()
    await presence.start()
    members = [PresentMember(name, "agent", 3, 1, {}) for name in "abc"]
    presence.core.take(Members("wf", 3, members, roster=True))
    assert [change.member.client_id for change in await changes.several(2)] == ["a", "b"]
    assert [change.member.client_id for change in await changes.several(2)] == ["c"]


async def test_an_error_ends_it_and_its_iterators() -> None:
    presence = Noted().make()
    changes = presence.changes()
    await presence.start()
    presence.core.end(ConnectionFailed("gone"))
    with pytest.raises(ConnectionFailed, match="gone"):
        await anext(changes)


async def test_changes_need_the_members_to_be_watched() -> None:
    for watching in (Watching.COUNT, None):
        with pytest.raises(UsageError, match="watch='members'"):
            Noted().make(watching=watching).changes()


async def test_metadata_and_state_are_copied_and_checked() -> None:
    noted = Noted()
    async with noted.make({}) as presence:
        metadata = {"at": [1, 2]}
        await presence.update(metadata)
        metadata["at"].append(3)
        presence.set_awareness({"cursor": 1})
        presence.set_awareness(None)
        assert noted.calls[1:] == [{"at": [1, 2]}, {"cursor": 1}, None]
        with pytest.raises(InvalidArgument, match="metadata="):
            await presence.update("trainer")  # type: ignore[arg-type]
        with pytest.raises(InvalidArgument, match="state="):
            presence.set_awareness([1])  # type: ignore[arg-type]
        with pytest.raises(RequestRefused, match="the state has") as refused:
            presence.set_awareness({"text": "x" * 1024})
        assert refused.value.code == Code.MESSAGE_TOO_BIG
    presence.set_awareness({"cursor": 2})  # closed: nobody sees it
    assert noted.calls[-1] == "stop"


async def test_what_needs_an_open_presence_or_a_member() -> None:
    presence = Noted().make()
    with pytest.raises(UsageError, match="not open"):
        await presence.update({})
    with pytest.raises(UsageError, match="is no member"):
        presence.set_awareness({})


async def test_it_belongs_to_its_process() -> None:
    with pytest.raises(UsageError, match="belongs to the process"):
        pickle.dumps(Noted().make())
