"""What is outstanding: sums that come back to nothing, bounds that name themselves."""

from __future__ import annotations

import pytest

from gateway.connections.requests.mailbox import own_mailbox
from gateway.connections.sessions.exchange import Exchange
from gateway.connections.sessions.outstanding_requests import (
    MAX_RELEASED,
    REQUEST_BYTES,
    ConnectionRequests,
    OutstandingRequest,
    OutstandingRequests,
    RequestSettings,
)
from gateway.errors import Code, RequestRefused
from gateway.streams.run import Run
from tests.connections.memory import Peer, World


class Office:
    """An asker, two repliers and the table between them."""

    def __init__(self, settings: RequestSettings | None = None) -> None:
        self.world = World()
        self.asker, self.first, self.second = (self.world.peer(name) for name in ("asker", "first", "second"))
        self.table = OutstandingRequests(settings or RequestSettings(), self.world.clock)

    def request(
        self, correlation: int, size: int = 100, *, kept: bool = True, deadline_ns: int | None = None
    ) -> OutstandingRequest:
        """A request to the first replier."""
        replier = self.first.session.requests
        mailbox = own_mailbox(self.world.core.hub.fanouts, replier)
        asker = self.asker.session.requests
        request = OutstandingRequest(self.table, asker, correlation, "group:g", size, replier, mailbox, Exchange())
        request.kept = Run(mailbox.source, correlation, 1, (bytes(size),), size, 0, 1) if kept else None
        request.deadline_ns = deadline_ns
        self.table.add(request)
        return request

    def sums(self, peer: Peer) -> tuple[int, int, int]:
        """Asked, owed, and the weight of what is owed."""
        requests: ConnectionRequests = peer.session.requests
        return len(requests.asked), len(requests.owed), requests.load_bytes


def test_a_replier_is_busy_while_it_has_requests_and_each_of_them_waits() -> None:
    office = Office()
    clock, first = office.world.clock, office.first.session.requests
    requests = [office.request(5), office.request(6)]
    for request in requests:
        clock.advance(1.0)
        request.settle()
    clock.advance(10.0)
    office.request(7)
    clock.advance(0.5)
    first.count_time(clock.monotonic_s())
    assert first.busy_s == pytest.approx(2.5)
    assert first.waited_s == pytest.approx(3.5)
    assert first.answered == 2


def test_a_request_is_with_the_asker_and_the_replier_until_it_is_settled() -> None:
    office = Office()
    request = office.request(5)
    assert office.sums(office.asker) == (1, 0, 0)
    assert office.sums(office.first) == (0, 1, REQUEST_BYTES + 100)
    assert list(office.table.owing) == [office.first.session.requests]
    assert (office.table.kept_bytes, office.asker.session.requests.kept_bytes) == (100, 100)
    request.settle()
    request.settle()
    assert office.sums(office.asker) == office.sums(office.first) == (0, 0, 0)
    assert (office.table.kept_bytes, office.asker.session.requests.kept_bytes) == (0, 0)
    assert not office.table.owing
    assert request.kept is None


def test_an_old_request_does_not_settle_a_new_one_of_the_same_correlation() -> None:
    office = Office()
    old = office.request(5)
    old.settle()
    office.request(5)
    old.settle()
    assert office.sums(office.asker) == (1, 0, 0)


def test_another_replier_takes_over_all_of_it() -> None:
    office = Office()
    request = office.request(5, 1000)
    requests = office.second.session.requests
    office.table.assign(request, requests, own_mailbox(office.world.core.hub.fanouts, requests))
    assert office.sums(office.first) == (0, 0, 0)
    assert office.sums(office.second) == (0, 1, REQUEST_BYTES + 1000)
    assert list(office.table.owing) == [requests]
    request.settle()
    assert office.sums(office.second) == (0, 0, 0)


def test_the_asker_is_told_once_why_there_is_no_reply() -> None:
    office = Office()
    request = office.request(5)
    request.refuse(RequestRefused(Code.PEER_GONE, "left"))
    (error,) = office.asker.read().errors
    assert (error.code, error.correlation) == (Code.PEER_GONE, 5)
    assert office.sums(office.asker) == (0, 0, 0)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (RequestSettings(kept_bytes_per_asker=150), "kept_bytes_per_asker=150"),
        (RequestSettings(kept_bytes=150), "kept_bytes=150"),
    ],
)
def test_only_so_much_is_kept(settings: RequestSettings, name: str) -> None:
    office = Office(settings)
    office.request(1, 1000, kept=False)
    office.table.check_room(office.asker.session.requests, 150)
    request = office.request(2, 100)
    with pytest.raises(RequestRefused, match=f"100 bytes .* with 51 more .* {name}: wait") as caught:
        office.table.check_room(office.asker.session.requests, 51)
    assert caught.value.code == Code.LIMIT_EXCEEDED
    request.settle()
    office.table.check_room(office.asker.session.requests, 51)


def test_one_request_larger_than_the_bounds_goes_beside_the_others() -> None:
    office = Office(RequestSettings(kept_bytes_per_asker=150, kept_bytes=300))
    asker, other = office.asker.session.requests, office.second.session.requests
    office.table.check_room(asker, 1000)
    large = office.request(1, 1000)
    office.table.check_room(other, 300)
    with pytest.raises(RequestRefused, match=r"1000 bytes .* with 301 more .* kept_bytes=300: wait"):
        office.table.check_room(other, 301)
    with pytest.raises(RequestRefused, match="kept_bytes_per_asker=150"):
        office.table.check_room(asker, 1)
    large.settle()
    office.table.check_room(asker, 301)


def test_what_expires_is_found_once_and_not_when_it_was_answered() -> None:
    office = Office()
    late, answered = office.request(1, deadline_ns=10), office.request(2, deadline_ns=10)
    office.request(3)
    answered.settle()
    assert not office.table.take_expired(9)
    assert office.table.take_expired(10) == [late]
    assert not office.table.take_expired(10)
    late.settle()


def test_as_many_late_replies_are_forgiven_as_may_be_outstanding() -> None:
    requests = Office().first.session.requests
    for correlation in range(MAX_RELEASED + 2):
        requests.mark_withdrawn((1, correlation))
    assert len(requests.released) == MAX_RELEASED
    assert (1, 1) not in requests.released
    assert (1, 2) in requests.released
