"""A small size of ``make churn``: nobody stays who has gone, and each bound is checked. Nothing is timed."""

from __future__ import annotations

import dataclasses
from contextlib import closing

import pytest

from benchmarks.churn import churn
from benchmarks.churn.churning_clients import SCOPE, ChurningClients
from benchmarks.slow.bystander import Outcome
from gateway.client.sync import connect
from gateway.testing import running_gateway_process

CALM = Outcome(1000, 1000, 1.0, 5.0, 20.0, ())
GOOD = churn.Measured(
    connections=10_000,
    limit="",
    rate_per_s=1000.0,
    gateway_load=0.9,
    clients_load=0.5,
    resident_mb=200.0,
    slope_mb_min=0.5,
    calm=CALM,
    probe=CALM,
    stale=0,
    missing=0,
    lost=0,
)


def test_members_are_those_who_are_connected_behind_churn() -> None:
    with (
        running_gateway_process("--config", str(churn.CONFIG)) as process,
        closing(ChurningClients(int(process.url.rpartition(":")[2]), 512)) as clients,
        connect(process.url) as witness,
        witness.presence(SCOPE) as presence,
    ):
        opened = clients.open(20)
        assert (opened.connections, opened.problem) == (20, "")
        before = clients.settle()
        churned = clients.churn(200.0, 0.5)
        assert churned.cycles > 20
        assert (churned.lost, churned.problem) == (0, "")
        connected = clients.settle()
        assert len(connected) == 20
        assert not connected & before
        for _ in presence.changes():
            clients.serve(0)
            if set(presence.members) == connected:
                break


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, []),
        ({"slope_mb_min": 2.1}, ["memory grows by 2.10 MB a minute"]),
        ({"stale": 1}, ["1 stale members, 0 that are missing"]),
        ({"missing": 2}, ["0 stale members, 2 that are missing"]),
        ({"lost": 3}, ["closed 3 connections"]),
        ({"probe": CALM._replace(p99_ms=251.0)}, ["p99 of the probe is 251 ms"]),
        ({"probe": CALM._replace(received=999)}, ["999 of 1000 messages"]),
        ({"probe": CALM._replace(problems=("lost",))}, ["1000 of 1000 messages of the probe came; lost"]),
    ],
)
def test_each_bound_is_checked(change: dict[str, object], words: list[str]) -> None:
    broken = dataclasses.replace(GOOD, **change).broken()  # type: ignore[arg-type]  # the fields are named in the table
    assert len(broken) == len(words)
    assert all(word in line for word, line in zip(words, broken, strict=True))


def test_a_row_has_a_cell_for_each_column() -> None:
    row = GOOD.row()
    assert len(row) == len(churn.HEADER)
    assert row[:2] == ("10,000", "1000 (10 %)")
