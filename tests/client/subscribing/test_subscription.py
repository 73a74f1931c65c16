"""Tests the iterators of a subscription, without a connection."""

import pytest

from gateway.client.messages.message_run import MessageRun
from gateway.client.messages.record_batch import RecordBatch
from gateway.client.subscribing.subscription import Subscription
from gateway.client.subscribing.subscription_core import SubscriptionCore
from gateway.errors import InvalidArgument
from gateway.protocol.messages import Kind
from gateway.protocol.meta import Meta
from gateway.protocol.tensors import TensorSpec
from tests.client.frames import message_run
from tests.client.subscribing import test_subscription_core
from tests.client.subscribing.test_subscription_core import F4, SPEC, batch, message


class Noted:
    """A subscription, and what it did and told."""

    def __init__(self) -> None:
        self.started = 0
        self.stopped = 0
        self._told = test_subscription_core.Noted()
        self.errors = self._told.errors

    async def start(self, core: SubscriptionCore) -> None:
        self.started += 1

    async def stop(self, core: SubscriptionCore, keep: bool) -> None:
        self.stopped += 1

    def make(self) -> Subscription:
        return Subscription(self._told.make(), start=self.start, stop=self.stop)


async def test_it_starts_and_stops_once() -> None:
    noted = Noted()
    subscription = noted.make()
    async with subscription:
        await subscription.start()
    await subscription.close()
    assert (noted.started, noted.stopped) == (1, 1)


async def test_iterating_starts_it() -> None:
    noted = Noted()
    subscription = noted.make()
    subscription.core.deliver(message(0))
    assert (await anext(subscription)).offset == 0
    assert noted.started == 1


async def test_one_that_never_started_is_not_stopped() -> None:
    noted = Noted()
    await noted.make().close()
    assert noted.stopped == 0


async def test_batches_come_record_by_record_or_whole() -> None:
    subscription = Noted().make()
    subscription.core.deliver(message(0))
    subscription.core.deliver(batch(1, 3))
    subscription.core.deliver(message(4))
    await subscription.close()
    assert [record.offset async for record in subscription] == [0, 1, 2, 3, 4]
    whole = Noted().make()
    whole.core.deliver(message(0))
    whole.core.deliver(batch(1, 3))
    await whole.close()
    async with whole.batches() as batches:
        assert [(each.offset, each.array.shape) async for each in batches] == [(0, (1, 2)), (1, (3, 2))]


async def test_what_is_no_record_is_left_out_of_batches_and_told() -> None:
    noted = Noted()
    subscription = noted.make()
    subscription.core.deliver(message(0, specs=()))
    subscription.core.deliver(message(1))
    await subscription.close()
    assert [each.offset async for each in subscription.batches()] == [1]
    assert isinstance(noted.errors[0], InvalidArgument)
    assert subscription.stats.failed == 1


async def test_a_run_comes_message_by_message_or_as_a_batch() -> None:
    subscription = Noted().make()
    subscription.core.deliver_run(message_run(0, 5))
    subscription.core.deliver(message(5))
    await subscription.close()
    assert [record.offset async for record in subscription] == [0, 1, 2, 3, 4, 5]
    whole = Noted().make()
    whole.core.deliver_run(message_run(0, 5))
    whole.core.deliver(message(5))
    await whole.close()
    assert [(each.offset, each.array.shape) async for each in whole.batches()] == [(0, (5, 2)), (5, (1, 2))]


async def test_the_run_that_the_program_is_taking_is_known_until_it_asks_for_more() -> None:
    subscription = Noted().make()
    run = message_run(0, 4)
    subscription.core.deliver_run(run)
    subscription.core.deliver(message(4))
    subscription.core.deliver_run(message_run(5, 4))
    seen = []
    for _ in range(5):
        await anext(subscription)
        seen.append(subscription.core.begun)
    assert seen == [run, run, run, run, None]
    await anext(subscription)
    assert subscription.core.begun is not None
    await subscription.close()
    assert [each.offset async for each in subscription.batches()] == [6, 7, 8]
    assert subscription.core.begun is None


@pytest.mark.parametrize("item", [message_run(0, 4), batch(0, 4)], ids=["run", "batch"])
async def test_who_goes_over_to_batches_gets_the_rest_first(item: MessageRun | RecordBatch) -> None:
    subscription = Noted().make()
    subscription.core.deliver(item)
    subscription.core.deliver(batch(4, 2))
    await subscription.close()
    assert [(await anext(subscription)).offset for _ in range(2)] == [0, 1]
    assert [(each.offset, each.count) async for each in subscription.batches()] == [(2, 1), (3, 1), (4, 2)]


async def test_a_run_that_holds_no_records_is_left_out_of_batches_and_told() -> None:
    noted = Noted()
    subscription = noted.make()
    run = message_run(0, 4)
    specs = (SPEC, TensorSpec("b", F4, (0,)))
    subscription.core.deliver(MessageRun("wf/x", Kind.EVENT, 1, 0, run._frames, Meta(specs, None, 8)))
    subscription.core.deliver(message(4))
    await subscription.close()
    assert [each.offset async for each in subscription.batches()] == [4]
    assert "no records" in str(noted.errors[0])
    assert subscription.stats.failed == 4


async def test_of_a_batch_of_versions_the_last_record_is_the_message_and_the_batch() -> None:
    subscription = Noted().make()
    subscription.core.deliver(batch(0, 5, Kind.STATE))
    assert (await anext(subscription)).tensor.tolist() == [8.0, 9.0]
    subscription.core.deliver(batch(5, 3, Kind.STATE))
    newest = await subscription.next_batch()
    assert (newest.offset, newest.array.tolist()) == (7, [[14.0, 15.0]])
    assert subscription.stats.conflated == 6
