"""Dict that stands for none: it is read as any, takes no entry, and an idle connection has no other."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.outbound.no_entries import NO_ENTRIES, with_entry
from gateway.protocol.messages import Kind, Subscribe
from tests.connections.memory import World


@pytest.mark.parametrize(
    "add",
    [
        lambda table: table.__setitem__(1, 2),
        lambda table: table.setdefault(1, 2),
        lambda table: table.update({1: 2}),
        lambda table: table.__ior__({1: 2}),
    ],
)
def test_it_takes_no_entry(add: Callable[[dict[Any, Any]], object]) -> None:
    with pytest.raises(TypeError, match="with_entry"):
        add(NO_ENTRIES)
    assert dict(NO_ENTRIES) == {}


def test_what_takes_entries_out_finds_none() -> None:
    NO_ENTRIES.clear()
    assert NO_ENTRIES.pop(1, None) is None
    assert not NO_ENTRIES.keys() | NO_ENTRIES.keys()


def test_the_first_entry_makes_a_dict_and_the_next_ones_stay_in_it() -> None:
    first: dict[int, str] = with_entry(NO_ENTRIES, 1, "one")
    assert with_entry(first, 2, "two") is first
    assert first == {1: "one", 2: "two"}
    assert with_entry(NO_ENTRIES, 1, "another") is not first


def empty_dicts(holder: object) -> list[str]:
    """Names of the attributes that are empty dicts of the holder's own."""
    names = [name for kind in type(holder).__mro__ for name in getattr(kind, "__slots__", ())]
    values = {name: getattr(holder, name, None) for name in names}
    return [name for name, value in values.items() if value == {} and value is not NO_ENTRIES]


def test_an_idle_connection_has_no_empty_dict_of_its_own_and_neither_is_one_added_by_a_client_that_goes() -> None:
    world = World()
    peer = world.peer()
    session = peer.session
    assert dataclasses.is_dataclass(session)
    holders = [session, session.requests, session.connection, session.connection.accounts]
    assert [empty_dicts(holder) for holder in holders] == [[], [], [], []]
    peer.say(Subscribe(1, 1, "wf/a"))
    assert session.subscriptions
    world.peer()
    assert not NO_ENTRIES


def test_a_stream_without_receivers_has_no_empty_dict_of_its_own_but_that_of_its_classes() -> None:
    world = World()
    world.publisher("wf/events", kind=Kind.EVENT)
    (fanout,) = world.core.hub.fanouts
    assert isinstance(fanout, PubSubFanout)
    # The classes are passed on as they are at any time.
    assert [empty_dicts(each) for each in (fanout, fanout.acks)] == [["_classes"], []]
