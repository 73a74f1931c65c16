"""The kernel's counters tell a line that is slow from a program that does not read."""

from __future__ import annotations

import pytest

from gateway.connections.links.bottleneck import Bottleneck, bottleneck_of
from gateway.connections.socket_counts import TcpInfo


def info(
    busy_s: float, reader_limited_s: float = 0.0, acknowledged_bytes: int = 0, unsent_bytes: int = 16_384
) -> TcpInfo:
    """Counters of a socket that was busy for so long, a part of it because its peer took nothing."""
    return TcpInfo(
        rtt_s=0.02,
        rtt_deviation_s=0.001,
        smallest_rtt_s=0.02,
        delivery_bytes_per_s=250_000.0,
        application_limited=False,
        acknowledged_bytes=acknowledged_bytes,
        retransmits=0,
        unsent_bytes=unsent_bytes,
        unacknowledged_bytes=32_768,
        busy_s=busy_s,
        reader_limited_s=reader_limited_s,
        buffer_limited_s=0.0,
    )


@pytest.mark.parametrize(
    ("before", "now", "lagging", "bottleneck"),
    [
        (info(5.0), info(6.0), False, Bottleneck.NONE),
        (info(5.0), info(5.95), True, Bottleneck.LINK),
        (info(5.0, 4.0), info(6.0, 4.1), True, Bottleneck.LINK),
        (info(5.0), info(6.0, 0.9), True, Bottleneck.READER),
        (info(5.0, 5.0), info(5.1, 5.1), True, Bottleneck.UNKNOWN),
        (None, info(6.0), True, Bottleneck.UNKNOWN),
        (info(6.0), None, True, Bottleneck.UNKNOWN),
    ],
)
def test_bottleneck_of_one_second(
    before: TcpInfo | None, now: TcpInfo | None, lagging: bool, bottleneck: Bottleneck
) -> None:
    assert bottleneck_of(before, now, 1.0, lagging=lagging) is bottleneck


def test_a_receiver_whose_system_has_everything_and_that_does_not_answer_is_slow() -> None:
    assert bottleneck_of(info(5.0), info(5.1), 1.0, lagging=True, awaited=True) is Bottleneck.READER
    assert bottleneck_of(info(5.0), info(5.9), 1.0, lagging=True, awaited=True) is Bottleneck.LINK


def test_a_span_without_length_says_nothing() -> None:
    assert bottleneck_of(info(1.0), info(1.0), 0.0, lagging=True) is Bottleneck.UNKNOWN
