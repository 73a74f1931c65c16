"""Counts and rates of a subscription."""

from gateway.cli.tally import Tally, losses
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
    tally = Tally()
    tally.start(10.0)
    for _ in range(4):
        tally.add(message())
    assert tally.recent(12.0) == "2 msg/s, 0.0 MB/s"
    assert tally.recent(13.0) == "0 msg/s, 0.0 MB/s"


def test_a_total() -> None:
    tally = Tally()
    tally.start(10.0)
    tally.add(message("wf/x"))
    assert tally.total(12.0, stats()) == "1 message of 1 stream, 24 bytes in 2.0 s: 0 msg/s, 0.0 MB/s"
    tally.add(message("wf/y"))
    assert tally.total(10.0, stats()).startswith("2 messages of 2 streams, 48 bytes in 0.0 s: 0 msg/s")


def test_what_did_not_come_is_told() -> None:
    assert losses(stats()) == ""
    assert losses(stats(conflated=2, dropped=3, failed=4)) == "; 2 conflated; 3 dropped; 4 not decodable"
