"""What keeps a blocking client open that the program does not hold itself."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import pytest

from gateway.client import PresenceChange, sync
from tests.integration.other_client import HELD, LOOPS, STREAM, TASKS, Loop, OtherClient, drop, with_other_client


class Side(NamedTuple):
    """The other client, for a thread that waits for what it does."""

    other: OtherClient
    loop: asyncio.AbstractEventLoop
    loop_factory: Loop

    def open_client(self) -> sync.Client:
        """Return a client."""
        return sync.connect(self.other.url, client_id=HELD, loop_factory=self.loop_factory)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.other, name)
        return lambda *arguments: asyncio.run_coroutine_threadsafe(method(*arguments), self.loop).result()


class Holder(NamedTuple):
    """Something that keeps a client open."""

    give: Callable[[Side], Any]
    """Returns it, from a client that nobody holds otherwise."""
    use: Callable[[Any, Side], None]
    """Shows that the client works."""


def subscription(side: Side) -> sync.Subscription:
    messages = side.open_client().subscribe(STREAM)
    messages.start()
    return messages


def iterate(messages: Any, side: Side) -> None:
    side.publish()
    assert int(next(messages).tensor) == 7


def batches(side: Side) -> Iterator[sync.RecordBatch]:
    return subscription(side).batches()


def iterate_batches(batches: Any, side: Side) -> None:
    side.publish()
    assert next(batches).array.tolist() in ([7], [7, 7])  # the second may have come meanwhile


def task_subscription(side: Side, *, auto_ack: bool, tasks: int) -> sync.Subscription:
    messages = side.open_client().subscribe(TASKS, auto_ack=auto_ack)
    messages.start()
    side.publish_tasks(tasks)
    return messages


def task_subscription_in_a_batch(side: Side) -> sync.Subscription:
    tasks = task_subscription(side, auto_ack=True, tasks=3)
    next(tasks)
    return tasks


def take_the_next_task(tasks: Any, side: Side) -> None:
    assert int(next(tasks).tensor) == 1


def task(side: Side) -> sync.Message:
    return next(task_subscription(side, auto_ack=False, tasks=1))


def task_of_a_subscription_that_acknowledges(side: Side) -> sync.Message:
    return next(task_subscription(side, auto_ack=True, tasks=1))


def batch(side: Side) -> sync.RecordBatch:
    return next(task_subscription(side, auto_ack=False, tasks=3).batches())


def record(side: Side) -> sync.Message:
    return next(task_subscription(side, auto_ack=False, tasks=3))


def work(taken: Any, side: Side) -> None:
    taken.in_progress()


def inbox(side: Side) -> sync.Inbox:
    requests = side.open_client().inbox()
    requests.start()
    return requests


def take_a_request(requests: Any, side: Side) -> None:
    side.ask()
    next(requests).reply(2)
    side.check_reply()


def reply_stream(side: Side) -> sync.ReplyStream:
    return side.open_client().request_stream("agent:other", 1)


def take_a_reply(replies: Any, side: Side) -> None:
    side.open_inbox()
    side.reply_soon()
    assert int(next(replies).tensor) == 2


def presence(side: Side) -> sync.Presence:
    attended = side.open_client().presence("held", metadata={})
    attended.start()
    return attended


def presence_changes(side: Side) -> Iterator[PresenceChange]:
    return presence(side).changes()


def update(attended: Any, side: Side) -> None:
    attended.update({"role": "tester"})


def take_a_change(changes: Any, side: Side) -> None:
    assert next(changes).member.client_id == HELD


def request(side: Side) -> sync.Request:
    requests = inbox(side)
    side.ask()
    return next(requests)


def reply_in_part(taken: Any, side: Side) -> None:
    taken.reply_partial(1)


def publish(client: Any, side: Side) -> None:
    client.publish(STREAM, 7)


HOLDERS: Final = {
    "Client": Holder(Side.open_client, publish),
    "Subscription": Holder(subscription, iterate),
    "Subscription, in a batch of tasks": Holder(task_subscription_in_a_batch, take_the_next_task),
    "Subscription, by its batches": Holder(batches, iterate_batches),
    "Inbox": Holder(inbox, take_a_request),
    "ReplyStream": Holder(reply_stream, take_a_reply),
    "Request": Holder(request, reply_in_part),
    "Presence": Holder(presence, update),
    "Presence, by its changes": Holder(presence_changes, take_a_change),
    "Message": Holder(task, work),
    "Message, of a subscription that acknowledges": Holder(task_of_a_subscription_that_acknowledges, work),
    "Message, of a batch": Holder(record, work),
    "RecordBatch": Holder(batch, work),
}
"""By the class, and what is special about it."""


def reply(taken: Any, side: Side) -> None:
    taken.reply(2)
    side.check_reply()


def fail(taken: Any, side: Side) -> None:
    taken.fail("no")
    side.check_failure()


def reply_in_vain(taken: Any, side: Side) -> None:
    side.cancel()
    assert taken.wait_cancelled()
    taken.reply(2)


def acknowledge(taken: Any, side: Side) -> None:
    taken.ack()


def refuse(taken: Any, side: Side) -> None:
    taken.nack()
    side.check_dead_letter()


ANSWERED: Final = {
    "Request, replied to": Holder(request, reply),
    "Request, failed": Holder(request, fail),
    "Request, cancelled": Holder(request, reply_in_vain),
    "Message, acknowledged": Holder(task, acknowledge),
    "Message, refused": Holder(task, refuse),
    "Message, of a subscription that acknowledges": Holder(task_of_a_subscription_that_acknowledges, refuse),
    "Message, of a batch": Holder(record, refuse),
    "RecordBatch, acknowledged": Holder(batch, acknowledge),
    "RecordBatch, refused": Holder(batch, refuse),
}
"""Objects whose last use this is."""


def given(holder: Holder, side: Side) -> list[Any]:
    """Return what holds a client, alone in a list, and check that the client is open."""
    things = [holder.give(side)]
    gc.collect()
    side.publish()  # time to close
    assert side.other.held_is_connected
    return things


def run(loop_factory: Loop, play: Callable[[Side], None]) -> None:
    """Run a test in a thread, beside the loop of the gateway."""

    async def main(other: OtherClient) -> None:
        await asyncio.to_thread(play, Side(other, asyncio.get_running_loop(), loop_factory))

    with_other_client(loop_factory, main)


@pytest.mark.parametrize("loop_factory", LOOPS)
@pytest.mark.parametrize("name", HOLDERS)
@pytest.mark.parametrize("in_a_cycle", [False, True])
def test_it_keeps_the_client_open_until_it_is_dropped(name: str, in_a_cycle: bool, loop_factory: Loop) -> None:
    def play(side: Side) -> None:
        things = given(HOLDERS[name], side)
        HOLDERS[name].use(things[0], side)
        assert side.other.held_is_connected
        drop(things, in_a_cycle=in_a_cycle)
        side.held_has_left()

    run(loop_factory, play)


@pytest.mark.parametrize("loop_factory", LOOPS)
@pytest.mark.parametrize("name", ANSWERED)
def test_it_keeps_the_client_open_until_it_is_answered(name: str, loop_factory: Loop) -> None:
    def play(side: Side) -> None:
        things = given(ANSWERED[name], side)
        ANSWERED[name].use(things[0], side)
        side.held_has_left()

    run(loop_factory, play)


def test_the_list_is_complete() -> None:
    classes = {name for name in sync.__all__ if isinstance(getattr(sync, name), type)}
    assert {name.partition(",")[0] for name in HOLDERS} == classes
