"""Recording policy: it decides as the policy behind it, whose questions stay the same."""

from __future__ import annotations

from gateway.connections.ports import EncodingOutcome, Sample
from gateway.optimizer.history.recorder import TrafficRecorder
from gateway.optimizer.history.recording_policy import RecordingPolicy
from gateway.protocol.encoding import PLAIN, Chain
from gateway.streams.stream import Stream
from tests.connections.frames import BYTE
from tests.connections.memory import FixedPolicy, ManualClock, StepWorkers
from tests.optimizer.test_sampled_policy import CODECS, NO_CODECS, stream

LZ4 = Chain(codec="lz4")


class AskedPolicy(FixedPolicy):
    """Policy that wants every second payload, and keeps those that it gets."""

    def __init__(self) -> None:
        super().__init__(LZ4)
        self.asked = 0
        self.samples: list[Sample] = []

    def wants_sample(self, stream: Stream, *, based: bool) -> bool:
        self.asked += 1
        return self.asked % 2 == 0

    def observe(self, stream: Stream, sample: Sample) -> None:
        self.samples.append(sample)


def test_the_policy_gets_the_payloads_that_it_wants_and_no_others() -> None:
    inner = AskedPolicy()
    recorder = TrafficRecorder(inner, 1.0, ManualClock(), StepWorkers(), lambda record: None)
    policy = RecordingPolicy(inner, recorder)
    source, taken = stream(), []
    for number in range(6):
        taken.append(policy.wants_sample(source, based=False))
        if taken[-1]:
            policy.observe(source, Sample(bytes(number), BYTE))
    # The first one opens the record.
    assert taken == [True, True, False, True, False, True]
    assert [len(sample.payload) for sample in inner.samples] == [1, 3, 5]


def test_everything_else_is_passed_on() -> None:
    inner = AskedPolicy()
    recorder = TrafficRecorder(inner, 1.0, ManualClock(), StepWorkers(), lambda record: None)
    policy = RecordingPolicy(inner, recorder)
    source, outcome = stream(), EncodingOutcome(LZ4, 100, 50, 0.1)
    assert (policy.chain_for(source, CODECS), policy.chain_for(source, NO_CODECS)) == (LZ4, PLAIN)
    assert policy.delta_for(source, CODECS) == PLAIN
    assert not policy.tells_apart(source)
    policy.report(source, outcome)
    assert inner.outcomes == [outcome]
    inner.changed.append(source)
    assert list(policy.take_changed()) == [source]
    policy.forget(source)
    assert inner.forgotten == [source.id]
