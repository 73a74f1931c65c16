"""A core in memory whose decisions are recorded."""

from __future__ import annotations

from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.ports import DeliveryPolicy
from gateway.optimizer.history.layout import unpack_record
from gateway.optimizer.history.record import TrafficRecord
from gateway.optimizer.history.recorder import TrafficRecorder
from gateway.optimizer.history.recording_policy import RecordingPolicy
from gateway.optimizer.history.traffic_history import fanout_of
from gateway.optimizer.sampled_policy import SampledPolicy
from gateway.streams.stream import Stream
from tests.connections.memory import ManualClock, StepWorkers, World

INTERVAL_S = 1.0


class RecordedWorld(World):
    """A world with a recorder.

    Args:
        policy: decides; the sampled one if absent.
    """

    def __init__(self, policy: DeliveryPolicy | None = None) -> None:
        clock, workers = ManualClock(), StepWorkers()
        self.packed: list[bytes] = []
        decides = policy or SampledPolicy(workers)
        self.recorder = TrafficRecorder(decides, INTERVAL_S, clock, workers, self.packed.append)
        super().__init__(RecordingPolicy(decides, self.recorder), clock=clock, workers=workers)

    def fanout_of(self, stream: Stream) -> PubSubFanout | None:
        return fanout_of(self.core.hub, stream)

    def records(self, least_age_s: float = 0.0) -> list[TrafficRecord]:
        """Close the records that are old enough, and return them."""
        for _ in self.recorder.close_records(self.fanout_of, least_age_s=least_age_s):
            pass
        found = [unpack_record(data, 0, len(data)) for data in self.packed]
        self.packed.clear()
        return found
