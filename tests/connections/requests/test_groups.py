"""Groups: who is in, and who is next."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.outbound.link import Link
from gateway.connections.requests.groups import NEAR_NS, Groups, Member
from gateway.connections.requests.mailbox import own_mailbox
from gateway.connections.sessions.outstanding_requests import REQUEST_BYTES, ConnectionRequests
from tests.connections.memory import World

GROUP = "group:g"


class Staff:
    """Members of one group, and an asker."""

    def __init__(self, count: int) -> None:
        self.world = World()
        self.groups = Groups()
        self.asker = self.world.peer("asker").session.desk
        self.desks = [self.world.peer(f"worker-{number}").session.desk for number in range(count)]
        for desk in self.desks:
            self.groups.join(GROUP, Member(desk, own_mailbox(self.world.core.hub.fanouts, desk)))

    def next(self, but: ConnectionRequests | None = None) -> int | None:
        """The index of the member that is chosen."""
        chosen = self.groups.choose(GROUP, self.asker, but)
        return None if chosen is None else self.desks.index(chosen.desk)


def test_equals_get_their_turns() -> None:
    staff = Staff(3)
    assert [staff.next() for _ in range(7)] == [0, 1, 2, 0, 1, 2, 0]


def test_the_one_with_the_least_to_do_is_next_by_number_and_by_bytes() -> None:
    staff = Staff(3)
    for desk, load_bytes in zip(staff.desks, (2 * REQUEST_BYTES, REQUEST_BYTES + 40, 50 * REQUEST_BYTES), strict=True):
        desk.load_bytes = load_bytes
    assert [staff.next() for _ in range(2)] == [1, 1]
    # The bytes of small requests decide nothing.
    staff.desks[0].load_bytes = REQUEST_BYTES + 900
    assert {staff.next() for _ in range(2)} == {0, 1}


def test_of_equally_loaded_ones_it_is_the_one_that_reads_and_is_near() -> None:
    staff = Staff(4)
    staff.desks[0].connection.pause_writing()
    for desk, rtt_ns in zip(staff.desks[1:], (80 * NEAR_NS, NEAR_NS // 2, NEAR_NS // 3), strict=True):
        desk.connection.link = Link()
        desk.connection.link.rtt_ns = rtt_ns
    assert [staff.next() for _ in range(3)] == [2, 3, 2]
    staff.desks[2].load_bytes = staff.desks[3].load_bytes = 5 * REQUEST_BYTES
    assert staff.next() == 1


def test_who_is_closed_or_left_out_is_not_chosen() -> None:
    staff = Staff(2)
    assert staff.next(but=staff.desks[0]) == 1
    staff.desks[1].connection.close(1000, "bye")
    assert [staff.next() for _ in range(2)] == [0, 0]
    assert staff.next(but=staff.desks[0]) is None
    assert staff.groups.choose("group:other", staff.asker) is None


def test_a_member_gets_its_own_requests_only_if_it_is_the_only_one() -> None:
    staff = Staff(2)
    staff.asker = staff.desks[0]
    staff.desks[1].load_bytes = 50 * REQUEST_BYTES
    assert staff.next() == 1
    staff.groups.leave(GROUP, staff.desks[1])
    assert staff.next() == 0


def test_a_group_without_members_is_forgotten() -> None:
    staff = Staff(2)
    for desk in staff.desks:
        assert desk.groups == {GROUP}
        staff.groups.leave(GROUP, desk)
        assert not desk.groups
    assert not len(staff.groups)
    assert staff.next() is None


@given(st.lists(st.integers(0, 20), min_size=1, max_size=6), st.integers(1, 30))
def test_requests_level_the_load(loads: list[int], requests: int) -> None:
    """Whatever the members have to do, after as many requests as it takes nobody has two more than another."""
    staff = Staff(len(loads))
    for desk, load in zip(staff.desks, loads, strict=True):
        desk.load_bytes = load * REQUEST_BYTES
    for _ in range(requests):
        chosen = staff.next()
        assert chosen is not None
        least = min(desk.load_bytes for desk in staff.desks)
        assert staff.desks[chosen].load_bytes == least
        staff.desks[chosen].load_bytes += REQUEST_BYTES
