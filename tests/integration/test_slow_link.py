"""Small sizes of ``make slow-link``, and whether a slow line is told from a slow reader. Nothing is timed."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import numpy as np
import pytest

from benchmarks.processes import bind_to
from benchmarks.shaped_namespace import NotPermitted
from benchmarks.slow_link.__main__ import main
from benchmarks.slow_link.dashboards import STREAM
from benchmarks.slow_link.paced_line import Line, proxied_line, shaped_line
from benchmarks.slow_link.slow_link import HEADER, Measured, Sizes, link_of, publishing, watching
from benchmarks.slow_readers.throttled import ThrottledReader
from gateway.client import sync
from gateway.connections.links.bottleneck import Bottleneck
from gateway.testing import running_gateway_process

LARGE: Final = Sizes(state_bytes=64 * 1024)
"""States that a line of 2 Mbit/s cannot carry."""
GOOD: Final = Measured(Sizes(), "a line", (10.0, 12.0), (11.0, 13.0), 14.0, 0.7, {"score": 0.2, "bottleneck": "link"})


@contextmanager
def gateway() -> Iterator[tuple[int, str]]:
    """A gateway on all addresses, by its port and the URL of its admin port."""
    with running_gateway_process("--host", "0.0.0.0", "--insecure", "--drain-deadline", "0.1") as process:
        assert process.admin_url is not None
        yield int(process.url.rpartition(":")[2]), process.admin_url


@pytest.fixture
def line_of_its_own() -> Iterator[tuple[Line, str]]:
    """A line with a bounded rate to a gateway, and the URL of its admin port; skips where the system refuses it."""
    with gateway() as (port, admin_url), ExitStack() as stack:
        try:
            line = stack.enter_context(shaped_line(port, LARGE.bits_per_s))
        except NotPermitted as refusal:
            pytest.skip(f"no network namespace with a bounded rate: {refusal}")
        yield line, admin_url


class Silent:
    """A client that subscribes, and reads nothing more."""

    client_id: Final = "silent"

    def __init__(self, port: int) -> None:
        self._reader = ThrottledReader(f"ws://127.0.0.1:{port}", self.client_id, acknowledges=False)

    def __enter__(self) -> Silent:
        self._reader.subscribe(STREAM)
        return self

    def __exit__(self, *error: object) -> None:
        self._reader.socket.close()


def until_it_is(bottleneck: Bottleneck, client_id: str, admin_url: str) -> None:
    """Until the gateway tells this bottleneck of a client."""
    while link_of(client_id, admin_url)["bottleneck"] != bottleneck:
        time.sleep(0.05)


def test_a_slow_line_is_the_bottleneck(line_of_its_own: tuple[Line, str]) -> None:
    line, admin_url = line_of_its_own
    url = f"ws://{line.host}:{line.port}"
    with watching(url, 1, bind_to, line.command), publishing(url, LARGE):
        until_it_is(Bottleneck.LINK, "panel-0-of-1", admin_url)
        link = link_of("panel-0-of-1", admin_url)
        assert link["score"] < 0.5
        assert link["tcp"]["unsent_bytes"] >= 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts what a line carries")
def test_a_dashboard_behind_a_slow_line_is_paced(line_of_its_own: tuple[Line, str]) -> None:
    line, admin_url = line_of_its_own
    with (
        watching(f"ws://{line.host}:{line.port}", 1, bind_to, line.command),
        publishing(f"ws://{line.host}:{line.port}", Sizes()),
    ):
        while True:
            with urllib.request.urlopen(f"{admin_url}/api/v1/plans") as answer:
                settings = json.load(answer)["settings"]
            if [each for each in settings if each["knob"] == "pacing" and each["name"] == "panel-0-of-1"]:
                break
            time.sleep(0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts the time in which a peer does not read")
@pytest.mark.parametrize("state_bytes", [60 * 1024, 2 * 1024 * 1024], ids=["small", "chunked"])
def test_a_program_that_does_not_read_is_the_bottleneck(state_bytes: int) -> None:
    sizes = Sizes(state_bytes=state_bytes, states_per_s=100)
    with (
        gateway() as (port, admin_url),
        Silent(port) as silent,
        publishing(f"ws://127.0.0.1:{port}", sizes),
    ):
        until_it_is(Bottleneck.READER, silent.client_id, admin_url)


def test_a_proxy_stands_in_for_the_line() -> None:
    with (
        gateway() as (port, _),
        proxied_line(port, 8_000_000) as line,
        sync.connect(f"ws://{line.host}:{line.port}") as client,
    ):
        assert client.publish("wf/a", np.zeros(10_000)).offset == 0


def test_it_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--others", "2", "--rounds", "1", "--seconds", "1", "--settle", "0.5"])
    assert "| 2 Mbit/s, " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, []),
        ({"beside_ms": (20.0, 20.0)}, ["the others notice it"]),
        ({"beside_ms": (float("nan"), 20.0)}, ["the others notice it"]),
        ({"oldest_s": 1.0}, ["1.00 s old"]),
        ({"states_per_s": 0.0}, ["no states"]),
    ],
)
def test_each_bound_is_checked(change: dict[str, object], words: list[str]) -> None:
    broken = dataclasses.replace(GOOD, **change).broken()  # type: ignore[arg-type]  # the fields are named in the table
    assert len(broken) == len(words)
    assert all(word in line for word, line in zip(words, broken, strict=True))


def test_a_row_has_a_cell_for_each_column() -> None:
    assert len(GOOD.row()) == len(HEADER)
