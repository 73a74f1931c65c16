"""Grants that answer every question alike, and the bounds that a client type sets to any grant."""

from __future__ import annotations

import dataclasses

import pytest

from gateway.connections.ports import Grant
from gateway.connections.sessions.grant import NOTHING, ExtensionGrant, TypeAuthorizer, UniformGrant
from gateway.errors import Code, RequestRefused
from gateway.ids import ClientId, StreamName
from gateway.protocol.messages import Authenticate, Authenticated, ClientType, Hello
from tests.connections.memory import World


def permissions(grant: Grant) -> dict[str, bool]:
    return {
        "publish": grant.may_publish(StreamName("wf/a")),
        "subscribe": grant.may_subscribe("wf/**"),
        "acknowledge": grant.may_acknowledge("wf/**"),
        "attend": grant.may_attend("wf/**"),
        "replay": grant.may_replay("wf/**"),
        "request": grant.may_request("agent:planner"),
        "control": grant.may_control("wf/**"),
    }


def answers(grant: Grant) -> set[bool]:
    return set(permissions(grant).values())


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


class Tokens:
    """Permits everything for a token, and nothing without one."""

    def authenticate(
        self, client_id: ClientId | None, client_type: ClientType, token: str | None, now_s: float
    ) -> Grant:
        if token == "stolen":
            raise RequestRefused(Code.FORBIDDEN, "this token is known to be stolen")
        return UniformGrant(permitted=token is not None, expires_at_s=now_s + 60)


@pytest.mark.parametrize("client_type", ClientType)
def test_an_extension_may_only_subscribe_and_only_as_its_token_states(client_type: ClientType) -> None:
    authorizer = TypeAuthorizer(Tokens())
    granted = authorizer.authenticate(ClientId("one"), client_type, "token", 100.0)
    denied = authorizer.authenticate(ClientId("one"), client_type, None, 100.0)
    assert granted.expires_at_s == denied.expires_at_s == 160.0
    assert answers(denied) == {False}
    if client_type is ClientType.EXTENSION:
        assert [name for name, permitted in permissions(granted).items() if permitted] == [
            "subscribe",
            "attend",
            "replay",
        ]
    else:
        assert answers(granted) == {True}
    with pytest.raises(RequestRefused, match="stolen"):
        authorizer.authenticate(ClientId("one"), client_type, "stolen", 100.0)


def test_another_token_does_not_make_more_of_an_extension() -> None:
    world = World()
    peer = world.stranger()
    peer.say(Hello((1,), ClientType.EXTENSION))
    peer.say(Authenticate(1, "another"))
    assert isinstance(peer.session.grant, ExtensionGrant)
    assert Authenticated(1, None) in peer.read().log
