"""Tests that a message is made once, for all subscriptions that are still there."""

from __future__ import annotations

import gc
import weakref

from gateway.client.decoding.inbound_frame import InboundFrame
from gateway.client.messages.read_flow_control import ReadFlowControl
from gateway.client.subscribing.stream_sink import StreamSink, take_place
from gateway.client.subscribing.subscription_core import SubscriptionCore, SubscriptionOptions
from gateway.errors import Code, RequestRefused
from gateway.protocol.data import parse_data
from gateway.protocol.frames import iter_frames
from gateway.protocol.messages import Kind, StreamInfo
from tests.client.frames import message


def subscription(errors: list[Exception], sizes: list[tuple[str, int, int]]) -> SubscriptionCore:
    options = SubscriptionOptions(buffer_bytes=1000, progress=lambda *size: sizes.append(size))
    return SubscriptionCore("wf/*", options, flow=ReadFlowControl(lambda reading: None), report=errors.append)


async def test_another_view_takes_the_place_of_one_behind_what_is_still_decoded() -> None:
    core = subscription([], [])
    core.position.join()
    sinks: dict[int, StreamSink] = {}

    def announce(number: int, *, lowered: bool | None) -> StreamSink:
        info = StreamInfo(number, "wf/a", Kind.EVENT, 5, 0, subscription=1, since=0, lowered=lowered)
        sink = sinks.get(number)
        if sink is None:
            sink = sinks[number] = StreamSink(info)
        assert sink.numbers is not None
        sink.numbers.add(1)
        take_place(sinks, sink, info, [(1, core), (2, core)])
        sink.order.add_ready(lambda: sink.announce([core], info))
        return sink

    full = announce(7, lowered=False)
    slot = full.order.reserve()
    lower = announce(8, lowered=True)
    assert list(sinks) == [8]
    assert lower.present() == []
    slot.fill(lambda: None)
    assert lower.present() == [core]
    assert full.present() == []
    assert core.view_ids == {"wf/a": 8}
    other = announce(9, lowered=None)
    assert core.view_ids == {"wf/a": 8}
    assert other.present() == lower.present() == [core]


def received(offset: int) -> InboundFrame:
    data = memoryview(b"".join(message(offset, 1)))
    arrived = InboundFrame(parse_data(data, next(iter_frames(data))), 9)
    arrived.check()
    return arrived


async def test_all_get_the_same_message_and_those_that_are_gone_none() -> None:
    errors: list[Exception] = []
    sizes: list[tuple[str, int, int]] = []
    sink = StreamSink(StreamInfo(7, "wf/a", Kind.EVENT, 5, 0))
    first, second, gone = (subscription(errors, sizes) for _ in range(3))
    for each in (first, second, gone):
        each.position.join()
    for each in (first, second, gone):
        sink.add(weakref.ref(each))
    del gone, each
    gc.collect()
    assert sink.present() == [first, second]
    inbound = received(3)
    sink.deliver(inbound, inbound.frame.payload)
    item = first.buffer.take()
    assert item is not None
    assert second.buffer.take() is item
    sink.advanced(1, 2)
    assert sizes == [("wf/a", 1, 2)] * 2
    sink.fail(RequestRefused(Code.STREAM_ENDED, "cut off: the end of the stream is told in another way"), received(4))
    sink.fail(RequestRefused(Code.CORRUPT_PAYLOAD, "broken"), received(4))
    sink.fail(RequestRefused(Code.INVALID_TENSOR, "not even that"), None)
    broken, invalid = "wf/a: broken (CORRUPT_PAYLOAD, code 5207)", "wf/a: not even that (INVALID_TENSOR, code 5204)"
    assert list(map(str, errors)) == [broken, broken, invalid, invalid]
    assert [each.stats.failed for each in (first, second)] == [2, 2]
