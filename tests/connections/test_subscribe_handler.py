"""Subscriptions: what OPEN, SUBSCRIBE, UNSUBSCRIBE and AUTHENTICATE are granted and refused."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from gateway.connections.core import Core, CoreSettings
from gateway.connections.outbound.formats import BinaryFormat
from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.connections.ports import Grant
from gateway.errors import Code, RequestRefused
from gateway.ids import ClientId, StreamName
from gateway.protocol.limits import Limits
from gateway.protocol.messages import (
    Authenticate,
    Authenticated,
    ClientType,
    Kind,
    Open,
    StreamInfo,
    Subscribe,
    Subscribed,
    Unsubscribe,
)
from tests.connections.memory import FixedPolicy, World


@dataclass(frozen=True)
class PublicGrant:
    """Permits a client what stands in one workflow."""

    workflow: str
    expires_at_s: float | None

    def may_publish(self, stream: StreamName) -> bool:
        return stream.startswith(f"{self.workflow}/")

    def may_subscribe(self, pattern: str) -> bool:
        return pattern.startswith(f"{self.workflow}/")

    def may_request(self, address: str) -> bool:
        return address == f"agent:{self.workflow}"


class Strict:
    """Accepts every token but one; a token names the workflow that it is for."""

    def authenticate(self, client_id: ClientId, client_type: ClientType, token: str | None, now_s: float) -> Grant:
        if token == "stolen":
            raise RequestRefused(Code.FORBIDDEN, "this token is known to be stolen")
        return PublicGrant(token or "public", now_s + 60)


@pytest.fixture
def strict() -> World:
    world = World()
    settings = CoreSettings(delivery=DeliverySettings())
    world.core = Core(settings, world.clock, world.workers, FixedPolicy(), Strict())
    world.binary = BinaryFormat("frys.v1", lambda size: b"")
    return world


def test_an_open_is_answered_with_its_stream() -> None:
    peer = World().peer()
    peer.open(3, "wf/a", Kind.CONTROL)
    info = peer.read().log[-1]
    assert isinstance(info, StreamInfo)
    assert (info.alias, info.stream, info.kind, info.offset) == (3, "wf/a", Kind.CONTROL, 0)
    assert info.epoch


def test_a_stream_is_a_state_unless_somebody_says_otherwise() -> None:
    peer = World().peer()
    peer.open(0, "wf/a")
    peer.open(1, "wf/a", Kind.STATE)
    kinds = [entry.kind for entry in peer.read().log if isinstance(entry, StreamInfo)]
    assert kinds == [Kind.STATE, Kind.STATE]


def test_an_address_is_answered_without_id() -> None:
    peer = World().peer()
    peer.open(0, "agent:planner")
    assert peer.read().log[-1] == StreamInfo(None, "agent:planner", alias=0)


@pytest.mark.parametrize(
    ("stream", "kind", "code"),
    [
        ("one", None, Code.INVALID_NAME),
        ("wf/*", None, Code.INVALID_NAME),
        ("agent:", None, Code.INVALID_NAME),
        ("human:somebody", None, Code.INVALID_NAME),
        ("wf/event", Kind.STATE, Code.KIND_MISMATCH),
    ],
)
def test_an_open_that_is_refused_names_its_alias(stream: str, kind: Kind | None, code: Code) -> None:
    world = World()
    world.publisher("wf/event")
    peer = world.peer()
    peer.open(7, stream, kind)
    (error,) = peer.read().errors
    assert (error.code, error.alias) == (code, 7)


def test_an_alias_is_opened_once() -> None:
    peer = World().peer()
    peer.open(0, "wf/a")
    peer.open(0, "wf/b")
    (error,) = peer.read().errors
    assert (error.code, error.alias) == (Code.INVALID_REQUEST, 0)
    peer.publish(0, b"to the first", ack=True)
    assert peer.read().acks


def test_too_many_aliases_and_subscriptions() -> None:
    peer = World(limits=Limits(max_aliases=1, max_subscriptions=1)).peer()
    peer.open(0, "wf/a")
    peer.open(1, "wf/b")
    peer.subscribe("wf/a")
    peer.subscribe("wf/b")
    assert peer.read().codes == [Code.LIMIT_EXCEEDED] * 2


@pytest.mark.parametrize(
    ("pattern", "code"),
    [
        ("", Code.INVALID_NAME),
        ("a//b", Code.INVALID_NAME),
        ("**/a", Code.INVALID_NAME),
        ("agent:somebody-else", Code.FORBIDDEN),
    ],
)
def test_a_subscription_that_is_refused_names_its_request(pattern: str, code: Code) -> None:
    peer = World().peer("me")
    peer.say(Subscribe(41, 1, pattern))
    (error,) = peer.read().errors
    assert (error.code, error.request) == (code, 41)
    assert not peer.session.subscriptions


def test_a_number_of_a_subscription_is_used_once() -> None:
    peer = World().peer()
    peer.say(Subscribe(1, 7, "wf/a"), Subscribe(2, 7, "wf/b"), Unsubscribe(3, 7), Subscribe(4, 7, "wf/b"))
    (error,) = peer.read().errors
    assert (error.code, error.request) == (Code.INVALID_REQUEST, 2)
    assert [entry.request for entry in peer.reader.log if isinstance(entry, Subscribed)] == [1, 4]


def test_a_connection_is_a_member_of_a_group_once() -> None:
    peer = World().peer()
    peer.say(Subscribe(1, 1, "group:a"), Subscribe(2, 2, "group:a"), Subscribe(3, 2, "group:b"))
    (error,) = peer.read().errors
    assert (error.code, error.request) == (Code.INVALID_REQUEST, 2)
    peer.say(Unsubscribe(4, 1), Subscribe(5, 1, "group:a"))
    assert peer.read().codes == [Code.INVALID_REQUEST]
    assert set(peer.session.requests.groups) == {"group:a", "group:b"}


def test_nothing_to_unsubscribe() -> None:
    peer = World().peer()
    peer.say(Unsubscribe(9, 1))
    (error,) = peer.read().errors
    assert (error.code, error.request) == (Code.INVALID_REQUEST, 9)


def test_what_is_not_permitted(strict: World) -> None:
    peer = strict.peer("me")
    peer.open(0, "public/a")
    peer.open(1, "secret/a")
    peer.subscribe("public/*")
    peer.subscribe("secret/*")
    peer.open(2, "agent:public")
    peer.open(3, "agent:secret")
    peer.subscribe("agent:me")
    peer.subscribe("group:workers")
    errors = peer.read().errors
    assert [error.code for error in errors] == [Code.FORBIDDEN] * 4
    assert [error.alias for error in errors] == [1, None, 3, None]
    assert not peer.session.requests.groups


def test_a_new_token(strict: World) -> None:
    peer = strict.peer()
    peer.say(Authenticate(5, "fresh"), Authenticate(6, "stolen"))
    assert Authenticated(5, 60.0) in peer.read().log
    (error,) = peer.reader.errors
    assert (error.code, error.request) == (Code.FORBIDDEN, 6)
    assert peer.close_code() is None


def test_the_expiry_of_the_first_token_stays_with_the_session(strict: World) -> None:
    now_s = strict.clock.monotonic_s()
    assert strict.peer().session.grant.expires_at_s == now_s + 60


def test_a_new_token_replaces_what_is_permitted(strict: World) -> None:
    peer = strict.peer()
    peer.open(0, "public/a")
    peer.say(Authenticate(5, "other"), Authenticate(6, "stolen"))
    peer.open(1, "public/a")
    peer.open(2, "other/a")
    assert [error.alias for error in peer.read().errors if error.alias is not None] == [1]


def test_nothing_new_while_the_gateway_stops() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    subscriber = world.subscriber("wf/*")
    world.core.go_away("stop", 1.0)
    for peer in (publisher, subscriber):
        peer.say(Open(9, "wf/b", None), Subscribe(9, 9, "wf/a"))
        assert peer.read().codes == [Code.DRAINING] * 2
    publisher.publish(0, b"the last one", ack=True)
    world.settle()
    assert publisher.read().acks
    assert subscriber.read().offsets == [0]
    subscriber.say(Unsubscribe(10, 1))
    assert subscriber.read().codes == [Code.DRAINING] * 2
