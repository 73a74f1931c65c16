"""What the gateway says of a large message that was cut reaches whoever waits to go on with it."""

import asyncio

import pytest

from gateway.client.sending.resumptions import Resumptions
from gateway.errors import ConnectionFailed
from gateway.protocol.frames import frame_at
from gateway.protocol.signals import Resume


def receive(resumptions: Resumptions, transfer: int, index: int) -> None:
    message = Resume(transfer, index).write()
    resumptions.received(memoryview(message), frame_at(message, 0))


def settlement() -> asyncio.Future[object]:
    return asyncio.get_running_loop().create_future()


async def test_each_gets_its_own_answer() -> None:
    resumptions = Resumptions()
    asked = [asyncio.ensure_future(resumptions.index_of(transfer, settlement())) for transfer in (4, 5)]
    await asyncio.sleep(0)
    receive(resumptions, 5, 50)
    receive(resumptions, 4, 40)
    receive(resumptions, 4, 41)  # once is enough
    receive(resumptions, 9, 90)  # nobody has asked
    assert [await each for each in asked] == [40, 50]


async def test_there_is_nothing_to_send_when_it_is_settled() -> None:
    resumptions = Resumptions()
    settled = settlement()
    asked = asyncio.ensure_future(resumptions.index_of(4, settled))
    await asyncio.sleep(0)
    settled.set_result("acknowledged")
    assert await asked is None
    receive(resumptions, 4, 1)


async def test_the_end_of_the_session_is_told() -> None:
    resumptions = Resumptions()
    asked = asyncio.ensure_future(resumptions.index_of(4, settlement()))
    await asyncio.sleep(0)
    resumptions.fail(ConnectionFailed("lost"))
    with pytest.raises(ConnectionFailed, match="lost"):
        await asked
