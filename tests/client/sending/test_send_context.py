"""Tests the wait for a session, and the end of all waiting."""

import asyncio
from dataclasses import replace

import pytest

from gateway.client.messages.read_flow_control import ReadFlowControl
from gateway.client.owner import Owner
from gateway.client.report import Reporter
from gateway.client.sending.alias import MAX_ALIASES
from gateway.client.sending.send_context import SendContext
from gateway.errors import ConnectionClosed, ConnectionFailed, RequestTimeout
from gateway.ids import ClientId
from gateway.protocol.limits import WelcomeLimits
from gateway.protocol.messages import Welcome
from tests.client.fake_session import FakeSession

WELCOME = Welcome(1, ClientId("me"), "s", 1, (), (), WelcomeLimits(1 << 20, 1 << 30, 1 << 16, 5000), 20.0, 0)


def context() -> SendContext:
    return SendContext(ReadFlowControl(lambda reading: None), Reporter(None), Owner(asyncio.get_running_loop()))


async def test_it_waits_for_a_session() -> None:
    out = context()
    waiting = asyncio.ensure_future(out.wait_ready())
    await asyncio.sleep(0)
    session = FakeSession(WELCOME)
    out.attach(session)
    assert await waiting is session
    assert await out.wait_ready() is session


async def test_a_session_that_drains_or_closes_takes_nothing_new() -> None:
    out = context()
    session = FakeSession(WELCOME, draining=True)
    out.attach(session)
    assert out.ready is None
    waiting = asyncio.ensure_future(out.wait_ready())
    await asyncio.sleep(0)
    assert "going away" in out.obstacle()
    out.detach("it has gone")
    assert "no connection for" in out.obstacle()
    assert "it has gone" in out.obstacle()
    successor = FakeSession(WELCOME)
    out.attach(successor)
    assert await waiting is successor
    assert "no room" in out.obstacle()
    successor.is_open = False
    assert out.ready is None


async def test_a_call_is_bounded_by_its_time_without_progress() -> None:
    out = context()
    out.detach("it has gone")
    with (
        pytest.raises(
            RequestTimeout, match=r"the answer did not come within 0\.0 s: there has been no connection .* gone"
        ),
        out.within(0, "the answer"),
    ):
        await out.wait_ready()
    out.attach(FakeSession(WELCOME))
    with pytest.raises(RequestTimeout, match=r"the answer did not come within 0\.0 s$"), out.within(0, "the answer"):
        await asyncio.get_running_loop().create_future()
    with pytest.raises(ConnectionFailed, match="lost"), out.within(None, "the answer"):
        raise ConnectionFailed("lost")
    with pytest.raises(RequestTimeout, match="another"), out.within(None, "the answer"):
        raise RequestTimeout("another")


async def test_the_end_is_told_to_all() -> None:
    out = context()
    out.check()
    waiting = asyncio.ensure_future(out.wait_ready())
    await asyncio.sleep(0)
    out.close(ConnectionClosed(4200, "over"))
    with pytest.raises(ConnectionClosed, match="over"):
        await waiting
    with pytest.raises(ConnectionClosed, match="over"):
        out.check()


async def test_a_new_session_has_shown_nothing_yet() -> None:
    out = context()
    out.attach(FakeSession(WELCOME))
    out.scores.score(1 << 20, 0.1, 0.0)
    out.attach(FakeSession(WELCOME))
    assert out.scores.goodput_bytes_per_s == 0


async def test_idle_waits_for_work_and_cancel_ends_it() -> None:
    out = context()
    done: list[str] = []
    go = asyncio.Event()

    async def work() -> None:
        await go.wait()
        done.append("done")

    out.start(work())
    go.set()
    await out.idle()
    assert done == ["done"]
    go.clear()
    out.start(work())
    await out.cancel()
    await out.cancel()
    assert done == ["done"]


async def test_transfers_have_numbers_of_their_own() -> None:
    out = context()
    assert len({out.next_transfer() for _ in range(100)}) == 100


async def test_what_the_gateway_takes_of_large_messages_is_that_of_the_present_session() -> None:
    out = context()
    assert out.transfer_room.max_bytes is None
    out.attach(FakeSession(WELCOME))
    assert out.transfer_room.max_bytes == 5000


@pytest.mark.parametrize(("told", "limit"), [(3, 3), (None, MAX_ALIASES)])
async def test_it_opens_as_many_aliases_as_the_gateway_tells(told: int | None, limit: int) -> None:
    out, session = context(), FakeSession(WELCOME)
    session.greeting = replace(WELCOME, limits=replace(WELCOME.limits, max_aliases=told))
    out.attach(session)
    assert out.aliases.limit == limit
