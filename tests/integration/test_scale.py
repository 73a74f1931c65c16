"""Small sizes of ``make scale``: its clients stay and answer, and each bound is checked. Nothing is timed."""

from __future__ import annotations

import dataclasses
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.processes import VerificationFailed
from benchmarks.scale import memory, scale
from benchmarks.scale.__main__ import main
from benchmarks.scale.idle_clients import Answered, IdleClients
from benchmarks.scale.memory import KernelMemory
from gateway.testing import running_gateway_process

ADDRESS = 256
GOOD = scale.Measured(
    connections=10_000,
    limit="",
    resident_bytes=150_000_000,
    grown_bytes=100_000_000,
    kernel=KernelMemory(0, 100_000_000),
    open_s=5.0,
    watched_s=60.0,
    cpu_s=0.5,
    answered=Answered(20_000, 50, 0),
)


@pytest.fixture
def quick(tmp_path: Path) -> Path:
    """A configuration by which a gateway asks its clients twice a second."""
    config = tmp_path / "frys.toml"
    config.write_text("heartbeat_interval_s = 0.5\n[heartbeat]\nmin_ping_interval_s = 0.1\nmax_ping_interval_s = 0.5\n")
    return config


def port_of(url: str) -> int:
    """The port of a URL."""
    return int(url.rpartition(":")[2])


def test_idle_clients_stay_by_their_answers(quick: Path) -> None:
    with (
        running_gateway_process("--config", str(quick)) as process,
        closing(IdleClients(port_of(process.url), ADDRESS)) as clients,
    ):
        opened = clients.open(30)
        assert (opened.connections, opened.problem) == (30, "")
        pings = 0
        while pings < 90:
            clients.serve(0.1)
            answered = clients.report()
            assert not answered.lost
            pings += answered.pings


def test_clients_that_the_gateway_refuses_are_told_of(quick: Path) -> None:
    with (
        running_gateway_process("--config", str(quick), "--max-connections", "5") as process,
        closing(IdleClients(port_of(process.url), ADDRESS)) as clients,
    ):
        opened = clients.open(10)
        assert opened.connections == 5
        assert opened.problem == "the gateway has closed a connection"


def test_nobody_listens() -> None:
    with closing(IdleClients(1, ADDRESS)) as clients:
        opened = clients.open(10)
    assert opened.connections == 0
    assert opened.problem == "connect: Connection refused"


def test_it_prints_a_table(quick: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(scale, "CONFIG", quick)
    assert main(["--connections", "20", "--seconds", "2"]) == 0
    assert "| 20 " in capsys.readouterr().out


def test_the_limit_of_the_machine_is_named() -> None:
    assert memory.allowed_connections(1) == (1, "")
    allowed, limit = memory.allowed_connections(10**12)
    assert 0 < allowed < 10**12
    assert "descriptors" in limit or "memory" in limit


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, []),
        ({"grown_bytes": 100_000_001}, ["more than 100 MB"]),
        ({"answered": Answered(20_000, 50, 3)}, ["3 idle connections were closed"]),
        ({"answered": Answered(0, 0, 0)}, ["no connection was pinged"]),
    ],
)
def test_each_bound_is_checked(change: dict[str, object], words: list[str]) -> None:
    broken = dataclasses.replace(GOOD, **change).broken()  # type: ignore[arg-type]  # the fields are named in the table
    assert len(broken) == len(words)
    assert all(word in line for word, line in zip(words, broken, strict=True))


def test_a_row_has_a_cell_for_each_column() -> None:
    row = GOOD.row()
    assert len(row) == len(scale.HEADER)
    assert row[:3] == ("10,000", "150 MB", "10.00 KB")


@pytest.mark.parametrize("failure", [VerificationFailed("the gateway has ended"), ConnectionResetError("cut off")])
def test_a_process_that_fails_is_told_as_a_broken_bound(
    failure: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(connections: int, seconds: float) -> scale.Measured:
        raise failure

    monkeypatch.setattr(scale, "measure", fail)
    assert main([]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == f"- {failure}"
