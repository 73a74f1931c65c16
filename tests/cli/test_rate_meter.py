"""Counts and rates of a subscription."""

from gateway.cli.rate_meter import RateMeter, losses
from gateway.client import SubscriptionStats
from tests.cli.messages import message


def stats(conflated: int = 0, dropped: int = 0, failed: int = 0) -> SubscriptionStats:
    return SubscriptionStats(
        received=0,
        conflated=conflated,
        dropped=dropped,
        duplicates=0,
        expired=0,
        failed=failed,
        replayed=0,
        buffered_bytes=0,
    )


def test_rates_since_the_last_look() -> None:
    meter = RateMeter()
    meter.start(10.0)
    for _ in range(4):
        meter.add(message())
    assert meter.recent(12.0) == "2 msg/s, 0.0 MB/s"
    assert meter.recent(13.0) == "0 msg/s, 0.0 MB/s"


def test_a_total() -> None:
    meter = RateMeter()
    meter.start(10.0)
    meter.add(message("wf/x"))
    assert meter.total(12.0, stats()) == "1 message of 1 stream, 24 bytes in 2.0 s: 0 msg/s, 0.0 MB/s"
    meter.add(message("wf/y"))
    assert meter.total(10.9, stats()) == "2 messages of 2 streams, 48 bytes in 0.9 s"


def test_what_did_not_come_is_told() -> None:
    assert losses(stats()) == ""
    assert losses(stats(conflated=2, dropped=3, failed=4)) == "; 2 conflated; 3 dropped; 4 not decodable"
