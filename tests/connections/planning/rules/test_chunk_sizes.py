"""Rule of chunk sizes: large encoded messages whose receivers are all near, and few streams at a time."""

from __future__ import annotations

import pytest

from gateway.connections.planning.context import Context, LargeStreamFacts
from gateway.connections.planning.knob import Knob, Measure, Site
from gateway.connections.planning.rules.chunk_sizes import LARGER_BYTES, LEAST_BYTES, MOST, chunk_sizes, site_of


def facts(stream: str = "wf/x", payload_bytes: int = 8 << 20) -> LargeStreamFacts:
    return LargeStreamFacts(stream, "wf", 7, "trainer", payload_bytes, encoded=True, near=True, wait_s=0.04)


def test_larger_chunks_are_wanted_for_large_encoded_messages_to_receivers_that_are_near() -> None:
    assert chunk_sizes(Context(0.0, large_streams=(facts(),))) == [
        Measure(
            Site(Knob.CHUNK_SIZE, "wf/x", 7),
            LARGER_BYTES,
            "wf",
            "messages of 8.0 MiB of wf/x are encoded, and all of its receivers are near",
        )
    ]


@pytest.mark.parametrize(
    "other",
    [facts()._replace(encoded=False), facts()._replace(near=False), facts(payload_bytes=LEAST_BYTES - 1)],
)
def test_nothing_is_wanted_elsewhere(other: LargeStreamFacts) -> None:
    assert not chunk_sizes(Context(0.0, large_streams=(other,)))


def test_an_overloaded_gateway_tries_nothing() -> None:
    assert not chunk_sizes(Context(0.0, overloaded=True, large_streams=(facts(),)))


def test_of_many_streams_those_that_have_them_come_first_and_then_those_of_the_largest_messages() -> None:
    streams = [facts(f"wf/{number}", LEAST_BYTES + number) for number in range(8)]
    settings = {site_of(streams[0]): float(LARGER_BYTES)}
    chosen = chunk_sizes(Context(0.0, large_streams=tuple(streams), settings=settings))
    assert [measure.site.name for measure in chosen] == ["wf/0", "wf/7", "wf/6", "wf/5"]
    assert len(chosen) == MOST
