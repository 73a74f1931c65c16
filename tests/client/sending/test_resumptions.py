"""What the gateway says of the head of a large message reaches whoever waits to go on with it."""

import pytest

from gateway.client.sending.resumptions import Resumptions
from gateway.errors import ConnectionFailed
from gateway.protocol.frames import frame_at
from gateway.protocol.signals import Resume


def receive(resumptions: Resumptions, transfer: int, index: int) -> None:
    message = Resume(transfer, index).write()
    resumptions.received(memoryview(message), frame_at(message, 0))


async def test_each_gets_its_own_answer() -> None:
    resumptions = Resumptions()
    answers = [resumptions.expect(transfer) for transfer in (4, 5)]
    receive(resumptions, 5, 50)
    receive(resumptions, 4, 40)
    receive(resumptions, 4, 41)  # once is enough
    receive(resumptions, 9, 90)  # nobody has asked
    assert [await each for each in answers] == [40, 50]


async def test_an_answer_that_nobody_waits_for_any_more_is_skipped() -> None:
    resumptions = Resumptions()
    answer = resumptions.expect(4)
    resumptions.forget(4)
    receive(resumptions, 4, 1)
    assert not answer.done()


async def test_the_end_of_the_session_is_told() -> None:
    resumptions = Resumptions()
    answer = resumptions.expect(4)
    resumptions.fail(ConnectionFailed("lost"))
    with pytest.raises(ConnectionFailed, match="lost"):
        await answer
