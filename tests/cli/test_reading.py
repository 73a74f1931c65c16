"""Readings: as much as the gateway has, and the rates between two of them."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.cli.exit_code import CommandFailed, ExitCode
from gateway.cli.fields import Fields
from gateway.cli.reading import Reading, growth_per_s, read_gateway


class Server:
    """A reader of an admin port that has some paths."""

    url = "http://gateway"

    def __init__(self, answers: dict[str, Any], code: ExitCode = ExitCode.REFUSED) -> None:
        self._answers = answers
        self._code = code
        self.asked: list[str] = []

    async def read(self, path: str) -> object:
        self.asked.append(path)
        name = path.removeprefix("/api/v1/").partition("?")[0]
        if name not in self._answers:
            raise CommandFailed(self._code, f"{name} is not there")
        return self._answers[name]


async def read(server: Server) -> Reading:
    return await read_gateway(server, "bytes_per_s", 20)  # type: ignore[arg-type]


async def test_the_head_of_each_list_is_asked_for() -> None:
    server = Server({"summary": {"version": "1"}, "streams": {"streams": [{"name": "a/b"}]}, "connections": {"x": 1}})
    reading = await read(server)
    assert server.asked == [
        "/api/v1/summary",
        "/api/v1/streams?sort=bytes_per_s&limit=20",
        "/api/v1/connections?sort=waiting_bytes&limit=20",
        "/api/v1/connections?sort=score&limit=20",
        "/api/v1/workflows?sort=bytes_per_s&edges=0&limit=20",
        "/api/v1/plans",
    ]
    assert reading.summary.text("version") == "1"
    assert reading.streams is not None
    assert [each.text("name") for each in reading.streams] == ["a/b"]
    assert (reading.behind, reading.workflows, reading.adjustments) == ([], None, None)


def streams(**rates: float | None) -> dict[str, Any]:
    rows = [{"name": name, "bytes_per_s": rate} for name, rate in rates.items()]
    return {"streams": {"streams": rows}, "workflows": {"workflows": rows}}


async def test_rows_of_about_the_same_number_keep_their_places_from_one_reading_to_the_next() -> None:
    for rates in ({"c": 9.0, "b": 100.5, "a": 100.0, "d": 4.0}, {"c": 9.0, "a": 100.5, "b": 100.0, "d": 4.0}):
        reading = await read(Server(streams(**rates)))
        for rows in (reading.streams, reading.workflows):
            assert rows is not None
            assert [row.text("name") for row in rows] == ["a", "b", "c", "d"]


async def test_receivers_and_links_that_are_alike_keep_their_places() -> None:
    clients = [("c", 1_001_000, 0.301), ("a", 1_000_000, 0.302), ("b", 9_000_000, 0.9)]
    connections = [
        {"client_id": name, "waiting_bytes": waiting_bytes, "link": {"score": score}}
        for name, waiting_bytes, score in clients
    ]
    reading = await read(Server({"connections": {"connections": connections}}))
    assert reading.behind is not None
    assert reading.links is not None
    assert [row.text("client_id") for row in reading.behind] == ["b", "a", "c"]
    assert [row.text("client_id") for row in reading.links] == ["a", "c", "b"]


async def test_rows_whose_rates_are_not_known_yet_stay_as_the_gateway_has_sorted_them() -> None:
    reading = await read(Server(streams(b=None, a=None)))
    assert reading.streams is not None
    assert [row.text("name") for row in reading.streams] == ["b", "a"]


async def test_a_gateway_that_is_away_or_none() -> None:
    with pytest.raises(CommandFailed, match="summary is not there") as away:
        await read(Server({}, ExitCode.CANNOT_CONNECT))
    assert away.value.code is ExitCode.CANNOT_CONNECT
    for answers in ({}, {"summary": [], "streams": "text", "connections": 4, "workflows": None}):
        with pytest.raises(CommandFailed) as none:
            await read(Server(answers))
        assert none.value.code is ExitCode.REFUSED


def reading_at(time_s: object, count: float) -> Reading:
    return Reading(Fields({"time_s": time_s, "count": count}), *[None] * 5)


@pytest.mark.parametrize(
    ("before", "now", "rate"),
    [
        ((10.0, 100), (12.0, 300), 100.0),
        ((10.0, 100), (12.0, 100), 0.0),
        ((10.0, 100), (10.0, 300), None),
        ((10.0, 100), (2.0, 300), None),
        ((10.0, 100), (12.0, 3), None),
        ((None, 100), (12.0, 300), None),
        ((10.0, 100), ("x", 300), None),
    ],
)
def test_rates(before: tuple[object, float], now: tuple[object, float], rate: float | None) -> None:
    def count(summary: Fields) -> float:
        return summary.number("count") or 0.0

    assert growth_per_s(reading_at(*now), reading_at(*before), count) == rate
    assert growth_per_s(reading_at(*now), None, count) is None
