"""Subscriptions: what OPEN, SUBSCRIBE, UNSUBSCRIBE and AUTHENTICATE are granted and refused."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest

from gateway.connections.core import Core
from gateway.connections.core_settings import CoreSettings
from gateway.connections.outbound.formats import BinaryFormat
from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.connections.ports import Grant
from gateway.connections.slices import LET_GO_TOGETHER
from gateway.connections.subscribe_handler import RELEASED_AT_ONCE
from gateway.errors import Code, RequestRefused
from gateway.ids import ClientId, StreamName
from gateway.protocol.limits import Limits
from gateway.protocol.messages import (
    Account,
    Authenticate,
    Authenticated,
    ClientType,
    Counts,
    Credits,
    Delete,
    Kind,
    Open,
    StreamInfo,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
)
from gateway.protocol.views import View
from tests.connections.asking import ask, asker_of
from tests.connections.memory import FixedPolicy, World


@dataclass(frozen=True)
class PublicGrant:
    """Permits a client what stands in one workflow."""

    workflow: str
    expires_at_s: float | None
    subject: ClientId | None = None

    def may_publish(self, stream: StreamName) -> bool:
        return stream.startswith(f"{self.workflow}/")

    def may_subscribe(self, pattern: str) -> bool:
        return pattern.startswith(f"{self.workflow}/")

    def may_acknowledge(self, pattern: str) -> bool:
        return pattern != f"{self.workflow}/secret"

    def may_attend(self, pattern: str) -> bool:
        return self.may_subscribe(pattern)

    def may_replay(self, pattern: str) -> bool:
        return pattern != f"{self.workflow}/no-past"

    def may_request(self, address: str) -> bool:
        return address == f"agent:{self.workflow}"

    def may_control(self, pattern: str) -> bool:
        return pattern.startswith(f"{self.workflow}/")


class Strict:
    """Accepts every token but one; a token names the workflow that it is for."""

    def authenticate(
        self, client_id: ClientId | None, client_type: ClientType, token: str | None, now_s: float
    ) -> Grant:
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


def test_an_open_alias_is_bound_to_another_stream() -> None:
    world = World()
    peer = world.peer()
    peer.produce(0, "wf/a", 5)
    peer.publish(0, b"to the first", ack=True)
    peer.open(0, "wf/b")
    peer.publish(0, b"to the second", ack=True)
    assert [(ack.alias, ack.sequence, ack.offset) for ack in peer.read().acks] == [(0, 5, 0), (0, 1, 0)]
    peer.produce(1, "wf/a", 6)
    peer.publish(1, b"to the first again", ack=True)
    assert [(ack.alias, ack.sequence, ack.offset) for ack in peer.read().acks][2:] == [(1, 6, 1)]


def test_an_alias_with_a_large_message_under_way_is_not_bound_anew() -> None:
    peer = World().peer()
    peer.open(0, "wf/a")
    peer.large(0, bytes(8192))
    peer.open(0, "wf/b")
    (error,) = peer.read().errors
    assert (error.code, error.alias) == (Code.INVALID_REQUEST, 0)
    assert "wf/a" in error.message
    assert "transfer 1" in error.message


def test_too_many_aliases_and_subscriptions() -> None:
    peer = World(limits=Limits(max_aliases=1, max_subscriptions=1)).peer()
    peer.open(0, "wf/a")
    peer.open(1, "wf/b")
    peer.subscribe("wf/a")
    peer.subscribe("wf/b")
    assert peer.read().codes == [Code.LIMIT_EXCEEDED] * 2


def test_messages_to_an_alias_too_many_are_refused_like_its_open_until_one_is_bound_anew() -> None:
    world = World(limits=Limits(max_aliases=1))
    peer = world.peer()
    peer.open(0, "wf/a")
    peer.open(1, "wf/b")
    peer.publish(1, b"x")
    assert peer.read().codes == [Code.LIMIT_EXCEEDED] * 2
    assert "open one again that has nothing outstanding" in peer.reader.errors[1].message
    peer.open(0, "wf/b")
    peer.publish(0, b"x", ack=True)
    assert [ack.alias for ack in peer.read().acks] == [0]


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


def test_who_may_not_acknowledge_observes(strict: World) -> None:
    peer = strict.peer("me")
    peer.subscribe("public/secret", observe=False)
    peer.subscribe("public/secret")
    peer.subscribe("public/secret", observe=True)
    peer.subscribe("public/other", observe=False)
    assert peer.read().codes == [Code.FORBIDDEN] * 2
    assert peer.reader.errors[0].message == "agent me may not acknowledge public/secret: subscribe with observe true"
    assert sorted(pattern.text for pattern in peer.session.subscriptions.values()) == ["public/other", "public/secret"]


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


def test_a_view_is_subscribed_to_counted_and_taken_back_as_any_subscription() -> None:
    world = World(limits=Limits(max_subscriptions=1))
    publisher, peer = world.publisher("wf/a"), world.peer("viewer")
    peer.subscribe("wf/a", 4, view=View(slice(1, 3)))
    publisher.publish(0, b"abcd")
    world.settle()
    assert [arrival.payload for arrival in peer.read().arrivals] == [b"bc"]
    assert set(peer.session.views) == {4}
    peer.say(Subscribe(7, 4, "wf/b"), Subscribe(8, 5, "wf/b"), Account(9, 4), Unsubscribe(10, 4))
    assert [(error.code, error.request) for error in peer.read().errors] == [
        (Code.INVALID_REQUEST, 7),
        (Code.LIMIT_EXCEEDED, 8),
    ]
    assert Account(9, 4, {"wf/a": Counts(delivered=1)}) in peer.reader.log
    assert peer.reader.log[-1] == Unsubscribed(10, 4)
    publisher.publish(0, b"efgh")
    world.settle()
    assert len(peer.read().arrivals) == 1
    assert not peer.session.views


@pytest.mark.parametrize("address", ["agent:viewer", "group:workers"])
def test_an_inbox_and_a_group_have_no_views(address: str) -> None:
    peer = World().peer("viewer")
    peer.subscribe(address, 4, view=View(slice(1, 3)))
    assert peer.read().codes == [Code.INVALID_VIEW]
    assert not peer.session.subscriptions
    assert not peer.session.requests.groups


def test_an_inbox_is_open_until_its_last_subscription_is_gone() -> None:
    world = World()
    holder, asker = world.peer("holder"), asker_of(world, "agent:holder")
    holder.say(Subscribe(1, 1, "agent:holder"), Subscribe(2, 2, "agent:holder"), Unsubscribe(3, 1))
    ask(asker, 1)
    world.settle()
    assert holder.read().offsets == [1]
    holder.say(Unsubscribe(4, 2))
    ask(asker, 2)
    assert [(error.code, error.correlation) for error in asker.read().errors] == [(Code.NO_SUCH_PEER, 2)]


def test_a_group_that_a_member_leaves_asks_it_no_more() -> None:
    world = World()
    worker, asker = world.peer("worker"), asker_of(world)
    worker.say(Subscribe(1, 1, "group:workers"), Unsubscribe(2, 1))
    ask(asker, 1)
    assert asker.read().codes == [Code.NO_SUCH_PEER]
    assert worker.read().log[-1] == Unsubscribed(2, 1)


def test_the_account_goes_on_with_the_counts_of_earlier_connections() -> None:
    world = World()
    publisher, peer = world.publisher("wf/a", "wf/b"), world.peer()
    peer.say(Subscribe(1, 4, "wf/a", account={"wf/a": Counts(delivered=5, dropped=2)}))
    publisher.publish(0, b"x")
    publisher.publish(1, b"x")
    world.settle()
    peer.say(Account(2, 4), Account(3, 5))
    assert Account(2, 4, {"wf/a": Counts(delivered=6, dropped=2)}) in peer.read().log
    assert [(error.code, error.request) for error in peer.reader.errors] == [(Code.INVALID_REQUEST, 3)]


def test_a_receiver_that_grants_credit_gets_as_much_and_no_more() -> None:
    world = World()
    publisher, worker = world.publisher("wf/jobs", kind=Kind.COLLABORATION), world.peer("worker")
    worker.subscribe("wf/jobs", 4, credits=Credits(1, 1000))
    for payload in (b"a", b"b", b"c"):
        publisher.publish(0, payload)
    world.settle()
    assert worker.read().offsets == [0]
    worker.grant(4, 1, 1000)
    worker.grant(5, 1, 1000)
    world.settle()
    assert worker.read().offsets == [0, 1]
    assert worker.close_code() is None


@pytest.mark.parametrize(("keep", "offsets"), [(True, [0, 1]), (None, [])])
def test_messages_that_are_not_acknowledged_are_kept_for_one_who_asks_for_it(
    keep: bool | None, offsets: list[int]
) -> None:
    world = World()
    publisher, worker = world.publisher("wf/jobs", kind=Kind.COLLABORATION), world.peer("worker")
    number = worker.subscribe("wf/jobs")
    publisher.publish(0, b"a")
    publisher.publish(0, b"b")
    world.settle()
    worker.unsubscribe(number, keep=keep)
    worker.forget()
    worker.subscribe("wf/jobs")
    world.settle()
    assert worker.read().offsets == offsets


def test_an_open_declares_a_schema_that_its_answer_tells() -> None:
    peer = World().peer()
    schema = {"dtype": "float32", "shape": [2, None]}
    peer.say(Open(0, "wf/a", schema=schema), Open(1, "wf/b", schema={"dtype": "float31", "shape": []}))
    info, error = peer.read().log
    assert isinstance(info, StreamInfo)
    assert info.schema == schema
    assert (peer.reader.codes, peer.reader.errors[0].alias) == ([Code.INVALID_REQUEST], 1)
    assert error is peer.reader.errors[0]


def test_a_refused_alias_stays_refused_until_it_is_opened_again() -> None:
    world = World()
    world.publisher("wf/event")
    peer = world.peer()
    peer.open(0, "wf/event", Kind.STATE)
    peer.publish(0, b"x")
    assert peer.read().codes == [Code.KIND_MISMATCH, Code.KIND_MISMATCH]
    peer.open(0, "wf/other")
    peer.publish(0, b"x", ack=True)
    assert [ack.alias for ack in peer.read().acks] == [0]
    assert world.core.streams.get(StreamName("wf/other")) is not None


def test_a_producer_has_one_alias_that_it_publishes_by_and_the_sequence_of_its_open() -> None:
    world = World()
    old, new = world.peer("old"), world.peer("new")
    old.produce(0, "wf/a", 5)
    old.publish(0, b"five", ack=True)
    new.produce(0, "wf/a", 6)
    new.publish(0, b"six", ack=True)
    old.publish(0, b"six", ack=True)
    assert [(ack.sequence, ack.offset) for ack in old.read().acks] == [(5, 0)]
    assert [(ack.sequence, ack.offset) for ack in new.read().acks] == [(6, 1)]
    (error,) = old.reader.errors
    assert error.code == Code.BAD_SEQUENCE
    assert "opened wf/a again" in error.message
    old.drop()
    new.publish(0, b"seven", ack=True)
    assert [ack.sequence for ack in new.read().acks] == [6, 7]


def test_others_are_served_while_the_aliases_of_a_connection_that_is_gone_are_released() -> None:
    world = World()
    count = 3 * RELEASED_AT_ONCE
    publisher = world.publisher(*[f"wf/{number}" for number in range(count)])
    world.take_one_step_a_turn()
    publisher.drop()
    assert [stream.aliases for stream in world.core.streams].count(0) == RELEASED_AT_ONCE
    # A stream that ends meanwhile, and one that is opened again, are those of others.
    other = world.peer("other")
    other.say(Delete(1, f"wf/{count - 1}"))
    other.open(1, f"wf/{count - 2}")
    world.settle()
    assert [stream.name for stream in world.core.streams if stream.aliases] == [f"wf/{count - 2}"]
    assert len(world.core.streams) == count - 1


def test_very_many_earlier_counts_of_a_subscription_are_freed_in_slices() -> None:
    world = World()
    peer = world.peer()
    counts = {f"wf/{number}": Counts(1) for number in range(5 * LET_GO_TOGETHER)}
    peer.say(Subscribe(1, 4, "wf/*", account=counts))
    world.settle()
    world.take_one_step_a_turn()
    carried = peer.session.connection.accounts._carried[4]
    peer.say(Unsubscribe(2, 4))
    assert [type(answer) for answer in peer.read().log][-1] is Unsubscribed
    left = [len(carried)]
    while world.clock.turn():
        left.append(len(carried))
    assert max(before - after for before, after in pairwise(left)) <= LET_GO_TOGETHER
    assert not carried
