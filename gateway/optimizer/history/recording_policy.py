"""Recording policy: passes every question on to another policy, and has its decisions recorded."""

from __future__ import annotations

from gateway.connections.ports import DeliveryPolicy, EncodingOutcome, Sample
from gateway.optimizer.history.recorder import TrafficRecorder
from gateway.streams.stream import Stream


class RecordingPolicy:
    """Delivery policy that decides as another one does.

    It adds one look-up to a large message, and one to each outcome. All that costs more is done in sweeps of the
    recorder, and in threads.

    Args:
        policy: decides.
        recorder: is told of payloads and outcomes.
    """

    def __init__(self, policy: DeliveryPolicy, recorder: TrafficRecorder) -> None:
        self._policy = policy
        self._recorder = recorder
        self._wanted = False
        """Whether the policy wants the next payload itself."""
        self.chain_for = policy.chain_for
        self.delta_for = policy.delta_for
        self.anew_for = policy.anew_for
        self.tells_apart = policy.tells_apart
        self.take_changed = policy.take_changed
        self.in_use = policy.in_use

    def wants_sample(self, stream: Stream, *, based: bool) -> bool:
        """Return whether the policy wants the next payload, or a record of the stream is to be opened."""
        self._wanted = self._policy.wants_sample(stream, based=based)
        return self._recorder.is_due(stream) or self._wanted

    def observe(self, stream: Stream, sample: Sample) -> None:
        """Give a payload to the policy, if it wants it, and to the recorder."""
        if self._wanted:
            self._policy.observe(stream, sample)
        self._recorder.open(stream, sample)

    def report(self, stream: Stream, outcome: EncodingOutcome) -> None:
        """Tell both how a chain did."""
        self._policy.report(stream, outcome)
        self._recorder.report(stream, outcome)

    def forget(self, stream: Stream) -> None:
        """Have both forget a stream that has ended."""
        self._policy.forget(stream)
        self._recorder.forget(stream)
