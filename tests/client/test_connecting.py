"""Tests the two ways to a client, and what closes it."""

import copy
import pickle
import traceback

import pytest

from gateway.client import ClientState, connect
from gateway.client.connecting import NotConnected
from gateway.errors import ConnectionFailed, InvalidArgument, UsageError
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


async def test_a_gateway_that_is_not_there_is_told_without_the_frames_of_asyncio() -> None:
    with pytest.raises(ConnectionFailed) as failed:
        await connect("ws://127.0.0.1:1")
    assert isinstance(failed.value.__cause__, ConnectionRefusedError)
    shown = "".join(traceback.format_exception(failed.value))
    assert shown.count("Traceback") == 1
    assert "asyncio/" not in shown


async def test_it_cannot_be_used_before_it_has_connected() -> None:
    connecting = connect("ws://127.0.0.1:1")
    with pytest.raises(NotConnected, match=r"it has no publish: use `client = await .*gateway\.client\.sync$"):
        connecting.publish("wf/a", 1)  # type: ignore[attr-defined]
    with (
        pytest.raises(NotConnected, match=r"is for asyncio: use `client = await .*gateway\.client\.sync$"),
        connecting,  # type: ignore[attr-defined]
    ):
        pass


async def test_what_holds_a_connection_is_neither_pickled_nor_copied(scripted: ScriptedGateway) -> None:
    async with connect(scripted.url) as client:
        inbox, replies = client.inbox(), client.request_stream("agent:b")
        for held in (client, client.subscribe("wf/*"), inbox, replies, client.publish):
            for copied in (pickle.dumps, copy.copy, copy.deepcopy):
                if held != client.publish or copied is pickle.dumps:
                    with pytest.raises(UsageError, match=r"belongs to the process that made it.*call connect\(\)"):
                        copied(held)


def test_a_setting_that_cannot_be_used_is_told_at_once() -> None:
    with pytest.raises(InvalidArgument, match="unknown client_type"):
        connect("ws://127.0.0.1:1", client_type="robot")
