"""Settings of the core: what follows from them for all streams."""

from __future__ import annotations

from gateway.connections.consumers.settings import ConsumerSettings
from gateway.connections.core_settings import CoreSettings
from gateway.protocol.names import compile_pattern
from gateway.streams.rules import StreamConfig, StreamRules


def test_consumers_are_looked_at_often_enough_for_every_stream() -> None:
    consumers = ConsumerSettings(ack_timeout_s=60, consumer_ttl_s=300)
    assert CoreSettings(consumers=consumers).consumer_sweep_interval_s == 1
    rules = StreamRules([(compile_pattern("wf/quick"), StreamConfig(ack_timeout_s=0.4))])
    assert CoreSettings(consumers=consumers, rules=rules).consumer_sweep_interval_s == 0.1
