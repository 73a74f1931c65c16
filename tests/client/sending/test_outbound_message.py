"""Tests one message on its way out and who waits for it."""

import asyncio
import struct
import time
from collections.abc import Callable

import numpy as np
import pytest
import uvloop

from gateway.client import connect, time_limit
from gateway.client.sending.content import content_of
from gateway.client.sending.outbound_message import OutboundMessage
from gateway.errors import ConnectionFailed, RequestRefused, RequestTimeout
from gateway.protocol.wire import Opcode
from gateway.testing import running_gateway_process


def message() -> OutboundMessage:
    return OutboundMessage(Opcode.MESSAGE, content_of([1, 2], None), 0, done=asyncio.get_running_loop().create_future())


def obstacle() -> str:
    return "something is in the way"


async def test_the_result_goes_to_whoever_waits() -> None:
    waited = message()
    assert not waited.abandoned
    waited.finish("result")
    waited.fail(ConnectionFailed("too late"))
    assert await waited.result(1, "it", obstacle) == "result"
    assert waited.abandoned


async def test_so_does_an_error() -> None:
    waited = message()
    waited.fail(ConnectionFailed("no"))
    waited.finish("too late")
    with pytest.raises(ConnectionFailed, match="no"):
        await waited.result(None, "it", obstacle)


@pytest.mark.parametrize(
    ("ended", "lost_s", "state"),
    [
        (True, None, "was sent, and may have arrived: allow more time"),
        (True, 1.0, "was sent, and may have arrived: allow more time"),
        (False, 1.0, "was sent, and may have arrived, but its connection was lost; something is in the way"),
        (False, None, "could not be sent: something is in the way"),
    ],
)
async def test_time_runs_out_and_the_message_is_abandoned(ended: bool, lost_s: float | None, state: str) -> None:
    waited = message()
    waited.ended, waited.lost_s = ended, lost_s
    with pytest.raises(RequestTimeout, match=rf"the answer did not come within 0\.001 s; the message {state}"):
        await waited.result(0.001, "the answer", obstacle)
    assert waited.abandoned


async def test_progress_is_told_and_gives_more_time() -> None:
    told: list[tuple[int, int]] = []
    waited = OutboundMessage(
        Opcode.MESSAGE,
        content_of(bytearray(100), None),
        0,
        done=asyncio.get_running_loop().create_future(),
        progress=lambda sent, total: told.append((sent, total)),
    )
    result = asyncio.ensure_future(waited.result(60, "it", obstacle))
    await asyncio.sleep(0)
    waited.advanced(40)
    waited.advanced(100)
    waited.finish(None)
    waited.advanced(100)
    await result
    assert told == [(40, 100), (100, 100), (100, 100)]


async def test_progress_between_two_waits_and_too_late_changes_nothing() -> None:
    waited = message()
    loop = asyncio.get_running_loop()
    first = loop.create_future()
    first.set_result(1)
    assert await waited.wait(first, 60, "the first part", obstacle) == 1
    waited.touch()
    second = loop.create_future()
    # Called in the very turn in which the time runs out, before whoever waits has noticed.
    loop.call_later(0.01, waited.touch)
    with pytest.raises(RequestTimeout, match="the second part"):
        await waited.wait(second, 0.01, "the second part", obstacle)
    waited.touch()


async def test_a_message_that_nobody_waits_for_is_never_abandoned() -> None:
    unwatched = OutboundMessage(Opcode.MESSAGE, content_of(1, None), 0)
    unwatched.finish(None)
    unwatched.fail(ConnectionFailed("x"))
    assert not unwatched.abandoned


async def test_restarting_forgets_what_was_sent() -> None:
    again = message()
    again.frame_bytes, again.payload_sent_bytes, again.ended = 10, 8, True
    again.restart()
    assert (again.frame_bytes, again.payload_sent_bytes, again.ended) == (0, 0, False)


async def test_what_moves_between_two_waits_moves_no_time_limit() -> None:
    streamed = message()
    part = asyncio.get_running_loop().create_future()
    part.set_result("part")
    assert await streamed.wait(part, 1, "a part", obstacle) == "part"
    streamed.touch()
    streamed.finish("last")
    assert await streamed.result(1, "it", obstacle) == "last"


async def test_a_result_of_the_turn_in_which_the_limit_passes_is_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_limit, "READ_TURNS", 0)
    waited = message()
    waiting = asyncio.ensure_future(waited.result(0.01, "it", obstacle))
    await asyncio.sleep(0)
    limit = waited._time_limit
    assert limit is not None
    waited.finish("result")
    limit._read(0)
    assert await waiting == "result"


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_an_acknowledgement_that_came_while_the_program_computed_is_taken(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def publish(url: str) -> None:
        async with connect(url) as client:
            await client.publish("wf/x", 0, kind="event")
            publishing = asyncio.create_task(client.publish("wf/x", 1, timeout_s=0.3))
            requesting = asyncio.create_task(client.request("agent:nobody", timeout_s=0.3))
            await asyncio.sleep(0)
            time.sleep(0.6)  # noqa: ASYNC251 - a step of the program that holds up the loop
            assert (await publishing).offset == 1
            with pytest.raises(RequestRefused, match="NO_SUCH_PEER"):
                await requesting

    with running_gateway_process() as gateway, asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(publish(gateway.url))


@pytest.mark.parametrize(
    ("most_bytes", "counts"),
    [(1000, [5]), (40, [5]), (39, [4, 1]), (16, [2, 2, 1]), (15, [1, 1, 1, 1, 1]), (1, [1] * 5)],
)
def test_a_record_batch_in_parts_has_the_same_records(most_bytes: int, counts: list[int]) -> None:
    content = content_of(np.arange(5.0), None)._replace(buffers=[b"".join(struct.pack("<d", n) for n in range(5))])
    parts = OutboundMessage(Opcode.BATCH, content, 7, count=5).parts(most_bytes)
    assert [part.count for part in parts] == counts
    assert [part.opcode for part in parts] == [Opcode.BATCH if count > 1 else Opcode.MESSAGE for count in counts]
    assert b"".join([bytes(part.content.payload()) for part in parts]) == content.payload()
    assert all(part.content.payload_bytes == 8 * part.count and part.timestamp_ns == 7 for part in parts)
