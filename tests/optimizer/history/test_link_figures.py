"""Link figures: medians of what is known of some receivers."""

from __future__ import annotations

import pytest

from gateway.connections.socket_counts import SocketCounts, TcpInfo
from gateway.optimizer.history.link_figures import LOOKED_AT, MAX_STEP, link_figures
from gateway.optimizer.history.quiet_links import QuietLinks
from gateway.protocol.signals import ReceiverReport
from tests.connections.memory import World


def test_reports_of_receivers_count() -> None:
    world = World()
    world.publisher("wf/a")
    peers = [world.subscriber("wf/a", f"reader-{number}") for number in range(3)]
    for peer, decode_ns in zip(peers, (100, 300, 200), strict=True):
        world.core.links.report(peer.session.connection, ReceiverReport(100, decode_ns, 0, 0, ()))
    (fanout,) = world.core.hub.fanouts
    (delivery,) = world.core.hub.fanouts.pubsub_of(fanout.source).classes  # type: ignore[arg-type]
    found = link_figures(delivery, QuietLinks(), 0.0, lambda member, rate: None)
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
    found = link_figures(delivery, QuietLinks(), 0.0, lambda member, rate: None)
    assert found.decode_s_per_byte is not None
    assert 0.2 < found.decode_s_per_byte * 1e9 * 100 / (LOOKED_AT * 3) < 0.8


def test_rates_of_receivers_for_which_nothing_waits_are_told_once_they_are_exact() -> None:
    world = World()
    world.publisher("wf/a")
    far = world.subscriber("wf/a", "far")
    world.subscriber("wf/a", "near")
    tcp = TcpInfo(0.02, 0.0, 1e-4, 0.0, True, 0, 0, 0, 2_500_000, 1.0, 0.0, 0.0)
    far.transport.counts = SocketCounts(tcp=tcp)
    (fanout,) = world.core.hub.fanouts
    (delivery,) = world.core.hub.fanouts.pubsub_of(fanout.source).classes  # type: ignore[arg-type]
    told: list[tuple[str, float]] = []
    found = link_figures(delivery, QuietLinks(), 1.0, lambda member, rate: told.append((member.peer.client_id, rate)))
    assert found.goodput_bytes_per_s == pytest.approx(2.5e6, rel=0.02)
    ((client_id, rate),) = told
    assert client_id == "far"
    assert rate == pytest.approx(2.5e6, rel=0.02)


def test_two_receivers_have_the_figures_of_the_slower_one() -> None:
    world = World()
    world.publisher("wf/a")
    peers = [world.subscriber("wf/a", name) for name in ("near", "far", "new")]
    for peer, rate, decode_ns in zip(peers, (10_000_000_000, 2_500_000), (100, 300), strict=False):
        peer.transport.counts = SocketCounts(tcp=TcpInfo(0.02, 0.0, 1e-4, 0.0, True, 0, 0, 0, rate, 1.0, 0.0, 0.0))
        world.core.links.report(peer.session.connection, ReceiverReport(100, decode_ns, 0, 0, ()))
    (fanout,) = world.core.hub.fanouts
    (delivery,) = world.core.hub.fanouts.pubsub_of(fanout.source).classes  # type: ignore[arg-type]
    found = link_figures(delivery, QuietLinks(), 1.0, lambda member, rate: None)
    assert found.goodput_bytes_per_s == pytest.approx(2.5e6, rel=0.02)
    assert found.decode_s_per_byte == pytest.approx(3e-9)
