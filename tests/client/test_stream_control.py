"""Tests the deletion of streams by a client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import pytest

from gateway.client import Backoff, Client, ClientState, Subscription, connect
from gateway.errors import Code, ConnectionFailed, InvalidArgument, RequestRefused, RequestTimeout
from gateway.protocol.messages import Delete, Deleted, Error
from gateway.protocol.wire import Opcode
from tests.client.scripted_gateway import Peer, Received, ScriptedGateway
from tests.client.waiting import until


async def test_it_asks_again_while_there_is_more(scripted: ScriptedGateway) -> None:
    asked: list[str] = []

    def answer(peer: Peer, received: Received) -> None:
        request = received.session()
        assert isinstance(request, Delete)
        asked.append(request.pattern)
        more = True if len(asked) < 3 else None
        peer.send(Deleted(request.request, (f"wf/{len(asked)}",), more))

    scripted.answers[Opcode.DELETE] = answer
    async with connect(scripted.url) as client:
        assert await client.delete("wf/*") == ["wf/1", "wf/2", "wf/3"]
    assert asked == ["wf/*"] * 3


async def test_a_refusal_is_raised(scripted: ScriptedGateway) -> None:
    def answer(peer: Peer, received: Received) -> None:
        request = received.session()
        assert isinstance(request, Delete)
        peer.send(Error(Code.FORBIDDEN, "FORBIDDEN", "not you", request=request.request))

    scripted.answers[Opcode.DELETE] = answer
    async with connect(scripted.url) as client:
        with pytest.raises(RequestRefused, match="not you"):
            await client.delete("wf/a")


async def test_a_name_that_cannot_be_one_is_not_sent(scripted: ScriptedGateway) -> None:
    async with connect(scripted.url) as client:
        with pytest.raises(RequestRefused) as refused:
            await client.delete("wf")
        assert refused.value.code == Code.INVALID_NAME


async def test_a_connection_that_is_lost_meanwhile_is_told(scripted: ScriptedGateway) -> None:
    scripted.answers[Opcode.DELETE] = lambda peer, received: peer.drop()
    async with connect(scripted.url, backoff=None) as client:
        with pytest.raises(ConnectionFailed):
            await client.delete("wf/a")


CALLS: Final[dict[str, Callable[[Client, Subscription, float], Awaitable[object]]]] = {
    "account": lambda client, messages, timeout_s: client.account(messages, timeout_s=timeout_s),
    "authenticate": lambda client, messages, timeout_s: client.authenticate("fresh", timeout_s=timeout_s),
    "delete": lambda client, messages, timeout_s: client.delete("wf/a", timeout_s=timeout_s),
}


@pytest.mark.parametrize("call", CALLS)
async def test_a_gateway_that_does_not_answer_is_not_waited_for_without_end(
    scripted: ScriptedGateway, call: str
) -> None:
    async with connect(scripted.url) as client, client.subscribe("wf/a") as messages:
        with pytest.raises(RequestTimeout, match=r"did not come within 0\.01 s$"):
            await CALLS[call](client, messages, 0.01)
        with pytest.raises(InvalidArgument, match="timeout_s"):
            await CALLS[call](client, messages, -1)


@pytest.mark.parametrize("call", CALLS)
async def test_a_gateway_that_is_away_is_not_waited_for_without_end(scripted: ScriptedGateway, call: str) -> None:
    never = Backoff(base_s=3600, cap_s=3600)
    async with (
        connect(scripted.url, backoff=never, close_timeout_s=0.1) as client,
        client.subscribe("wf/a") as messages,
    ):
        (await scripted.accept()).drop()
        await until(lambda: client.state is ClientState.RECONNECTING)
        with pytest.raises(RequestTimeout, match=r"did not come within 0\.01 s: there has been no connection for"):
            await CALLS[call](client, messages, 0.01)
