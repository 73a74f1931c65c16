"""Groups: who is in, and who is next."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.requests.groups import Groups, Member
from gateway.connections.requests.mailbox import own_mailbox
from gateway.connections.sessions.outstanding_requests import REQUEST_BYTES, ConnectionRequests
from gateway.protocol.round_trip import NEAR_S
from tests.connections.memory import World

GROUP = "group:g"


class Staff:
    """Members of one group, and an asker."""

    def __init__(self, count: int) -> None:
        self.world = World()
        self.groups = Groups()
        self.asker = self.world.peer("asker").session.requests
        self.members = [self.world.peer(f"worker-{number}").session.requests for number in range(count)]
        for member in self.members:
            self.groups.join(GROUP, Member(member, own_mailbox(self.world.core.hub.fanouts, member)))

    def next(self, except_for: ConnectionRequests | None = None) -> int | None:
        """The index of the member that is chosen."""
        chosen = self.groups.choose(GROUP, self.asker, except_for)
        return None if chosen is None else self.members.index(chosen.requests)


def test_some_members_are_found_of_very_many() -> None:
    staff = Staff(3)
    assert [each.requests for each in staff.groups.first_members_of(GROUP, 2)] == staff.members[:2]
    assert [each.requests for each in staff.groups.first_members_of(GROUP, 9)] == staff.members
    assert staff.groups.first_members_of("group:other", 2) == []


def test_equals_get_their_turns() -> None:
    staff = Staff(3)
    assert [staff.next() for _ in range(7)] == [0, 1, 2, 0, 1, 2, 0]


def test_the_one_with_the_least_to_do_is_next_by_number_and_by_bytes() -> None:
    staff = Staff(3)
    for member, load_bytes in zip(
        staff.members, (2 * REQUEST_BYTES, REQUEST_BYTES + 40, 50 * REQUEST_BYTES), strict=True
    ):
        member.load_bytes = load_bytes
    assert [staff.next() for _ in range(2)] == [1, 1]
    # The bytes of small requests decide nothing.
    staff.members[0].load_bytes = REQUEST_BYTES + 900
    assert {staff.next() for _ in range(2)} == {0, 1}


def test_of_equally_loaded_ones_it_is_the_one_that_reads_and_is_near() -> None:
    staff = Staff(4)
    staff.members[0].connection.pause_writing()
    for member, round_trip_s in zip(staff.members[1:], (80 * NEAR_S, NEAR_S / 2, NEAR_S / 3), strict=True):
        member.connection.sample_round_trip(round(round_trip_s * 1e9))
    assert [staff.next() for _ in range(3)] == [2, 3, 2]
    staff.members[2].load_bytes = staff.members[3].load_bytes = 5 * REQUEST_BYTES
    assert staff.next() == 1


def test_who_is_closed_or_left_out_is_not_chosen() -> None:
    staff = Staff(2)
    assert staff.next(except_for=staff.members[0]) == 1
    staff.members[1].connection.close(1000, "bye")
    assert [staff.next() for _ in range(2)] == [0, 0]
    assert staff.next(except_for=staff.members[0]) is None
    assert staff.groups.choose("group:other", staff.asker) is None


def test_a_member_gets_its_own_requests_only_if_it_is_the_only_one() -> None:
    staff = Staff(2)
    staff.asker = staff.members[0]
    staff.members[1].load_bytes = 50 * REQUEST_BYTES
    assert staff.next() == 1
    staff.groups.leave(GROUP, staff.members[1])
    assert staff.next() == 0


def test_a_group_without_members_is_forgotten() -> None:
    staff = Staff(2)
    for member in staff.members:
        assert set(member.groups) == {GROUP}
        staff.groups.leave(GROUP, member)
        assert not member.groups
    assert not len(staff.groups)
    assert staff.next() is None


@given(st.lists(st.integers(0, 20), min_size=1, max_size=6), st.integers(1, 30))
def test_requests_level_the_load(loads: list[int], requests: int) -> None:
    """Whatever the members have to do, after as many requests as it takes nobody has two more than another."""
    staff = Staff(len(loads))
    for member, load in zip(staff.members, loads, strict=True):
        member.load_bytes = load * REQUEST_BYTES
    for _ in range(requests):
        chosen = staff.next()
        assert chosen is not None
        least = min(member.load_bytes for member in staff.members)
        assert staff.members[chosen].load_bytes == least
        staff.members[chosen].load_bytes += REQUEST_BYTES


def test_by_measured_times_the_member_that_is_likely_to_answer_first_is_next() -> None:
    staff = Staff(2)
    slow, fast = (member.connection.peer.id for member in staff.members)
    staff.groups.weights[GROUP] = {slow: 4.0, fast: 1.0}
    chosen = []
    for _ in range(5):
        chosen.append(staff.next())
        staff.members[chosen[-1] or 0].load_bytes += REQUEST_BYTES
    assert chosen == [1, 1, 1, 0, 1], "three that wait for the fast one take as long as the first of the slow one"


def test_a_member_without_a_weight_counts_as_the_fastest_and_a_group_without_members_has_none() -> None:
    staff = Staff(2)
    staff.groups.weights[GROUP] = {staff.members[0].connection.peer.id: 4.0}
    assert staff.next() == 1
    assert staff.groups.addresses(5) == [GROUP]
    for member in staff.members:
        staff.groups.leave(GROUP, member)
    assert staff.groups.weights == {}
    assert staff.groups.addresses(5) == []
