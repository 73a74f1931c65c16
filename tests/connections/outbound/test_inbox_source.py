"""InboxSource: the address of requests and replies, and the way to refuse a request."""

from __future__ import annotations

from gateway.connections.outbound.inbox_source import InboxSource
from gateway.errors import Code, RequestRefused
from gateway.protocol.messages import Error, Kind
from tests.connections.asking import ask, asker_of, member, nothing_is_left, peer_of
from tests.connections.memory import World


def ignore(asker_peer: int, correlation: int, refusal: RequestRefused) -> None:
    """Refuse nothing."""


def test_an_inbox_loses_nothing_and_is_named_by_its_address() -> None:
    inbox = InboxSource("agent:planner", ignore)
    assert (inbox.name, inbox.kind, inbox.id) == ("agent:planner", Kind.COLLABORATION, 0)
    assert InboxSource("group:planners", ignore, 7).id == 7


def test_a_request_is_refused_on_behalf_of_the_one_who_owes_the_reply_only() -> None:
    world = World()
    replier, other = member(world, "replier"), member(world, "other")
    asker = asker_of(world)
    ask(asker, 5)
    world.settle()
    owing, idle = (replier, other) if replier.session.requests.owed else (other, replier)
    refusal = RequestRefused(Code.MESSAGE_TOO_BIG, "too long for text")
    for peer in (idle, owing, owing):
        source = peer.session.requests.mailboxes["group:workers"].source
        assert isinstance(source, InboxSource)
        source.refuse(peer_of(asker), 5, refusal)
    (error,) = [entry for entry in asker.read().log if isinstance(entry, Error)]
    assert (error.code, error.correlation) == (Code.MESSAGE_TOO_BIG, 5)
    assert nothing_is_left(world)
