"""Takeover: which program gets a ``client_id``, whatever order its connections come in."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.takeover import Claim, Generations, Outcome, decide

NOW_NS = 1_770_000_000_000_000_000
NOW_US = NOW_NS // 1000


@pytest.mark.parametrize(
    ("newcomer", "holder", "outcome"),
    [
        (Claim(5, 1), Claim(5, 1), Outcome.RECONNECTED),
        (Claim(None, 1), Claim(5, 1), Outcome.RECONNECTED),
        (Claim(4, 1), Claim(5, 1), Outcome.RECONNECTED),
        (Claim(None, 2), Claim(5, 1), Outcome.TAKEN_OVER),
        (Claim(None, None), Claim(5, None), Outcome.TAKEN_OVER),
        (Claim(6, 2), Claim(5, 1), Outcome.TAKEN_OVER),
        (Claim(4, 2), Claim(5, 1), Outcome.REFUSED),
        (Claim(4, None), Claim(5, None), Outcome.REFUSED),
        # A copy of the generation: if both went on reconnecting, they would do so for ever.
        (Claim(5, 2), Claim(5, 1), Outcome.TAKEN_OVER),
        (Claim(5, None), Claim(5, None), Outcome.TAKEN_OVER),
    ],
)
def test_the_newer_program_gets_the_name(newcomer: Claim, holder: Claim, outcome: Outcome) -> None:
    assert decide(newcomer, holder) is outcome


def test_generations_grow_with_time_and_within_a_moment_and_where_time_goes_back() -> None:
    generations = Generations()
    given = [generations.next(NOW_NS + step_ns) for step_ns in (0, 0, 1, 5_000_000, 2_000_000, 6_000_000)]
    assert given[0] == NOW_US
    assert given == sorted(set(given))


def test_a_generation_of_the_future_counts_for_nothing() -> None:
    generations = Generations()
    assert generations.recognized(2**53 - 1, NOW_NS) is None
    assert generations.recognized(NOW_US + 1, NOW_NS) is None
    assert generations.recognized(None, NOW_NS) is None
    assert generations.next(NOW_NS) == NOW_US


def test_what_another_gateway_has_given_counts_and_the_next_is_higher() -> None:
    generations = Generations()
    assert generations.recognized(NOW_US, NOW_NS) == NOW_US
    assert generations.next(NOW_NS) == NOW_US + 1
    assert generations.recognized(NOW_US + 1, NOW_NS) == NOW_US + 1


class Gateway:
    """One name at a gateway, and the programs that want it: a model without connections."""

    def __init__(self) -> None:
        self._generations = Generations()
        self.now_ns = NOW_NS
        self.holder: Program | None = None

    def hello(self, program: Program) -> None:
        self.now_ns += 1000
        claim = Claim(self._generations.recognized(program.generation, self.now_ns), program.instance)
        holder = self.holder
        if holder is not None:
            outcome = decide(claim, Claim(holder.generation, holder.instance))
            if outcome is Outcome.REFUSED:
                program.ended = True
                return
            if outcome is Outcome.TAKEN_OVER:
                holder.ended = True
        program.generation = claim.generation or self._generations.next(self.now_ns)
        self.holder = program

    def restarted(self) -> Gateway:
        """The gateway after this one, which knows nothing of it."""
        after = Gateway()
        after.now_ns = self.now_ns + 1_000_000
        return after


class Program:
    """A program that reconnects until it is told to end."""

    def __init__(self, instance: int) -> None:
        self.instance = instance
        self.generation: int | None = None
        self.ended = False


@given(
    programs=st.integers(2, 5),
    steps=st.lists(st.sampled_from(["reconnect", "reconnect", "reconnect", "cut", "restart"]), max_size=40),
    seed=st.integers(0, 2**32),
)
def test_of_programs_that_all_reconnect_the_newest_is_left(programs: int, steps: list[str], seed: int) -> None:
    drawn, gateway = random.Random(seed), Gateway()
    everyone = [Program(instance) for instance in range(programs)]
    for program in everyone:
        gateway.hello(program)
        # Nobody has heard of it yet: each believes that its link is down.
        program.ended = False
    for program in everyone:
        program.ended = False
    for step in steps:
        if step == "cut":
            gateway.holder = None
        elif step == "restart":
            gateway = gateway.restarted()
        else:
            gateway.hello(drawn.choice([program for program in everyone if not program.ended]))
    # In the end each comes back once more, in any order.
    for program in drawn.sample(everyone, programs):
        if not program.ended:
            gateway.hello(program)
    assert [program.ended for program in everyone] == [True] * (programs - 1) + [False]
    assert gateway.holder is everyone[-1]


def test_a_program_that_is_told_nothing_but_its_losses_takes_over_once_at_most() -> None:
    for order in itertools.permutations(range(3)):
        gateway, everyone = Gateway(), [Program(instance) for instance in range(3)]
        for program in everyone:
            gateway.hello(program)
        holders = []
        for number in order * 3:
            gateway.hello(everyone[number])
            holders.append(gateway.holder)
        assert holders == [everyone[2]] * 9
