"""Tests what a subscription counts and tells, without its iterators and without a connection."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.messages.message import Message
from gateway.client.messages.read_flow_control import ReadFlowControl
from gateway.client.messages.record_batch import RecordBatch
from gateway.client.subscribing.subscription_core import Start, SubscriptionCore, SubscriptionOptions
from gateway.client.subscribing.subscription_position import Gap
from gateway.errors import Code, InvalidArgument, RequestRefused
from gateway.protocol.messages import Kind, Since
from gateway.protocol.tensors import TensorSpec
from tests.client.frames import message_run

F4 = np.dtype("<f4")
SPEC = TensorSpec("", F4, (2,))


@dataclass
class Noted:
    """A subscription without iterators, and what it told."""

    gaps: list[Gap] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    flow: ReadFlowControl = field(default_factory=lambda: ReadFlowControl(lambda reading: None))

    def make(self, buffer_bytes: int = 1 << 20) -> SubscriptionCore:
        options = SubscriptionOptions(buffer_bytes=buffer_bytes, on_gap=self.gaps.append)
        subscription = SubscriptionCore("wf/*", options, flow=self.flow, report=self.errors.append)
        subscription.position.join()
        return subscription


def message(offset: int, kind: Kind = Kind.EVENT, epoch: int = 1, specs: tuple[TensorSpec, ...] = (SPEC,)) -> Message:
    return Message("wf/x", kind, epoch, offset, 1, 0, 0, None, specs, bytes(8 * len(specs)))


def batch(offset: int, count: int, kind: Kind = Kind.EVENT) -> RecordBatch:
    payload = np.arange(offset * 2, (offset + count) * 2, dtype=F4).tobytes()
    return RecordBatch("wf/x", kind, 1, offset, count, 1, 0, 0, SPEC, payload)


def left(subscription: SubscriptionCore) -> list[Message]:
    """The messages of everything that waits."""
    messages: list[Message] = []
    while (item := subscription.buffer.take()) is not None:
        messages += [item] if isinstance(item, Message) else item.messages()
    return messages


def test_what_comes_twice_is_delivered_once() -> None:
    subscription = Noted().make()
    for offset in (0, 1, 1, 0, 2):
        subscription.deliver(message(offset, Kind.STATE))
    assert (subscription.stats.received, subscription.stats.duplicates) == (3, 2)


def test_a_batch_that_overlaps_what_was_seen_gives_its_new_records() -> None:
    noted = Noted()
    subscription = noted.make()
    for item in (message(0), batch(0, 3), batch(1, 2), batch(2, 4)):
        subscription.deliver(item)
    records = left(subscription)
    assert [record.offset for record in records] == [0, 1, 2, 3, 4, 5]
    assert [record.tensor.tolist() for record in records[1:]] == [[2 * n, 2 * n + 1] for n in range(1, 6)]
    assert (subscription.stats.received, subscription.stats.duplicates) == (6, 4)
    assert noted.gaps == []


def test_a_run_that_overlaps_what_was_seen_gives_its_new_messages() -> None:
    noted = Noted()
    subscription = noted.make()
    subscription.deliver(message(0))
    for run in (message_run(0, 5), message_run(1, 4), message_run(7, 4)):
        subscription.deliver_run(run)
    assert (subscription.stats.received, subscription.stats.duplicates, subscription.stats.dropped) == (9, 5, 2)
    assert noted.gaps == [Gap("wf/x", Code.QUEUE_FULL, 5, 6)]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(4, 12)), max_size=12), st.integers(0, 40))
def test_a_run_is_counted_as_its_messages_are(runs: list[tuple[int, int]], replayed: int) -> None:
    stats, gaps, seen = [], [], []
    for one_by_one in (False, True):
        noted = Noted()
        subscription = noted.make()
        subscription.deliver(message(0))
        subscription.position.replay("wf/x", 0, replayed)
        for first, count in runs:
            run = message_run(first, count)
            if one_by_one:
                for each in run.messages():
                    subscription.deliver(each)
            else:
                subscription.deliver_run(run)
        taken = left(subscription)
        assert [record.tensor.tolist() for record in taken[1:]] == [
            [2 * record.offset, 2 * record.offset + 1] for record in taken[1:]
        ]
        stats.append(subscription.stats)
        gaps.append(noted.gaps)
        seen.append([record.offset for record in taken])
    assert stats[0] == stats[1]
    assert gaps[0] == gaps[1]
    assert seen[0] == seen[1]


@given(st.lists(st.integers(4, 40), max_size=12), st.integers(1, 20_000), st.booleans())
def test_of_a_run_at_the_bound_each_message_is_kept_or_told_as_a_gap(
    counts: list[int], bound: int, awaiting: bool
) -> None:
    noted = Noted()
    if awaiting:  # so that the gateway cannot be stopped
        noted.flow.expect_answer()
    subscription = noted.make(buffer_bytes=bound)
    first = 0
    for count in counts:
        subscription.deliver_run(message_run(first, count))
        first += count
        if not awaiting:
            assert noted.flow.reading == (subscription.stats.buffered_bytes < bound)
        # At most one message beyond twice the bound.
        assert not awaiting or subscription.stats.buffered_bytes <= 2 * bound + 600
    kept = [record.offset for record in left(subscription)]
    lost = [offset for gap in noted.gaps for offset in range(gap.first, gap.last + 1)]
    assert sorted(kept + lost) == list(range(first))
    assert kept == sorted(kept)
    assert (subscription.stats.received, subscription.stats.dropped) == (first, len(lost))
    assert awaiting or not lost


def test_jumps_of_a_state_stream_were_conflated_by_the_gateway() -> None:
    noted = Noted()
    subscription = noted.make()
    for offset in (5, 6, 10):
        subscription.deliver(message(offset, Kind.STATE))
    assert (subscription.stats.conflated - subscription.buffer.conflated, subscription.stats.dropped) == (3, 0)
    assert noted.gaps == []


def test_jumps_of_other_streams_are_gaps() -> None:
    noted = Noted()
    subscription = noted.make()
    for offset in (5, 6, 10):
        subscription.deliver(message(offset))
    assert subscription.stats.dropped == 3
    assert noted.gaps == [Gap("wf/x", Code.QUEUE_FULL, 7, 9)]


def test_an_announced_gap_is_told_once() -> None:
    noted = Noted()
    subscription = noted.make()
    subscription.deliver(message(5))
    subscription.position.skip(Gap("wf/x", Code.QUEUE_FULL, 6, 9), epoch=1)
    subscription.position.skip(Gap("wf/x", Code.QUEUE_FULL, 6, 9), epoch=1)
    subscription.deliver(message(10))
    assert noted.gaps == [Gap("wf/x", Code.QUEUE_FULL, 6, 9)]
    assert (subscription.stats.dropped, subscription.stats.received) == (4, 2)


def test_of_a_gap_that_overlaps_what_was_seen_the_rest_is_told() -> None:
    noted = Noted()
    subscription = noted.make()
    subscription.deliver(message(5))
    subscription.position.skip(Gap("wf/x", Code.QUEUE_FULL, 4, 9), epoch=1)
    subscription.fail_at(RequestRefused(Code.CORRUPT_PAYLOAD, "bad"), "wf/x", 1, 8, 4)
    assert noted.gaps == [Gap("wf/x", Code.QUEUE_FULL, 6, 9)]
    assert (subscription.stats.dropped, subscription.stats.failed) == (4, 2)


def test_a_new_epoch_is_neither_a_gap_nor_a_duplicate() -> None:
    noted = Noted()
    subscription = noted.make()
    subscription.deliver(message(100))
    subscription.deliver(message(3, epoch=2))
    assert (subscription.stats.received, subscription.stats.dropped, noted.gaps) == (2, 0, [])


def test_a_message_that_cannot_be_decoded_is_a_failure_and_no_gap() -> None:
    noted = Noted()
    subscription = noted.make()
    subscription.deliver(message(0))
    subscription.fail_at(RequestRefused(Code.CORRUPT_PAYLOAD, "bad"), "wf/x", 1, 1, 1)
    subscription.deliver(message(2))
    assert (subscription.stats.failed, subscription.stats.dropped) == (1, 0)
    assert "bad" in str(noted.errors[0])


def test_of_a_state_the_newest_version_waits_and_the_others_are_counted() -> None:
    subscription = Noted().make()
    for offset in range(5):
        subscription.deliver(message(offset, Kind.STATE))
    assert (subscription.stats.received, subscription.stats.conflated) == (5, 4)
    assert [message.offset for message in left(subscription)] == [4]


def test_a_full_buffer_of_events_is_a_gap_when_it_cannot_stop_the_gateway() -> None:
    noted = Noted()
    subscription = noted.make(buffer_bytes=1)
    noted.flow.expect_answer()
    for offset in range(3):
        subscription.deliver(message(offset))
    assert noted.gaps == [Gap("wf/x", Code.QUEUE_FULL, 1, 1), Gap("wf/x", Code.QUEUE_FULL, 2, 2)]


def test_a_callback_that_fails_is_logged_and_goes_no_further(caplog: pytest.LogCaptureFixture) -> None:
    def fail(gap: Gap) -> None:
        raise ValueError("in the application")

    noted = Noted()
    options = SubscriptionOptions(buffer_bytes=1 << 20, on_gap=fail)
    subscription = SubscriptionCore("wf/*", options, flow=noted.flow, report=noted.errors.append)
    subscription.position.join()
    subscription.deliver(message(0))
    subscription.deliver(message(2))
    assert subscription.stats.received == 2
    assert "in the application" in caplog.text


def test_a_pattern_that_is_none_is_refused() -> None:
    options = SubscriptionOptions(buffer_bytes=1)
    with pytest.raises(RequestRefused, match="pattern"):
        SubscriptionCore("**/x", options, flow=Noted().flow, report=print)


def start_of(pattern: str, since: Start | None) -> Since | None:
    """What SUBSCRIBE asks for at first."""
    noted = Noted()
    options = SubscriptionOptions(since=since, buffer_bytes=1)
    return SubscriptionCore(pattern, options, flow=noted.flow, report=noted.errors.append).position.since


def test_a_start_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="since='newest': it must be 'beginning'"):
        start_of("wf/x", "newest")


def test_a_position_of_one_stream_names_the_stream() -> None:
    assert start_of("wf/x", (3, 40)) == {"wf/x": (3, 40)}
    with pytest.raises(InvalidArgument, match="may match several"):
        start_of("wf/*", (3, 40))


@pytest.mark.parametrize("since", [None, 7, "beginning"])
def test_other_starts_are_asked_for_as_they_are(since: Start | None) -> None:
    assert start_of("wf/*", since) == since


def test_what_the_program_has_not_taken_of_a_run_and_of_fetched_items_comes_before_the_buffer() -> None:
    subscription = Noted().make()
    assert (subscription.unread(), subscription.waiting(9)) == ((0, None), ({}, True))
    run = message_run(0, 5)
    messages = run.messages()
    subscription.begun = run
    assert subscription.unread() == (run.nbytes, 0)
    assert subscription.waiting(9) == ({"wf/x": (1, 0)}, True)
    for _ in range(3):
        next(messages)
    assert subscription.unread() == (run.nbytes * 2 // 5, 0)
    subscription.fetched = [message(5), batch(6, 4)]
    subscription.deliver(message(10))
    fetched_bytes = sum([item.nbytes for item in subscription.fetched])
    assert subscription.unread() == (run.nbytes * 2 // 5 + fetched_bytes + subscription.buffer.bytes, 0)
    seen = [subscription.waiting(9)]
    assert len([*messages]) == 2
    seen.append(subscription.waiting(9))
    subscription.fetched = ()
    seen.append(subscription.waiting(9))
    assert subscription.unread() == (subscription.buffer.bytes, 0)
    assert seen == [({"wf/x": (1, offset)}, True) for offset in (3, 5, 10)]
    assert subscription.waiting(0) == ({}, False)
