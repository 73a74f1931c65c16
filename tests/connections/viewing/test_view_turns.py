"""Turns of views: so many at a time, in order, and whoever has nothing to do any more takes nobody's turn."""

from __future__ import annotations

from gateway.connections.viewing.view_turns import AT_ONCE, ViewTurns


def test_so_many_begin_and_the_next_when_one_ends() -> None:
    turns = ViewTurns()
    begun: list[int] = []

    def ask(number: int, *, wanted: bool = True) -> None:
        def begin() -> bool:
            begun.append(number)
            return wanted

        turns.ask(begin)

    for number in range(AT_ONCE + 1):
        ask(number)
    ask(97, wanted=False)
    ask(98, wanted=False)
    ask(99)
    assert begun == list(range(AT_ONCE))
    turns.end()
    assert begun == list(range(AT_ONCE + 1))
    turns.end()
    assert begun[AT_ONCE + 1 :] == [97, 98, 99]
    turns.end()
    ask(100)
    assert begun[-1] == 100
