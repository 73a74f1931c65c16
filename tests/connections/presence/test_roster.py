"""Rosters: of everything only the newest change, in an order in which a receiver may stop anywhere and go on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.outbound.peer import Peer
from gateway.connections.presence.roster import MAX_ENDS, Changes, Roster
from gateway.connections.presence.scope import UNTOLD
from gateway.connections.presence.scope_member import ScopeMember
from gateway.ids import ClientId, PeerId

EVERYTHING = 1 << 30


def member(name: str, metadata: bytes = b"{}") -> ScopeMember:
    return ScopeMember(None, Peer(PeerId(1), ClientId(name)), metadata)


def names(changes: Changes) -> list[str]:
    return [each.client_id for each in changes.members]


def test_a_newcomer_gets_the_members_and_no_ends() -> None:
    roster = Roster()
    members = [member(name) for name in "abc"]
    for each in members:
        roster.put(each)
    roster.show(members[0], b'{"x":1}')
    roster.remove(members[1])
    roster.forget_ends(roster.version)
    changes = roster.changes_since(-1, EVERYTHING)
    assert (names(changes), changes.left) == (["a", "c"], {})
    assert {name: state and state.written for name, state in changes.awareness.items()} == {"a": b'{"x":1}'}
    assert changes.version == roster.version


def test_what_has_changed_again_is_told_once() -> None:
    roster = Roster()
    one, other = member("a"), member("b")
    roster.put(one)
    roster.put(other)
    known = roster.version
    for _ in range(100):
        roster.put(one)
        roster.show(other, b"{}")
    changes = roster.changes_since(known, EVERYTHING)
    assert (names(changes), list(changes.awareness)) == (["a"], ["b"])


def test_an_end_behind_the_floor_makes_the_roster_begin_anew() -> None:
    roster = Roster()
    roster.put(member("a"))
    known = roster.version
    for number in range(MAX_ENDS):
        gone = member(f"gone-{number}")
        roster.put(gone)
        roster.remove(gone)
    assert not roster.misses_ends(known, UNTOLD)
    assert len(roster.changes_since(known, EVERYTHING).left) == MAX_ENDS
    gone = member("gone")
    roster.put(gone)
    roster.remove(gone)
    assert roster.misses_ends(known, UNTOLD)
    assert not roster.misses_ends(known, roster.version)
    assert names(roster.changes_since(UNTOLD, EVERYTHING)) == ["a"]


def test_ends_are_forgotten_up_to_a_version() -> None:
    roster = Roster()
    for name in "ab":
        gone = member(name)
        roster.put(gone)
        roster.remove(gone)
    roster.forget_ends(roster.version - 1)
    assert roster.changes_since(-1, EVERYTHING).left == {"b": None}


def test_a_part_is_about_as_large_as_it_may_be_and_never_empty() -> None:
    roster = Roster()
    for number in range(100):
        roster.put(member(f"{number:03}", b'{"x":"' + bytes(1000) + b'"}'))
    assert names(roster.changes_since(-1, 1)) == ["000"]
    part = roster.changes_since(-1, 10_000)
    assert 5 <= len(part.members) <= 10
    assert roster.changes_since(part.version, 1).members[0].client_id == f"{len(part.members):03}"


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "remove", "show", "end", "tell", "forget"]), st.integers(0, 4), st.integers(0, 3)
    ),
    max_size=60,
)


@given(STEPS, st.integers(1, 300))
def test_a_receiver_that_is_told_now_and_then_knows_the_same_in_the_end(
    steps: list[tuple[str, int, int]], part_bytes: int
) -> None:
    roster = Roster()
    known: dict[str, bytes] = {}
    aware: dict[str, bytes] = {}
    told = begun = UNTOLD

    def tell() -> None:
        nonlocal told, begun
        if roster.misses_ends(told, begun):
            told, begun = UNTOLD, roster.version
            known.clear()
            aware.clear()
        changes = roster.changes_since(told, part_bytes)
        for client_id in changes.left:
            known.pop(client_id, None)
            aware.pop(client_id, None)
        for each in changes.members:
            known[each.client_id] = each.metadata
        for name, state in changes.awareness.items():
            if state is None:
                aware.pop(name, None)
            else:
                assert name in known
                aware[name] = state.written
        told = changes.version

    for action, number, value in steps:
        name, written = ClientId(f"c{number}"), f'{{"v":{value}}}'.encode()
        found = roster.members.get(name)
        if action == "tell":
            tell()
        elif action == "forget":  # others were told
            roster.forget_ends(roster.version)
        elif action == "put":
            found = found or member(name)
            found.metadata = written
            roster.put(found)
        elif found is not None and action == "remove":
            roster.remove(found)
        elif found is not None:
            roster.show(found, written if action == "show" else None)
    for _ in range(roster.version + 1):  # a part has one change at least
        if told != roster.version:
            tell()
    assert known == {name: each.metadata for name, each in roster.members.items()}
    assert aware == {
        name: each.awareness.written for name, each in roster.members.items() if each.awareness is not None
    }
