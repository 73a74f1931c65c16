"""Costs: means of measurements, and differences that are more than noise."""

import random

from gateway.connections.planning.cost import Cost


def cost_of(*costs_s: float) -> Cost:
    """Return the cost after some measurements."""
    cost = Cost()
    for cost_s in costs_s:
        cost = cost.add(cost_s)
    return cost


def test_a_few_measurements_have_their_mean_and_variance() -> None:
    cost = cost_of(0.1, 0.2, 0.3)
    assert round(cost.mean_s, 6) == 0.2
    assert round(cost.variance, 6) == round(0.02 / 3, 6)
    assert cost.number == 3


def test_of_many_measurements_old_ones_are_forgotten() -> None:
    cost = cost_of(*[0.1] * 50, *[0.5] * 100)
    assert 0.49 < cost.mean_s <= 0.5


def test_a_clear_difference_saves_one_way_and_exceeds_the_other() -> None:
    before, after = cost_of(*[0.50, 0.52, 0.48] * 3), cost_of(*[0.10, 0.11, 0.09] * 2)
    assert after.saves(before)
    assert not before.saves(after)
    assert before.exceeds(after)
    assert not after.exceeds(before)


def test_a_difference_within_noise_is_none() -> None:
    before, after = cost_of(0.1, 0.9, 0.2, 0.8, 0.5), cost_of(0.2, 0.6, 0.1, 0.7, 0.3)
    assert not after.saves(before)
    assert not after.exceeds(before)


def test_a_difference_of_no_use_is_none() -> None:
    assert not cost_of(*[0.095] * 8).saves(cost_of(*[0.1] * 8))
    assert not cost_of(*[0.0001] * 8).saves(cost_of(*[0.0004] * 8))


def test_two_costs_of_the_same_noise_rarely_differ() -> None:
    rng = random.Random(12)
    pairs = [[cost_of(*[rng.lognormvariate(-2, 0.5) for _ in range(n)]) for n in (8, 6)] for _ in range(1000)]
    assert sum([after.saves(before) for before, after in pairs]) < 40
    assert sum([after.exceeds(before) for before, after in pairs]) < 40


def test_a_cost_is_told_in_milliseconds() -> None:
    assert str(cost_of(0.25)) == "250.0 ms"
