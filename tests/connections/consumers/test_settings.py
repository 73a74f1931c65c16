"""Settings of consumers: what cannot be is refused, what is short stays bearable."""

from __future__ import annotations

import pytest

from gateway.connections.consumers.settings import ConsumerSettings
from gateway.errors import InvalidArgument
from gateway.streams.rules import StreamConfig


@pytest.mark.parametrize(
    "name", ["consumer_ttl_s", "ack_timeout_s", "max_tries", "max_pending_commands", "max_hold_s", "limit_bytes"]
)
def test_consumers_need_time_tries_and_room(name: str) -> None:
    with pytest.raises(InvalidArgument, match=f"^{name} is 0: "):
        ConsumerSettings(**{name: 0})
    assert ConsumerSettings(hold_bytes=0).hold_bytes == 0
    with pytest.raises(InvalidArgument, match=r"^max_work_s is 0: "):
        ConsumerSettings(max_work_s=0)


def test_a_stream_has_the_settings_of_its_rule() -> None:
    settings = ConsumerSettings(ack_timeout_s=7.0, max_work_s=100.0)
    assert settings.of(StreamConfig()) == settings
    config = StreamConfig(consumer_ttl_s=1.0, ack_timeout_s=2.0, max_work_s=3.0, max_tries=4)
    own = ConsumerSettings(consumer_ttl_s=1.0, ack_timeout_s=2.0, max_work_s=3.0, max_tries=4)
    assert settings.of(config) == own


def test_however_short_the_times_of_consumers_are_the_loop_has_some_left() -> None:
    assert ConsumerSettings().sweep_interval_s == 1.0
    assert ConsumerSettings(ack_timeout_s=0.2).sweep_interval_s == pytest.approx(0.05)
    assert ConsumerSettings(consumer_ttl_s=1e-9).sweep_interval_s == 0.01
