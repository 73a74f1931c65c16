"""Grants that answer every question alike."""

from __future__ import annotations

import dataclasses

import pytest

from gateway.connections.ports import Grant
from gateway.connections.sessions.grant import NOTHING, UniformGrant
from gateway.ids import StreamName
from tests.connections.memory import World


def answers(grant: Grant) -> set[bool]:
    return {
        grant.may_publish(StreamName("wf/a")),
        grant.may_subscribe("wf/**"),
        grant.may_request("agent:planner"),
    }


def test_a_uniform_grant_permits_everything_or_nothing() -> None:
    assert answers(UniformGrant(permitted=True)) == {True}
    assert answers(NOTHING) == {False}


def test_a_grant_does_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        NOTHING.permitted = True  # type: ignore[misc]


def test_nothing_is_permitted_before_hello_is_answered() -> None:
    stranger = World().stranger()
    assert answers(stranger.session.grant) == {False}
    stranger.hello()
    assert answers(stranger.session.grant) == {True}
