"""The overview: everything in view at 80 columns and 24 lines, whatever the gateway is."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from gateway.cli.fields import Fields
from gateway.cli.overview import Overview, shares_of
from gateway.cli.reading import Reading
from tests.protocol.strategies import json_values

URL = "http://127.0.0.1:8766"
SUMMARY: dict[str, Any] = {
    "version": "0.1.0",
    "time_s": 10.0,
    "connections": {"agent": 9000, "admin_panel": 3, "workflow": 12, "extension": 1000},
    "lagging": 3,
    "greeting": 1,
    "kinds": {
        "state": {"streams": 400, "published_messages": 1000, "published_bytes": 10_000, "delivered_messages": 5000},
        "event": {"streams": 4, "published_messages": 10, "published_bytes": 100, "delivered_messages": 50},
    },
    "consumers": {"present": 4, "absent": 2, "pending": 17},
    "outbox_bytes": 1_200_000,
    "transport_bytes": 300_000,
    "overload": {"stage": "normal", "reason": ""},
    "store": {"problem": None},
}
LATER = SUMMARY | {
    "time_s": 12.0,
    "kinds": {
        "state": {"streams": 400, "published_messages": 3020, "published_bytes": 50_100, "delivered_messages": 9060}
    },
}


def stream(number: int) -> Fields:
    return Fields(
        {
            "name": f"wf-42/layer-{number}/weights",
            "kind": "collaboration",
            "messages_per_s": 1234.5,
            "bytes_per_s": 5.6e6,
            "subscribers": 10,
            "viewers": 2,
            "observers": 1,
            "pending": 3,
        }
    )


def connection(number: int, **fields: Any) -> Fields:
    return Fields({"client_id": f"dashboard-{number}", "client_type": "admin_panel", "conflated": 12_345} | fields)


LINK: dict[str, Any] = {
    "score": 0.4321,
    "rtt_s": 0.0123,
    "goodput_bytes_per_s": 250_000,
    "queue_delay_s": None,
    "bottleneck": "link",
    "behind": [{"stream": "wf-42/loss", "offset": 7, "behind": 1234}, {"stream": "wf-42/log", "behind": 5}, 7],
}


def adjustment(number: int) -> Fields:
    fields = {"knob": "pacing", "name": f"wf-42/{number}", "before": 0, "value": 0.05, "verdict": "kept", "age_s": 12.5}
    return Fields(fields)


def workflow(number: int) -> Fields:
    return Fields({"name": f"wf-{number}", "pattern": "request_reply", "confidence": 0.987, "clients": 12})


def reading(summary: object = None, lists: int = 30) -> Reading:
    many = range(lists)
    connections = [connection(number, waiting_bytes=1_000_000) for number in many] + [connection(99, waiting_bytes=0)]
    return Reading(
        Fields(SUMMARY if summary is None else summary),
        [*map(stream, many)],
        connections,
        [connection(number, link=LINK) for number in many],
        [*map(workflow, many)],
        [*map(adjustment, many)],
    )


def shown(overview: Overview, width: int = 80, height: int = 24) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None)
    console.print(overview.fitted(height))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_a_terminal_of_80_by_24_is_full_and_readable() -> None:
    lines = shown(Overview(URL, reading(LATER), reading(), keys="q quits"))
    assert len(lines) == 24
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["frys", "top", URL, "frys", "0.1.0", "normal"]
    assert lines[1].startswith("connections 10,015 (9,000 agent, 3 admin_panel, 12 workflow, 1,000 extension)")
    assert lines[2].startswith("in 1,005 msg/s 20.0 kB/s  out 2,005 msg/s  streams 400 (400 state)")
    assert lines[3].rstrip() == "lagging 3  waiting 1.5 MB  pending 17  absent 2  greeting 1"
    heads = ["stream", "receiver that is behind", "worst link", "workflow", "adjustment"]
    assert [head for line in lines for head in heads if line.startswith(f"{head}  ")] == heads
    assert any(re.match("dashboard-0 .* 0.432 +12.30 ms +250.0 kB +1,234 +-$", line) for line in lines)
    assert any(re.match("pacing wf-42/0 .* 0 +0.05 +kept +12.50 s$", line) for line in lines)
    assert lines[5].split()[1:] == ["collaboration", "1,234", "5.6", "MB", "13", "3"]
    assert lines[-1] == "q quits"
    assert sum(line.startswith("dashboard-") for line in lines) == 6
    assert not any("dashboard-99" in line for line in lines)


@pytest.mark.parametrize(("width", "height"), [(20, 5), (40, 12), (200, 60), (80, 1)])
def test_any_size(width: int, height: int) -> None:
    lines = shown(Overview(URL, reading(), keys="q quits"), width, height)
    assert max(map(len, lines)) <= width
    assert len(lines) <= max(height, 5)


def test_a_head_may_be_longer_than_a_line() -> None:
    summary = SUMMARY | {"overload": {"stage": "shed", "stage_s": 1.0, "reason": "a long reason " * 20 + "with an end"}}
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(Overview(URL, reading(summary)).fitted(60, whole_head=True), crop=False)
    assert isinstance(console.file, io.StringIO)
    first, *others = console.file.getvalue().splitlines()
    assert first.endswith("with an end)")
    assert max(map(len, others)) <= 80


def test_lists_without_anything_are_left_out() -> None:
    lines = shown(Overview(URL, Reading(Fields(SUMMARY), None, [connection(1)], None, [workflow(1)], None)))
    assert [line.split()[0] for line in lines[4:]] == ["workflow", "wf-1"]


def test_before_the_first_reading_and_without_an_answer() -> None:
    assert shown(Overview(URL))[0].split() == ["frys", "top", URL]
    lines = shown(Overview(URL, reading(), problem="Connection refused"), 120)
    assert "Connection refused; trying again" in lines[0]
    assert lines[4].startswith("stream")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"draining": True}, "it is stopping"),
        ({"store": {"problem": "disk full"}}, "its store fails: disk full"),
        (
            {"overload": {"stage": "shed", "stage_s": 12.5, "reason": "memory 99 %"}},
            "overload: shed (entered 12.50 s ago: memory 99 %)",
        ),
    ],
)
def test_what_ails_it(fields: dict[str, Any], words: str) -> None:
    assert words in shown(Overview(URL, reading(SUMMARY | fields)), 120)[0]


@given(json_values, json_values)
def test_whatever_the_answers_are(summary: object, item: object) -> None:
    odd = dict.fromkeys(SUMMARY, item) if isinstance(summary, dict) else summary
    for value in (summary, odd):
        odd_row = {"name": item, "client_id": item, "waiting_bytes": 1, "messages_per_s": item, "link": item}
        rows = [Fields(item), Fields(odd_row)]
        whole = Reading(Fields(value), rows, rows, rows, rows, rows)
        for line in shown(Overview(URL, whole, whole)):
            assert line.isprintable()


@given(st.lists(st.integers(0, 50), max_size=6), st.integers(-3, 60))
def test_lines_are_shared_and_none_is_given_away(wanted: list[int], lines: int) -> None:
    shares = shares_of(wanted, lines)
    assert all(0 <= share <= want for share, want in zip(shares, wanted, strict=True))
    assert sum(shares) == min(sum(wanted), max(lines, 0))
    few = [share for share, want in zip(shares, wanted, strict=True) if share < want]
    assert not few or max(few) - min(few) <= 1
