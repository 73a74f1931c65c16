"""The credit that messages of one stream take, of one subscription or of several."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import pytest

from gateway.connections.lagging.credit_gate import CreditGate, CreditGates
from gateway.connections.outbound.inbox_source import InboxSource
from gateway.connections.sessions.credit_window import CreditWindow
from gateway.streams.run import Source


def source(name: str = "s") -> Source:
    return InboxSource(name, lambda publisher, correlation, refusal: None)


def window(messages: int, nbytes: int) -> CreditWindow:
    return CreditWindow(messages, nbytes, replenished=False)


class Gates:
    """Gates of one receiver, and the sources with which it was told to go on."""

    def __init__(self) -> None:
        self.soon: deque[Callable[[], object]] = deque()
        self.gone_on: list[Sequence[Source]] = []
        self.gates = CreditGates(self.soon.append, self.gone_on.append)

    def turn(self) -> None:
        for _ in range(len(self.soon)):
            self.soon.popleft()()

    def gate(self, source: Source, *credits: CreditWindow) -> CreditGate:
        for credit in credits:
            self.gates.add(source, credit)
        return self.gates.by_source[source]


@pytest.mark.parametrize(("messages", "nbytes", "is_open"), [(1, 1, True), (0, 100, False), (100, 0, False)])
def test_a_gate_is_open_while_a_message_and_a_byte_are_left(messages: int, nbytes: int, is_open: bool) -> None:
    assert Gates().gate(source(), window(messages, nbytes)).open is is_open


def test_every_subscription_has_to_leave_credit_and_gives_it() -> None:
    wide, narrow = window(9, 900), window(2, 100)
    gate = Gates().gate(source(), wide, narrow)
    assert gate.room == (2, 100)
    gate.take(1, 100)
    assert (wide.messages, wide.nbytes, narrow.messages, narrow.nbytes) == (8, 800, 1, 0)
    assert not gate.open


def test_messages_together_take_all_or_nothing() -> None:
    credit = window(3, 100)
    gate = Gates().gate(source(), credit)
    assert not gate.take_all(4, 10)
    assert not gate.take_all(2, 101)
    assert (credit.messages, credit.nbytes) == (3, 100)
    assert gate.take_all(3, 100)
    assert (credit.messages, credit.nbytes) == (0, 0)


def test_a_single_message_may_exceed_the_bytes_but_not_what_is_used_up() -> None:
    credit = window(3, 1)
    gate = Gates().gate(source(), credit)
    assert gate.take_all(1, 1000)
    assert credit.nbytes == -999
    credit.add(0, 999)
    assert not gate.take_all(1, 1)


def test_a_gate_goes_on_at_the_end_of_the_turn_in_which_credit_comes() -> None:
    mine = source()
    gates = Gates()
    credit = window(0, 10)
    gate = gates.gate(mine, credit)
    gate.wait()
    credit.add(1, 0)
    assert not gates.gone_on
    gates.turn()
    assert gates.gone_on == [[mine]]


def test_credit_that_a_gate_leaves_wakes_the_next_one() -> None:
    gates = Gates()
    credit = window(0, 10)
    streams = [source(str(number)) for number in range(20)]
    for stream in streams:
        gates.gate(stream, credit).wait()
    credit.add(1, 0)
    for _ in streams:
        gates.turn()
    assert [stream for gone_on in gates.gone_on for stream in gone_on] == streams


def test_a_subscription_that_has_ended_bounds_nothing() -> None:
    mine = source()
    gates = Gates()
    ended, other = window(0, 0), window(5, 5)
    gate = gates.gate(mine, ended, other)
    gate.wait()
    ended.end()
    gates.turn()
    assert gate.open
    assert gates.gone_on == [[mine]]
    newer = window(3, 3)
    assert gates.gate(mine, newer).room == (3, 3)
    ended.messages = ended.nbytes = 0
    assert gate.open, "it is forgotten with the next subscription"


def test_a_source_that_was_left_leaves_the_credit_to_others() -> None:
    gates = Gates()
    credit = window(0, 10)
    left, other = source("left"), source("other")
    gates.gate(left, credit).wait()
    gates.gate(other, credit).wait()
    gates.gates.drop(left)
    credit.add(1, 0)
    gates.turn()
    assert gates.gone_on == [[other]]


def test_a_receiver_that_is_gone_is_told_nothing() -> None:
    gates = Gates()
    credit = window(0, 10)
    mine = source()
    gates.gate(mine, credit).wait()
    credit.add(1, 0)
    assert list(gates.gates.detach()) == [mine]
    gates.turn()
    assert not gates.gone_on
