"""Tests the two ways to a client, and what closes it."""

import pytest

from gateway.client import ClientState, connect
from gateway.errors import ConnectionFailed, InvalidArgument
from tests.client.scripted_gateway import ScriptedGateway


async def test_it_is_awaited_or_entered(scripted: ScriptedGateway) -> None:
    client = await connect(scripted.url)
    states = [client.state]
    await client.close()
    async with connect(scripted.url) as entered:
        states.append(entered.state)
    assert states == [ClientState.CONNECTED, ClientState.CONNECTED]
    assert entered.state is ClientState.CLOSED


async def test_one_attempt_is_made() -> None:
    with pytest.raises(ConnectionFailed, match=r"127\.0\.0\.1:1"):
        async with connect("ws://127.0.0.1:1"):
            pass


def test_a_setting_that_cannot_be_used_is_told_at_once() -> None:
    with pytest.raises(InvalidArgument, match="unknown client_type"):
        connect("ws://127.0.0.1:1", client_type="robot")
