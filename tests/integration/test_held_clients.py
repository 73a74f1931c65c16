"""What keeps a client open that the program does not hold itself: everything by which the program can still use it."""

from __future__ import annotations

import asyncio
import gc
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

import pytest

import gateway.client
from gateway.client import Client, connect
from tests.integration.other_client import HELD, LOOPS, STREAM, TASKS, Loop, OtherClient, drop, with_other_client
from tests.public_api import public_names


async def open_client(other: OtherClient) -> Client:
    return await connect(other.url, client_id=HELD)


class Held(NamedTuple):
    """Something that keeps a client open."""

    give: Callable[[OtherClient], Awaitable[Any]]
    """Returns it, from a client that nobody holds otherwise."""
    use: Callable[[Any, OtherClient], Awaitable[None]]
    """Shows that the client works."""


async def subscription(other: OtherClient) -> Any:
    messages = (await open_client(other)).subscribe(STREAM)
    await messages.start()
    return messages


async def batches(other: OtherClient) -> Any:
    return (await subscription(other)).batches()


async def iterate(messages: Any, other: OtherClient) -> None:
    await other.publish()
    assert int((await anext(messages)).tensor) == 7


async def iterate_batches(batches: Any, other: OtherClient) -> None:
    await other.publish()
    assert (await anext(batches)).array.tolist() in ([7], [7, 7])  # the second may have come meanwhile


async def task_subscription_in_a_batch(other: OtherClient) -> Any:
    """A subscription whose program is in the middle of a batch of tasks, which it acknowledges by going on."""
    tasks = (await open_client(other)).subscribe(TASKS)
    await tasks.start()
    await other.publish_tasks(3)
    await anext(tasks)
    return tasks


async def take_the_next_task(tasks: Any, other: OtherClient) -> None:
    assert int((await anext(tasks)).tensor) == 1


async def inbox(other: OtherClient) -> Any:
    requests = (await open_client(other)).inbox()
    await requests.start()
    return requests


async def take_a_request(requests: Any, other: OtherClient) -> None:
    await other.ask()
    await (await anext(requests)).reply(2)
    await other.check_reply()


async def reply_stream(other: OtherClient) -> Any:
    return (await open_client(other)).request_stream("agent:other", 1)


async def take_a_reply(replies: Any, other: OtherClient) -> None:
    await other.open_inbox()
    replying = asyncio.create_task(other.reply())
    assert int((await anext(replies)).tensor) == 2
    await replying


async def presence(other: OtherClient) -> Any:
    attended = (await open_client(other)).presence("held", metadata={})
    await attended.start()
    return attended


async def presence_changes(other: OtherClient) -> Any:
    return (await presence(other)).changes()


async def update(attended: Any, other: OtherClient) -> None:
    await attended.update({"role": "tester"})


async def take_a_change(changes: Any, other: OtherClient) -> None:
    assert (await anext(changes)).member.client_id == HELD


async def connecting(other: OtherClient) -> Any:
    made = connect(other.url, client_id=HELD)
    await made.__aenter__()
    return made


async def nothing(_: object, other: OtherClient) -> None:
    """A connection that was entered gives nothing more."""


async def publish(client: Any, other: OtherClient) -> None:
    await client.publish(STREAM, 7)


async def request(other: OtherClient) -> Any:
    requests = await inbox(other)
    await other.ask()
    return await anext(requests)


async def reply_in_part(taken: Any, other: OtherClient) -> None:
    await taken.reply_partial(1)


async def task(other: OtherClient) -> Any:
    tasks = (await open_client(other)).subscribe(TASKS, auto_ack=False)
    await tasks.start()
    await other.publish_tasks()
    return await anext(tasks)


async def task_of_a_subscription_that_acknowledges(other: OtherClient) -> Any:
    tasks = (await open_client(other)).subscribe(TASKS)
    await tasks.start()
    await other.publish_tasks()
    return await anext(tasks)


async def batch(other: OtherClient) -> Any:
    tasks = (await open_client(other)).subscribe(TASKS, auto_ack=False)
    await tasks.start()
    await other.publish_tasks(3)
    return await tasks.next_batch()


async def record(other: OtherClient) -> Any:
    return next((await batch(other)).messages())


async def work(taken: Any, other: OtherClient) -> None:
    await taken.in_progress()


HOLDERS: Final = {
    "Client": Held(open_client, publish),
    "Connecting": Held(connecting, nothing),
    "Subscription": Held(subscription, iterate),
    "Subscription, in a batch of tasks": Held(task_subscription_in_a_batch, take_the_next_task),
    "BatchIterator": Held(batches, iterate_batches),
    "Inbox": Held(inbox, take_a_request),
    "ReplyStream": Held(reply_stream, take_a_reply),
    "Request": Held(request, reply_in_part),
    "Presence": Held(presence, update),
    "Presence, by its changes": Held(presence_changes, take_a_change),
    "Message": Held(task, work),
    "Message, of a subscription that acknowledges": Held(task_of_a_subscription_that_acknowledges, work),
    "Message, of a batch": Held(record, work),
    "RecordBatch": Held(batch, work),
}
"""By the class, and what is special about it."""


async def reply(taken: Any, other: OtherClient) -> None:
    await taken.reply(2)
    await other.check_reply()


async def fail(taken: Any, other: OtherClient) -> None:
    await taken.fail("no")
    await other.check_failure()


async def reply_in_vain(taken: Any, other: OtherClient) -> None:
    await other.cancel()
    await taken.wait_cancelled()
    await taken.reply(2)


async def acknowledge(taken: Any, other: OtherClient) -> None:
    await taken.ack()


async def refuse(taken: Any, other: OtherClient) -> None:
    await taken.nack()
    await other.check_dead_letter()


ANSWERED: Final = {
    "Request, replied to": Held(request, reply),
    "Request, failed": Held(request, fail),
    "Request, cancelled": Held(request, reply_in_vain),
    "Message, acknowledged": Held(task, acknowledge),
    "Message, refused": Held(task, refuse),
    "Message, of a subscription that acknowledges": Held(task_of_a_subscription_that_acknowledges, refuse),
    "Message, of a batch": Held(record, refuse),
    "RecordBatch, acknowledged": Held(batch, acknowledge),
    "RecordBatch, refused": Held(batch, refuse),
}
"""Objects whose last use this is."""


async def given(held: Held, other: OtherClient) -> list[Any]:
    """Return what holds a client, alone in a list, and check that the client is open."""
    holder = [await held.give(other)]
    gc.collect()
    await other.publish()  # time to close
    assert other.held_is_connected
    return holder


async def use_last(held: Held, holder: list[Any], other: OtherClient) -> None:
    """Use what holds a client for the last time, and wait until the client has left."""
    await held.use(holder[0], other)
    await other.held_has_left()


@pytest.mark.parametrize("loop_factory", LOOPS)
@pytest.mark.parametrize("name", HOLDERS)
@pytest.mark.parametrize("in_a_cycle", [False, True])
def test_it_keeps_the_client_open_until_it_is_dropped(name: str, in_a_cycle: bool, loop_factory: Loop) -> None:
    async def main(other: OtherClient) -> None:
        holder = await given(HOLDERS[name], other)
        await HOLDERS[name].use(holder[0], other)
        assert other.held_is_connected
        with pytest.warns(ResourceWarning, match="was not closed"):
            drop(holder, in_a_cycle=in_a_cycle)
        await other.held_has_left()

    with_other_client(loop_factory, main)


@pytest.mark.parametrize("loop_factory", LOOPS)
@pytest.mark.parametrize("name", ANSWERED)
def test_it_keeps_the_client_open_until_it_is_answered(name: str, loop_factory: Loop) -> None:
    async def main(other: OtherClient) -> None:
        holder = await given(ANSWERED[name], other)
        with pytest.warns(ResourceWarning, match="was not closed"):
            await use_last(ANSWERED[name], holder, other)

    with_other_client(loop_factory, main)


def test_the_list_is_complete() -> None:
    using = {
        name
        for name in gateway.client.__all__
        if isinstance(kind := getattr(gateway.client, name), type)
        and any(inspect.iscoroutinefunction(getattr(kind, each, None)) for each in public_names(kind))
    }
    assert {name.partition(",")[0] for name in HOLDERS} == using
