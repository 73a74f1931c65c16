"""Addresses: each is counted by itself, networks of IPv6 as one, and the memory for them is bounded."""

from __future__ import annotations

import random
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.admission import addresses as addresses_module
from gateway.connections.admission.addresses import Addresses

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


def addresses(per_s: float = 1.0) -> Addresses:
    return Addresses(per_s, LOOPBACK, random.Random(1).random)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("10.0.0.1", "::ffff:10.0.0.1", True),
        ("2001:db8:0:1::5", "2001:db8:0:1:ffff::", True),
        ("2001:db8:0:1::5", "2001:db8:0:2::5", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("::a00:1", "10.0.0.1", False),
    ],
)
def test_an_address_is_one_of_ipv4_or_a_network_of_ipv6(one: str, other: str, same: bool) -> None:
    found = addresses()
    found.enter(one)
    assert found.sockets_of(other) == same


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "", "no address"])
def test_an_exempt_address_has_no_bounds_and_takes_no_memory(address: str) -> None:
    found = addresses()
    for _ in range(10):
        found.enter(address)
        assert found.return_after_s(address, 0.0) is None
    assert (found.sockets_of(address), len(found)) == (0, 0)
    found.leave(address, admitted=True)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["enter", "admit", "leave"])), max_size=60))
def test_sockets_and_connections_are_counted_exactly(changes: list[tuple[str, str]]) -> None:
    names = {"a": "10.0.0.1", "b": "10.0.0.2", "c": "2001:db8::1"}
    found, sockets = addresses(), {name: list[bool]() for name in names}
    for name, change in changes:
        mine, address = sockets[name], names[name]
        if change == "enter":
            found.enter(address)
            mine.append(False)
        elif change == "admit" and False in mine:
            found.admit(address)
            mine[mine.index(False)] = True
        elif change == "leave" and mine:
            found.leave(address, admitted=mine.pop())
    for name, mine in sockets.items():
        assert (found.sockets_of(names[name]), found.connections_of(names[name])) == (len(mine), sum(mine))
    assert len(found) == sum(bool(mine) for mine in sockets.values())


def test_one_that_comes_too_often_is_told_when_to_return_and_others_are_not_concerned() -> None:
    found = addresses(2.0)
    taken = [found.return_after_s("10.0.0.1", 5.0) for _ in range(8)]
    assert taken[:4] == [None] * 4
    waits_s = [wait_s for wait_s in taken if wait_s is not None]
    assert len(waits_s) == 4
    assert waits_s == sorted(waits_s)
    assert found.return_after_s("10.0.0.2", 5.0) is None
    assert found.return_after_s("10.0.0.1", 9.0) is None


def test_without_a_rate_nobody_is_told_to_return() -> None:
    found = addresses(0.0)
    assert {found.return_after_s("10.0.0.1", 0.0) for _ in range(100)} == {None}
    assert not len(found)


def test_of_very_many_addresses_the_one_that_was_seen_least_recently_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(addresses_module, "MAX_TURNSTILES", 3)
    found = addresses(1.0)
    for address in ("10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.3", "10.0.0.4"):
        found.return_after_s(address, 0.0)
    assert len(found) == 3
    assert found.return_after_s("10.0.0.1", 0.0) is not None
    assert found.return_after_s("10.0.0.2", 0.0) is None
