"""Link figures: medians of what is known of some receivers."""

from __future__ import annotations

import pytest

from gateway.optimizer.history.link_figures import LOOKED_AT, MAX_STEP, link_figures, median_of
from gateway.optimizer.history.quiet_links import QuietLinks
from gateway.protocol.signals import ReceiverReport
from tests.connections.memory import World


def test_the_median_leaves_out_what_is_not_known() -> None:
    assert median_of([None, 3.0, 1.0, None, 2.0]) == 2.0
    assert median_of([1.0, 2.0]) == 2.0
    assert median_of([None]) is None
    assert median_of([]) is None


def test_reports_of_receivers_count() -> None:
    world = World()
    world.publisher("wf/a")
    peers = [world.subscriber("wf/a", f"reader-{number}") for number in range(3)]
    for peer, decode_ns in zip(peers, (100, 300, 200), strict=True):
        world.core.links.report(peer.session.connection, ReceiverReport(100, decode_ns, 0, 0, ()))
    (fanout,) = world.core.hub.fanouts
    (delivery,) = world.core.hub.fanouts.pubsub_of(fanout.source).classes  # type: ignore[arg-type]
    found = link_figures(delivery, QuietLinks(), 0.0)
    assert (found.client, found.queue_delay_s) == ("agent", 0.0)
    assert found.decode_s_per_byte == pytest.approx(2e-9)
    assert (found.goodput_bytes_per_s, found.rtt_s) == (None, None)


def test_of_very_many_receivers_some_are_looked_at() -> None:
    assert LOOKED_AT * MAX_STEP <= 1024
    world = World(max_connections=200)
    world.publisher("wf/a")
    for number in range(LOOKED_AT * 3):
        peer = world.subscriber("wf/a", f"reader-{number}")
        world.core.links.report(peer.session.connection, ReceiverReport(100, 1 + number, 0, 0, ()))
    (fanout,) = world.core.hub.fanouts
    (delivery,) = world.core.hub.fanouts.pubsub_of(fanout.source).classes  # type: ignore[arg-type]
    found = link_figures(delivery, QuietLinks(), 0.0)
    assert found.decode_s_per_byte is not None
    assert 0.2 < found.decode_s_per_byte * 1e9 * 100 / (LOOKED_AT * 3) < 0.8
