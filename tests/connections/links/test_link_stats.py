"""Each connection is counted once, in the range of its value, and every range is there from the start."""

from __future__ import annotations

from gateway.connections.links.bottleneck import Bottleneck
from gateway.connections.links.link_stats import BEYOND, RTT_BOUNDS_S, SCORE_BOUNDS, LinkCounter
from gateway.protocol.messages import ClientType


def test_without_connections_all_ranges_are_empty() -> None:
    stats = LinkCounter().stats()
    assert set(stats) == set(ClientType)
    for each in stats.values():
        assert list(each.rtt_s.buckets) == [*map(str, RTT_BOUNDS_S), BEYOND]
        assert list(each.score.buckets) == [*map(str, SCORE_BOUNDS), BEYOND]
        assert not any([*each.rtt_s.buckets.values(), *each.score.buckets.values(), *each.bottlenecks.values()])


def test_values_count_up_to_their_bound_and_beyond_it() -> None:
    counter = LinkCounter()
    for rtt_s in (0.0005, 0.001, 0.2, 5.0):
        counter.add_round_trip(ClientType.AGENT, rtt_s)
    rtts = counter.stats()[ClientType.AGENT].rtt_s
    assert list(rtts.buckets.values()) == [2, 2, 2, 2, 2, 3, 3, 3, 4]
    assert rtts.total == 5.2015


def test_client_types_are_told_apart() -> None:
    counter = LinkCounter()
    counter.add_link(ClientType.ADMIN_PANEL, 0.2, Bottleneck.READER)
    counter.add_link(ClientType.ADMIN_PANEL, 1.0, Bottleneck.NONE)
    stats = counter.stats()
    panels, agents = stats[ClientType.ADMIN_PANEL], stats[ClientType.AGENT]
    assert list(panels.score.buckets.values()) == [0, 1, 1, 1, 1, 2, 2]
    assert panels.bottlenecks == dict.fromkeys(Bottleneck, 0) | {Bottleneck.READER: 1, Bottleneck.NONE: 1}
    assert agents.score.buckets[BEYOND] == 0
