"""Tests the life of a client: losses, reconnects, what is sent again and what is not, and the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Unpack

import numpy as np
import pytest

from gateway.app import Gateway
from gateway.client import Backoff, Client, ClientState, connect
from gateway.client.options import ConnectKeywords, Token
from gateway.client.subscribing.subscriptions import Subscriptions
from gateway.config import Settings
from gateway.errors import Code, ConnectionClosed, ConnectionFailed, RequestRefused
from gateway.protocol.data import parse_data, write_data
from gateway.protocol.messages import Error, GoAway, Kind, StreamInfo, Subscribe
from gateway.protocol.meta import write_meta
from gateway.protocol.signals import Ack
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.wire import Buffer, Opcode
from tests.client.scripted_gateway import Peer, Received, ScriptedGateway
from tests.client.waiting import until

QUICK = Backoff(base_s=0.0, cap_s=0.0, later_s=0.0)
F8 = np.dtype("<f8")


@asynccontextmanager
async def connected(
    scripted: ScriptedGateway, **keywords: Unpack[ConnectKeywords]
) -> AsyncIterator[tuple[Client, Peer]]:
    """A client that reconnects without pause, and the other side of its first connection."""
    keywords.setdefault("backoff", QUICK)
    async with connect(scripted.url, **keywords) as client:
        yield client, await scripted.accept()


def acknowledge(peer: Peer, received: Received, epoch: int = 5) -> None:
    """Say what a gateway says to the first message of a stream."""
    data = parse_data(received.message, received.frame)
    peer.send(
        StreamInfo(7, "wf/x", Kind.STATE, epoch, 0, alias=data.stream), Ack(data.stream, 1, data.offset, 99).write()
    )


def message(offset: int, value: float, stream: int = 7) -> list[Buffer]:
    """What a subscriber receives."""
    return write_data(
        Opcode.MESSAGE,
        stream=stream,
        offset=offset,
        timestamp_ns=0,
        publisher=2,
        meta=write_meta([TensorSpec("", F8, ())]),
        payload=[np.array(value).tobytes()],
    )


async def test_a_lost_connection_is_opened_again_as_the_same_client(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer):
        assert client.client_id == "made-up"
        peer.drop()
        second = await scripted.accept()
        hello = (await second.next(Opcode.HELLO)).session()
        assert getattr(hello, "client_id", None) == "made-up"
        await second.next(Opcode.PING)  # which follows WELCOME
        assert client.state is ClientState.CONNECTED


async def test_a_publish_while_there_is_no_connection_waits_for_the_next(scripted: ScriptedGateway) -> None:
    scripted.answers[Opcode.MESSAGE] = acknowledge
    async with connected(scripted) as (client, peer):
        welcome = scripted.answers.pop(Opcode.HELLO)
        peer.drop()
        await until(lambda: client.state is ClientState.RECONNECTING)
        client.publish_nowait("wf/x", 0.5)
        publishing = asyncio.ensure_future(client.publish("wf/x", 1.0))
        second = await scripted.accept()
        welcome(second, await second.next(Opcode.HELLO))
        result = await publishing
        sequences = []
        for _ in range(2):
            received = await second.next(Opcode.MESSAGE)
            sequences.append(parse_data(received.message, received.frame).offset)
        assert sequences == [1, 2]
        assert (result.offset, result.epoch) == (99, 5)


def refuse_as_draining(peer: Peer, **answers: Any) -> None:
    peer.send(GoAway(1001, "stopping", 5.0), Error(Code.DRAINING, "DRAINING", "the gateway is stopping", **answers))


async def test_a_publish_that_crossed_a_go_away_goes_out_on_the_next_connection(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, first):
        publishing = asyncio.ensure_future(client.publish("wf/x", 1.0))
        await first.next(Opcode.MESSAGE)
        refuse_as_draining(first, alias=0)
        refuse_as_draining(first, alias=0, sequence=1, count=1)
        scripted.answers[Opcode.MESSAGE] = acknowledge
        first.drop()
        assert (await publishing).offset == 99


async def test_a_request_that_crossed_a_go_away_goes_out_on_the_next_connection(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, first):
        asking = asyncio.ensure_future(client.request("agent:planner", 2.0))
        request = await first.next(Opcode.REQUEST)
        refuse_as_draining(first, correlation=parse_data(request.message, request.frame).offset)
        await until(lambda: client._core.session is not None and client._core.session.draining)
        first.drop()
        await (await scripted.accept()).next(Opcode.REQUEST)
        asking.cancel()


async def test_a_subscription_that_crossed_a_go_away_is_asked_for_again(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, first):
        answer = scripted.answers.pop(Opcode.SUBSCRIBE)
        subscribing = asyncio.ensure_future(client.subscribe("wf/*").start())
        asked = (await first.next(Opcode.SUBSCRIBE)).session()
        assert isinstance(asked, Subscribe)
        refuse_as_draining(first, request=asked.request)
        scripted.answers[Opcode.SUBSCRIBE] = answer
        first.drop()
        await subscribing


async def test_subscriptions_are_asked_for_again_and_their_iterators_go_on(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, first), client.subscribe("wf/*") as messages:
        first.send(StreamInfo(7, "wf/x", Kind.STATE, 5, 1), message(0, 1.0))
        assert (await anext(messages)).tensor == 1.0
        first.drop()
        second = await scripted.accept()
        again = (await second.next(Opcode.SUBSCRIBE)).session()
        assert isinstance(again, Subscribe)
        assert again.pattern == "wf/*"
        # The stream has another number now; the newest message comes again, and then the next ones.
        second.send(StreamInfo(3, "wf/x", Kind.STATE, 5, 1), message(0, 1.0, 3), message(4, 2.0, 3))
        received = await anext(messages)
        assert (float(received.tensor), received.offset) == (2.0, 4)
        assert (messages.stats.duplicates, messages.stats.conflated) == (1, 3)


async def test_what_was_missed_meanwhile_is_a_gap_of_an_event_stream(scripted: ScriptedGateway) -> None:
    gaps: list[tuple[int, int]] = []
    async with (
        connected(scripted) as (client, first),
        client.subscribe("wf/*", on_gap=lambda gap: gaps.append((gap.first, gap.last))) as messages,
    ):
        first.send(StreamInfo(7, "wf/x", Kind.EVENT, 5, 0), message(0, 1.0))
        await anext(messages)
        first.drop()
        second = await scripted.accept()
        await second.next(Opcode.SUBSCRIBE)
        second.send(StreamInfo(7, "wf/x", Kind.EVENT, 5, 10), message(10, 2.0))
        await anext(messages)
        assert gaps == [(1, 9)]
        assert messages.stats.dropped == 9


async def test_a_subscription_that_is_refused_the_second_time_ends(scripted: ScriptedGateway) -> None:
    def refuse(peer: Peer, received: Received) -> None:
        asked = received.session()
        assert isinstance(asked, Subscribe)
        peer.send(Error(Code.FORBIDDEN, "FORBIDDEN", "not any more", request=asked.request))

    async with connected(scripted) as (client, first):
        messages = client.subscribe("wf/*")
        await messages.start()
        scripted.answers[Opcode.SUBSCRIBE] = refuse
        first.drop()
        with pytest.raises(RequestRefused, match="not any more"):
            await anext(messages)


async def test_a_subscription_made_while_there_is_no_connection(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, first):
        first.drop()
        await first.gone
        async with client.subscribe("wf/x") as messages:
            second = await scripted.accept()
            await second.next(Opcode.SUBSCRIBE)
            second.send(StreamInfo(7, "wf/x", Kind.EVENT, 5, 0), message(0, 1.0))
            assert (await anext(messages)).tensor == 1.0


async def test_a_final_code_ends_everything_with_its_reason(scripted: ScriptedGateway) -> None:
    told: list[Exception] = []
    async with connected(scripted, on_error=told.append) as (client, peer):
        messages = client.subscribe("wf/*")
        await messages.start()
        publishing = asyncio.ensure_future(client.publish("wf/x", 1.0))
        await peer.next(Opcode.MESSAGE)
        peer.close(Code.UNSUPPORTED_VERSION, "too old")
        with pytest.raises(ConnectionClosed, match="too old"):
            await anext(messages)
        with pytest.raises(ConnectionFailed):
            await publishing
        assert client.state is ClientState.CLOSED
        with pytest.raises(ConnectionClosed, match="too old"):
            await client.publish("wf/x", 1.0)
        with pytest.raises(ConnectionClosed, match="too old"):
            client.publish_nowait("wf/x", 1.0)


async def test_messages_that_waited_for_a_connection_that_never_came_are_told(scripted: ScriptedGateway) -> None:
    told: list[Exception] = []
    async with connected(scripted, on_error=told.append) as (client, peer):
        del scripted.answers[Opcode.HELLO]
        peer.drop()
        await until(lambda: client.state is ClientState.RECONNECTING)
        for step in range(3):
            client.publish_nowait("wf/x", step)
        (await scripted.accept()).close(Code.UNSUPPORTED_VERSION, "too old")
        with pytest.raises(ConnectionClosed, match="too old"):
            await client.drain()
    assert "3 messages of publish_nowait were not sent" in str(told[-1])


async def test_without_backoff_a_loss_is_the_end(scripted: ScriptedGateway) -> None:
    async with connect(scripted.url, backoff=None) as client:
        messages = client.subscribe("wf/*")
        await messages.start()
        (await scripted.accept()).drop()
        with pytest.raises(ConnectionFailed, match="lost"):
            await anext(messages)
        assert client.state is ClientState.CLOSED


@pytest.mark.parametrize("source", ["text", "function"])
async def test_a_refused_token_is_fetched_again_if_it_can_be(scripted: ScriptedGateway, source: str) -> None:
    tokens = iter(["first", "second"])
    token: Token = "text" if source == "text" else lambda: next(tokens)
    async with connected(scripted, token=token) as (client, peer):
        messages = client.subscribe("wf/*")
        await messages.start()
        peer.close(Code.UNAUTHENTICATED, "expired")
        if source == "text":
            with pytest.raises(ConnectionClosed, match="expired"):
                await anext(messages)
        else:
            hello = (await (await scripted.accept()).next(Opcode.HELLO)).session()
            assert getattr(hello, "token", None) == "second"


async def test_after_go_away_nothing_new_is_sent_until_there_is_another_connection(scripted: ScriptedGateway) -> None:
    scripted.answers[Opcode.MESSAGE] = acknowledge
    async with connected(scripted) as (client, first):
        await client.publish("wf/x", 1.0)
        first.send(GoAway(1001, "stopping", 5.0))
        await until(lambda: client._core.context.ready is None)
        subscribing = asyncio.ensure_future(client.subscribe("wf/*").start())
        publishing = asyncio.ensure_future(client.publish("wf/x", 2.0))
        client.publish_nowait("wf/x", 3.0)
        await asyncio.sleep(0)
        assert not publishing.done()
        first.close(1001, "stopped")
        second = await scripted.accept()
        await second.next(Opcode.SUBSCRIBE)
        await asyncio.gather(publishing, subscribing)
        await client.drain()


async def test_a_gateway_that_restarts_is_found_again() -> None:
    settings = Settings(port=0, admin_port=None, drain_deadline_s=1.0)
    first = Gateway(settings)
    await first.start()
    async with (
        connect(first.url, client_id="a", backoff=QUICK) as publisher,
        connect(first.url, client_id="b", backoff=QUICK) as subscriber,
        subscriber.subscribe("wf/*") as messages,
    ):
        before = await publisher.publish("wf/x", 1, kind="event")
        assert (await anext(messages)).tensor == 1
        await first.stop()
        second = Gateway(replace(settings, port=first.port))
        await second.start()
        async with subscriber.subscribe("wf/**"):  # answered, so the one before it is as well
            after = await publisher.publish("wf/x", 2, kind="event")
            received = await anext(messages)
        assert (int(received.tensor), received.offset, received.epoch) == (2, 0, after.epoch)
        assert before.epoch != after.epoch
    await second.stop()


async def test_a_loss_while_closing_does_not_hold_up_the_close(scripted: ScriptedGateway) -> None:
    async with connected(scripted, close_timeout_s=60) as (client, peer):
        peer.pause_reading()
        publishing = asyncio.ensure_future(client.publish("wf/x", np.zeros(64 << 20, np.uint8), codec="none"))
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(client.close())
        await asyncio.sleep(0)
        peer.drop()
        await closing
        with pytest.raises(ConnectionFailed, match="while it was being closed"):
            await publishing


async def test_connecting_can_be_given_up(scripted: ScriptedGateway) -> None:
    scripted.welcome = None
    connecting = asyncio.ensure_future(_open(scripted.url))
    peer = await scripted.accept()
    await peer.next(Opcode.HELLO)
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    await peer.gone


async def _open(url: str) -> Client:
    return await connect(url)


async def test_a_token_function_that_is_cancelled_is_one_failed_attempt(scripted: ScriptedGateway) -> None:
    outcomes = iter(["first", asyncio.CancelledError(), MemoryError(), BaseException(), 7, "last"])

    def token() -> Any:
        outcome = next(outcomes)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async with connected(scripted, token=token) as (client, peer):
        peer.drop()
        hello = (await (await scripted.accept()).next(Opcode.HELLO)).session()
        assert getattr(hello, "token", None) == "last"
        await until(lambda: client.state is ClientState.CONNECTED)


@pytest.mark.parametrize("part", ["attached", "_ask"])
async def test_a_failure_to_subscribe_again_is_one_failed_attempt(
    scripted: ScriptedGateway, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    async with connected(scripted, on_error=lambda error: None) as (client, peer):
        messages = client.subscribe("wf/*")
        await messages.start()
        failing = client._core.subscriptions
        whole = getattr(failing, part)

        def fail(*_: object) -> None:
            monkeypatch.setattr(failing, part, whole)
            raise MemoryError

        monkeypatch.setattr(failing, part, fail)
        peer.drop()
        await (await scripted.accept()).gone
        again = await scripted.accept()
        await again.next(Opcode.SUBSCRIBE)
        await until(lambda: client.state is ClientState.CONNECTED)


async def test_a_first_connection_that_cannot_be_used_is_closed_and_not_opened_again(
    scripted: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Subscriptions, "attached", fail)
    with pytest.raises(ConnectionFailed, match="could not be used: MemoryError"):
        await connect(scripted.url, backoff=QUICK)
    await (await scripted.accept()).gone
    await asyncio.sleep(0)
    assert scripted.accepted_peers.empty()


async def test_a_program_that_cancels_all_tasks_stops_no_work_of_the_client(scripted: ScriptedGateway) -> None:
    async with connected(scripted, backoff=Backoff(base_s=0.01, cap_s=0.01)) as (client, peer):
        scripted.status = 503
        peer.drop()
        await until(lambda: client.state is ClientState.RECONNECTING)
        client.publish_nowait("wf/x", np.zeros(300_000))
        closing = asyncio.create_task(client.close())
        await asyncio.sleep(0)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        assert tasks == {closing}
        closing.cancel()
        scripted.status = None
        second = await scripted.accept()
        await second.next(Opcode.END)
        await client.close()
        assert client.state is ClientState.CLOSED


async def test_closing_waits_for_the_next_connection_if_messages_wait(scripted: ScriptedGateway) -> None:
    async with connected(scripted, backoff=Backoff(base_s=0.01, cap_s=0.01)) as (client, peer):
        scripted.status = 503
        peer.drop()
        await until(lambda: client.state is ClientState.RECONNECTING)
        client.publish_nowait("wf/x", 1.0)
        closing = asyncio.ensure_future(client.close())
        await asyncio.sleep(0)
        scripted.status = None
        second = await scripted.accept()
        await second.next(Opcode.MESSAGE)
        await closing
