"""Small sizes of ``make slow``: its programs do what they say, and the gateway outlives them. Nothing is timed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from multiprocessing.connection import Connection

import httpx
import pytest

from benchmarks.children import answer, child
from benchmarks.slow import hostile, lagging_readers, many_streams
from benchmarks.slow.attacks.target import Target
from benchmarks.slow.bystander import Outcome
from benchmarks.slow.plan import Sizes
from gateway.testing import running_gateway_process

SIZES = Sizes(streams=300, lagging_streams=300, readers=3, seconds=0.2)
LONG = ("subscribe-all", "account-flood", "open-flood", "subscription-churn", "many-requests", "large-batches")
"""Attacks whose first round takes several seconds."""
GOOD = Outcome(sent=100, received=100, p50_ms=0.5, p99_ms=1.0, slowest_ms=2.0, problems=())


def test_a_subscriber_to_many_streams_has_the_newest_of_each() -> None:
    measured = many_streams.measure(SIZES)
    assert [(each.part, each.streams) for each in measured] == [
        ("subscribe", 300),
        ("reconnect", 300),
        ("restart", 300),
    ]
    assert all(each.beside.received == each.beside.sent > 0 for each in measured)


def test_lagging_readers_cost_a_bystander_no_message() -> None:
    measured = lagging_readers.measure(SIZES)
    assert measured.published
    assert measured.beside.received == measured.beside.sent > 0


def test_an_attack_is_measured() -> None:
    measured = hostile.measure("refused-frames", SIZES)
    assert measured.rounds + measured.closed
    assert measured.beside.received == measured.beside.sent > 0
    assert measured.beside.problems == ()
    assert math.isfinite(measured.health_s)


@pytest.fixture(scope="module")
def attacked() -> Iterator[tuple[str, Connection]]:
    """The admin port of a gateway, and a process that attacks it once with each name."""
    with running_gateway_process() as process:
        admin_url = process.admin_url or ""
        target = Target(*(int(url.rpartition(":")[2]) for url in (process.url, admin_url)))
        with child(hostile.attack_once, target) as attacker:
            yield admin_url, attacker


@pytest.mark.parametrize("name", [name for name in hostile.ATTACKS if name not in LONG])
def test_the_gateway_outlives_each_attack(attacked: tuple[str, Connection], name: str) -> None:
    admin_url, attacker = attacked
    attacker.send(name)
    answer(attacker)
    assert httpx.get(f"{admin_url}/healthz", timeout=60).status_code == 200


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, []),
        ({"beside": GOOD._replace(p99_ms=3.1)}, ["p99 3.10 x"]),
        ({"beside": GOOD._replace(p99_ms=math.nan)}, ["p99 nan x"]),
        ({"beside": GOOD._replace(received=99)}, ["99 of its 100"]),
        ({"beside": GOOD._replace(problems=("TimeoutError: late", "more"))}, ["TimeoutError: late"]),
        ({"health_s": 1.5}, ["/healthz took 1.50 s"]),
        ({"health_s": math.inf}, ["/healthz took inf s"]),
        (
            {"after_bytes": 127 * 10**6},
            ["127.0 MB of memory behind 200.0 beside it and 100.0 before it, more than 126.0"],
        ),
        ({"holes_bytes": 10**6}, ["more than 111.0"]),
        ({"rounds": 0}, ["did nothing"]),
    ],
)
def test_each_bound_of_an_attack_is_checked(change: dict[str, object], words: list[str]) -> None:
    good = hostile.Measured(
        "a", 3, 0, GOOD, GOOD, before_bytes=10**8, most_bytes=2 * 10**8, after_bytes=125 * 10**6, health_s=0.1
    )
    broken = dataclasses.replace(good, **change).broken()  # type: ignore[arg-type]  # the fields are named in the table
    assert len(broken) == len(words)
    assert all(word in line for word, line in zip(words, broken, strict=True))
