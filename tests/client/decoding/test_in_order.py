"""Invariant: whatever order the work is done in, things are finished in the order in which they came."""

import asyncio

from gateway.client.decoding.in_order import InOrder


async def test_what_is_ready_is_finished_at_once_when_nothing_is_before_it() -> None:
    order: InOrder[int] = InOrder()
    done: list[str] = []
    assert order.idle
    order.add_ready(lambda: done.append("a"))
    assert done == ["a"]
    assert order.idle


async def test_everything_waits_for_what_is_before_it() -> None:
    loop = asyncio.get_running_loop()
    order: InOrder[str] = InOrder()
    done: list[str] = []
    first, second = loop.create_future(), loop.create_future()
    order.add(first, lambda work: done.append(work.result()))
    order.add_ready(lambda: done.append("ready"))
    order.add(second, lambda work: done.append(work.result()))
    second.set_result("second")
    await asyncio.sleep(0)
    assert done == []
    assert not order.idle
    first.set_result("first")
    await asyncio.sleep(0)
    assert done == ["first", "ready", "second"]
    assert order.idle


async def test_an_exception_is_handed_on() -> None:
    order: InOrder[str] = InOrder()
    work = asyncio.get_running_loop().create_future()
    failed: list[BaseException | None] = []
    order.add(work, lambda work: failed.append(work.exception()))
    error = ValueError("no")
    work.set_exception(error)
    await asyncio.sleep(0)
    assert failed == [error]


async def test_what_turns_out_to_take_longer_is_waited_for_by_all_behind_it() -> None:
    loop = asyncio.get_running_loop()
    order: InOrder[str] = InOrder()
    done: list[str] = []
    first, longer = loop.create_future(), loop.create_future()

    def needs_more(work: asyncio.Future[str]) -> None:
        done.append(work.result())
        order.hold(longer, lambda more: done.append(more.result()))

    order.add(first, needs_more)
    order.add_ready(lambda: done.append("behind"))
    first.set_result("first")
    await asyncio.sleep(0)
    assert done == ["first"]
    longer.set_result("longer")
    await asyncio.sleep(0)
    assert done == ["first", "longer", "behind"]


async def test_so_is_what_needed_no_waiting_itself() -> None:
    order: InOrder[str] = InOrder()
    done: list[str] = []
    longer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    order.add_ready(lambda: order.hold(longer, lambda work: done.append(work.result())))
    order.add_ready(lambda: done.append("behind"))
    assert not order.idle
    longer.set_result("longer")
    await asyncio.sleep(0)
    assert done == ["longer", "behind"]
    assert order.idle
